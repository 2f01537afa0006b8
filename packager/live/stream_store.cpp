// The half of LiveStream that meets the object store: passes that store and then announce, and the way back after a
// restart.
#include <algorithm>
#include <cassert>

#include "core/log.h"
#include "packager/live/manifests.h"
#include "packager/live/stream.h"

namespace ribalta::packager {
namespace {

/// After a write that failed: a full disk is asked twice a second, and a live still goes on with that delay at most.
constexpr std::chrono::milliseconds kStoreRetry{500};
constexpr std::chrono::milliseconds kRemovalPoll{10};

}  // namespace

bool LiveStream::pass_due() const {
  if (dirty_ || window_.ready() > window_.announced()) return true;
  for (const Row& row : window_.rows()) {
    for (const Piece& piece : row.pieces) {
      if (piece.state == Piece::State::present && !piece.stored && row.span.msn > window_.announced()) return true;
    }
  }
  return false;
}

/// Stores what is decided and not stored, then the record that says so, and only then tells players. One pass at a
/// time: what comes meanwhile is in the next.
Task<void> LiveStream::store_passes(std::shared_ptr<LiveStream> stream) {
  while (!stream->removed_ && !stream->stopped_) {
    const std::uint64_t seen = stream->work_.version();
    if (!stream->pass_due()) {
      co_await stream->work_.wait(seen, std::chrono::hours{1});
      continue;
    }
    const std::int64_t ready = stream->window_.ready();
    const bool ending = stream->ended_;
    stream->window_.assign_manifest_periods(ready);
    stream->dirty_ = false;
    const auto job = std::make_shared<StoreJob>(stream->make_job(ending));
    ObjectStore* store = &stream->context_.store;
    auto work = [store, job] {
      run_store_job(*store, *job);
      return true;
    };
    bool stored = false;
    {
      stream->storing_ = true;
      const AtEnd over{[&stream, &stored] {
        stream->storing_ = false;
        if (!stored) stream->dirty_ = true;  // it threw: the whole pass is due again
      }};
      co_await run_blocking<Lane::background>(std::move(work));
      stored = true;
    }
    if (stream->removed_) break;
    stream->after_job(*job, ready, ending);
    if (job->error) co_await sleep_for(kStoreRetry);  // what could not be stored is due at once: not in a tight loop
  }
}

StoreJob LiveStream::make_job(bool ending) {
  StoreJob job;
  job.stream = id_.text();
  job.with_record = window_.plan().has_value();
  job.removals = std::exchange(removals_, {});
  job.note = note_;
  for (const auto& [name, track] : tracks_) {
    job.inits_stored[name] = track->inits_stored;
    const auto& inits = track->buffer.inits();
    for (auto i = static_cast<std::size_t>(track->inits_stored); i < inits.size(); ++i) {
      job.inits.push_back({name, inits[i]->number, inits[i]->bytes});
    }
    if (!track->buffer.init()) continue;
    RecordTrack recorded;
    recorded.track = name;
    recorded.source = track->buffer.source();
    recorded.epoch = track->buffer.epoch().value;
    const std::optional<Head> head = track->buffer.head();
    recorded.decode_time_durable = head ? head->decode_time_durable : 0;
    job.record.tracks.push_back(std::move(recorded));
  }
  for (const Row& row : window_.rows()) {
    for (std::size_t i = 0; i < row.pieces.size(); ++i) {
      const Piece& piece = row.pieces[i];
      if (piece.state != Piece::State::present || piece.stored) continue;
      StoreJob::Segment segment;
      segment.msn = row.span.msn;
      segment.track = i;
      segment.key = live_key(id_.view(), window_.tracks()[i].name, segment_name(piece.epoch, row.span.msn));
      for (const Chunk& chunk : piece.chunks) segment.chunks.push_back(chunk.bytes);
      job.segments.push_back(std::move(segment));
    }
  }
  if (!job.with_record) return job;
  StreamRecord& record = job.record;
  record.stream = id_.text();
  record.start_unix_ms = start_unix_ms_;
  record.ended = ending;
  record.ended_unix_ms = ended_unix_ms_;
  record.period_epoch = window_.period_epoch().value;
  record.announced = window_.ready();
  record.media_sequence = window_.rows().empty() ? 0 : window_.first_listed(window_.ready());
  record.first_msn = window_.rows().empty() ? 0 : window_.rows().front().span.msn;
  record.plan_fallback = plan_fallback_;
  record.plan = *window_.plan();
  record.rows = record_rows(window_);
  // What this pass makes durable, so that a restart right after it says the same as `head` did.
  for (RecordTrack& track : record.tracks) {
    const std::optional<std::size_t> index = window_.track_index(track.track);
    if (!index) continue;
    for (const Row& row : window_.rows()) {
      const Piece& piece = row.pieces[*index];
      if (piece.state == Piece::State::present) track.decode_time_durable = piece.decode_end;
    }
  }
  return job;
}

void LiveStream::after_job(const StoreJob& job, std::int64_t ready, bool ending) {
  for (const auto& [name, stored] : job.inits_stored) {
    if (TrackState* track = find(name); track != nullptr) track->inits_stored = std::max(track->inits_stored, stored);
  }
  note_ = job.note;
  for (const StoreJob::Segment& segment : job.segments) {
    if (segment.stored) window_.mark_stored(segment.msn, segment.track);
  }
  if (job.error) {
    context_.store_failed(*job.error);
    log_warning("live segments are not stored: the stream goes on from memory",
                {{"stream", id_.view()}, {"error", *job.error}});
  } else if (!job.segments.empty()) {
    context_.store_works();
  }
  if (job.record_stored) {
    for (const RecordTrack& track : job.record.tracks) {
      if (TrackState* state = find(track.track); state != nullptr) state->buffer.set_durable(track.decode_time_durable);
    }
  }
  announce(ready);
  if (ending && !complete_) {
    complete_ = true;
    announcement_.notify_all();
  }
}

void LiveStream::announce(std::int64_t msn) {
  if (msn <= window_.announced()) return;
  for (const Row& row : window_.rows()) {
    if (row.span.msn <= window_.announced() || row.span.msn > msn) continue;
    for (const Piece& piece : row.pieces) {
      (piece.state == Piece::State::present ? context_.metrics.segments : context_.metrics.gaps).add();
    }
    if (!row.span.keyed && !std::exchange(overlong_told_, true)) {
      log_warning("key frames are too far apart for the plan: video shows gaps",
                  {{"stream", id_.view()}, {"msn", row.span.msn}});
    }
  }
  window_.announce(msn);
  window_.release_older();
  for (const Row& row : window_.trim()) {
    for (std::size_t i = 0; i < row.pieces.size(); ++i) {
      const Piece& piece = row.pieces[i];
      if (!piece.stored) continue;
      removals_.push_back(live_key(id_.view(), window_.tracks()[i].name, segment_name(piece.epoch, row.span.msn)));
    }
  }
  announcement_.notify_all();
}

Task<void> LiveStream::remove() {
  const std::shared_ptr<LiveStream> self = shared_from_this();
  end();
  removed_ = true;
  work_.notify_all();
  announcement_.notify_all();
  context_.metrics.held_bytes.add(-held_shown_);
  held_shown_ = 0;
  while (storing_) co_await sleep_for(kRemovalPoll);  // a pass on its way would bring objects back
}

Task<void> LiveStream::settle(std::chrono::milliseconds limit) {
  const std::shared_ptr<LiveStream> self = shared_from_this();
  const Instant until = std::chrono::steady_clock::now() + limit;
  while (!removed_ && (storing_ || pass_due())) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    if (left.count() <= 0) break;
    const std::uint64_t seen = announcement_.version();
    co_await announcement_.wait(seen, std::min(left, std::chrono::milliseconds{50}));
  }
  stopped_ = true;
  work_.notify_all();
}

