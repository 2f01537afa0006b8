// Live: what is on, one's own broadcast, stream keys.
#include "control-plane/api.h"
#include "control-plane/jobs_store.h"
#include "control-plane/store.h"
#include "core/log.h"

namespace ribalta::control {
namespace {

constexpr std::int64_t kLivesMax = 100;

struct MyLiveChange {
  std::string title;
};
BOOST_DESCRIBE_STRUCT(MyLiveChange, (), (title))

Refused not_creator() { return refuse(403, "not_creator", "This account may not go live."); }

Task<void> get_lives(ControlPtr control, http::Exchange& exchange, const Parameters&) {
  Work work = [control](const Call& call) -> Result<Outcome<http::Response>> {
    auto streams = StreamsStore{call.session}.active(kLivesMax);
    if (!streams) return pass(streams);
    view::LivePage page;
    for (const Stream& stream : *streams) page.items.push_back(maker(*control).live(stream));
    return Outcome<http::Response>{json_response(200, page)};
  };
  co_await answer(control, exchange, Need::anybody, Mode::read, std::move(work));
}

Task<void> get_live(ControlPtr control, http::Exchange& exchange, const Parameters& parameters) {
  const Outcome<StreamId> id = path_id<StreamId>(parameters, "stream");
  if (!id) co_return co_await respond(exchange, to_response(id.error()));
  Work work = [control, id = *id](const Call& call) -> Result<Outcome<http::Response>> {
    auto stream = StreamsStore{call.session}.by_id(id);
    if (!stream) return pass(stream);
    const auto no_live = [] {
      return refuse(404, "not_found", "There is no such broadcast, or it is no longer kept.");
    };
    if (!*stream || (*stream)->removed) return no_live();
    auto user = UsersStore{call.session}.by_id((*stream)->user);
    if (!user) return pass(user);
    if (!*user || (*user)->suspended) return no_live();  // its media are on their way out
    return Outcome<http::Response>{json_response(200, maker(*control).live(**stream))};
  };
  co_await answer(control, exchange, Need::anybody, Mode::read, std::move(work));
}

Task<void> remove_live(ControlPtr control, http::Exchange& exchange, const Parameters& parameters) {
  const Outcome<StreamId> id = path_id<StreamId>(parameters, "stream");
  if (!id) co_return co_await respond(exchange, to_response(id.error()));
  Work work = [control, id = *id](const Call& call) -> Result<Outcome<http::Response>> {
    auto owner = take_down_stream(call.session, call.who, id, control->live_rules(), call.now);
    if (!owner) return pass(owner);
    if (!*owner) return refuse(*owner);
    control->rest_key(**owner);
    log_info("broadcast taken down", {{"stream", id.view()}});
    return Outcome<http::Response>{empty_response()};
  };
  co_await answer(control, exchange, Need::owner_or_admin, Mode::write, std::move(work));
}

Result<Outcome<http::Response>> my_live(const Call& call, const Control& control) {
  auto user = UsersStore{call.session}.by_id(call.user().id);  // its title may have changed in this transaction
  if (!user) return pass(user);
  auto stream = StreamsStore{call.session}.active_of(call.user().id);
  if (!stream) return pass(stream);
  std::optional<Job> job;
  if (*stream) {
    auto found = JobsStore{call.session}.of_stream((*stream)->id);
    if (!found) return pass(found);
    job = std::move(*found);
  }
  return Outcome<http::Response>{json_response(200, maker(control).my_live(**user, *stream, job))};
}

Task<void> get_my_live(ControlPtr control, http::Exchange& exchange, const Parameters&) {
  Work work = [control](const Call& call) { return my_live(call, *control); };
  co_await answer(control, exchange, Need::user, Mode::read, std::move(work));
}

Task<void> patch_my_live(ControlPtr control, http::Exchange& exchange, const Parameters&) {
  Outcome<MyLiveChange> change = co_await read_json<MyLiveChange>(exchange);
  if (!change) co_return co_await respond(exchange, to_response(change.error()));
  Work work = [control, title = change->title](const Call& call) -> Result<Outcome<http::Response>> {
    if (const auto fit = check_title(title); !fit) return refuse(fit);
    if (auto set = UsersStore{call.session}.set_live_title(call.user().id, title); !set) return pass(set);
    auto stream = StreamsStore{call.session}.active_of(call.user().id);
    if (!stream) return pass(stream);
    if (*stream) {
      if (auto set = StreamsStore{call.session}.set_title((*stream)->id, title); !set) return pass(set);
    }
    return my_live(call, *control);
  };
  co_await answer(control, exchange, Need::user, Mode::write, std::move(work));
}

Task<void> end_my_live(ControlPtr control, http::Exchange& exchange, const Parameters&) {
  Work work = [control](const Call& call) -> Result<Outcome<http::Response>> {
    auto stream = StreamsStore{call.session}.active_of(call.user().id);
    if (!stream) return pass(stream);
    if (!*stream) return refuse(409, "not_live", "You are not on air.");
    if (auto ended = end_stream(call.session, (*stream)->id, control->live_rules(), call.now); !ended)
      return pass(ended);
    control->rest_key(call.user().id);
    return Outcome<http::Response>{empty_response()};
  };
  co_await answer(control, exchange, Need::user, Mode::write, std::move(work));
}

Result<Outcome<http::Response>> key_response(const Call& call, const Control& control, const Result<std::string>& key) {
  if (!key) return pass(key);
  auto sealed = UsersStore{call.session}.key_of(call.user().id);
  if (!sealed) return pass(sealed);
  return Outcome<http::Response>{json_response(200, maker(control).stream_key(*key, (*sealed)->created))};
}

Task<void> get_stream_key(ControlPtr control, http::Exchange& exchange, const Parameters&) {
  Work work = [control](const Call& call) -> Result<Outcome<http::Response>> {
    if (!call.user().creator) return not_creator();
    return key_response(call, *control, stream_key_of(call.session, control->secrets, call.user().id, call.now));
  };
  co_await answer(control, exchange, Need::user, Mode::write, std::move(work));  // made when asked for the first time
}

Task<void> post_rotate(ControlPtr control, http::Exchange& exchange, const Parameters&) {
  Work work = [control](const Call& call) -> Result<Outcome<http::Response>> {
    if (!call.user().creator) return not_creator();
    return key_response(call, *control, rotate_stream_key(call.session, control->secrets, call.user().id, call.now));
  };
  co_await answer(control, exchange, Need::user, Mode::write, std::move(work));
}

}  // namespace

void add_live_routes(const ControlPtr& control, http::Router& router) {
  add_route(router, control, "GET", "/lives", get_lives);
  add_route(router, control, "GET", "/lives/{stream}", get_live);
  add_route(router, control, "DELETE", "/lives/{stream}", remove_live);
  add_route(router, control, "GET", "/me/live", get_my_live);
  add_route(router, control, "PATCH", "/me/live", patch_my_live);
  add_route(router, control, "POST", "/me/live/end", end_my_live);
  add_route(router, control, "GET", "/me/stream-key", get_stream_key);
  add_route(router, control, "POST", "/me/stream-key/rotate", post_rotate);
}

}  // namespace ribalta::control
