#include "core/http/server_exchange.h"

#include <boost/beast/http/error.hpp>
#include <charconv>

namespace ribalta::http {
namespace {

namespace beast = boost::beast;

/// What a handler may leave unread of a body and the connection is used again; a longer rest ends the connection.
constexpr std::uint64_t kRestBytesMax = 256 * 1024;

bool status_has_body(unsigned status) { return status >= 200 && status != 204 && status != 304; }

bool says_continue(std::string_view expect) {
  constexpr std::string_view wanted{"100-continue"};
  return expect.size() == wanted.size() && (expect.starts_with("100-c") || expect.starts_with("100-C"));
}

std::string hex_size(std::size_t size) {
  std::array<char, 18> text{};
  char* end = std::to_chars(text.data(), text.data() + 16, size, 16).ptr;
  *end++ = '\r';
  *end++ = '\n';
  return {text.data(), end};
}

}  // namespace

ServerExchange::ServerExchange(Connection& connection, Connection::Parser& parser, RequestHead head)
    : connection_(connection),
      parser_(parser),
      head_(std::move(head)),
      continue_due_(says_continue(head_.fields.get("Expect"))) {}

Task<Result<ByteSpan>> ServerExchange::read_some() {
  assert(!reading_);
  if (connection_.cut_) co_return fail(Code::closed, "the connection was cut");
  if (parser_.is_done()) co_return ByteSpan{};
  if (std::exchange(continue_due_, false)) {
    constexpr std::string_view text{"HTTP/1.1 100 Continue\r\n\r\n"};
    const std::array<asio::const_buffer, 1> buffers{asio::buffer(text)};
    const Result<void> sent = co_await connection_.stream_.write(buffers, connection_.core_->limits.write_idle);
    if (!sent) co_return pass(sent);
  }
  if (piece_.empty()) piece_.resize(kPieceBytes);
  auto& body = parser_.get().body();
  body.data = piece_.data();
  body.size = piece_.size();
  body.more = true;
  auto& buffer = connection_.buffer_;
  while (true) {
    while (buffer.size() > 0 && body.size > 0 && !parser_.is_done()) {
      ErrorCode error;
      buffer.consume(parser_.put(buffer.data(), error));
      if (error == beast::http::error::need_more || error == beast::http::error::need_buffer) break;
      if (error) {
        read_failed_ = true;
        co_return fail(Code::malformed, "request body:", error.message());
      }
    }
    const std::size_t got = piece_.size() - body.size;
    if (got > 0 || parser_.is_done()) co_return ByteSpan{piece_}.first(got);

    connection_.stream_.reading_within(connection_.core_->limits.body_idle);
    reading_ = true;
    const ErrorCode error = co_await connection_.fill(kPieceBytes);
    reading_ = false;
    connection_.stream_.reading_done();
    if (error) {
      read_failed_ = true;
      if (connection_.stream_.read_expired()) co_return fail(Code::timeout, "request body: nothing came");
      co_return fail(Code::closed, "request body:", error.message());
    }
  }
}

Task<Result<std::string>> ServerExchange::read_all(std::optional<std::uint64_t> max) {
  const std::uint64_t limit = max.value_or(connection_.core_->limits.body_bytes_max);
  const auto announced = parser_.content_length();
  if (announced && *announced > limit) co_return fail(Code::limit, "request body: bytes, over", limit);
  std::string whole;
  while (true) {
    const Result<ByteSpan> piece = co_await read_some();
    if (!piece) co_return pass(piece);
    if (piece->empty()) co_return std::move(whole);
    if (whole.size() + piece->size() > limit) co_return fail(Code::limit, "request body: bytes, over", limit);
    whole += as_text(*piece);
  }
}

bool ServerExchange::may_keep() const {
  if (!parser_.get().keep_alive() || connection_.core_->draining || reading_ || read_failed_) return false;
  if (parser_.is_done()) return true;
  if (continue_due_) return false;  // the client may or may not send a body that was not asked for
  const auto left = parser_.content_length_remaining();
  return left && *left <= kRestBytesMax;
}

Task<Result<void>> ServerExchange::send_head(const ResponseHead& head, Body body, std::optional<std::uint64_t> length,
                                             ByteSpan whole_body) {
  assert(status_ == 0);
  status_ = head.status;
  keep_ = may_keep();
  const bool old_client = parser_.get().version() < 11;
  if (body == Body::chunked && old_client) {
    body = Body::until_close;
    keep_ = false;
  }
  const bool no_body = !status_has_body(head.status) || head_.method == "HEAD";
  std::string more;
  if (length && status_has_body(head.status)) more += "Content-Length: " + std::to_string(*length) + "\r\n";
  if (body == Body::chunked && status_has_body(head.status)) more += "Transfer-Encoding: chunked\r\n";
  if (!keep_) {
    more += "Connection: close\r\n";
  } else if (old_client) {
    more += "Connection: keep-alive\r\n";
  }
  body_ = no_body ? Body::dropped : body;
  left_ = length.value_or(0);
  const std::string line = "HTTP/1.1 " + std::to_string(head.status) + " " + std::string{reason_phrase(head.status)};
  const std::string text = head_text(line, head.fields, more);
  const ByteSpan sent_body = no_body ? ByteSpan{} : whole_body;
  const std::array<asio::const_buffer, 2> buffers{asio::buffer(text), asio::buffer(sent_body.data(), sent_body.size())};
  const Result<void> written = co_await connection_.stream_.write(buffers, connection_.core_->limits.write_idle);
  if (!written) {
    connection_.cut();
    co_return pass(written);
  }
  if (reading_) {
    // Another coroutine waits for the body of a request that has now been answered: its read ends with `closed`.
    ErrorCode ignored;
    connection_.stream_.socket().cancel(ignored);
  }
  co_return Result<void>{};
}

Task<Result<void>> ServerExchange::respond(Response response) {
  ResponseHead head{response.status, std::move(response.fields)};
  const std::string body = std::move(response.body);
  const Result<void> sent = co_await send_head(head, Body::sized, body.size(), as_bytes(body));
  if (sent) body_ = Body::finished;
  co_return sent;
}

Task<Result<void>> ServerExchange::start(ResponseHead head) {
  co_return co_await send_head(head, Body::chunked, std::nullopt, {});
}

Task<Result<void>> ServerExchange::start(ResponseHead head, std::uint64_t content_length) {
  co_return co_await send_head(head, Body::sized, content_length, {});
}

Task<Result<void>> ServerExchange::write(ByteSpan bytes) {
  assert(body_ != Body::none && body_ != Body::finished);
  if (connection_.cut_) co_return fail(Code::closed, "the connection was cut");
  if (bytes.empty() || body_ == Body::dropped) co_return Result<void>{};
  std::string size;
  std::string_view end;
  if (body_ == Body::chunked) {
    size = hex_size(bytes.size());
    end = "\r\n";
  }
  if (body_ == Body::sized) {
    assert(bytes.size() <= left_);
    left_ -= bytes.size();
  }
  const std::array<asio::const_buffer, 3> buffers{asio::buffer(size), asio::buffer(bytes.data(), bytes.size()),
                                                  asio::buffer(end)};
  const Result<void> written = co_await connection_.stream_.write(buffers, connection_.core_->limits.write_idle);
  if (!written) connection_.cut();
  co_return written;
}

Task<Result<void>> ServerExchange::finish() {
  assert(body_ != Body::none && body_ != Body::finished);
  if (connection_.cut_) co_return fail(Code::closed, "the connection was cut");
  if (body_ == Body::sized && left_ > 0) co_return fail(Code::internal, "answer: bytes missing", left_);
  if (body_ == Body::chunked) {
    constexpr std::string_view last{"0\r\n\r\n"};
    const std::array<asio::const_buffer, 1> buffers{asio::buffer(last)};
    const Result<void> written = co_await connection_.stream_.write(buffers, connection_.core_->limits.write_idle);
    if (!written) {
      connection_.cut();
      co_return written;
    }
  }
  body_ = Body::finished;
  co_return Result<void>{};
}

bool ServerExchange::client_gone() { return connection_.cut_ || connection_.stream_.peer_closed(); }

void ServerExchange::watch_client() {
  if (std::exchange(connection_.watch_->pending, true)) return;
  connection_.stream_.socket().async_wait(Socket::wait_read, [watch = connection_.watch_](ErrorCode) {
    watch->pending = false;
    if (watch->interrupt != nullptr) watch->interrupt->set();
  });
}

Task<Exchange::Woken> ServerExchange::until_gone_or(Event& event, std::uint64_t seen, std::chrono::milliseconds limit) {
  const auto deadline =
      std::chrono::steady_clock::now() + std::min<std::chrono::milliseconds>(limit, std::chrono::hours{24});
  if (client_gone()) co_return Woken::gone;
  Interrupt readable;
  bool woken = false;
  {
    connection_.watch_->interrupt = &readable;
    const AtEnd unset{[watch = connection_.watch_] { watch->interrupt = nullptr; }};  // it may outlast this wait
    watch_client();
    woken = co_await event.wait(seen, limit, readable);
  }
  if (client_gone()) co_return Woken::gone;
  if (!woken && readable.is_set()) {
    // The next request is already there, so that nothing short of reading it would show that the client left.
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    woken = co_await event.wait(seen, std::max(left, std::chrono::milliseconds{0}));
    if (client_gone()) co_return Woken::gone;
  }
  co_return woken ? Woken::event : Woken::limit;
}

Task<bool> ServerExchange::drop_rest() {
  while (!parser_.is_done()) {
    const Result<ByteSpan> piece = co_await read_some();
    if (!piece) {
      connection_.cut();
      co_return false;
    }
  }
  co_return true;
}

}  // namespace ribalta::http
