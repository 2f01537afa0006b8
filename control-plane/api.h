// The public API's routes (control-plane/openapi.json) and what its handlers share: the caller, the body, the answer.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "control-plane/control.h"
#include "control-plane/identity.h"
#include "control-plane/outcome.h"
#include "control-plane/views.h"
#include "core/http/server.h"
#include "core/json.h"

namespace ribalta::control {

inline constexpr std::uint64_t kApiBodyBytesMax = 64 * 1024;
inline constexpr std::int64_t kPageMax = 50;
inline constexpr std::int64_t kPageDefault = 10;

using ControlPtr = std::shared_ptr<Control>;
using Parameters = http::Router::Parameters;

/// Who must be asking. `owner_or_admin`: somebody's account, or the instance's own token, which belongs to nobody;
/// whose it is that they ask about is the handler's to check.
enum class Need : std::uint8_t { anybody, user, admin, owner_or_admin };
/// Whether the handler's statements are one transaction.
enum class Mode : std::uint8_t { read, write };

/// What a handler's work gets, on the disk pool.
struct Call {
  sql::Session& session;
  const Identity& who;
  std::int64_t now = 0;

  [[nodiscard]] const User& user() const { return *who.user; }  ///< with Need::user
};
using Work = std::function<Result<Outcome<http::Response>>(const Call&)>;

Credentials credentials_of(const http::RequestHead& head);
/// The client's address, as the edge found it; in IPv6 its /64: what limits count by (core/network.h).
std::string address_of(const http::RequestHead& head);

/// Finds out who asks, checks what is needed (and CSRF unless it is a GET), runs the work, and answers.
Task<void> answer(ControlPtr control, http::Exchange& exchange, Need need, Mode mode, Work work);
/// The same without answering: for handlers that go on after it.
Task<http::Response> decide(ControlPtr control, http::RequestHead head, Need need, Mode mode, Work work);

Task<void> respond(http::Exchange& exchange, http::Response response);
/// The whole body of a call that must be JSON. @refusal 415 media_type; 413 too_large; 400 malformed.
Task<Outcome<std::string>> read_body(http::Exchange& exchange);

template <class T>
Task<Outcome<T>> read_json(http::Exchange& exchange) {
  Outcome<std::string> body = co_await read_body(exchange);
  if (!body) co_return std::unexpected<Refusal>{body.error()};
  Result<T> read = json_read<T>(*body);
  if (!read) co_return std::unexpected<Refusal>{Refusal{400, "malformed", read.error().message}};
  co_return std::move(*read);
}

template <class T>
http::Response json_response(unsigned status, const T& described) {
  http::Response response = http::Response::json(status, json_write(described));
  response.fields.set("Cache-Control", "no-store");
  return response;
}
inline http::Response empty_response() {
  http::Response response;
  response.status = 204;
  return response;
}

/// An id from the path; 404 where it is none.
template <class Kind>
Outcome<Kind> path_id(const Parameters& parameters, std::string_view name) {
  Result<Kind> id = Kind::parse(http::parameter(parameters, name));
  if (!id) return refuse(404, "not_found", "There is nothing here.");
  return *id;
}

struct PageRequest {
  std::optional<PageCursor> after;
  std::int64_t limit = kPageDefault;
};
/// `cursor` and `limit`. @refusal 400 bad_cursor, malformed.
Outcome<PageRequest> page_request(const http::RequestHead& head);

/// The cookie of a session; an empty secret takes it away.
std::string session_cookie(const Config& config, std::string_view secret);
view::Maker maker(const Control& control);

/// What answers a route of the public API; `add_route` puts /api/v1 before its path.
using ApiHandler = Task<void> (*)(ControlPtr, http::Exchange&, const Parameters&);
void add_route(http::Router& router, const ControlPtr& control, std::string_view method, std::string_view path,
               ApiHandler handler);

/// Seconds after which a password may be sent again: the line of hashes is shorter than that.
inline constexpr std::int64_t kHashesRetryS = 5;
/// A password that can't be hashed now: 429 where too many of the client's own wait, 503 where too many of all do.
Refusal refuse_hash(const Error& error);

/// Ends every session and token of an account: whoever knew the old password is out.
Result<void> end_all(sql::Session& session, UserId user);

struct TokenNew {
  std::string label;
  std::optional<std::int64_t> lifetime_s;
};
BOOST_DESCRIBE_STRUCT(TokenNew, (), (label, lifetime_s))
/// 201 with the token's secret. @refusal 400 malformed; 409 tokens_max.
Result<Outcome<http::Response>> make_token(const Call& call, const Control& control, UserId user,
                                           const TokenNew& wanted);

void add_account_routes(const ControlPtr& control, http::Router& router);
void add_video_routes(const ControlPtr& control, http::Router& router);
void add_live_routes(const ControlPtr& control, http::Router& router);
void add_admin_routes(const ControlPtr& control, http::Router& router);
void add_node_routes(const ControlPtr& control, http::Router& router);
/// All of the public API.
void add_api_routes(const ControlPtr& control, http::Router& router);
/// What other daemons call (docs/contracts.md, "Control plane").
void add_internal_routes(const ControlPtr& control, http::Router& router);
/// What other nodes ask through the node port (docs/contracts.md, "Between nodes").
void add_node_port_routes(const ControlPtr& control, http::Router& router);
/// Writes the list of nodes that nginx reads, as SQL has it. Blocks.
Result<void> list_nodes(Control& control);

}  // namespace ribalta::control
