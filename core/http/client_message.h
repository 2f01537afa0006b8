// Requests written and answers read, as the three kinds of client call share it. Inside core/http only.
#pragma once

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/fields.hpp>
#include <memory>
#include <string>

#include "core/http/client.h"
#include "core/http/stream.h"

namespace ribalta::http {

enum class RequestBody { whole, chunked };

/// The request's line and fields, with what describes its body and its connection.
std::string request_head(const Address& address, const Request& request, RequestBody body);

Fields fields_of(const boost::beast::http::fields& from);

using MessageParser = boost::beast::http::basic_parser<false>;

/// Gives the parser what is buffered. Too few bytes, or a full body buffer, is no error. @error malformed, limit.
Result<void> feed(MessageParser& parser, boost::beast::flat_buffer& buffer);
/// The peer has closed: an answer without a length ends so. @error closed: it was not whole.
Result<void> feed_end(MessageParser& parser);
/// More bytes into the buffer. The deadline is the caller's.
Task<ErrorCode> fill(Stream& stream, boost::beast::flat_buffer& buffer);
Error read_error(const Stream& stream, const ErrorCode& error);

/// Reads one whole answer. @error closed, timeout, malformed, limit (over body_bytes_max).
Task<Result<Response>> read_response(Stream& stream, const ClientLimits& limits, bool is_head_request);

}  // namespace ribalta::http
