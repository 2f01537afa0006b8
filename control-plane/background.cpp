#include "control-plane/background.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <set>
#include <utility>

#include "control-plane/jobs_store.h"
#include "control-plane/sessions_store.h"
#include "control-plane/streams_store.h"
#include "control-plane/videos_store.h"
#include "core/log.h"
#include "core/store/object_store.h"

namespace ribalta::control {
namespace {

constexpr std::int64_t kSessionsEveryMs = 3'600'000;
constexpr std::int64_t kRestrictedPage = 500;
constexpr std::int64_t kGonePage = 500;
constexpr std::size_t kErrandReasonBytesMax = 300;

std::string name_of(const Errand& errand) { return std::string{to_string(errand.kind)} + " " + errand.subject; }

/// A peer's answer as done or not: 404 of something that should go is done.
Result<void> expect(const Result<http::Response>& response, bool absent_is_fine) {
  if (!response) return pass(response);
  if (response->status >= 200 && response->status < 300) return {};
  if (absent_is_fine && (response->status == 404 || response->status == 410)) return {};
  return fail(Code::unavailable, "answered with status", response->status);
}

std::string purge_tag(VideoId video) { return "video:" + video.text(); }

}  // namespace

std::int64_t gone_since(Control& control) { return control.now_ms() - control.live_rules().keep_ms - kGoneTellMs; }

Background::Background(std::shared_ptr<Control> control)
    : control_(std::move(control)),
      woken_(control_->node.loops->loop(0)),
      queued_live_(control_->node.metrics.gauge("ribalta_control_jobs_queued", "Jobs that wait for a worker",
                                                {{"kind", "live"}})),
      queued_vod_(control_->node.metrics.gauge("ribalta_control_jobs_queued", "Jobs that wait for a worker",
                                               {{"kind", "vod"}})),
      errands_failed_(control_->node.metrics.counter("ribalta_control_errands_failed_total",
                                                     "Attempts to tell another room that did not succeed")),
      swept_(control_->node.metrics.counter("ribalta_control_swept_total",
                                            "Streams, leases and drafts taken up by a sweep")) {}

void Background::start() {
  const auto loop_0 = control_->node.loops->loop(0);
  const std::weak_ptr<Background> weak = weak_from_this();
  control_->on_wake = [loop_0, weak] {
    asio::post(loop_0, [weak] {
      if (const auto self = weak.lock()) self->woken_.notify_all();
    });
  };
  if (control_->node.redis) {
    control_->node.redis->on_connected([loop_0, weak] {
      asio::post(loop_0, [loop_0, weak] {
        const auto self = weak.lock();
        if (!self) return;
        ++self->connections_;
        if (std::exchange(self->telling_, true)) return;  // it goes on with this connection when it has told the last
        spawn_lasting(loop_0, "tell redis", [self] { return self->tell_redis(); });
      });
    });
  }
  // Begun again after an exception: all that is owed is in SQL.
  spawn_essential(loop_0, "background", [self = shared_from_this()] { return self->loop(); });
}

void Background::stop() {
  asio::post(control_->node.loops->loop(0), [self = shared_from_this()] {
    self->stopping_ = true;
    self->woken_.notify_all();
  });
}

Task<void> Background::loop() {
  const std::shared_ptr<Background> self = shared_from_this();
  std::int64_t swept_ms = 0;
  bool woken = true;
  while (!stopping_) {
    const std::uint64_t seen = woken_.version();
    const std::int64_t now = control_->now_ms();
    if (now - swept_ms >= kTick.count()) {
      swept_ms = now;
      co_await sweep();
    }
    co_await ring(woken);
    const std::size_t room = kErrandsAtOnce - running_.size();
    if (room > 0) {
      auto due = co_await control_->read<Lane::background>(
          [now](sql::Session& session) { return ErrandsStore{session}.due(now, 64); });
      if (!due) log_warning("errands can't be read", {{"error", due.error()}});
      if (due) {
        for (Errand& errand : *due) {
          if (running_.size() >= kErrandsAtOnce || !running_.insert(name_of(errand)).second) continue;
          spawn(control_->node.loops->loop(0), "errand", take(std::move(errand)));
        }
      }
    }
    woken = co_await woken_.wait(seen, kTick);
  }
}

Task<void> Background::take(Errand errand) {
  const std::shared_ptr<Background> self = shared_from_this();
  bool again = false;
  const AtEnd over{[this, &again, name = name_of(errand)] {
    running_.erase(name);  // also where it threw: it is still owed, and due
    if (again) woken_.notify_all();
  }};
  const Result<void> done = co_await run(errand);
  const std::int64_t now = control_->now_ms();
  const std::string reason = done ? std::string{} : done.error().message.substr(0, kErrandReasonBytesMax);
  const std::int64_t wait =
      std::min(kErrandWaitMaxMs, kErrandFirstWaitMs << std::min<std::int64_t>(errand.attempts, 20));
  const bool succeeded = done.has_value();
  auto noted = co_await control_->write<Lane::background>(
      "errand", [errand, succeeded, reason, now, wait](sql::Session& session) {
        ErrandsStore errands{session};
        return succeeded ? errands.succeeded(errand) : errands.failed(errand, reason, now + wait);
      });
  if (!noted) log_warning("an errand's end can't be noted", {{"errand", name_of(errand)}, {"error", noted.error()}});
  if (!done) errands_failed_.add();
  if (!done && (errand.attempts == 0 || errand.attempts % 10 == 0)) {
    log_warning("an errand failed and will be tried again",
                {{"errand", name_of(errand)}, {"attempt", errand.attempts + 1}, {"error", done.error()}});
  }
  again = succeeded;
}

Task<void> Background::run_due() {
  const std::int64_t now = control_->now_ms();
  auto due = co_await control_->read<Lane::background>(
      [now](sql::Session& session) { return ErrandsStore{session}.due(now, 64); });
  if (!due) co_return;
  for (Errand& errand : *due) {
    running_.insert(name_of(errand));
    Task<void> taken = take(std::move(errand));
    co_await std::move(taken);
  }
}

Task<Result<void>> Background::run(const Errand& errand) {
  switch (errand.kind) {
    case ErrandKind::video_access:
    case ErrandKind::video_tidy: {
      const auto video = VideoId::parse(errand.subject);
      if (!video) co_return pass(video);
      if (errand.kind == ErrandKind::video_access) co_return co_await video_access(*video);
      co_return co_await video_tidy(*video);
    }
    case ErrandKind::upload_remove: {
      ObjectStore* store = control_->node.store.get();
      auto remove = [store, key = "uploads/" + errand.subject] { return store->remove(key); };
      co_return co_await run_blocking<Lane::background>(std::move(remove));
    }
    case ErrandKind::stream_plan:
    case ErrandKind::stream_end:
    case ErrandKind::stream_remove: {
      const auto stream = StreamId::parse(errand.subject);
      if (!stream) co_return pass(stream);
      if (errand.kind == ErrandKind::stream_plan) co_return co_await stream_plan(*stream);
      if (errand.kind == ErrandKind::stream_end) co_return co_await stream_end(*stream);
      co_return co_await stream_remove(*stream);
    }
  }
  co_return fail(Code::internal, "an errand of no kind");
}

Task<Result<void>> Background::video_access(VideoId video) {
  auto access = co_await control_->read<Lane::background>(
      [video](sql::Session& session) { return VideosStore{session}.access(video); });
  if (!access) co_return pass(access);
  if (!*access) co_return Result<void>{};
  const std::string wanted = **access;
  // Edges first: they ask Redis, and hold cached answers that the packager is never asked about again.
  std::vector<std::string> set{"SET", "video:" + video.text() + ":access", wanted};
  const Result<redis::Reply> told = co_await redis_command(control_->node, std::move(set));
  if (telling_) overtaken_.insert(video.text());
  if (wanted != "public") {
    std::vector<std::string> purge{"PUBLISH", "purge", purge_tag(video)};
    co_await redis_command(control_->node, std::move(purge));
  }
  control_->nodes.note({"video", video.text(), wanted});
  const std::string target = "/videos/" + video.text();
  Result<void> done;
  if (wanted == "gone") {
    const Result<http::Response> removed = co_await call_room(control_->node, control_->packager, "DELETE", target, "");
    done = expect(removed, true);
  } else {
    const std::string body = "{\"access\":\"" + wanted + "\"}";
    const Result<http::Response> put =
        co_await call_room(control_->node, control_->packager, "PUT", target + "/access", body);
    done = expect(put, false);
  }
  if (!done) co_return done.error().in("packager");
  if (!told) co_return told.error().in("redis");
  co_return Result<void>{};
}

Task<Result<void>> Background::video_tidy(VideoId video) {
  struct Kept {
    std::int64_t current = 0;
    std::vector<std::int64_t> under_way;
  };
  auto kept = co_await control_->read<Lane::background>([video](sql::Session& session) -> Result<std::optional<Kept>> {
    auto view = VideosStore{session}.view(video);
    if (!view) return pass(view);
    if (!*view) return std::optional<Kept>{};
    auto under_way = JobsStore{session}.versions_under_way(video);
    if (!under_way) return pass(under_way);
    return std::optional<Kept>{Kept{(*view)->video.version, std::move(*under_way)}};
  });
  if (!kept) co_return pass(kept);
  if (!*kept) {  // deleted while a worker wrote: what came after its other errand goes as well
    const Result<http::Response> removed =
        co_await call_room(control_->node, control_->packager, "DELETE", "/videos/" + video.text(), "");
    const Result<void> done = expect(removed, true);
    if (!done) co_return done.error().in("packager");
    co_return done;
  }
  ObjectStore* store = control_->node.store.get();
  auto tidy = [store, video, keep = **kept]() -> Result<void> {
    const std::string prefix = "vod/" + video.text() + "/";
    auto objects = store->list(prefix);
    if (!objects) return pass(objects);
    std::set<std::string> stale;
    for (const ObjectInfo& object : *objects) {
      const std::string rest = object.key.substr(prefix.size());
      const std::string version = rest.substr(0, rest.find('/'));
      if (version.size() == rest.size()) continue;  // a file of the video itself
      const bool current = version == std::to_string(keep.current);
      const bool written =
          std::ranges::any_of(keep.under_way, [&](std::int64_t one) { return version == std::to_string(one); });
      if (!current && !written) stale.insert(version);
    }
    for (const std::string& version : stale) {
      if (auto removed = store->remove_all(prefix + version + "/"); !removed) return removed;
    }
    return {};
  };
  co_return co_await run_blocking<Lane::background>(std::move(tidy));
}

Task<Result<void>> Background::stream_plan(StreamId id) {
  auto stream = co_await control_->read<Lane::background>(
      [id](sql::Session& session) { return StreamsStore{session}.by_id(id); });
  if (!stream) co_return pass(stream);
  if (!*stream || (*stream)->state == StreamState::ended || (*stream)->plan_sent) co_return Result<void>{};
  const std::string target = "/streams/" + id.text() + "/plan";
  const Result<http::Response> put =
      co_await call_room(control_->node, control_->packager, "PUT", target, (*stream)->plan);
  const bool own_plan = put && put->status == 409;  // it waited for us in vain, and shows the source alone
  if (own_plan) log_warning("the packager had to plan by itself: the source is shown alone", {{"stream", id.view()}});
  const Result<void> done = expect(put, true);
  if (!done && !own_plan) co_return done.error().in("packager");
  const std::int64_t now = control_->now_ms();
  auto noted = co_await control_->write<Lane::background>(
      "plan sent", [id, own_plan, now](sql::Session& session) -> Result<void> {
        if (own_plan) {
          if (auto cancelled = JobsStore{session}.cancel_queued_of_stream(id, now); !cancelled) return pass(cancelled);
        }
        return StreamsStore{session}.set_plan_sent(id);
      });
  co_return noted;
}

Task<Result<void>> Background::stream_end(StreamId id) {
  const std::string target = "/streams/" + id.text() + "/end";
  const Result<http::Response> ended = co_await call_room(control_->node, control_->packager, "POST", target, "");
  const Result<void> done = expect(ended, true);
  if (!done) co_return done.error().in("packager");
  co_return done;
}

Task<Result<void>> Background::stream_remove(StreamId id) {
  const std::string target = "/streams/" + id.text();
  const Result<http::Response> removed = co_await call_room(control_->node, control_->packager, "DELETE", target, "");
  const Result<void> done = expect(removed, true);
  if (!done) co_return done.error().in("packager");
  std::vector<std::string> purge{"PUBLISH", "purge", "stream:" + id.text()};
  const Result<redis::Reply> told = co_await redis_command(control_->node, std::move(purge));
  Result<void> noted;
  // Edges hold its segments for long. Again when Redis is back: the packager then says once more that it is gone.
  if (!told) noted = told.error().in("redis");
  if (told) {
    noted = co_await control_->write<Lane::background>(
        "stream removed", [id](sql::Session& session) { return StreamsStore{session}.set_removed(id); });
  }
  // After SQL has it: a node that reads all anew finds it there, or hears it here. Not for want of our Redis, which
  // other nodes have one each of.
  control_->nodes.note({"stream", id.text(), "gone"});
  co_return noted;
}

Task<void> Background::sweep() {
  const std::int64_t now = control_->now_ms();
  // Streams are heard of every 5 s, leases every 5 s: those who could not reach us while we were down get their time.
  const bool settled = now - control_->started_ms() >= kGraceMs;
  auto wanted = co_await control_->read<Lane::background>([now, settled](sql::Session& session) -> Result<bool> {
    auto jobs = jobs_want_sweep(session, settled ? now : now - kGraceMs);
    if (!jobs || *jobs || !settled) return jobs;
    return streams_want_sweep(session, now);
  });
  if (!wanted) {
    log_warning("nothing can be swept", {{"error", wanted.error()}});
    co_return;
  }
  control_->note_database_answered();
  if (*wanted) {
    const LiveRules rules = control_->live_rules();
    auto swept = co_await control_->write<Lane::background>(
        "sweep", [now, settled, rules](sql::Session& session) -> Result<std::int64_t> {
          auto jobs = sweep_jobs(session, settled ? now : now - kGraceMs);
          if (!jobs || !settled) return jobs;
          return sweep_streams(session, rules, now);
        });
    if (!swept) log_warning("sweeping failed", {{"error", swept.error()}});
    if (swept) swept_.add(static_cast<double>(*swept));
  }
  if (now - swept_sessions_ms_ < kSessionsEveryMs) co_return;
  swept_sessions_ms_ = now;
  auto removed = co_await control_->write<Lane::background>(
      "expire sessions", [now](sql::Session& session) { return SessionsStore{session}.remove_expired(now); });
  if (!removed) log_warning("sessions can't be expired", {{"error", removed.error()}});
}

Task<void> Background::ring(bool woken) {
  const std::int64_t now = control_->now_ms();
  struct Due {
    std::int64_t live = 0;
    std::int64_t vod = 0;
  };
  auto due = co_await control_->read<Lane::background>([now](sql::Session& session) -> Result<Due> {
    auto live = JobsStore{session}.count_due(JobKind::live, now);
    if (!live) return pass(live);
    auto vod = JobsStore{session}.count_due(JobKind::vod, now);
    if (!vod) return pass(vod);
    return Due{*live, *vod};
  });
  if (!due) co_return;
  queued_live_.set(static_cast<double>(due->live));
  queued_vod_.set(static_cast<double>(due->vod));
  if (due->live + due->vod == 0 || (!woken && now - rung_ms_ < kRingAgainMs)) co_return;
  rung_ms_ = now;
  if (due->live > 0) {
    std::vector<std::string> bell{"PUBLISH", "bell:jobs", "live"};
    co_await redis_command(control_->node, std::move(bell));
  }
  if (due->vod > 0) {
    std::vector<std::string> bell{"PUBLISH", "bell:jobs", "vod"};
    co_await redis_command(control_->node, std::move(bell));
  }
}

Task<void> Background::tell_redis() {
  const std::shared_ptr<Background> self = shared_from_this();
  for (std::uint64_t told = 0; told != connections_ && !stopping_;) {
    told = connections_;
    co_await tell_restricted_videos();
    co_await tell_removed_streams();
  }
  telling_ = false;
  // Errands that waited for Redis need not wait for their next turn: somebody's video may still play.
  const std::int64_t now = control_->now_ms();
  auto hurried = co_await control_->write<Lane::background>(
      "hurry errands", [now, overtaken = std::exchange(overtaken_, {})](sql::Session& session) -> Result<std::int64_t> {
        ErrandsStore errands{session};
        for (const std::string& video : overtaken) {
          if (auto owed = errands.want(ErrandKind::video_access, video, now); !owed) return pass(owed);
        }
        return errands.hurry(now);
      });
  if (!hurried) log_warning("errands wait for their next turn", {{"error", hurried.error()}});
  woken_.notify_all();
}

Task<void> Background::tell_restricted_videos() {
  std::string after;
  std::int64_t told = 0;
  bool more = true;
  while (more && !stopping_) {
    auto page = co_await control_->read<Lane::background>(
        [after](sql::Session& session) { return VideosStore{session}.restricted(after, kRestrictedPage); });
    if (!page) {
      log_warning("Redis can't be told which videos are restricted", {{"error", page.error()}});
      break;
    }
    for (const VideosStore::Access& video : *page) {
      std::vector<std::string> set{"SET", "video:" + video.id.text() + ":access", video.access};
      const Result<redis::Reply> reply = co_await redis_command(control_->node, std::move(set));
      if (!reply) {
        more = false;  // it is gone again: the next connection begins anew
        break;
      }
      after = video.id.text();
      ++told;
    }
    more = more && static_cast<std::int64_t>(page->size()) == kRestrictedPage;
  }
  if (told > 0) log_info("Redis was told which videos are restricted", {{"videos", told}});
}

Task<void> Background::tell_removed_streams() {
  const std::int64_t since = gone_since(*control_);
  std::string after;
  for (bool more = true; more && !stopping_;) {
    auto page = co_await control_->read<Lane::background>(
        [since, after](sql::Session& session) { return StreamsStore{session}.removed_since(since, after, kGonePage); });
    if (!page) {
      log_warning("Redis can't be told which broadcasts are gone", {{"error", page.error()}});
      co_return;
    }
    for (const StreamId& stream : *page) {
      std::vector<std::string> set{"SET", "stream:" + stream.text() + ":origin", "gone", "EX",
                                   std::to_string(kGoneTellMs / 1000)};
      const Result<redis::Reply> reply = co_await redis_command(control_->node, std::move(set));
      if (!reply) co_return;
      after = stream.text();
    }
    more = static_cast<std::int64_t>(page->size()) == kGonePage;
  }
}

}  // namespace ribalta::control
