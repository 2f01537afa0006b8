#include "core/http/server_connection.h"

#include <array>
#include <boost/asio/this_coro.hpp>
#include <boost/beast/http/error.hpp>
#include <exception>

#include "core/http/server_exchange.h"
#include "core/log.h"

namespace ribalta::http {
namespace {

namespace beast = boost::beast;

/// After an answer that ends the connection: how much of what the client still sends is read and dropped, and how long.
constexpr std::size_t kLingerBytesMax = 1024 * 1024;
constexpr std::chrono::milliseconds kLinger{2'000};

Fields fields_of(const beast::http::fields& from) {
  Fields fields;
  for (const auto& field : from) {
    fields.add({field.name_string().data(), field.name_string().size()}, {field.value().data(), field.value().size()});
  }
  return fields;
}

}  // namespace

Connection::Connection(ConnectionPlace place, Socket socket, std::size_t shard, std::string peer)
    : place_(std::move(place)),
      core_(place_.core()),
      stream_(std::move(socket)),
      shard_(shard),
      peer_(std::move(peer)) {
  core_->connections[shard_].insert(this);
  if (core_->metrics.connections != nullptr) core_->metrics.connections->add(1);
}

Connection::~Connection() {
  core_->connections[shard_].erase(this);
  if (core_->metrics.connections != nullptr) core_->metrics.connections->add(-1);
}

Task<void> serve_connection(ConnectionPlace place, Socket socket, std::size_t shard, std::string peer) {
  // Otherwise every later await throws once a handler's branch was cancelled.
  co_await asio::this_coro::throw_if_cancelled(false);
  Connection connection{std::move(place), std::move(socket), shard, std::move(peer)};
  co_await connection.serve();
}

Task<void> Connection::serve() {
  bool first = true;
  while (!cut_) {
    const bool more = co_await serve_one(first);
    if (!more) break;
    first = false;
  }
  if (!cut_) co_await stream_.linger(kLingerBytesMax, kLinger);
  stream_.close();
}

Task<ErrorCode> Connection::fill(std::size_t bytes) {
  const auto space = buffer_.prepare(bytes);
  const auto [error, count] = co_await stream_.socket().async_read_some(space, kTuple);
  buffer_.commit(count);
  co_return error;
}

Task<bool> Connection::read_head(Parser& parser, bool first) {
  stream_.reading_within(first ? core_->limits.header_deadline : core_->limits.keep_alive);
  idle_ = buffer_.size() == 0;
  if (idle_ && core_->draining) co_return false;
  std::size_t head_bytes = 0;
  while (true) {
    if (buffer_.size() > 0) {
      if (idle_) {
        idle_ = false;
        stream_.reading_within(core_->limits.header_deadline);
      }
      ErrorCode error;
      const std::size_t used = parser.put(buffer_.data(), error);
      buffer_.consume(used);
      head_bytes += used;
      const std::size_t head_bytes_least = head_bytes + (parser.is_header_done() ? 0 : buffer_.size() + 1);
      if (error == beast::http::error::header_limit || head_bytes_least > core_->limits.header_bytes_max) {
        co_await refuse(431, "header_too_large", "The request's header is too large.");
        co_return false;
      }
      if (error && error != beast::http::error::need_more) {
        const std::string message = "The request is not HTTP/1.1: " + error.message() + ".";
        co_await refuse(400, "malformed", message);
        co_return false;
      }
      if (parser.is_header_done()) break;
    }
    const ErrorCode error = co_await fill(kHeaderBufferBytes);
    if (error) {
      if (stream_.read_expired() && !idle_) {
        co_await refuse(408, "timeout", "The request did not come in time.");
        co_return false;
      }
      if (!stream_.read_expired()) cut_ = true;  // the client left: nothing to wait for
      co_return false;
    }
  }
  stream_.reading_done();
  co_return true;
}

Task<void> Connection::refuse(unsigned status, std::string_view code, std::string_view message) {
  stream_.reading_done();
  count_answer(status);
  Response response = Response::error(status, code, message);
  response.fields.set("Content-Length", std::to_string(response.body.size()));
  const std::string line = "HTTP/1.1 " + std::to_string(status) + " " + std::string{reason_phrase(status)};
  const std::string head = head_text(line, response.fields, "Connection: close\r\n");
  const std::array<asio::const_buffer, 2> buffers{asio::buffer(head), asio::buffer(response.body)};
  const Result<void> written = co_await stream_.write(buffers, core_->limits.write_idle);
  if (!written) cut_ = true;
}

Task<bool> Connection::serve_one(bool first) {
  if (buffer_.size() == 0 && buffer_.capacity() > kHeaderBufferBytes) buffer_.shrink_to_fit();
  Parser parser;
  // Beast counts a little differently; read_head holds the bound itself.
  parser.header_limit(static_cast<std::uint32_t>(2 * core_->limits.header_bytes_max));
  parser.body_limit(boost::none);
  const bool read = co_await read_head(parser, first);
  if (!read) co_return false;

  RequestHead head;
  head.method = std::string{parser.get().method_string()};
  head.target = std::string{parser.get().target()};
  head.fields = fields_of(parser.get());
  head.peer = peer_;
  Result<SplitTarget> target = split_target(head.target);
  if (!target) {
    const std::string message = "The request's target is refused: " + target.error().message + ".";
    co_await refuse(400, "malformed", message);
    co_return false;
  }
  head.path = std::move(target->path);
  head.query = std::move(target->query);

  ServerExchange exchange{*this, parser, std::move(head)};
  bool threw = false;
  try {
    co_await core_->handler(exchange);
  } catch (const std::exception& exception) {
    threw = true;
    log_error("handler ended by an exception", {{"path", exchange.head().path}, {"what", exception.what()}});
  }
  if (!exchange.answered() && !threw && stream_.peer_closed()) cut_ = true;  // a held request whose client left
  if (!exchange.answered() && !cut_) {
    if (!threw) log_error("handler gave no answer", {{"path", exchange.head().path}});
    Response response = Response::error(500, "internal", "Something went wrong on our side.");
    co_await exchange.respond(std::move(response));
  }
  count_answer(exchange.finished() ? exchange.status() : 0);
  if (!exchange.finished()) {
    cut();
    co_return false;
  }
  if (!exchange.reusable()) co_return false;
  co_return co_await exchange.drop_rest();
}

void Connection::count_answer(unsigned status) {
  const std::size_t digit = status / 100;
  if (digit < core_->metrics.answers.size()) core_->metrics.answers[digit]->add();
}

}  // namespace ribalta::http