/// @param lost_until  up to here segments were announced and are lost: what writers send again would come twice
Result<void> LiveStream::restore_track(const RecordTrack& recorded, std::optional<MediaTime> lost_until) {
  const auto [at, added] =
      tracks_.emplace(recorded.track, std::make_unique<TrackState>(recorded.track, recorded.source, loop_));
  if (!added) return fail(Code::malformed, "track twice in the record:", recorded.track);
  std::vector<SharedInit> inits;
  for (std::int64_t number = 0; number < recorded.inits; ++number) {
    const std::string key = live_key(id_.view(), recorded.track, init_name(number));
    Result<Bytes> bytes = context_.store.get(key, kInitBytesMax);
    if (!bytes) return bytes.error().in("read", key);
    Result<media::TrackConfig> config = media::parse_init(*bytes);
    if (!config) return config.error().in("parse", key);
    InitSegment init;
    init.number = number;
    init.config = std::move(*config);
    init.bytes = std::make_shared<const Bytes>(std::move(*bytes));
    inits.push_back(std::make_shared<const InitSegment>(std::move(init)));
  }
  at->second->inits_stored = recorded.inits;
  if (inits.empty()) return {};
  const SharedInit newest = inits.back();
  const std::int64_t lost = lost_until ? rescale_floor(*lost_until, newest->config.timescale).ticks : 0;
  const std::int64_t durable = std::max(recorded.decode_time_durable, lost);
  if (durable < 0 || durable / newest->config.timescale >= (std::int64_t{1} << 32)) {
    return fail(Code::malformed, "durable time of", recorded.track);
  }
  at->second->buffer.restore(Epoch{recorded.epoch}, newest, std::move(inits), durable);
  return {};
}

