// A client that does exactly what a test says, over a blocking socket.
#pragma once

#include <poll.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <string>

#include "ingest/rtmp/testing/publisher.h"

namespace ribalta::ingest::testing {

class Client {
 public:
  explicit Client(std::uint16_t port) {
    boost::system::error_code error;
    socket_.connect({boost::asio::ip::address_v4::loopback(), port}, error);
    // A test that waits for what never comes ends here, not at ctest's limit.
    const timeval limit{20, 0};
    setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }

  /// @return false when the other side has closed.
  bool send(ByteSpan bytes) {
    boost::system::error_code error;
    boost::asio::write(socket_, boost::asio::buffer(bytes.data(), bytes.size()), error);
    return !error;
  }
  void connect_as_publisher() {
    send(rtmp::testing::Publisher::handshake());
    send(publisher.connect("live"));
    send(publisher.call("createStream", {}));
    hears("_result");
  }
  /// One byte after a pause, which the other side's end cuts short. @return false when the other side has closed.
  bool drip(std::chrono::milliseconds pause) {
    pollfd readable{.fd = socket_.native_handle(), .events = POLLIN, .revents = 0};
    ::poll(&readable, 1, static_cast<int>(pause.count()));
    char answer = 0;
    if (recv(socket_.native_handle(), &answer, 1, MSG_DONTWAIT | MSG_PEEK) == 0) return false;
    boost::system::error_code error;
    const char byte = 0;
    boost::asio::write(socket_, boost::asio::buffer(&byte, 1), error);
    return !error;
  }
  /// Says that nothing more comes.
  void hang_up() {
    boost::system::error_code ignored;
    socket_.shutdown(boost::asio::ip::tcp::socket::shutdown_send, ignored);
  }
  /// Reads until these bytes have come. @return false when the connection ended before.
  bool hears(std::string_view part) {
    while (text_.find(part) == std::string::npos) {
      if (!read()) return false;
    }
    return true;
  }
  /// Reads until the other side closes. @return false when it does not within 20 s.
  bool closed() {
    while (read()) {
    }
    return ended_;
  }
  /// Everything that came after the server's handshake.
  [[nodiscard]] std::string text() const {
    constexpr std::size_t handshake = 1 + 2 * rtmp::kHandshakeBytes;
    return text_.size() > handshake ? text_.substr(handshake) : std::string{};
  }

  rtmp::testing::Publisher publisher;

 private:
  bool read() {
    char buffer[4096];
    const ssize_t got = recv(socket_.native_handle(), buffer, sizeof buffer, 0);
    if (got > 0) text_.append(buffer, static_cast<std::size_t>(got));
    if (got == 0 || (got < 0 && errno == ECONNRESET)) ended_ = true;
    return got > 0;
  }
  boost::asio::io_context context_;
  boost::asio::ip::tcp::socket socket_{context_, boost::asio::ip::tcp::v4()};
  std::string text_;
  bool ended_ = false;
};

}  // namespace ribalta::ingest::testing
