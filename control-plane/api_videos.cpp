// Videos: the feed, creators' pages, one's own videos.
#include "control-plane/api.h"
#include "control-plane/store.h"
#include "control-plane/uploads_store.h"

namespace ribalta::control {
namespace {

/// Asks the store for one more than the page holds, to know whether another follows.
template <class Item, class MakeItem, class MakeCursor>
std::optional<std::string> fill(std::vector<VideoView>& rows, std::int64_t limit, std::vector<Item>& items,
                                MakeItem make_item, MakeCursor make_cursor) {
  const bool more = static_cast<std::int64_t>(rows.size()) > limit;
  if (more) rows.resize(static_cast<std::size_t>(limit));
  for (const VideoView& row : rows) items.push_back(make_item(row));
  if (!more) return std::nullopt;
  return make_cursor(rows.back());
}

std::string cursor_by_published(const VideoView& row) {
  return view::cursor_text(row.video.published, row.video.id.view());
}
std::string cursor_by_created(const VideoView& row) {
  return view::cursor_text(row.video.created, row.video.id.view());
}

Task<void> get_feed(ControlPtr control, http::Exchange& exchange, const Parameters&) {
  const Outcome<PageRequest> page = page_request(exchange.head());
  if (!page) co_return co_await respond(exchange, to_response(page.error()));
  Work work = [control, page = *page](const Call& call) -> Result<Outcome<http::Response>> {
    auto rows = VideosStore{call.session}.feed(page.after, page.limit + 1);
    if (!rows) return pass(rows);
    view::VideoPage out;
    const auto make = [maker = maker(*control)](const VideoView& row) { return maker.video(row); };
    out.next = fill(*rows, page.limit, out.items, make, cursor_by_published);
    return Outcome<http::Response>{json_response(200, out)};
  };
  co_await answer(control, exchange, Need::anybody, Mode::read, std::move(work));
}

Task<void> get_user(ControlPtr control, http::Exchange& exchange, const Parameters& parameters) {
  const Outcome<PageRequest> page = page_request(exchange.head());
  if (!page) co_return co_await respond(exchange, to_response(page.error()));
  std::string name{http::parameter(parameters, "name")};
  Work work = [control, page = *page, name = std::move(name)](const Call& call) -> Result<Outcome<http::Response>> {
    auto user = UsersStore{call.session}.by_name(name);
    if (!user) return pass(user);
    if (!*user || (*user)->suspended) return refuse(404, "not_found", "There is nobody of that name.");
    auto rows = VideosStore{call.session}.published_of((*user)->id, page.after, page.limit + 1);
    if (!rows) return pass(rows);
    auto live = StreamsStore{call.session}.active_of((*user)->id);
    if (!live) return pass(live);
    view::Profile out{.user = {(*user)->id.text(), (*user)->name}, .created = view::instant((*user)->created)};
    const view::Maker maker = control::maker(*control);
    const auto make = [&maker](const VideoView& row) { return maker.video(row); };
    out.next = fill(*rows, page.limit, out.items, make, cursor_by_published);
    if (*live) out.live = maker.live(**live);
    return Outcome<http::Response>{json_response(200, out)};
  };
  co_await answer(control, exchange, Need::anybody, Mode::read, std::move(work));
}

Task<void> get_video(ControlPtr control, http::Exchange& exchange, const Parameters& parameters) {
  const Outcome<VideoId> id = path_id<VideoId>(parameters, "id");
  if (!id) co_return co_await respond(exchange, to_response(id.error()));
  Work work = [control, id = *id](const Call& call) -> Result<Outcome<http::Response>> {
    auto found = VideosStore{call.session}.view(id);
    if (!found) return pass(found);
    const bool own = *found && call.who.user && call.who.user->id == (*found)->video.user;
    const bool open = *found && (*found)->video.is_public && !(*found)->user_suspended;
    if (!*found || (*found)->video.version == 0 || (!own && !open))
      return refuse(404, "not_found", "There is no such video.");
    return Outcome<http::Response>{json_response(200, maker(*control).video(**found))};
  };
  co_await answer(control, exchange, Need::anybody, Mode::read, std::move(work));
}

Result<Outcome<http::Response>> mine(const Control& control, const Result<Outcome<VideoView>>& found) {
  if (!found) return pass(found);
  if (!*found) return refuse(*found);
  return Outcome<http::Response>{json_response(200, maker(control).my_video(**found))};
}

Task<void> patch_video(ControlPtr control, http::Exchange& exchange, const Parameters& parameters) {
  const Outcome<VideoId> id = path_id<VideoId>(parameters, "id");
  if (!id) co_return co_await respond(exchange, to_response(id.error()));
  Outcome<VideoChange> change = co_await read_json<VideoChange>(exchange);
  if (!change) co_return co_await respond(exchange, to_response(change.error()));
  Work work = [control, id = *id, change = *change](const Call& call) {
    return mine(*control, change_video(call.session, call.user(), id, change, call.now));
  };
  co_await answer(control, exchange, Need::user, Mode::write, std::move(work));
}

Task<void> remove_video(ControlPtr control, http::Exchange& exchange, const Parameters& parameters) {
  const Outcome<VideoId> id = path_id<VideoId>(parameters, "id");
  if (!id) co_return co_await respond(exchange, to_response(id.error()));
  Work work = [id = *id](const Call& call) -> Result<Outcome<http::Response>> {
    auto deleted = delete_video(call.session, call.who, id, call.now);
    if (!deleted) return pass(deleted);
    if (!*deleted) return refuse(*deleted);
    return Outcome<http::Response>{empty_response()};
  };
  co_await answer(std::move(control), exchange, Need::owner_or_admin, Mode::write, std::move(work));
}

Task<void> post_retry(ControlPtr control, http::Exchange& exchange, const Parameters& parameters) {
  const Outcome<VideoId> id = path_id<VideoId>(parameters, "id");
  if (!id) co_return co_await respond(exchange, to_response(id.error()));
  Work work = [control, id = *id](const Call& call) {
    return mine(*control, retry_video(call.session, call.user(), id, call.now));
  };
  co_await answer(control, exchange, Need::user, Mode::write, std::move(work));
}

Task<void> get_my_video(ControlPtr control, http::Exchange& exchange, const Parameters& parameters) {
  const Outcome<VideoId> id = path_id<VideoId>(parameters, "id");
  if (!id) co_return co_await respond(exchange, to_response(id.error()));
  Work work = [control, id = *id](const Call& call) {
    return mine(*control, own_video(call.session, call.user(), id));
  };
  co_await answer(control, exchange, Need::user, Mode::read, std::move(work));
}

Task<void> get_my_videos(ControlPtr control, http::Exchange& exchange, const Parameters&) {
  const Outcome<PageRequest> page = page_request(exchange.head());
  if (!page) co_return co_await respond(exchange, to_response(page.error()));
  Work work = [control, page = *page](const Call& call) -> Result<Outcome<http::Response>> {
    auto rows = VideosStore{call.session}.all_of(call.user().id, page.after, page.limit + 1);
    if (!rows) return pass(rows);
    auto used = UploadsStore{call.session}.bytes_of(call.user().id);
    if (!used) return pass(used);
    view::MyVideoPage out{.bytes_used = *used, .bytes_max = control->config.user_bytes_max()};
    const auto make = [maker = maker(*control)](const VideoView& row) { return maker.my_video(row); };
    out.next = fill(*rows, page.limit, out.items, make, cursor_by_created);
    return Outcome<http::Response>{json_response(200, out)};
  };
  co_await answer(control, exchange, Need::user, Mode::read, std::move(work));
}

}  // namespace

void add_video_routes(const ControlPtr& control, http::Router& router) {
  add_route(router, control, "GET", "/feed", get_feed);
  add_route(router, control, "GET", "/users/{name}", get_user);
  add_route(router, control, "GET", "/videos/{id}", get_video);
  add_route(router, control, "PATCH", "/videos/{id}", patch_video);
  add_route(router, control, "DELETE", "/videos/{id}", remove_video);
  add_route(router, control, "POST", "/videos/{id}/retry", post_retry);
  add_route(router, control, "GET", "/me/videos", get_my_videos);
  add_route(router, control, "GET", "/me/videos/{id}", get_my_video);
}

}  // namespace ribalta::control
