#include "control-plane/live.h"

#include <algorithm>

#include "control-plane/errands_store.h"
#include "control-plane/jobs_store.h"
#include "control-plane/store.h"
#include "core/json.h"

namespace ribalta::control {
namespace {

/// Streams that one sweep touches; the next one comes a second later.
constexpr std::int64_t kSweepMax = 100;
/// Text of ingest's that is kept with a stream.
constexpr std::size_t kHealthBytesMax = 8 * 1024;

constexpr std::string_view kWrongKey = "This stream key is not known here. Copy it again from the Go live page.";
constexpr std::string_view kBusy = "This stream key is on air from another encoder. Stop that one first.";

/// The id that ingest proposed, unless somebody has it.
Result<StreamId> free_id(StreamsStore& streams, std::string_view proposed) {
  const Result<StreamId> wanted = StreamId::parse(proposed);
  if (!wanted) return StreamId::random();
  auto known = streams.by_id(*wanted);
  if (!known) return pass(known);
  return *known ? StreamId::random() : *wanted;
}

Result<Outcome<PublishAnswer>> begin_stream(sql::Session& session, const User& user, const PublishRequest& request,
                                            const IngestNode& node, std::int64_t now) {
  StreamsStore streams{session};
  auto id = free_id(streams, request.proposed_stream);
  if (!id) return pass(id);
  const Stream stream{
      .id = *id, .user = user.id, .title = user.live_title, .node = node.text(), .started = now, .heard = now};
  if (auto inserted = streams.insert(stream); !inserted) return pass(inserted);
  return Outcome<PublishAnswer>{
      PublishAnswer{.stream = *id, .epoch = 1, .user = user.id, .resumed = false, .start_unix_ms = now}};
}

Result<Outcome<PublishAnswer>> resume_stream(sql::Session& session, const Stream& stream, const IngestNode& node,
                                             std::int64_t now) {
  const std::int64_t epoch = stream.epoch + 1;
  if (auto held = StreamsStore{session}.set_holder(stream.id, node.text(), epoch, now); !held) return pass(held);
  return Outcome<PublishAnswer>{PublishAnswer{
      .stream = stream.id, .epoch = epoch, .user = stream.user, .resumed = true, .start_unix_ms = stream.started}};
}

/// The source as a rung. Its cap is what was measured and half as much again: nobody holds the camera to a bitrate.
media::LadderVideo source_rung(const SourceVideo& video) {
  return {.track = "src-v",
          .passthrough = true,
          .width = video.width,
          .height = video.height,
          .fps = video.fps,
          .codecs = video.codecs,
          .bitrate = video.bitrate,
          .bandwidth = video.bitrate + video.bitrate / 2};
}

media::LadderAudio source_audio(const SourceAudio& audio) {
  return {.track = "src-a",
          .passthrough = true,
          .codecs = audio.codecs,
          .sample_rate = audio.sample_rate,
          .channels = audio.channels,
          .bitrate = audio.bitrate,
          .bandwidth = audio.bitrate + audio.bitrate / 4};
}

bool has_encoded_rung(const media::LadderPlan& plan) {
  return std::ranges::any_of(plan.video, [](const auto& rung) { return !rung.passthrough; }) ||
         std::ranges::any_of(plan.audio, [](const auto& rung) { return !rung.passthrough; });
}

Result<void> adopt(sql::Session& session, StreamId stream, const StreamHeartbeat& beat, UserId user,
                   const IngestNode& node, std::int64_t now) {
  const Stream taken{.id = stream,
                     .user = user,
                     .node = node.text(),
                     .epoch = std::max<std::int64_t>(beat.epoch, 1),
                     .started = beat.start_unix_ms > 0 ? std::min(beat.start_unix_ms, now) : now,
                     .heard = now};
  return StreamsStore{session}.insert(taken);
}

}  // namespace

Result<Outcome<PublishAnswer>> publish(sql::Session& session, const Secrets& secrets, const PublishRequest& request,
                                       const IngestNode& node, const LiveRules& rules, std::int64_t now) {
  auto user = UsersStore{session}.by_key_hash(secrets.hash("stream key", request.key));
  if (!user) return pass(user);
  if (!*user) return refuse(403, "wrong_key", std::string{kWrongKey});
  if ((*user)->suspended || !(*user)->creator) return refuse(403, "suspended", "This account may not go live.");

  auto active = StreamsStore{session}.active_of((*user)->id);
  if (!active) return pass(active);
  const std::int64_t rest = rules.resting_s ? rules.resting_s((*user)->id) : 0;
  if (!*active && rest > 0) {
    return refuse(403, "busy", "You ended the broadcast on the site. Start again in " + std::to_string(rest) + " s.",
                  rest);
  }
  if (!*active) return begin_stream(session, **user, request, node, now);
  const Stream& stream = **active;
  const std::int64_t silent = now - stream.heard;
  if (silent >= kGraceMs) {
    if (auto ended = end_stream(session, stream.id, rules, now); !ended) return pass(ended);
    return begin_stream(session, **user, request, node, now);
  }
  // One ingest runs on a machine: another id from there means that the holder died and was started again.
  const std::string here = "unix/";
  const bool restarted = node.peer == "unix" && stream.node.starts_with(here) && stream.node != node.text();
  if (stream.state == StreamState::interrupted || silent >= kHolderSilenceMs || restarted) {
    return resume_stream(session, stream, node, now);
  }
  return refuse(403, "busy", std::string{kBusy});
}

Result<media::LadderPlan> make_plan(StreamId stream, const SourceReport& report, const LiveFarm& farm) {
  media::LadderPlan plan{.stream = stream.text()};
  if (report.video) {
    const SourceVideo& video = *report.video;
    const media::LadderVideo source = source_rung(video);
    media::LiveLadderOptions options = farm.options;
    if (!farm.room) options.encoded_rungs_max = 0;
    auto rungs = media::live_ladder({.width = video.width, .height = video.height, .fps = video.fps},
                                    video.passthrough ? &source : nullptr, options);
    if (!rungs) return pass(rungs);
    plan.video = std::move(*rungs);
    if (plan.video.empty()) plan.video.push_back(source);  // no farm: published alone, with the segments that it has
  }
  if (report.audio) {
    const bool playable = report.audio->codecs.starts_with("mp4a.40.");
    plan.audio.push_back(playable || !farm.room ? source_audio(*report.audio) : media::encoded_audio());
  }
  return plan;
}

Result<Outcome<std::string>> report_source(sql::Session& session, StreamId id, const SourceReport& report,
                                           const LiveFarm& farm, std::int64_t now) {
  StreamsStore streams{session};
  auto stream = streams.by_id(id);
  if (!stream) return pass(stream);
  if (!*stream) return refuse(404, "not_found", "There is no such stream.");
  if ((*stream)->state == StreamState::ended) return refuse(410, "ended", "The stream has ended.");
  if (report.epoch < (*stream)->epoch) return refuse(409, "lost", "Another publisher holds the stream.");
  if (!report.video && !report.audio) return refuse(400, "no_media", "A source has video or audio.");

  const std::string source = json_write(report);
  if (!(*stream)->plan.empty()) {
    if (auto kept = streams.set_plan(id, source, (*stream)->plan); !kept) return pass(kept);
    return Outcome<std::string>{(*stream)->plan};
  }
  auto plan = make_plan(id, report, farm);
  if (!plan) return refuse(400, "limits", "The source can't be planned: " + plan.error().message);
  const std::string text = json_write(*plan);
  if (auto planned = streams.set_plan(id, source, text); !planned) return pass(planned);
  if (has_encoded_rung(*plan)) {
    const Job job{.kind = JobKind::live, .stream = id, .created = now};
    if (auto queued = JobsStore{session}.insert(job); !queued) return pass(queued);
  }
  if (auto owed = ErrandsStore{session}.want(ErrandKind::stream_plan, id.view(), now); !owed) return pass(owed);
  return Outcome<std::string>{text};
}

Result<StreamAction> stream_heartbeat(sql::Session& session, StreamId id, const StreamHeartbeat& beat,
                                      const IngestNode& node, const LiveRules& rules, std::int64_t now) {
  StreamsStore streams{session};
  const bool publishing = beat.state == "publishing";
  auto stream = streams.by_id(id);
  if (!stream) return pass(stream);
  if (*stream && (*stream)->state == StreamState::ended) return StreamAction::end;
  if (*stream && beat.epoch < (*stream)->epoch) return StreamAction::end;

  const Result<UserId> named = UserId::parse(beat.stream_user);
  if (!*stream && !named) return StreamAction::end;
  const UserId owner = *stream ? (*stream)->user : *named;
  auto user = UsersStore{session}.by_id(owner);
  if (!user) return pass(user);
  if (!*user || (*user)->suspended || !(*user)->creator) {
    if (*stream) {
      if (auto ended = end_stream(session, id, rules, now); !ended) return pass(ended);
    }
    return StreamAction::end;
  }
  if (!*stream) {
    auto other = streams.active_of(owner);
    if (!other) return pass(other);
    if (*other && now - (*other)->heard < kHolderSilenceMs) return StreamAction::end;
    if (*other) {
      if (auto ended = end_stream(session, (*other)->id, rules, now); !ended) return pass(ended);
    }
    if (auto taken = adopt(session, id, beat, owner, node, now); !taken) return pass(taken);
  } else if (beat.epoch > (*stream)->epoch || (publishing && (*stream)->node != node.text())) {
    if (auto held = streams.set_holder(id, node.text(), beat.epoch, now); !held) return pass(held);
  }

  const bool sent = *stream && (*stream)->plan_sent;
  const Result<void> noted = !publishing ? streams.set_state(id, StreamState::interrupted)
                                         : streams.set_heard(id, now, sent ? StreamState::live : StreamState::starting);
  if (!noted) return pass(noted);
  if (beat.health.is_object()) {
    const std::string health = json_write(beat.health);
    if (health.size() <= kHealthBytesMax) {
      if (auto kept = streams.set_health(id, health); !kept) return pass(kept);
    }
  }
  return StreamAction::go;
}

Result<void> end_stream(sql::Session& session, StreamId stream, const LiveRules& rules, std::int64_t now) {
  if (auto ended = StreamsStore{session}.set_ended(stream, now); !ended) return ended;
  if (auto cancelled = JobsStore{session}.cancel_queued_of_stream(stream, now); !cancelled) return pass(cancelled);
  ErrandsStore errands{session};
  if (auto owed = errands.want(ErrandKind::stream_end, stream.view(), now); !owed) return owed;
  return errands.want(ErrandKind::stream_remove, stream.view(), now + rules.keep_ms);
}

Result<Outcome<UserId>> take_down_stream(sql::Session& session, const Identity& who, StreamId id,
                                         const LiveRules& rules, std::int64_t now) {
  auto stream = StreamsStore{session}.by_id(id);
  if (!stream) return pass(stream);
  const bool own = *stream && who.user && who.user->id == (*stream)->user;
  if (!*stream || (*stream)->removed || (!own && !who.is_admin())) {
    return refuse(404, "not_found", "There is no such broadcast, or it is no longer kept.");
  }
  if ((*stream)->state != StreamState::ended) {
    if (auto ended = end_stream(session, id, rules, now); !ended) return pass(ended);
  }
  if (auto owed = ErrandsStore{session}.want(ErrandKind::stream_remove, id.view(), now); !owed) return pass(owed);
  return Outcome<UserId>{(*stream)->user};
}

Result<bool> streams_want_sweep(sql::Session& session, std::int64_t now) {
  auto silent = StreamsStore{session}.silent_since(now - kHolderSilenceMs, kSweepMax);
  if (!silent) return pass(silent);
  return std::ranges::any_of(*silent, [now](const Stream& stream) {
    return stream.state != StreamState::interrupted || now - stream.heard >= kGraceMs;
  });
}

Result<std::int64_t> sweep_streams(sql::Session& session, const LiveRules& rules, std::int64_t now) {
  StreamsStore streams{session};
  auto silent = streams.silent_since(now - kHolderSilenceMs, kSweepMax);
  if (!silent) return pass(silent);
  std::int64_t ended = 0;
  for (const Stream& stream : *silent) {
    const bool over = now - stream.heard >= kGraceMs;
    const Result<void> changed =
        over ? end_stream(session, stream.id, rules, now) : streams.set_state(stream.id, StreamState::interrupted);
    if (!changed) return pass(changed);
    ended += over ? 1 : 0;
  }
  return ended;
}

Result<std::string> stream_key_of(sql::Session& session, const Secrets& secrets, UserId user, std::int64_t now) {
  auto known = UsersStore{session}.key_of(user);
  if (!known) return pass(known);
  if (*known) {
    auto key = secrets.unseal((*known)->sealed);
    if (key) return *key;  // sealed with a key that was lost: make another
  }
  return rotate_stream_key(session, secrets, user, now);
}

Result<std::string> rotate_stream_key(sql::Session& session, const Secrets& secrets, UserId user, std::int64_t now) {
  const std::string key = random_secret("rk_");
  const SealedKey sealed{.hash = secrets.hash("stream key", key), .sealed = secrets.seal(key), .created = now};
  if (auto set = UsersStore{session}.set_key(user, sealed); !set) return pass(set);
  return key;
}

}  // namespace ribalta::control
