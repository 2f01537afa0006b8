// TLS in a file of its own: the only one that includes Asio's ssl, whose separate compilation is here too.
#include <boost/asio/buffer.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/impl/src.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <cassert>
#include <optional>

#include "ingest/door/wire.h"

namespace ribalta::ingest {
namespace {

using ErrorCode = boost::system::error_code;

class TlsWire final : public Wire {
 public:
  TlsWire(TcpSocket socket, asio::ssl::context& context) : socket_(std::move(socket)), context_(context) {}

  /// TLS has 40 KB of buffers and state: nobody gets them who says nothing.
  Task<Result<void>> greet() override {
    const auto [gone] = co_await socket_.async_wait(TcpSocket::wait_read, kTuple);
    if (gone) co_return fail(Code::closed, gone.message());
    stream_.emplace(std::move(socket_), context_);
    const auto [error] = co_await stream_->async_handshake(asio::ssl::stream_base::server, kTuple);
    if (error == asio::error::operation_aborted) co_return fail(Code::closed, error.message());
    if (error) co_return fail(Code::malformed, "TLS handshake:", error.message());
    co_return Result<void>{};
  }
  /// What has come may be in the stream's own buffers, which are larger than a reader's.
  Task<Result<void>> readable() override { co_return Result<void>{}; }
  Task<Result<std::size_t>> read_some(std::span<std::byte> buffer) override {
    assert(stream_);
    const auto [error, count] = co_await stream_->async_read_some(asio::buffer(buffer.data(), buffer.size()), kTuple);
    if (error == asio::error::eof || error == asio::ssl::error::stream_truncated) co_return std::size_t{0};
    if (error) co_return fail(Code::closed, error.message());
    co_return count;
  }
  [[nodiscard]] bool took_all(std::size_t, std::size_t) const override { return false; }
  Task<Result<void>> write(ByteSpan bytes) override {
    assert(stream_);
    const auto [error, count] = co_await asio::async_write(*stream_, asio::buffer(bytes.data(), bytes.size()), kTuple);
    if (error) co_return unwritten(error);
    co_return Result<void>{};
  }
  void interrupt() override {
    ErrorCode ignored;
    socket().cancel(ignored);
  }
  void close() override {
    ErrorCode ignored;
    socket().shutdown(TcpSocket::shutdown_send, ignored);
    socket().close(ignored);
  }

 private:
  TcpSocket& socket() { return stream_ ? stream_->next_layer() : socket_; }

  TcpSocket socket_;  ///< until TLS has it
  asio::ssl::context& context_;
  std::optional<asio::ssl::stream<TcpSocket>> stream_;
};

class Context final : public TlsContext {
 public:
  Context() : context_(asio::ssl::context::tls_server) {}
  Result<void> load(const std::filesystem::path& cert, const std::filesystem::path& key) {
    ErrorCode error;
    context_.set_options(
        asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1, error);
    if (!error) context_.use_certificate_chain_file(cert.string(), error);
    if (error) return fail(Code::io, "certificate " + cert.string() + ":", error.message());
    context_.use_private_key_file(key.string(), asio::ssl::context::pem, error);
    if (error) return fail(Code::io, "private key " + key.string() + ":", error.message());
    return {};
  }
  std::unique_ptr<Wire> make_wire(TcpSocket socket) override {
    return std::make_unique<TlsWire>(std::move(socket), context_);
  }

 private:
  asio::ssl::context context_;
};

}  // namespace

Result<std::unique_ptr<TlsContext>> TlsContext::open(const std::filesystem::path& cert,
                                                     const std::filesystem::path& key) {
  auto context = std::make_unique<Context>();
  const Result<void> loaded = context->load(cert, key);
  if (!loaded) return pass(loaded);
  return context;
}

}  // namespace ribalta::ingest
