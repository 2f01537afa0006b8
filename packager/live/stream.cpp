#include "packager/live/stream.h"

#include <algorithm>
#include <cassert>
#include <cstdint>

#include "core/log.h"
#include "packager/live/manifests.h"
#include "packager/live/plan.h"

namespace ribalta::packager {
namespace {

Instant instant_now() { return std::chrono::steady_clock::now(); }

}  // namespace

LiveStream::LiveStream(StreamId id, const asio::any_io_executor& loop, LiveContext& context)
    : id_(id),
      loop_(loop),
      context_(context),
      window_({context.settings.window_segments, context.settings.older_segments}),
      active_(instant_now()),
      work_(loop),
      announcement_(loop) {}

/// Begun again after an exception: what was not stored is still marked so, and the live would stand still without it.
void LiveStream::start() {
  spawn_lasting(loop_, "packager store passes", [self = shared_from_this()] { return store_passes(self); });
}

LiveStream::TrackState* LiveStream::find(std::string_view track) {
  const auto found = tracks_.find(track);
  return found == tracks_.end() ? nullptr : found->second.get();
}
const LiveStream::TrackState* LiveStream::find(std::string_view track) const {
  const auto found = tracks_.find(track);
  return found == tracks_.end() ? nullptr : found->second.get();
}

void LiveStream::mark_dirty() {
  dirty_ = true;
  work_.notify_all();
}

Result<std::shared_ptr<Writer>> LiveStream::begin_put(std::string_view track, Epoch epoch, bool source,
                                                      std::function<void(const Error&)> cut) {
  if (ended_) return fail(Code::closed, "the stream has ended");
  TrackState* state = find(track);
  if (state == nullptr) {
    if (tracks_.size() >= kLiveTracksMax) return fail(Code::limit, "tracks of the stream:", tracks_.size());
    auto made = std::make_unique<TrackState>(std::string{track}, source, loop_);
    state = tracks_.emplace(track, std::move(made)).first->second.get();
  }
  if (state->buffer.source() != source) return fail(Code::malformed, "the track is a source here and a rung there");
  const Epoch before = state->buffer.epoch();
  Result<WriterState> begun = state->buffer.begin(epoch);
  if (!begun) return pass(begun);
  // An older connection of the same epoch is a dead one whose writer has come back.
  const Error why{Code::conflict, "another connection holds the track"};
  cut_writers(*state, Epoch{epoch.value + 1}, why);
  if (before < epoch) mark_dirty();
  auto writer = std::make_shared<Writer>();
  writer->track = track;
  writer->state = std::move(*begun);
  writer->cut = std::move(cut);
  state->writers.push_back(writer);
  ++writers_;
  active_ = instant_now();
  log_info("track writer begins", {{"stream", id_.view()}, {"track", track}, {"epoch", epoch.value}});
  return writer;
}

void LiveStream::cut_writers(TrackState& track, Epoch below, const Error& why) {
  for (const std::weak_ptr<Writer>& weak : track.writers) {
    const std::shared_ptr<Writer> writer = weak.lock();
    if (!writer || writer->state.epoch >= below || !writer->cut) continue;
    const std::function<void(const Error&)> cut = std::exchange(writer->cut, nullptr);
    cut(why);
  }
  std::erase_if(track.writers, [](const std::weak_ptr<Writer>& weak) { return weak.expired() || !weak.lock()->cut; });
}

void LiveStream::end_put(const std::shared_ptr<Writer>& writer) {
  assert(writers_ > 0);
  --writers_;
  active_ = instant_now();
  writer->cut = nullptr;
  log_info("track writer ends",
           {{"stream", id_.view()}, {"track", writer->track}, {"epoch", writer->state.epoch.value}});
}

Result<void> LiveStream::put(Writer& writer, std::vector<media::CmafItem>& items) {
  const Instant now = instant_now();
  TrackState* track = find(writer.track);
  assert(track != nullptr);
  bool taken = false;
  for (media::CmafItem& item : items) {
    if (ended_) return fail(Code::closed, "the stream has ended");
    if (!writer.cut) return fail(Code::conflict, "another connection holds the track");
    if (auto* init = std::get_if<media::InitItem>(&item)) {
      const std::size_t before = track->buffer.inits().size();
      if (auto set = track->buffer.set_init(writer.state, init->config, init->raw); !set) return set;
      if (track->buffer.inits().size() != before) mark_dirty();
      continue;
    }
    if (auto put = take_chunk(*track, writer, std::get<media::ChunkItem>(item), now); !put) {
      context_.metrics.chunks_refused.add();
      return put;
    }
    taken = true;
  }
  if (taken) {
    track->event.notify_all();
    after_push(now);
  }
  return {};
}

Result<void> LiveStream::take_chunk(TrackState& track, Writer& writer, const media::ChunkItem& item, Instant now) {
  if (held_ > static_cast<std::size_t>(context_.settings.stream_memory_mb) * 1024 * 1024) {
    return fail(Code::limit, "memory of the stream: bytes", held_);
  }
  const std::size_t bytes = item.raw->size();
  TrackBuffer::Incoming incoming;
  incoming.bytes = item.raw;
  incoming.decode_time = item.chunk.decode_time;
  incoming.duration = static_cast<std::int64_t>(item.chunk.duration);
  incoming.presentation_time = item.chunk.presentation_time;
  incoming.key = item.chunk.first_is_sync;
  Result<std::optional<Chunk>> taken = track.buffer.append(writer.state, std::move(incoming));
  if (!taken) return pass(taken);
  if (!*taken) {
    context_.metrics.chunks_dropped.add();
    return {};
  }
  held_ += bytes;
  context_.metrics.chunks.add();
  context_.metrics.bytes_in.add(static_cast<double>(bytes));
  const Chunk& chunk = **taken;
  if (!first_media_) {
    first_media_ = now;
    if (start_unix_ms_ == 0) {
      start_unix_ms_ = to_unix_ms(wall_now() - to_milliseconds({chunk.decode_end(), chunk.timescale()}));
    }
  }
  return window_.push(track.buffer.name(), track.buffer.source(), chunk, now);
}

void LiveStream::after_push(Instant now) {
  active_ = now;
  for (const Window::Track& track : window_.tracks()) {
    if (TrackState* state = find(track.name); state != nullptr && track.decided_end) {
      state->buffer.set_published_end(*track.decided_end);
    }
  }
  if (pass_due()) work_.notify_all();
}

std::optional<Head> LiveStream::head(std::string_view track) const {
  const TrackState* state = find(track);
  return state == nullptr ? std::nullopt : state->buffer.head();
}

Result<void> LiveStream::set_plan(const media::LadderPlan& plan) {
  if (ended_) return fail(Code::closed, "the stream has ended");
  if (window_.plan()) {
    if (*window_.plan() == plan) return {};
    return fail(Code::conflict,
                plan_fallback_ ? "no plan came in time: the source is published alone" : "there is another plan");
  }
  use_plan(plan, false, instant_now());
  return {};
}

void LiveStream::use_plan(const media::LadderPlan& plan, bool fallback, Instant now) {
  plan_fallback_ = fallback;
  window_.set_plan(plan, now);
  after_push(now);
  mark_dirty();
  announcement_.notify_all();
  log_info(
      "ladder plan",
      {{"stream", id_.view()}, {"video", plan.video.size()}, {"audio", plan.audio.size()}, {"fallback", fallback}});
}

bool LiveStream::use_fallback(Instant now) {
  std::vector<SourceSeen> seen;
  for (const auto& [name, track] : tracks_) {
    if (!track->buffer.source() || !track->buffer.init()) continue;
    SourceSeen source;
    source.track = name;
    source.init = track->buffer.init();
    source.chunks.assign(track->buffer.ring().begin(), track->buffer.ring().end());
    seen.push_back(std::move(source));
  }
  const std::optional<media::LadderPlan> plan = fallback_plan(id_.view(), seen);
  if (!plan) return false;
  use_plan(*plan, true, now);
  return true;
}

void LiveStream::end() {
  if (ended_) return;
  const Instant now = instant_now();
  if (!window_.plan() && first_media_) use_fallback(now);
  ended_ = true;
  ended_at_ = now;
  ended_unix_ms_ = to_unix_ms(wall_now());
  window_.end(now);
  const Error why{Code::closed, "the stream has ended"};
  for (const auto& [name, track] : tracks_) {
    cut_writers(*track, Epoch{INT64_MAX}, why);
    track->event.notify_all();
  }
  mark_dirty();
  log_info("stream ended", {{"stream", id_.view()}});
}

void LiveStream::send_writers_away() {
  const Error why{Code::unavailable, "the packager is stopping"};
  for (const auto& [name, track] : tracks_) cut_writers(*track, Epoch{INT64_MAX}, why);
}

Task<LiveStream::Read> LiveStream::read(std::string track, TrackBuffer::Cursor cursor, std::chrono::milliseconds wait) {
  const std::shared_ptr<LiveStream> self = shared_from_this();
  Read result;
  result.cursor = cursor;
  TrackState* state = find(track);
  result.exists = state != nullptr;
  if (state == nullptr) {
    result.end = ended_;
    co_return result;
  }
  const std::uint64_t seen = state->event.version();
  result.batch = state->buffer.read(result.cursor);
  if (result.batch.pieces.empty() && !ended_) {
    co_await state->event.wait(seen, wait);
    result.batch = state->buffer.read(result.cursor);
  }
  result.end = ended_ && result.batch.pieces.empty();
  if (result.batch.skipped) context_.metrics.reader_skips.add();
  co_return result;
}

void LiveStream::tick(Instant now) {
  if (writers_ > 0) active_ = now;
  if (!ended_) {
    if (!window_.plan() && first_media_ && now - *first_media_ >= kPlanWait) use_fallback(now);
    window_.tick(now);
    if (pass_due()) work_.notify_all();
    if (now - active_ > context_.settings.idle_end) {
      log_warning("stream without writers is ended", {{"stream", id_.view()}});
      end();
    }
  }
  held_ = bytes_held();
  context_.metrics.held_bytes.add(static_cast<double>(held_) - held_shown_);
  held_shown_ = static_cast<double>(held_);
}

std::size_t LiveStream::bytes_held() const {
  std::size_t bytes = window_.bytes_held();
  for (const auto& [name, track] : tracks_) bytes += track->buffer.bytes_held();
  return bytes;
}

bool LiveStream::expired(Instant now) const {
  return removed_ || (ended_at_ && now - *ended_at_ > context_.settings.ended_keep);
}

}  // namespace ribalta::packager