namespace {

/// The init segment of a track's newest recorded segment; the newest of all where it has none.
std::int64_t last_init(const StreamRecord& record, const RecordTrack& track) {
  std::size_t index = 0;
  bool planned = false;
  for (const auto& video : record.plan.video) {
    if (video.track == track.track) planned = true;
    if (!planned) ++index;
  }
  for (const auto& audio : record.plan.audio) {
    if (audio.track == track.track) planned = true;
    if (!planned) ++index;
  }
  for (auto row = record.rows.rbegin(); planned && row != record.rows.rend(); ++row) {
    if (row->pieces[index].state == 1) return *row->pieces[index].init;
  }
  return track.inits - 1;
}

}  // namespace

Result<void> LiveStream::restore(const StreamRecord& record, const std::string& note) {
  const Instant now = std::chrono::steady_clock::now();
  note_ = note;
  std::optional<MediaTime> lost_until;
  if (!note.empty() && !record.rows.empty()) {
    lost_until = MediaTime{record.rows.back().end, static_cast<std::uint32_t>(record.rows.back().timescale)};
  }
  for (const RecordTrack& track : record.tracks) {
    if (auto restored = restore_track(track, lost_until); !restored) return restored;
  }
  Window::Restored restored;
  restored.plan = record.plan;
  restored.announced = record.announced;
  restored.first_listed = record.media_sequence;
  restored.period_epoch = Epoch{record.period_epoch};
  std::vector<std::vector<SharedInit>> inits;
  inits.reserve(record.plan.video.size() + record.plan.audio.size());
  const auto inits_of = [this](const std::string& name) {
    const TrackState* track = find(name);
    return track == nullptr ? std::vector<SharedInit>{} : track->buffer.inits();
  };
  for (const auto& video : record.plan.video) inits.push_back(inits_of(video.track));
  for (const auto& audio : record.plan.audio) inits.push_back(inits_of(audio.track));
  Result<std::vector<Row>> rows = window_rows(record, inits);
  if (!rows) return pass(rows);
  restored.rows = std::move(*rows);
  // A source that had begun another epoch or init segment, of which no period is recorded, begins one when it goes on.
  for (const RecordTrack& track : record.tracks) {
    if (!track.source || track.inits == 0) continue;
    restored.sources[track.track] = {Epoch{std::min(track.epoch, record.period_epoch)}, last_init(record, track)};
  }
  window_.restore(std::move(restored), now);
  plan_fallback_ = record.plan_fallback;
  start_unix_ms_ = record.start_unix_ms;
  if (start_unix_ms_ != 0) first_media_ = now;
  if (record.ended) {
    ended_ = true;
    complete_ = true;
    ended_at_ = now;
    ended_unix_ms_ = record.ended_unix_ms;
    window_.end(now);
  }
  return {};
}

std::string LiveStream::multivariant() const {
  return window_.plan() ? live_multivariant(*window_.plan()) : std::string{};
}

std::string LiveStream::media_playlist(std::string_view track) const {
  const std::optional<std::size_t> index = window_.track_index(track);
  if (!index || window_.announced() < 0) return {};
  return live_media_playlist(window_, *index, {.start_unix_ms = start_unix_ms_, .ended = complete_});
}

std::string LiveStream::mpd(WallTime now) const {
  if (!window_.plan() || window_.announced() < 0) return {};
  return live_mpd(window_, {.start_unix_ms = start_unix_ms_, .ended = complete_}, now);
}

Task<void> LiveStream::until_announced(std::chrono::milliseconds limit) {
  const std::shared_ptr<LiveStream> self = shared_from_this();
  const Instant until = std::chrono::steady_clock::now() + limit;
  while (window_.announced() < 0 && !complete_ && !removed_) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    if (left.count() <= 0) co_return;
    const std::uint64_t seen = announcement_.version();
    co_await announcement_.wait(seen, left);
  }
}

SharedBytes LiveStream::init_segment(std::string_view track, std::int64_t number) const {
  const TrackState* state = find(track);
  if (state == nullptr) return nullptr;
  const auto& inits = state->buffer.inits();
  if (number < 0 || number >= static_cast<std::int64_t>(inits.size())) return nullptr;
  return inits[static_cast<std::size_t>(number)]->bytes;
}

LiveStream::Segment LiveStream::segment(std::string_view track, Epoch epoch, std::int64_t msn) const {
  Segment out;
  const std::optional<std::size_t> index = window_.track_index(track);
  if (!index || msn > window_.announced()) return out;
  const Row* row = window_.find(msn);
  if (row == nullptr) return out;
  const Piece& piece = row->pieces[*index];
  if (piece.state != Piece::State::present || piece.epoch != epoch) return out;
  out.announced = true;
  for (const Chunk& chunk : piece.chunks) out.chunks.push_back(chunk.bytes);
  return out;
}

bool LiveStream::is_video(std::string_view track) const {
  const std::optional<std::size_t> index = window_.track_index(track);
  return index && window_.tracks()[*index].kind == media::TrackKind::video;
}

}  // namespace ribalta::packager
