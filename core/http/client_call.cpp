#include <array>
#include <boost/asio/this_coro.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "core/http/client_message.h"

namespace ribalta::http {
namespace {

namespace beast = boost::beast;

/// Status line and fields of an answer.
constexpr std::uint32_t kResponseHeaderBytesMax = 64 * 1024;

}  // namespace

Fields fields_of(const beast::http::fields& from) {
  Fields fields;
  for (const auto& field : from) {
    fields.add({field.name_string().data(), field.name_string().size()}, {field.value().data(), field.value().size()});
  }
  return fields;
}

std::string request_head(const Address& address, const Request& request, RequestBody body) {
  std::string more;
  if (!request.fields.has("Host"))
    more += "Host: " + (address.unix_path.empty() ? address.text() : "localhost") + "\r\n";
  if (body == RequestBody::chunked) {
    more += "Transfer-Encoding: chunked\r\n";
  } else if (!request.body.empty() || request.method == "POST" || request.method == "PUT" ||
             request.method == "PATCH") {
    more += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
  }
  more += "Connection: close\r\n";
  return head_text(request.method + " " + request.target + " HTTP/1.1", request.fields, more);
}

Result<void> feed(MessageParser& parser, beast::flat_buffer& buffer) {
  while (buffer.size() > 0 && !parser.is_done()) {
    ErrorCode error;
    buffer.consume(parser.put(buffer.data(), error));
    if (error == beast::http::error::need_more || error == beast::http::error::need_buffer) break;
    if (error == beast::http::error::body_limit || error == beast::http::error::header_limit) {
      return fail(Code::limit, "answer:", error.message());
    }
    if (error) return fail(Code::malformed, "answer:", error.message());
  }
  return {};
}

Result<void> feed_end(MessageParser& parser) {
  ErrorCode error;
  if (parser.got_some()) parser.put_eof(error);
  if (error || !parser.is_done()) return fail(Code::closed, "the peer closed before its answer was whole");
  return {};
}

Task<ErrorCode> fill(Stream& stream, beast::flat_buffer& buffer) {
  const auto space = buffer.prepare(kPieceBytes);
  const auto [error, count] = co_await stream.socket().async_read_some(space, kTuple);
  buffer.commit(count);
  co_return error;
}

Error read_error(const Stream& stream, const ErrorCode& error) {
  if (stream.read_expired()) return {Code::timeout, "no answer in time"};
  return {Code::closed, "read: " + error.message()};
}

Task<Result<Response>> read_response(Stream& stream, const ClientLimits& limits, bool is_head_request) {
  beast::http::response_parser<beast::http::string_body> parser;
  parser.header_limit(kResponseHeaderBytesMax);
  parser.body_limit(limits.body_bytes_max);
  parser.skip(is_head_request);
  parser.eager(true);
  beast::flat_buffer buffer;
  stream.reading_within(limits.answer);
  while (!parser.is_done()) {
    const ErrorCode error = co_await fill(stream, buffer);
    if (error && error != asio::error::eof) {
      stream.reading_done();
      co_return std::unexpected<Error>{read_error(stream, error)};
    }
    const Result<void> fed = error ? feed_end(parser) : feed(parser, buffer);
    if (!fed) {
      stream.reading_done();
      co_return pass(fed);
    }
    if (parser.is_done() && parser.get().result_int() / 100 == 1) {
      // 100 Continue and its like stand before the answer (RFC 9110 §15.2); none of ours are asked for.
      stream.reading_done();
      co_return fail(Code::unsupported, "an interim answer", parser.get().result_int());
    }
  }
  stream.reading_done();
  co_return Response{parser.get().result_int(), fields_of(parser.get()), std::move(parser.get().body())};
}

Task<Result<Response>> call(Address address, Request request, ClientLimits limits) {
  Result<std::unique_ptr<Stream>> connected = co_await connect(address, limits.connect);
  if (!connected) co_return pass(connected);
  Stream& stream = **connected;
  const std::string head = request_head(address, request, RequestBody::whole);
  const std::array<asio::const_buffer, 2> buffers{asio::buffer(head), asio::buffer(request.body)};
  const Result<void> written = co_await stream.write(buffers, limits.write_idle);
  // A peer that refused early has answered and closed; its answer says more than our failed write.
  if (!written && written.error().code == Code::timeout) co_return written.error().in(request.method, request.target);
  Result<Response> response = co_await read_response(stream, limits, request.method == "HEAD");
  if (!response) {
    // A connection that ended before an answer says nothing about what was asked for.
    Error error = response.error();
    if (error.code == Code::closed) error.code = Code::unavailable;
    co_return error.in(request.method, request.target);
  }
  co_return std::move(*response);
}

}  // namespace ribalta::http
