// Administration: accounts, and how the instance is doing.
#include <boost/json/object.hpp>

#include "control-plane/api.h"
#include "control-plane/errands_store.h"
#include "control-plane/jobs_store.h"
#include "control-plane/sessions_store.h"
#include "control-plane/store.h"
#include "core/log.h"

namespace ribalta::control {
namespace {

constexpr std::int64_t kErrandsShown = 20;
constexpr std::size_t kMessageBytesMax = 200;

struct AdminUserNew {
  std::string name;
  std::optional<std::string> password;
  std::optional<bool> admin;
  std::optional<bool> creator;
};
BOOST_DESCRIBE_STRUCT(AdminUserNew, (), (name, password, admin, creator))

struct AdminUserChange {
  std::optional<std::string> password;
  std::optional<bool> admin;
  std::optional<bool> creator;
  std::optional<bool> suspended;
};
BOOST_DESCRIBE_STRUCT(AdminUserChange, (), (password, admin, creator, suspended))

struct DaemonStatus {
  std::string name;
  bool healthy = false;
  std::string message;
};
BOOST_DESCRIBE_STRUCT(DaemonStatus, (), (name, healthy, message))

struct JobCounts {
  std::int64_t queued = 0;
  std::int64_t leased = 0;
  std::int64_t done = 0;
  std::int64_t failed = 0;
  std::int64_t cancelled = 0;
};
BOOST_DESCRIBE_STRUCT(JobCounts, (), (queued, leased, done, failed, cancelled))

struct KindCounts {
  JobCounts live;
  JobCounts vod;
};
BOOST_DESCRIBE_STRUCT(KindCounts, (), (live, vod))

struct ErrandView {
  std::string kind;
  std::string subject;
  std::int64_t attempts = 0;
  std::string reason;
};
BOOST_DESCRIBE_STRUCT(ErrandView, (), (kind, subject, attempts, reason))

struct VideoCountsView {
  std::int64_t draft = 0;
  std::int64_t processing = 0;
  std::int64_t ready = 0;
  std::int64_t failed = 0;
};
BOOST_DESCRIBE_STRUCT(VideoCountsView, (), (draft, processing, ready, failed))

struct Status {
  std::string version;
  std::vector<DaemonStatus> daemons;
  KindCounts jobs;
  std::vector<view::Live> lives;
  std::int64_t users = 0;
  VideoCountsView videos;
  std::vector<ErrandView> errands;
  std::vector<NodeState> nodes;
};
BOOST_DESCRIBE_STRUCT(Status, (), (version, daemons, jobs, lives, users, videos, errands, nodes))

Result<Outcome<User>> named(sql::Session& session, const std::string& name) {
  auto user = UsersStore{session}.by_name(name);
  if (!user) return pass(user);
  if (!*user) return refuse(404, "not_found", "There is nobody of that name.");
  return Outcome<User>{std::move(**user)};
}

/// The account as it is now, with its stream key.
Result<Outcome<http::Response>> show(const Call& call, const Control& control, unsigned status, UserId id) {
  auto user = UsersStore{call.session}.by_id(id);
  if (!user) return pass(user);
  view::AdminUser out{.user = view::user(**user), .stream_key = {}};
  if ((*user)->creator) {
    auto key = stream_key_of(call.session, control.secrets, id, call.now);
    if (!key) return pass(key);
    out.stream_key = std::move(*key);
  }
  return Outcome<http::Response>{json_response(status, out)};
}

/// Empty stays empty: an account without a password.
Task<Outcome<std::string>> hash_wanted(ControlPtr control, std::optional<std::string> password, std::string address) {
  if (!password) co_return std::string{};
  const Outcome<void> fit = check_password(*password);
  if (!fit) co_return std::unexpected<Refusal>{fit.error()};
  Result<std::string> hashed = co_await control->passwords.hash(std::move(*password), std::move(address));
  if (!hashed)
    co_return std::unexpected<Refusal>{
        Refusal{503, "unavailable", "Too many passwords at once. Try again in a moment.", kHashesRetryS}};
  co_return std::move(*hashed);
}

/// Whether the caller is an administrator, before anything costly is done for them.
Task<std::optional<http::Response>> not_admin(ControlPtr control, const http::RequestHead& head) {
  Work nothing = [](const Call&) -> Result<Outcome<http::Response>> {
    return Outcome<http::Response>{empty_response()};
  };
  http::Response response = co_await decide(std::move(control), head, Need::admin, Mode::read, std::move(nothing));
  if (response.status == 204) co_return std::nullopt;
  co_return std::move(response);
}

Task<void> make_user(ControlPtr control, http::Exchange& exchange, const Parameters&) {
  const http::RequestHead head = exchange.head();
  if (std::optional<http::Response> refused = co_await not_admin(control, head))
    co_return co_await respond(exchange, std::move(*refused));
  Outcome<AdminUserNew> wanted = co_await read_json<AdminUserNew>(exchange);
  if (!wanted) co_return co_await respond(exchange, to_response(wanted.error()));
  const Outcome<void> fit = check_name(wanted->name);
  if (!fit) co_return co_await respond(exchange, to_response(fit.error()));
  const Outcome<std::string> hashed = co_await hash_wanted(control, wanted->password, address_of(head));
  if (!hashed) co_return co_await respond(exchange, to_response(hashed.error()));
  Work work = [control, wanted = *wanted, hashed = *hashed](const Call& call) -> Result<Outcome<http::Response>> {
    UsersStore users{call.session};
    auto taken = users.by_name(wanted.name);
    if (!taken) return pass(taken);
    if (*taken) return refuse(409, "name_taken", "The name " + wanted.name + " is taken.");
    const User user{.name = wanted.name,
                    .password = hashed,
                    .admin = wanted.admin.value_or(false),
                    .creator = wanted.creator.value_or(true),
                    .created = call.now};
    if (auto inserted = users.insert(user); !inserted) return pass(inserted);
    return show(call, *control, 201, user.id);
  };
  co_await answer(control, exchange, Need::admin, Mode::write, std::move(work));
}

Task<void> get_user(ControlPtr control, http::Exchange& exchange, const Parameters& parameters) {
  Work work = [control, name = std::string{http::parameter(parameters, "name")}](
                  const Call& call) -> Result<Outcome<http::Response>> {
    auto user = named(call.session, name);
    if (!user) return pass(user);
    if (!*user) return refuse(*user);
    return show(call, *control, 200, (*user)->id);
  };
  co_await answer(control, exchange, Need::admin, Mode::write, std::move(work));  // may make the stream key
}

Task<void> change_user(ControlPtr control, http::Exchange& exchange, const Parameters& parameters) {
  const http::RequestHead head = exchange.head();
  if (std::optional<http::Response> refused = co_await not_admin(control, head))
    co_return co_await respond(exchange, std::move(*refused));
  Outcome<AdminUserChange> wanted = co_await read_json<AdminUserChange>(exchange);
  if (!wanted) co_return co_await respond(exchange, to_response(wanted.error()));
  const Outcome<std::string> hashed = co_await hash_wanted(control, wanted->password, address_of(head));
  if (!hashed) co_return co_await respond(exchange, to_response(hashed.error()));
  std::string name{http::parameter(parameters, "name")};
  Work work = [control, wanted = *wanted, hashed = *hashed,
               name = std::move(name)](const Call& call) -> Result<Outcome<http::Response>> {
    auto found = named(call.session, name);
    if (!found) return pass(found);
    if (!*found) return refuse(*found);
    const User& user = **found;
    if (!hashed.empty()) {
      if (auto set = UsersStore{call.session}.set_password(user.id, hashed); !set) return pass(set);
      if (auto ended = end_all(call.session, user.id); !ended) return pass(ended);
    }
    const RoleChange change{.admin = wanted.admin.value_or(user.admin),
                            .creator = wanted.creator.value_or(user.creator),
                            .suspended = wanted.suspended.value_or(user.suspended)};
    auto changed = change_roles(call.session, user, change, control->live_rules(), call.now);
    if (!changed) return pass(changed);
    if (!*changed) return refuse(*changed);
    return show(call, *control, 200, user.id);
  };
  co_await answer(control, exchange, Need::admin, Mode::write, std::move(work));
}

Task<void> remove_user(ControlPtr control, http::Exchange& exchange, const Parameters& parameters) {
  Work work = [control, name = std::string{http::parameter(parameters, "name")}](
                  const Call& call) -> Result<Outcome<http::Response>> {
    auto user = named(call.session, name);
    if (!user) return pass(user);
    if (!*user) return refuse(*user);
    auto removed = remove_account(call.session, **user, control->live_rules(), call.now);
    if (!removed) return pass(removed);
    if (!*removed) return refuse(*removed);
    log_info("account removed", {{"user", (*user)->id.view()}});
    return Outcome<http::Response>{empty_response()};
  };
  co_await answer(control, exchange, Need::admin, Mode::write, std::move(work));
}

Task<void> rotate_key(ControlPtr control, http::Exchange& exchange, const Parameters& parameters) {
  Work work = [control, name = std::string{http::parameter(parameters, "name")}](
                  const Call& call) -> Result<Outcome<http::Response>> {
    auto user = named(call.session, name);
    if (!user) return pass(user);
    if (!*user) return refuse(*user);
    if (!(*user)->creator) return refuse(403, "not_creator", "This account may not go live.");
    if (auto rotated = rotate_stream_key(call.session, control->secrets, (*user)->id, call.now); !rotated)
      return pass(rotated);
    return show(call, *control, 200, (*user)->id);
  };
  co_await answer(control, exchange, Need::admin, Mode::write, std::move(work));
}

Task<void> post_token(ControlPtr control, http::Exchange& exchange, const Parameters& parameters) {
  Outcome<TokenNew> wanted = co_await read_json<TokenNew>(exchange);
  if (!wanted) co_return co_await respond(exchange, to_response(wanted.error()));
  std::string name{http::parameter(parameters, "name")};
  Work work = [control, wanted = *wanted, name = std::move(name)](const Call& call) -> Result<Outcome<http::Response>> {
    // As for one's own tokens: an administrator's that leaked must not outlive its expiry. The instance's own token,
    // which scripts read from its file, belongs to nobody and has none.
    const bool lent = call.who.user && call.who.session_hash.empty();
    if (lent) return refuse(403, "forbidden", "Sign in to make a token; a token can't.");
    auto user = named(call.session, name);
    if (!user) return pass(user);
    if (!*user) return refuse(*user);
    return make_token(call, *control, (*user)->id, wanted);
  };
  co_await answer(control, exchange, Need::admin, Mode::write, std::move(work));
}

JobCounts& counts_of(KindCounts& counts, JobKind kind) { return kind == JobKind::live ? counts.live : counts.vod; }

std::int64_t& count_in(JobCounts& counts, JobState state) {
  switch (state) {
    case JobState::queued:
      return counts.queued;
    case JobState::leased:
      return counts.leased;
    case JobState::done:
      return counts.done;
    case JobState::failed:
      return counts.failed;
    case JobState::cancelled:
      return counts.cancelled;
  }
  return counts.cancelled;
}

Result<Status> status_from_sql(const Call& call, Control& control) {
  Status status{.version = RIBALTA_VERSION};
  auto jobs = JobsStore{call.session}.counts();
  if (!jobs) return pass(jobs);
  for (const JobCount& count : *jobs) count_in(counts_of(status.jobs, count.kind), count.state) = count.count;
  auto lives = StreamsStore{call.session}.active(100);
  if (!lives) return pass(lives);
  for (const Stream& stream : *lives) status.lives.push_back(maker(control).live(stream));
  auto users = UsersStore{call.session}.count();
  if (!users) return pass(users);
  status.users = *users;
  auto videos = VideosStore{call.session}.counts();
  if (!videos) return pass(videos);
  status.videos = {videos->draft, videos->processing, videos->ready, videos->failed};
  auto errands = ErrandsStore{call.session}.failing(kErrandsShown);
  if (!errands) return pass(errands);
  for (const Errand& errand : *errands) {
    status.errands.push_back({std::string{to_string(errand.kind)}, errand.subject, errand.attempts, errand.reason});
  }
  auto nodes = NodesStore{call.session}.all();
  if (!nodes) return pass(nodes);
  for (const OtherNode& node : *nodes) {
    status.nodes.push_back(node_state(node, control.nodes.last_heard(node.name), control.started_ms(), call.now));
  }
  return status;
}

Task<DaemonStatus> ask_daemon(ControlPtr control, std::string name) {
  const http::Address address{
      .unix_path = (control->node.config.run / (name + ".sock")).string(), .host = {}, .port = 0};
  http::Request request{.method = "GET", .target = "/healthz", .fields = {}, .body = {}};
  const http::ClientLimits limits{.connect = std::chrono::milliseconds{1'000},
                                  .answer = std::chrono::milliseconds{2'000}};
  const Result<http::Response> response = co_await http::call(address, std::move(request), limits);
  DaemonStatus status{.name = std::move(name)};
  status.healthy = response && response->status == 200;
  status.message = response ? response->body.substr(0, kMessageBytesMax) : "does not answer";
  while (!status.message.empty() && status.message.back() == '\n') status.message.pop_back();
  co_return status;
}

Task<void> get_status(ControlPtr control, http::Exchange& exchange, const Parameters&) {
  auto status = std::make_shared<Status>();
  Work work = [control, status](const Call& call) -> Result<Outcome<http::Response>> {
    auto read = status_from_sql(call, *control);
    if (!read) return pass(read);
    *status = std::move(*read);
    return Outcome<http::Response>{empty_response()};
  };
  const http::RequestHead head = exchange.head();
  http::Response decided = co_await decide(control, head, Need::admin, Mode::read, std::move(work));
  if (decided.status != 204) co_return co_await respond(exchange, std::move(decided));
  status->daemons.push_back({"control", true, "ok"});
  for (const char* name : {"ingest", "packager", "transcode"}) {
    DaemonStatus daemon = co_await ask_daemon(control, name);
    status->daemons.push_back(std::move(daemon));
  }
  std::vector<std::string> ping{"PING"};
  const Result<redis::Reply> pong = co_await redis_command(control->node, std::move(ping));
  status->daemons.push_back(
      {"redis", pong.has_value(), pong ? "ok" : pong.error().message.substr(0, kMessageBytesMax)});
  co_await respond(exchange, json_response(200, *status));
}

}  // namespace

void add_admin_routes(const ControlPtr& control, http::Router& router) {
  add_route(router, control, "POST", "/admin/users", make_user);
  add_route(router, control, "GET", "/admin/users/{name}", get_user);
  add_route(router, control, "PATCH", "/admin/users/{name}", change_user);
  add_route(router, control, "DELETE", "/admin/users/{name}", remove_user);
  add_route(router, control, "POST", "/admin/users/{name}/stream-key/rotate", rotate_key);
  add_route(router, control, "POST", "/admin/users/{name}/tokens", post_token);
  add_route(router, control, "GET", "/admin/status", get_status);
}

}  // namespace ribalta::control
