#include "ingest/door/wire.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>

namespace ribalta::ingest {
namespace {

using ErrorCode = boost::system::error_code;

class TcpWire final : public Wire {
 public:
  explicit TcpWire(TcpSocket socket) : socket_(std::move(socket)) {}

  Task<Result<void>> greet() override { co_return Result<void>{}; }
  Task<Result<void>> readable() override {
    const auto [error] = co_await socket_.async_wait(TcpSocket::wait_read, kTuple);
    if (error) co_return fail(Code::closed, error.message());
    co_return Result<void>{};
  }
  Task<Result<std::size_t>> read_some(std::span<std::byte> buffer) override {
    const auto [error, count] = co_await socket_.async_read_some(asio::buffer(buffer.data(), buffer.size()), kTuple);
    if (error == asio::error::eof) co_return std::size_t{0};
    if (error) co_return fail(Code::closed, error.message());
    co_return count;
  }
  [[nodiscard]] bool took_all(std::size_t count, std::size_t size) const override { return count < size; }
  Task<Result<void>> write(ByteSpan bytes) override {
    const auto [error, count] = co_await asio::async_write(socket_, asio::buffer(bytes.data(), bytes.size()), kTuple);
    if (error) co_return unwritten(error);
    co_return Result<void>{};
  }
  void interrupt() override {
    ErrorCode ignored;
    socket_.cancel(ignored);
  }
  void close() override {
    ErrorCode ignored;
    socket_.shutdown(TcpSocket::shutdown_send, ignored);
    socket_.close(ignored);
  }

 private:
  TcpSocket socket_;
};

}  // namespace

std::unique_ptr<Wire> make_wire(TcpSocket socket) { return std::make_unique<TcpWire>(std::move(socket)); }

std::unexpected<Error> unwritten(const ErrorCode& error) {
  return fail(error == asio::error::timed_out ? Code::timeout : Code::closed, error.message());
}

void tune(TcpSocket& socket) {
  ErrorCode ignored;
  socket.set_option(asio::ip::tcp::no_delay{true}, ignored);
  socket.set_option(asio::socket_base::keep_alive{true}, ignored);
  const unsigned int milliseconds = 10'000;
  setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_USER_TIMEOUT, &milliseconds, sizeof milliseconds);
}

}  // namespace ribalta::ingest
