// Accounts: set-up, signing up, in and out, passwords, API tokens.
#include <utility>
#include <vector>

#include "control-plane/api.h"
#include "control-plane/sessions_store.h"
#include "control-plane/store.h"
#include "core/log.h"
#include "core/network.h"

namespace ribalta::control {
namespace {

constexpr std::size_t kTokensMax = 20;
constexpr std::int64_t kTokenLifetimeMinS = 60;
constexpr std::int64_t kTokenLifetimeMaxS = 315'360'000;

struct SignUp {
  std::string name;
  std::string password;
};
BOOST_DESCRIBE_STRUCT(SignUp, (), (name, password))

struct Removal {
  std::string password;
};
BOOST_DESCRIBE_STRUCT(Removal, (), (password))

struct Setup {
  std::string token;
  std::string name;
  std::string password;
};
BOOST_DESCRIBE_STRUCT(Setup, (), (token, name, password))

/// `new` is a word of C++: read by hand from a map.
using PasswordChange = std::map<std::string, std::string>;

struct Limits {
  std::int64_t upload_bytes_max = 0;
  std::int64_t user_bytes_max = 0;
  std::int64_t drafts_max = 0;
  std::int64_t title_chars_max = 0;
  std::int64_t duration_ms_max = 0;
  std::int64_t name_chars_min = 3;
  std::int64_t name_chars_max = 24;
  std::int64_t password_chars_min = kPasswordCharsMin;
  std::int64_t password_chars_max = kPasswordCharsMax;
};
BOOST_DESCRIBE_STRUCT(Limits, (),
                      (upload_bytes_max, user_bytes_max, drafts_max, title_chars_max, duration_ms_max, name_chars_min,
                       name_chars_max, password_chars_min, password_chars_max))

struct Features {
  bool live = true;
  bool uploads = true;
};
BOOST_DESCRIBE_STRUCT(Features, (), (live, uploads))

struct Instance {
  std::string name;
  std::string version;
  std::string registration;
  bool setup_needed = false;
  std::string locale;
  Features features;
  Limits limits;
};
BOOST_DESCRIBE_STRUCT(Instance, (), (name, version, registration, setup_needed, locale, features, limits))

Refused unavailable(const Error& error) {
  log_warning("passwords can't be checked", {{"error", error}});
  return Refused{refuse_hash(error)};
}

Refused too_many(std::int64_t wait_s) {
  return refuse(429, "rate_limited", "Too many attempts. Try again in " + std::to_string(wait_s) + " s.", wait_s);
}

/// Session begun, cookie set.
http::Response signed_in(const Control& control, unsigned status, const User& user, const std::string& secret) {
  http::Response response = json_response(status, view::session(user, control.secrets.csrf(secret)));
  response.fields.set("Set-Cookie", session_cookie(control.config, secret));
  return response;
}

Task<void> get_instance(ControlPtr control, http::Exchange& exchange, const Parameters&) {
  const Config& config = control->config;
  const Instance instance{.name = config.name,
                          .version = RIBALTA_VERSION,
                          .registration = config.registration_open() ? "open" : "closed",
                          .setup_needed = !control->setup_done(),
                          .locale = config.locale,
                          .features = {},
                          .limits = {.upload_bytes_max = config.upload_bytes_max(),
                                     .user_bytes_max = config.user_bytes_max(),
                                     .drafts_max = config.drafts_max,
                                     .title_chars_max = kTitleCharsMax,
                                     .duration_ms_max = config.duration_min_max * 60'000}};
  co_await respond(exchange, json_response(200, instance));
}

Task<void> get_session(ControlPtr control, http::Exchange& exchange, const Parameters&) {
  Work work = [](const Call& call) -> Result<Outcome<http::Response>> {
    return Outcome<http::Response>{json_response(200, view::session(call.who))};
  };
  co_await answer(std::move(control), exchange, Need::anybody, Mode::read, std::move(work));
}

Task<void> sign_out(ControlPtr control, http::Exchange& exchange, const Parameters&) {
  Work work = [control](const Call& call) -> Result<Outcome<http::Response>> {
    if (!call.who.session_hash.empty()) {
      if (auto ended = SessionsStore{call.session}.remove(call.who.session_hash); !ended) return pass(ended);
    }
    http::Response response = empty_response();
    response.fields.set("Set-Cookie", session_cookie(control->config, ""));
    return Outcome<http::Response>{std::move(response)};
  };
  co_await answer(control, exchange, Need::anybody, Mode::write, std::move(work));
}

/// A call that begins a session is nobody's yet, whatever cookie or token came with it: only the old session is ended.
http::RequestHead as_nobody(const http::RequestHead& head) {
  http::RequestHead bare;
  bare.method = head.method;
  bare.path = head.path;
  bare.fields.set("Sec-Fetch-Site", head.fields.get("Sec-Fetch-Site"));
  return bare;
}
std::string old_session(const Control& control, const http::RequestHead& head) {
  const std::string cookie = head.cookie(kSessionCookie);
  return cookie.empty() ? std::string{} : control.secrets.hash("session", cookie);
}

Task<Outcome<User>> check_sign_in(ControlPtr control, const SignUp& given, const std::string& address) {
  const std::int64_t now = control->now_ms();
  const std::string pair = address + " " + given.name;
  // Counted before the hash is made, given back when it fits: guesses sent at once can't share one place in the bucket.
  std::vector<std::pair<RateLimit*, std::string>> taken;
  const auto take = [&taken, now](RateLimit& limit, const std::string& key) {
    const std::int64_t wait = limit.take(key, now);
    if (wait == 0) taken.emplace_back(&limit, key);
    return wait;
  };
  const auto give_back = [&taken, now] {
    for (const auto& [limit, key] : taken) limit->give_back(key, now);
  };
  std::int64_t wait = take(control->sign_in_pair, pair);
  if (wait == 0) wait = take(control->sign_in_address, address);
  const bool attacked = wait == 0 && take(control->sign_in_name, given.name) > 0;
  if (attacked) wait = take(control->sign_in_site_attacked, site_of(address) + " " + given.name);
  if (wait > 0) {
    give_back();
    co_return too_many(wait);
  }
  auto found =
      co_await control->read([name = given.name](sql::Session& session) { return UsersStore{session}.by_name(name); });
  if (!found) {
    give_back();
    co_return unavailable(found.error());
  }
  const std::string hashed = *found ? (*found)->password : std::string{};
  const Result<bool> right = co_await control->passwords.verify(hashed, given.password, address);
  if (!right) {
    give_back();
    co_return unavailable(right.error());
  }
  if (!*right) co_return refuse(401, "wrong_password", "Name and password do not fit.");
  give_back();
  if ((*found)->suspended) co_return refuse(403, "suspended", "This account is suspended. Ask the operator.");
  co_return std::move(**found);
}

Task<void> sign_in(ControlPtr control, http::Exchange& exchange, const Parameters&) {
  Outcome<SignUp> given = co_await read_json<SignUp>(exchange);
  if (!given) co_return co_await respond(exchange, to_response(given.error()));
  const http::RequestHead head = exchange.head();
  Outcome<User> user = co_await check_sign_in(control, *given, address_of(head));
  if (!user) co_return co_await respond(exchange, to_response(user.error()));
  Work work = [control, user = *user,
               old = old_session(*control, head)](const Call& call) -> Result<Outcome<http::Response>> {
    auto secret = begin_session(call.session, control->secrets, user.id, old, call.now);
    if (!secret) return pass(secret);
    return Outcome<http::Response>{signed_in(*control, 200, user, *secret)};
  };
  http::Response response = co_await decide(control, as_nobody(head), Need::anybody, Mode::write, std::move(work));
  co_await respond(exchange, std::move(response));
}

/// A new account; `extra` runs in the same transaction before it is made.
Task<void> make_account(ControlPtr control, http::Exchange& exchange, SignUp given, bool admin,
                        std::function<Result<Outcome<void>>(sql::Session&)> extra, std::function<void()> after) {
  const http::RequestHead head = exchange.head();
  const std::string address = address_of(head);
  Outcome<void> fit = check_name(given.name);
  if (fit) fit = check_password(given.password);
  if (!fit) co_return co_await respond(exchange, to_response(fit.error()));
  const std::int64_t now = control->now_ms();
  // Before the hash, which costs a tenth of a second: a name that is taken costs a look, and each try is counted.
  auto taken =
      co_await control->read([name = given.name](sql::Session& session) { return UsersStore{session}.by_name(name); });
  if (taken && *taken) {
    const Refusal refusal{409, "name_taken", "The name " + given.name + " is taken."};
    co_return co_await respond(exchange, to_response(refusal));
  }
  if (const std::int64_t wait = control->sign_up_address.take(address, now); wait > 0) {
    co_return co_await respond(exchange, to_response({429, "rate_limited",
                                                      "Too many accounts were made from your address. Try again in " +
                                                          std::to_string(wait) + " s.",
                                                      wait}));
  }
  const Result<std::string> hashed = co_await control->passwords.hash(given.password, address);
  if (!hashed) {
    control->sign_up_address.give_back(address, now);
    co_return co_await respond(exchange, to_response(refuse_hash(hashed.error())));
  }
  const User user{.name = given.name,
                  .password = *hashed,
                  .admin = admin,
                  .creator = admin || control->config.creators_by_default,
                  .created = now};
  Work work = [control, user, old = old_session(*control, head),
               extra = std::move(extra)](const Call& call) -> Result<Outcome<http::Response>> {
    auto may = extra(call.session);
    if (!may) return pass(may);
    if (!*may) return refuse(*may);
    UsersStore users{call.session};
    auto taken = users.by_name(user.name);
    if (!taken) return pass(taken);
    if (*taken) return refuse(409, "name_taken", "The name " + user.name + " is taken.");
    if (auto inserted = users.insert(user); !inserted) return pass(inserted);
    auto secret = begin_session(call.session, control->secrets, user.id, old, call.now);
    if (!secret) return pass(secret);
    return Outcome<http::Response>{signed_in(*control, 201, user, *secret)};
  };
  http::Response response = co_await decide(control, as_nobody(head), Need::anybody, Mode::write, std::move(work));
  if (response.status != 201) control->sign_up_address.give_back(address, now);
  if (response.status == 201) {
    log_info("account made", {{"user", user.id.view()}, {"admin", admin}});
    if (after) after();
  }
  co_await respond(exchange, std::move(response));
}

Task<void> sign_up(ControlPtr control, http::Exchange& exchange, const Parameters&) {
  Outcome<SignUp> given = co_await read_json<SignUp>(exchange);
  if (given && !control->config.registration_open()) {
    given =
        std::unexpected<Refusal>{Refusal{403, "registration_closed", "The operator makes the accounts of this site."}};
  }
  if (!given) co_return co_await respond(exchange, to_response(given.error()));
  std::function<Result<Outcome<void>>(sql::Session&)> nothing = [](sql::Session&) -> Result<Outcome<void>> {
    return Outcome<void>{};
  };
  Task<void> made = make_account(std::move(control), exchange, std::move(*given), false, std::move(nothing), {});
  co_await std::move(made);
}

Task<void> set_up(ControlPtr control, http::Exchange& exchange, const Parameters&) {
  Outcome<Setup> given = co_await read_json<Setup>(exchange);
  if (!given) co_return co_await respond(exchange, to_response(given.error()));
  const std::string address = address_of(exchange.head());
  const std::int64_t now = control->now_ms();
  if (control->setup_done()) {
    co_return co_await respond(exchange,
                               to_response({409, "setup_done", "This site has its administrator. Sign in instead."}));
  }
  if (const std::int64_t wait = control->sign_in_address.wait_s(address, now); wait > 0) {
    co_return co_await respond(
        exchange,
        to_response({429, "rate_limited", "Too many attempts. Try again in " + std::to_string(wait) + " s.", wait}));
  }
  const std::string token = control->setup_token();
  const Secrets& secrets = control->secrets;
  if (token.empty() || !equal_constant_time(secrets.hash("setup", given->token), secrets.hash("setup", token))) {
    control->sign_in_address.count(address, now);
    co_return co_await respond(exchange,
                               to_response({403, "setup_token", "This set-up link is not the one that was printed."}));
  }
  std::function<Result<Outcome<void>>(sql::Session&)> use_up = [](sql::Session& session) -> Result<Outcome<void>> {
    UsersStore users{session};
    auto used = users.fact("setup_done");
    if (!used) return pass(used);
    if (*used) return refuse(409, "setup_done", "This site has its administrator. Sign in instead.");
    if (auto noted = users.insert_fact("setup_done", "1"); !noted) return pass(noted);
    return Outcome<void>{};
  };
  std::function<void()> after = [control] {
    control->set_setup_done();
    remove_setup_token(control->secrets_folder);
  };
  SignUp account{std::move(given->name), std::move(given->password)};
  Task<void> made = make_account(control, exchange, std::move(account), true, std::move(use_up), std::move(after));
  co_await std::move(made);
}

Task<void> change_password(ControlPtr control, http::Exchange& exchange, const Parameters&) {
  Outcome<PasswordChange> given = co_await read_json<PasswordChange>(exchange);
  if (given && (given->size() != 2 || !given->contains("old") || !given->contains("new"))) {
    given = std::unexpected<Refusal>{Refusal{400, "malformed", "$: old and new are wanted"}};
  }
  if (!given) co_return co_await respond(exchange, to_response(given.error()));
  const http::RequestHead head = exchange.head();
  const std::string address = address_of(head);
  std::shared_ptr<User> user = std::make_shared<User>();
  Work who = [user](const Call& call) -> Result<Outcome<http::Response>> {
    *user = call.user();
    return Outcome<http::Response>{empty_response()};
  };
  http::Response known = co_await decide(control, head, Need::user, Mode::read, std::move(who));
  if (known.status != 204) co_return co_await respond(exchange, std::move(known));
  const Outcome<void> fit = check_password(given->at("new"));
  if (!fit) co_return co_await respond(exchange, to_response(fit.error()));
  const SignUp old{user->name, given->at("old")};
  const Outcome<User> right = co_await check_sign_in(control, old, address);
  if (!right) co_return co_await respond(exchange, to_response(right.error()));
  const Result<std::string> hashed = co_await control->passwords.hash(given->at("new"), address);
  if (!hashed) co_return co_await respond(exchange, to_response(refuse_hash(hashed.error())));
  Work work = [control, hashed = *hashed](const Call& call) -> Result<Outcome<http::Response>> {
    if (auto set = UsersStore{call.session}.set_password(call.user().id, hashed); !set) return pass(set);
    if (auto ended = end_all(call.session, call.user().id); !ended) return pass(ended);
    auto secret = begin_session(call.session, control->secrets, call.user().id, "", call.now);
    if (!secret) return pass(secret);
    return Outcome<http::Response>{signed_in(*control, 200, call.user(), *secret)};
  };
  co_await answer(control, exchange, Need::user, Mode::write, std::move(work));
}

Task<void> remove_me(ControlPtr control, http::Exchange& exchange, const Parameters&) {
  Outcome<Removal> given = co_await read_json<Removal>(exchange);
  if (!given) co_return co_await respond(exchange, to_response(given.error()));
  const http::RequestHead head = exchange.head();
  std::shared_ptr<User> user = std::make_shared<User>();
  Work who = [user](const Call& call) -> Result<Outcome<http::Response>> {
    *user = call.user();
    return Outcome<http::Response>{empty_response()};
  };
  http::Response known = co_await decide(control, head, Need::user, Mode::read, std::move(who));
  if (known.status != 204) co_return co_await respond(exchange, std::move(known));
  // A browser that was left open, or a token that leaked, must not cost somebody all that they made.
  const SignUp owner{user->name, given->password};
  const Outcome<User> right = co_await check_sign_in(control, owner, address_of(head));
  if (!right) co_return co_await respond(exchange, to_response(right.error()));
  Work work = [control](const Call& call) -> Result<Outcome<http::Response>> {
    auto removed = remove_account(call.session, call.user(), control->live_rules(), call.now);
    if (!removed) return pass(removed);
    if (!*removed) return refuse(*removed);
    http::Response response = empty_response();
    response.fields.set("Set-Cookie", session_cookie(control->config, ""));
    return Outcome<http::Response>{std::move(response)};
  };
  http::Response response = co_await decide(control, head, Need::user, Mode::write, std::move(work));
  if (response.status == 204) log_info("account removed", {{"user", user->id.view()}});
  co_await respond(exchange, std::move(response));
}

Task<void> get_tokens(ControlPtr control, http::Exchange& exchange, const Parameters&) {
  Work work = [](const Call& call) -> Result<Outcome<http::Response>> {
    auto tokens = SessionsStore{call.session}.tokens_of(call.user().id);
    if (!tokens) return pass(tokens);
    view::TokenPage page;
    for (const ApiToken& token : *tokens) page.items.push_back(view::token(token));
    return Outcome<http::Response>{json_response(200, page)};
  };
  co_await answer(std::move(control), exchange, Need::user, Mode::read, std::move(work));
}

Task<void> post_token(ControlPtr control, http::Exchange& exchange, const Parameters&) {
  Outcome<TokenNew> wanted = co_await read_json<TokenNew>(exchange);
  if (!wanted) co_return co_await respond(exchange, to_response(wanted.error()));
  Work work = [control, wanted = *wanted](const Call& call) -> Result<Outcome<http::Response>> {
    // A token that leaked must not be able to outlive its own expiry by making another.
    if (call.who.session_hash.empty()) return refuse(403, "forbidden", "Sign in to make a token; a token can't.");
    return make_token(call, *control, call.user().id, wanted);
  };
  co_await answer(control, exchange, Need::user, Mode::write, std::move(work));
}

Task<void> delete_token(ControlPtr control, http::Exchange& exchange, const Parameters& parameters) {
  Work work =
      [id = std::string{http::parameter(parameters, "id")}](const Call& call) -> Result<Outcome<http::Response>> {
    auto removed = SessionsStore{call.session}.remove_token(id, call.user().id);
    if (!removed) return pass(removed);
    if (!*removed) return refuse(404, "not_found", "There is no such token.");
    return Outcome<http::Response>{empty_response()};
  };
  co_await answer(std::move(control), exchange, Need::user, Mode::write, std::move(work));
}

}  // namespace

Refusal refuse_hash(const Error& error) {
  if (error.code == Code::limit) {
    return {429, "rate_limited", "Too many passwords at once from your address. Try again in a moment.", kHashesRetryS};
  }
  return {503, "unavailable", "Too many people are signing in. Try again in a moment.", kHashesRetryS};
}

Result<void> end_all(sql::Session& session, UserId user) {
  SessionsStore sessions{session};
  if (auto ended = sessions.remove_all_of(user); !ended) return ended;
  return sessions.remove_tokens_of(user);
}

Result<Outcome<http::Response>> make_token(const Call& call, const Control& control, UserId user,
                                           const TokenNew& wanted) {
  const std::size_t chars = count_chars(wanted.label);
  if (chars < 1 || chars > 64) return refuse(400, "malformed", "label: 1 to 64 characters");
  if (wanted.lifetime_s && (*wanted.lifetime_s < kTokenLifetimeMinS || *wanted.lifetime_s > kTokenLifetimeMaxS)) {
    return refuse(400, "malformed", "lifetime_s: 60 to 315360000");
  }
  SessionsStore sessions{call.session};
  auto known = sessions.tokens_of(user);
  if (!known) return pass(known);
  if (known->size() >= kTokensMax)
    return refuse(409, "tokens_max", "20 tokens are the most an account may have. Revoke one.");
  const std::string secret = random_secret("rt_");
  const auto id = random_id();
  ApiToken token{.id = std::string{id.data(), id.size()}, .label = wanted.label, .created = call.now};
  if (wanted.lifetime_s) token.expires = call.now + *wanted.lifetime_s * 1000;
  if (auto made = sessions.insert_token(token, control.secrets.hash("token", secret), user); !made) return pass(made);
  view::TokenMade view{.id = token.id, .token = secret};
  if (token.expires > 0) view.expires = view::instant(token.expires);
  return Outcome<http::Response>{json_response(201, view)};
}

void add_account_routes(const ControlPtr& control, http::Router& router) {
  add_route(router, control, "GET", "/instance", get_instance);
  add_route(router, control, "POST", "/setup", set_up);
  add_route(router, control, "POST", "/users", sign_up);
  add_route(router, control, "GET", "/session", get_session);
  add_route(router, control, "POST", "/session", sign_in);
  add_route(router, control, "DELETE", "/session", sign_out);
  add_route(router, control, "PUT", "/me/password", change_password);
  add_route(router, control, "POST", "/me/remove", remove_me);
  add_route(router, control, "GET", "/me/tokens", get_tokens);
  add_route(router, control, "POST", "/me/tokens", post_token);
  add_route(router, control, "DELETE", "/me/tokens/{id}", delete_token);
}

}  // namespace ribalta::control
