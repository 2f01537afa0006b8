#include "ingest/stream/publisher.h"

#include <algorithm>

#include "core/json.h"
#include "core/log.h"

namespace ribalta::ingest {
namespace {

struct HeadAnswer {
  std::int64_t epoch = 0;
  std::int64_t decode_time = 0;
  std::int64_t decode_time_durable = 0;
  std::int64_t timescale = 0;
};
BOOST_DESCRIBE_STRUCT(HeadAnswer, (), (epoch, decode_time, decode_time_durable, timescale))
struct Heartbeat {
  std::int64_t epoch = 0;
  std::string state;
  Health health;
  std::string stream_user;
  std::int64_t start_unix_ms = 0;
};
BOOST_DESCRIBE_STRUCT(Heartbeat, (), (epoch, state, health, stream_user, start_unix_ms))
struct HeartbeatAnswer {
  std::string action;
};
BOOST_DESCRIBE_STRUCT(HeartbeatAnswer, (), (action))

constexpr std::chrono::milliseconds kRetryFirst{100};
constexpr std::chrono::milliseconds kRetryMost{1'000};
constexpr std::chrono::milliseconds kLookEvery{250};
/// Chunks that wait go out together, up to this.
constexpr std::size_t kPieceBytes = 32 * 1024;
/// The control plane hears of a publisher's end for as long as this; it would find out by itself after the grace
/// period.
constexpr std::chrono::minutes kReportEndFor{60};

std::int64_t steady_ms() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

std::int64_t rounded_up_ms(std::int64_t ticks, std::uint32_t timescale) {
  return rescale_floor({ticks, timescale}, 1000).ticks + 1;
}

std::string heartbeat_target(std::string_view stream) {
  return "/internal/v1/streams/" + std::string{stream} + "/heartbeat";
}

}  // namespace

Publisher::Publisher(PublisherContext context, const asio::any_io_executor& loop, PublishGrant grant,
                     std::string key_hash, OnEnd on_end)
    : context_(context),
      loop_(loop),
      grant_(std::move(grant)),
      key_hash_(std::move(key_hash)),
      on_end_(std::move(on_end)),
      sides_{Side{Event{loop}}, Side{Event{loop}}},
      ending_(loop) {}

std::string Publisher::target(TrackSide side) const {
  return "/tracks/" + grant_.stream.text() + (side == TrackSide::video ? "/src-v" : "/src-a");
}

Ring* Publisher::ring(TrackSide side) { return source_->ring(side); }

void Publisher::wake_all_writers() {
  for (Side& side : sides_) side.changed.notify_all();
}

/// Most messages finish no chunk of the other track, and many none at all: nobody is woken for them.
void Publisher::wake_writers_with_work() {
  for (const TrackSide side : {TrackSide::video, TrackSide::audio}) {
    const Ring* const held = ring(side);
    Side& state = sides_[static_cast<std::size_t>(side)];
    if (held == nullptr || held->end() == state.told_until) continue;
    state.told_until = held->end();
    state.changed.notify_all();
  }
}

Task<Result<std::optional<Publisher::Head>>> Publisher::head(TrackSide side) const {
  std::string path = target(side) + "/head";
  const Result<http::Response> response = co_await context_.rooms.packager("GET", std::move(path));
  if (!response) co_return pass(response);
  if (response->status == 404) co_return std::optional<Head>{};
  if (response->status != 200) co_return fail(Code::unavailable, "head of a track: status", response->status);
  const Result<HeadAnswer> answer = json_read<HeadAnswer>(response->body, JsonUnknown::ignore);
  if (!answer) co_return answer.error().in("head of a track");
  if (answer->timescale < 1 || answer->timescale > media::kTimescaleMax || answer->decode_time < 0) {
    co_return fail(Code::malformed, "head of a track: out of range");
  }
  co_return Head{Epoch{answer->epoch}, answer->decode_time, answer->decode_time_durable,
                 static_cast<std::uint32_t>(answer->timescale)};
}

Task<void> Publisher::start() {
  Source::Start from;
  if (grant_.resumed) {
    from.base_ms = std::max<std::int64_t>(0, to_unix_ms(wall_now()) - grant_.start_unix_ms);
    for (const TrackSide side : {TrackSide::video, TrackSide::audio}) {
      const Result<std::optional<Head>> known = co_await head(side);
      if (!known)
        log_warning("the packager does not say where the stream stands",
                    {{"stream", grant_.stream.view()}, {"reason", known.error()}});
      if (!known || !*known) continue;
      const Head& head = **known;
      from.base_ms = std::max(from.base_ms, rounded_up_ms(head.decode_time, head.timescale));
      if (side == TrackSide::video) {
        from.video_floor = head.decode_time;
      } else {
        from.audio_floor = head.decode_time;
        from.audio_timescale = head.timescale;
      }
    }
  }
  source_.emplace(from);
  // All of these begin again after an exception: what they go on from is here, or the packager says it.
  const std::shared_ptr<Publisher> self = shared_from_this();
  spawn_lasting(loop_, "write video", [self, again = false]() mutable {
    return write_track(self, TrackSide::video, std::exchange(again, true));
  });
  spawn_lasting(loop_, "write audio", [self, again = false]() mutable {
    return write_track(self, TrackSide::audio, std::exchange(again, true));
  });
  spawn_lasting(loop_, "watch durable", [self] { return watch_durable(self); });
  spawn_lasting(loop_, "report source", [self] { return report_source(self); });
  spawn_lasting(loop_, "heartbeats", [self] { return heartbeats(self); });
}

Result<void> Publisher::on_media(const rtmp::MediaMessage& message) {
  if (stopping_ || given_up_) return {};
  const Result<std::optional<Error>> taken = source_->on_media(message, steady_ms(), wall_now());
  if (taken && *taken) {
    log_warning("a header of the encoder cannot be read", {{"stream", grant_.stream.view()}, {"reason", **taken}});
  }
  count();
  wake_writers_with_work();
  if (!taken) return pass(taken);
  return {};
}

void Publisher::count() {
  const TrackCounts total = source_->counts();
  context_.frames.add(static_cast<double>(total.frames - counted_.frames));
  context_.bytes.add(static_cast<double>(total.bytes - counted_.bytes));
  context_.frames_dropped.add(static_cast<double>(total.dropped_broken - counted_.dropped_broken));
  counted_ = total;
}

void Publisher::stop() {
  if (std::exchange(stopping_, true)) return;
  if (source_) source_->flush();
  on_end_ = nullptr;
  context_.memory.stopped(key_hash_, wall_now());
  wake_all_writers();
  ending_.notify_all();
}

void Publisher::ask_to_end(std::string sentence) {
  given_up_ = true;
  wake_all_writers();
  ending_.notify_all();
  if (on_end_) std::exchange(on_end_, nullptr)(std::move(sentence));
}

/// Writes one track until the publish is over and everything is written, over as many connections as it takes.
/// @param resume  the packager has to be asked where it stands.
Task<void> Publisher::write_track(std::shared_ptr<Publisher> self, TrackSide side, bool resume) {
  std::uint64_t next = 0;
  BackOff back_off{kRetryFirst, kRetryMost};
  std::optional<std::chrono::steady_clock::time_point> give_up_at;
  while (!self->given_up_) {
    const std::uint64_t seen = self->changed(side).version();
    const Ring* ring = self->ring(side);
    const bool waiting = ring != nullptr && next < ring->end();
    if (self->stopping_) {
      if (!waiting) break;
      const auto now = std::chrono::steady_clock::now();
      if (!give_up_at) give_up_at = now + kFinishMax;
      if (now > *give_up_at) break;
    } else if (!waiting) {
      co_await self->changed(side).wait(seen, std::chrono::hours{1});
      continue;
    }
    const std::uint64_t before = next;
    const bool again = co_await self->write_once(side, next, resume);
    if (!again) break;
    if (next > before) back_off.reset();
    const std::chrono::milliseconds pause = back_off.next();
    co_await sleep_for(pause);
  }
  // Reports may go on for long; nothing of this track is needed any more.
  if (Ring* ring = self->ring(side); ring != nullptr) ring->clear();
}

/// One connection's worth. @return false when the track is over.
Task<bool> Publisher::write_once(TrackSide side, std::uint64_t& next, bool& resume) {
  if (resume) {
    const Result<std::optional<Head>> known = co_await head(side);
    if (!known) co_return true;
    if (*known && (*known)->epoch > grant_.epoch) {
      ask_to_end("The stream goes on from another encoder.");
      co_return false;
    }
    // A track that the packager has not seen begins with what the ring still has.
    next = *known ? ring(side)->resume((*known)->decode_time) : ring(side)->resume(0);
  }
  resume = true;
  std::string path = target(side);
  http::Fields fields{{"Ribalta-Epoch", std::to_string(grant_.epoch.value)}, {"Ribalta-Source", "1"}};
  Result<std::unique_ptr<http::Upload>> upload = co_await context_.rooms.put(std::move(path), std::move(fields));
  if (!upload) {
    log_warning("the packager does not take a track", {{"stream", grant_.stream.view()}, {"reason", upload.error()}});
    co_return true;
  }
  const bool written = co_await write_ring(**upload, side, next);
  if (!written) co_return answered(side, (*upload)->early_answer());
  if (given_up_) {
    (*upload)->cut();
    co_return false;
  }
  const Result<http::Response> answer = co_await (*upload)->finish();
  if (!answer) co_return true;
  co_return answered(side, *answer);
}

/// Sends chunks as they come; those that wait go together. @return false when the connection broke, true when there is
/// nothing more to send.
Task<bool> Publisher::write_ring(http::Upload& upload, TrackSide side, std::uint64_t& next) {
  std::shared_ptr<const Bytes> init_sent;
  while (!given_up_) {
    const std::uint64_t seen = changed(side).version();
    const Ring& from = *ring(side);
    next = std::max(next, from.first());  // what was given up is a gap; the ring begins with a key frame then
    if (next == from.end()) {
      if (stopping_) break;
      co_await changed(side).wait(seen, std::chrono::hours{1});
      continue;
    }
    const RingChunk chunk = from.at(next);
    if (chunk.init != init_sent) {
      init_sent = chunk.init;
      const Result<void> sent = co_await upload.write(*init_sent);
      if (!sent) co_return false;
      continue;
    }
    // The first may be of any size; alone it is not copied.
    std::uint64_t until = next + 1;
    Bytes gathered;
    for (std::size_t bytes = chunk.bytes->size(); until < from.end(); ++until) {
      const RingChunk& more = from.at(until);
      bytes += more.bytes->size();
      if (more.init != init_sent || bytes > kPieceBytes) break;
      if (gathered.empty()) gathered = *chunk.bytes;
      gathered.insert(gathered.end(), more.bytes->begin(), more.bytes->end());
    }
    const ByteSpan piece = gathered.empty() ? ByteSpan{*chunk.bytes} : ByteSpan{gathered};
    const Result<void> sent = co_await upload.write(piece);
    if (!sent) co_return false;
    next = until;
  }
  co_return true;
}

/// What the packager's answer means. @return true to try again.
bool Publisher::answered(TrackSide side, const std::optional<http::Response>& answer) {
  if (!answer) return true;
  if (answer->status == 200) return true;  // everything so far was taken; the caller sees whether more is to come
  const std::string_view track = side == TrackSide::video ? "src-v" : "src-a";
  log_warning(
      "the packager refused a track",
      {{"stream", grant_.stream.view()}, {"track", track}, {"status", answer->status}, {"reason", answer->body}});
  switch (answer->status) {
    case 409:
      ask_to_end("The stream goes on from another encoder.");
      return false;
    case 410:
      ask_to_end("The stream has ended.");
      return false;
    case 400:
    case 413:
      ask_to_end("The stream cannot be processed: " + read_error_body(answer->body).message);
      return false;
    default:
      return true;
  }
}

Task<void> Publisher::watch_durable(std::shared_ptr<Publisher> self) {
  while (!self->stopping_ && !self->given_up_) {
    co_await sleep_for(kDurableEvery);
    for (const TrackSide side : {TrackSide::video, TrackSide::audio}) {
      Ring* const ring = self->ring(side);
      if (ring == nullptr || ring->first() == ring->end()) continue;
      const Result<std::optional<Head>> known = co_await self->head(side);
      if (known && *known) ring->trim((*known)->decode_time_durable);
    }
  }
}

Task<void> Publisher::report_source(std::shared_ptr<Publisher> self) {
  while (!self->stopping_ && !self->given_up_ && !self->source_->verdict_ready(steady_ms())) {
    co_await sleep_for(kLookEvery);
  }
  SourceReport report = self->source_->report();
  report.epoch = self->grant_.epoch.value;
  const std::string body = json_write(report);
  BackOff back_off{kRetryMost, kHeartbeatEvery};
  while (!self->stopping_ && !self->given_up_ && (report.video || report.audio)) {
    std::string target = "/internal/v1/streams/" + self->grant_.stream.text() + "/source";
    std::string copy = body;
    const Result<http::Response> answer =
        co_await self->context_.rooms.control("POST", std::move(target), std::move(copy));
    if (answer && answer->status == 200) break;
    // 404: it was down when the publish began, and the next heartbeat introduces the stream. Other refusals stay.
    const bool refused = answer && answer->status < 500 && answer->status != 404;
    log_warning("the control plane does not take the source report",
                {{"stream", self->grant_.stream.view()},
                 {"reason", answer ? std::to_string(answer->status) + " " + answer->body : answer.error().message}});
    if (refused) break;
    const std::chrono::milliseconds pause = back_off.next();
    co_await sleep_for(pause);
  }
}

Task<Result<http::Response>> Publisher::heartbeat(bool publishing) const {
  Heartbeat beat{.epoch = grant_.epoch.value,
                 .state = publishing ? "publishing" : "interrupted",
                 .stream_user = grant_.user,
                 .start_unix_ms = grant_.start_unix_ms};
  beat.health = source_->health(steady_ms());
  std::string body = json_write(beat);
  std::string target = heartbeat_target(grant_.stream.view());
  co_return co_await context_.rooms.control("POST", std::move(target), std::move(body));
}

Task<void> Publisher::heartbeats(std::shared_ptr<Publisher> self) {
  while (!self->stopping_ && !self->given_up_) {
    self->context_.memory.seen(self->key_hash_, wall_now());
    const Result<http::Response> answer = co_await self->heartbeat(true);
    if (answer && answer->status == 200) {
      const Result<HeartbeatAnswer> read = json_read<HeartbeatAnswer>(answer->body, JsonUnknown::ignore);
      if (read && read->action == "end") self->ask_to_end("The stream was ended from the website.");
    }
    const std::uint64_t seen = self->ending_.version();
    if (!self->stopping_ && !self->given_up_) co_await self->ending_.wait(seen, kHeartbeatEvery);
  }
  // The end is told until somebody hears it: the control plane may be down.
  BackOff back_off{kRetryMost, std::chrono::seconds{30}};
  const auto until = std::chrono::steady_clock::now() + kReportEndFor;
  while (std::chrono::steady_clock::now() < until) {
    const Result<http::Response> answer = co_await self->heartbeat(false);
    if (answer && answer->status < 500) break;
    const std::chrono::milliseconds pause = back_off.next();
    co_await sleep_for(pause);
  }
  self->end_told_ = true;
  self->ending_.notify_all();
}

Task<bool> Publisher::end_told(std::chrono::milliseconds limit) {
  const auto until = std::chrono::steady_clock::now() + limit;
  while (!end_told_) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    if (left.count() <= 0) co_return false;
    const std::uint64_t seen = ending_.version();
    co_await ending_.wait(seen, left);
  }
  co_return true;
}

Task<void> report_lost(const Rooms& rooms, KeyMemory& memory, RememberedKey key) {
  memory.stopped(key.hash, from_unix_ms(key.seen_unix_ms));
  const Heartbeat beat{
      .epoch = key.epoch, .state = "interrupted", .stream_user = key.user, .start_unix_ms = key.start_unix_ms};
  const std::string body = json_write(beat);
  BackOff back_off{kRetryMost, std::chrono::seconds{30}};
  const auto until = std::chrono::steady_clock::now() + kReportEndFor;
  while (std::chrono::steady_clock::now() < until) {
    std::string copy = body;
    std::string target = heartbeat_target(key.stream);
    const Result<http::Response> answer = co_await rooms.control("POST", std::move(target), std::move(copy));
    if (answer && answer->status < 500) co_return;
    const std::chrono::milliseconds pause = back_off.next();
    co_await sleep_for(pause);
  }
}

}  // namespace ribalta::ingest
