#include "core/http/stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/this_coro.hpp>
#include <cerrno>
#include <utility>
#include <vector>

namespace ribalta::http {
namespace {

/// A composed read can be between two operations when the deadline fires: cancel again until it has ended.
constexpr std::chrono::milliseconds kCancelAgain{100};
/// Pieces of one write: head, chunk size, data, chunk end.
constexpr std::size_t kWriteBuffersMax = 4;

void set_no_delay(Socket& socket) {
  const int on = 1;
  // Fails on Unix sockets, which need it not.
  ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace

void Deadline::set(const std::shared_ptr<Socket>& socket, std::shared_ptr<Deadline> self,
                   std::chrono::milliseconds time) {
  due_ = std::chrono::steady_clock::now() + time;
  active_ = true;
  expired_ = false;
  if (pending_ && timer_.expiry() <= due_) return;
  timer_.expires_at(due_);  // cancels an earlier wait, whose handler then sees its error
  wait(socket, std::move(self));
}

void Deadline::wait(std::weak_ptr<Socket> socket, std::shared_ptr<Deadline> self) {
  pending_ = true;
  timer_.async_wait([this, socket = std::move(socket), self = std::move(self)](ErrorCode error) mutable {
    if (error) return;
    pending_ = false;
    if (!active_) return;
    const auto now = std::chrono::steady_clock::now();
    if (now < due_) {
      timer_.expires_at(due_);
    } else {
      expired_ = true;
      const std::shared_ptr<Socket> open = socket.lock();
      if (!open) return;
      ErrorCode ignored;
      open->cancel(ignored);
      timer_.expires_at(now + kCancelAgain);
    }
    wait(std::move(socket), std::move(self));
  });
}

Stream::Stream(Socket socket)
    : socket_(std::make_shared<Socket>(std::move(socket))),
      read_deadline_(std::make_shared<Deadline>(socket_->get_executor())),
      write_deadline_(std::make_shared<Deadline>(socket_->get_executor())) {
  set_no_delay(*socket_);
}

Stream::~Stream() { close(); }

void Stream::close() {
  read_deadline_->end();
  write_deadline_->end();
  ErrorCode ignored;
  socket_->close(ignored);
}

Task<Result<void>> Stream::write(std::span<const asio::const_buffer> buffers, std::chrono::milliseconds idle) {
  assert(buffers.size() <= kWriteBuffersMax);
  std::array<asio::const_buffer, kWriteBuffersMax> left{};
  std::ranges::copy(buffers, left.begin());
  while (asio::buffer_size(left) > 0) {
    write_deadline_->set(socket_, write_deadline_, idle);
    const auto [error, count] = co_await socket_->async_write_some(left, kTuple);
    write_deadline_->clear();
    if (error) {
      if (write_deadline_->expired()) co_return fail(Code::timeout, "the peer takes nothing");
      co_return fail(Code::closed, "write:", error.message());
    }
    std::size_t taken = count;
    for (asio::const_buffer& buffer : left) {
      const std::size_t here = std::min(taken, buffer.size());
      buffer += here;
      taken -= here;
    }
  }
  co_return Result<void>{};
}

Task<void> Stream::linger(std::size_t bytes_max, std::chrono::milliseconds time) {
  ErrorCode error;
  socket_->shutdown(Socket::shutdown_send, error);
  std::vector<std::byte> dropped(std::min(bytes_max, kPieceBytes));
  reading_within(time);
  std::size_t total = 0;
  while (!error && !read_expired() && total < bytes_max) {
    const auto [failed, count] = co_await socket_->async_read_some(asio::buffer(dropped), kTuple);
    error = failed;
    total += count;
  }
  reading_done();
}

bool Stream::peer_closed() {
  if (!socket_->is_open()) return true;
  char byte = 0;
  const ssize_t got = ::recv(socket_->native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  if (got > 0) return false;
  return got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

Task<Result<std::unique_ptr<Stream>>> connect(Address address, std::chrono::milliseconds time) {
  const asio::any_io_executor loop = co_await asio::this_coro::executor;
  std::vector<asio::generic::stream_protocol::endpoint> endpoints;
  if (!address.unix_path.empty()) {
    if (address.unix_path.size() > kUnixPathBytesMax) co_return fail(Code::limit, "socket path too long");
    endpoints.emplace_back(asio::local::stream_protocol::endpoint{address.unix_path});
  } else {
    ErrorCode not_numeric;
    const asio::ip::address numeric = asio::ip::make_address(address.host, not_numeric);
    if (!not_numeric) {
      endpoints.emplace_back(asio::ip::tcp::endpoint{numeric, address.port});
    } else {
      asio::ip::tcp::resolver resolver{loop};
      const std::string service = std::to_string(address.port);
      const auto [error, found] = co_await resolver.async_resolve(address.host, service, kTuple);
      if (error) co_return fail(Code::unavailable, "resolve " + address.host + ":", error.message());
      for (const auto& entry : found) endpoints.emplace_back(entry.endpoint());
    }
  }
  Error last{Code::unavailable, "connect " + address.text() + ": no address"};
  for (const auto& endpoint : endpoints) {
    ErrorCode error;
    Socket socket{loop};
    socket.open(endpoint.protocol(), error);
    if (error) co_return fail(Code::unavailable, "connect: no socket:", error.message());
    auto stream = std::make_unique<Stream>(std::move(socket));
    stream->reading_within(time);
    const auto [failed] = co_await stream->socket().async_connect(endpoint, kTuple);
    stream->reading_done();
    if (!failed) co_return std::move(stream);
    last.code = stream->read_expired() ? Code::timeout : Code::unavailable;
    last.message = "connect " + address.text() + ": " + failed.message();
  }
  co_return std::unexpected<Error>{last};
}

std::string head_text(std::string_view first_line, const Fields& fields, std::string_view more) {
  std::string text;
  text.reserve(256);
  const auto append = [&text](std::string_view value) {
    for (const char c : value) text.push_back(c == '\r' || c == '\n' || c == '\0' ? ' ' : c);
  };
  append(first_line);
  text += "\r\n";
  for (const auto& [name, value] : fields) {
    append(name);
    text += ": ";
    append(value);
    text += "\r\n";
  }
  text += more;
  text += "\r\n";
  return text;
}

std::string_view reason_phrase(unsigned status) {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 422:
      return "Unprocessable Content";
    case 423:
      return "Locked";
    case 428:
      return "Precondition Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 460:
      return "Checksum Mismatch";  // tus 1.0, checksum extension
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 507:
      return "Insufficient Storage";
    default:
      return "Status";
  }
}

}  // namespace ribalta::http
