#include "control-plane/api.h"

#include <charconv>

#include "control-plane/openapi.h"
#include "core/log.h"
#include "core/network.h"

namespace ribalta::control {
namespace {

bool changes_something(std::string_view method) { return method != "GET" && method != "HEAD"; }

/// Browsers say where a call comes from; another site's is refused before anything else, sign-in included.
bool from_elsewhere(const http::RequestHead& head) {
  const std::string_view site = head.fields.get("Sec-Fetch-Site");
  return site == "cross-site" || site == "same-site";
}

Outcome<void> check_need(const Identity& who, Need need) {
  switch (need) {
    case Need::anybody:
      return {};
    case Need::user:
      return require_user(who);
    case Need::admin:
      return require_admin(who);
    case Need::owner_or_admin:
      return who.is_admin() ? Outcome<void>{} : require_user(who);
  }
  return {};
}

Result<Outcome<http::Response>> run_work(sql::Session& session, const Control& control, const Credentials& credentials,
                                         bool changes, Need need, const Work& work) {
  const std::int64_t now = control.now_ms();
  auto who = identify(session, control.secrets, credentials, now);
  if (!who) return pass(who);
  if (!*who) return refuse(*who);
  if (const auto allowed = check_need(**who, need); !allowed) return refuse(allowed);
  if (changes) {
    if (const auto ours = check_csrf(**who, credentials); !ours) return refuse(ours);
  }
  return work(Call{session, **who, now});
}

Task<void> get_openapi(ControlPtr, http::Exchange& exchange, const Parameters&) {
  http::Response response = http::Response::json(200, std::string{openapi_document()});
  response.fields.set("Cache-Control", "max-age=300");
  co_await respond(exchange, std::move(response));
}

/// A refusal inside a transaction must not leave half of a change behind: it is rolled back by this error.
constexpr std::string_view kRolledBack = "refused";

}  // namespace

Credentials credentials_of(const http::RequestHead& head) {
  return {head.cookie(kSessionCookie), std::string{head.fields.get("X-Csrf-Token")},
          std::string{head.fields.get("Authorization")}};
}

std::string address_of(const http::RequestHead& head) {
  const std::string_view real = head.fields.get("X-Real-IP");
  if (!real.empty() && real.size() <= 64) return network_of(real);
  return network_of(head.peer);
}

Task<http::Response> decide(ControlPtr control, http::RequestHead head, Need need, Mode mode, Work work) {
  const bool changes = changes_something(head.method);
  if (changes && from_elsewhere(head)) {
    co_return http::Response::error(403, "csrf", "The call does not come from this site's own pages.");
  }
  const Credentials credentials = credentials_of(head);
  const Control* held = control.get();
  auto refusal = std::make_shared<std::optional<Refusal>>();
  auto job = [held, credentials, changes, need, mode, work = std::move(work),
              refusal](sql::Session& session) -> Result<Outcome<http::Response>> {
    refusal->reset();
    auto done = run_work(session, *held, credentials, changes, need, work);
    if (mode == Mode::write && done && !*done) {
      *refusal = done->error();
      return fail(Code::forbidden, kRolledBack);
    }
    return done;
  };
  std::optional<Result<Outcome<http::Response>>> done;
  if (mode == Mode::write) {
    done.emplace(co_await control->write("api", std::move(job)));
  } else {
    done.emplace(co_await control->read(std::move(job)));
  }
  if (*refusal) co_return to_response(**refusal);
  if (!*done) {
    log_warning("a call to the API failed", {{"method", head.method}, {"path", head.path}, {"error", done->error()}});
    if (done->error().code == Code::internal) {
      co_return http::Response::error(500, "internal", "Something went wrong on our side.");
    }
    http::Response later =
        http::Response::error(503, "unavailable", "The database does not answer. Try again in a moment.");
    later.fields.set("Retry-After", "1");
    co_return later;
  }
  if (!**done) co_return to_response((*done)->error());
  if (mode == Mode::write) control->wake();
  co_return std::move(***done);
}

Task<void> respond(http::Exchange& exchange, http::Response response) {
  const Result<void> sent = co_await exchange.respond(std::move(response));
  if (!sent) log_debug("an answer was not taken", {{"path", exchange.head().path}, {"error", sent.error()}});
}

Task<void> answer(ControlPtr control, http::Exchange& exchange, Need need, Mode mode, Work work) {
  http::RequestHead head = exchange.head();
  http::Response response = co_await decide(std::move(control), std::move(head), need, mode, std::move(work));
  co_await respond(exchange, std::move(response));
}

Task<Outcome<std::string>> read_body(http::Exchange& exchange) {
  const std::string_view type = exchange.head().fields.get("Content-Type");
  if (!type.starts_with("application/json")) {
    co_return std::unexpected<Refusal>{Refusal{415, "media_type", "The body must be application/json."}};
  }
  Result<std::string> body = co_await exchange.read_all(kApiBodyBytesMax);
  if (body) co_return std::move(*body);
  if (body.error().code == Code::limit) {
    co_return std::unexpected<Refusal>{Refusal{413, "too_large", "The body is over 64 KiB."}};
  }
  co_return std::unexpected<Refusal>{Refusal{400, "malformed", "The body did not come whole."}};
}

Outcome<PageRequest> page_request(const http::RequestHead& head) {
  PageRequest page;
  const std::string cursor = head.query_value("cursor");
  if (!cursor.empty()) {
    const auto after = view::parse_cursor(cursor);
    if (!after) return refuse(400, "bad_cursor", "The cursor is not one of ours.");
    page.after = *after;
  }
  const std::string limit = head.query_value("limit");
  if (!limit.empty()) {
    const char* const end = limit.data() + limit.size();
    const auto [stopped, error] = std::from_chars(limit.data(), end, page.limit);
    if (error != std::errc{} || stopped != end || page.limit < 1 || page.limit > kPageMax) {
      return refuse(400, "malformed", "limit: a number from 1 to 50");
    }
  }
  return page;
}

std::string session_cookie(const Config& config, std::string_view secret) {
  std::string cookie = std::string{kSessionCookie} + "=" + std::string{secret} + "; Path=/; HttpOnly; SameSite=Lax";
  cookie += "; Max-Age=" + std::to_string(secret.empty() ? 0 : kSessionMs / 1000);
  if (config.tls()) cookie += "; Secure";
  return cookie;
}

view::Maker maker(const Control& control) { return {control.config, control.secrets, control.now_ms()}; }

void add_route(http::Router& router, const ControlPtr& control, std::string_view method, std::string_view path,
               ApiHandler handler) {
  router.add(method, "/api/v1" + std::string{path},
             [control, handler](http::Exchange& exchange, const Parameters& parameters) {
               return handler(control, exchange, parameters);
             });
}

void add_api_routes(const ControlPtr& control, http::Router& router) {
  add_route(router, control, "GET", "/openapi.json", get_openapi);
  add_account_routes(control, router);
  add_video_routes(control, router);
  add_live_routes(control, router);
  add_admin_routes(control, router);
  add_node_routes(control, router);
}

}  // namespace ribalta::control
