#include "packager/live/window.h"

#include <algorithm>
#include <cassert>

#include "packager/manifest/hls.h"

namespace ribalta::packager {

void Window::make_tracks(const media::LadderPlan& plan, Instant now) {
  assert(!plan_ && (!plan.video.empty() || !plan.audio.empty()));
  plan_ = plan;
  planned_at_ = now;
  const bool source_decides = plan.video.empty() ? plan.audio[0].passthrough : plan.video[0].passthrough;
  timeline_.emplace(Timeline::Settings{plan.segment_target_ms, plan.target_duration_s, source_decides});
  const auto add = [this](const std::string& name, media::TrackKind kind, bool passthrough) {
    tracks_.push_back({.name = name, .kind = kind, .cutter = TrackCutter{kind, passthrough}});
  };
  for (const auto& video : plan.video) add(video.track, media::TrackKind::video, video.passthrough);
  for (const auto& audio : plan.audio) add(audio.track, media::TrackKind::audio, audio.passthrough);
  reference_ = 0;
}

void Window::set_plan(const media::LadderPlan& plan, Instant now) {
  make_tracks(plan, now);
  const std::vector<Early> early = std::exchange(early_, {});
  for (const Early& chunk : early) take(chunk.track, chunk.source, chunk.chunk, now);
  decide(now);
}

std::optional<std::size_t> Window::track_index(std::string_view name) const {
  for (std::size_t i = 0; i < tracks_.size(); ++i) {
    if (tracks_[i].name == name) return i;
  }
  return std::nullopt;
}

Result<void> Window::push(std::string_view track, bool source, const Chunk& chunk, Instant now) {
  if (ended_) return fail(Code::closed, "the stream has ended");
  if (!plan_) {
    if (early_.size() >= kEarlyChunksMax) return fail(Code::limit, "chunks waiting for a plan:", early_.size());
    early_.push_back({std::string{track}, source, chunk});
    return {};
  }
  take(track, source, chunk, now);
  tick(now);
  return {};
}

void Window::take(std::string_view track, bool source, const Chunk& chunk, Instant now) {
  if (source) {
    const std::pair<Epoch, std::int64_t> writing{chunk.epoch, chunk.init->number};
    const auto before = sources_.find(track);
    const bool changed = before == sources_.end() || before->second != writing || chunk.init_repeated;
    if (changed) timeline_->source_changed(chunk.presentation(), chunk.epoch);
    sources_.insert_or_assign(std::string{track}, writing);
  }
  const std::optional<std::size_t> index = track_index(track);
  if (!index) return;
  Track& taken = tracks_[*index];
  if ((chunk.init->config.kind == media::TrackKind::video) != (taken.kind == media::TrackKind::video)) return;
  taken.heard = true;
  taken.cutter.push(chunk);
  if (*index != reference_) return;
  ReferenceChunk reference;
  reference.position = taken.cutter.position_of_newest();
  reference.duration = chunk.duration;
  reference.key = chunk.key;
  add_rows(timeline_->on_reference(reference), now);
}

void Window::add_rows(const std::vector<Span>& spans, Instant now) {
  for (const Span& span : spans) {
    assert(rows_.empty() || rows_.back().span.msn + 1 == span.msn);
    Row row;
    row.span = span;
    row.closed_at = now;
    row.pieces.resize(tracks_.size());
    rows_.push_back(std::move(row));
  }
}

void Window::tick(Instant now) {
  if (!plan_) return;
  if (now - planned_at_ >= kFirstRungsWait) {
    for (Track& track : tracks_) {
      if (!track.heard) track.lagging = true;
    }
  }
  decide(now);
}

void Window::end(Instant now) {
  if (ended_) return;
  ended_ = true;
  if (!plan_) return;
  for (Track& track : tracks_) track.cutter.finish();
  add_rows(timeline_->finish(), now);
  tick(now);
  assert(rows_.empty() || ready_ == rows_.back().span.msn);
}

Row& Window::row_at(std::int64_t msn) {
  assert(!rows_.empty() && msn >= rows_.front().span.msn && msn <= rows_.back().span.msn);
  return rows_[static_cast<std::size_t>(msn - rows_.front().span.msn)];
}

const Row* Window::find(std::int64_t msn) const {
  if (rows_.empty() || msn < rows_.front().span.msn || msn > rows_.back().span.msn) return nullptr;
  return &rows_[static_cast<std::size_t>(msn - rows_.front().span.msn)];
}

void Window::give_up(std::size_t track, Row& row) {
  tracks_[track].cutter.skip(row.span);
  tracks_[track].next = row.span.msn + 1;
  ++tracks_[track].gaps;
  row.pieces[track].state = Piece::State::gap;
}

/// TARGETDURATION is a promise for the stream's whole life: what would break it is a gap of its rung.
bool Window::too_long(const Piece& piece) const {
  if (piece.state != Piece::State::present) return false;
  const std::int64_t us = rescale_nearest({piece.duration, piece.init->config.timescale}, 1'000'000).ticks;
  return rounded_seconds(us) > plan_->target_duration_s;
}

void Window::decide(Instant now) {
  if (rows_.empty()) return;
  const std::int64_t newest = rows_.back().span.msn;
  // A reference that resumes sends seconds at once; the other tracks get the time of a segment to do the same.
  const std::chrono::milliseconds burst{plan_->segment_target_ms};
  for (std::size_t i = 0; i < tracks_.size(); ++i) {
    Track& track = tracks_[i];
    track.next = std::max(track.next, rows_.front().span.msn);
    while (track.next <= newest) {
      Row& row = row_at(track.next);
      std::optional<Piece> piece = track.cutter.cut(row.span);
      if (!piece) break;
      if (too_long(*piece)) *piece = Piece{.state = Piece::State::gap};
      if (piece->state == Piece::State::present)
        track.decided_end = piece->decode_end;
      else
        ++track.gaps;
      row.pieces[i] = std::move(*piece);
      ++track.next;
    }
    const bool behind = newest - track.next + 1 > kSegmentsBehindMax;
    if (behind && now - row_at(track.next).closed_at >= burst) track.lagging = true;
    // Not before its media reach the newest span again: else it would hold the others back for what it can't make.
    const std::optional<MediaTime> progress = track.cutter.progress();
    if (track.lagging && progress && compare(*progress, rows_.back().span.start) >= 0) track.lagging = false;
  }
  while (ready_ < newest) {
    Row& row = row_at(std::max(ready_ + 1, rows_.front().span.msn));
    for (std::size_t i = 0; i < tracks_.size(); ++i) {
      const bool undecided = row.pieces[i].state == Piece::State::undecided;
      if (undecided && !tracks_[i].lagging && !ended_) return;
    }
    for (std::size_t i = 0; i < tracks_.size(); ++i) {
      if (row.pieces[i].state == Piece::State::undecided) give_up(i, row);
    }
    ready_ = row.span.msn;
  }
}

std::int64_t Window::first_listed(std::int64_t announced) const {
  const std::int64_t oldest = rows_.empty() ? 0 : rows_.front().span.msn;
  return std::max({first_listed_, oldest, announced - settings_.listed + 1});
}

/// A DASH Period numbers a track's segments without holes and names them with one epoch and one init segment; where a
/// track can't go on so, all tracks begin another Period.
bool Window::begins_manifest_period(std::size_t index) const {
  if (index == 0) return true;
  const Row& row = rows_[index];
  const Row& before = rows_[index - 1];
  if (before.span.period != row.span.period) return true;
  for (std::size_t track = 0; track < tracks_.size(); ++track) {
    const Piece& piece = row.pieces[track];
    if (piece.state != Piece::State::present) continue;
    for (std::size_t back = index; back > 0; --back) {
      const Row& earlier = rows_[back - 1];
      if (earlier.manifest_period != before.manifest_period) break;
      const Piece& last = earlier.pieces[track];
      if (last.state != Piece::State::present) continue;
      const bool goes_on = back == index && last.epoch == piece.epoch && last.init->number == piece.init->number;
      if (!goes_on) return true;
      break;
    }
  }
  return false;
}

void Window::assign_manifest_periods(std::int64_t msn) {
  for (std::size_t i = 0; i < rows_.size() && rows_[i].span.msn <= msn; ++i) {
    if (rows_[i].span.msn <= periods_assigned_) continue;
    const bool begins = begins_manifest_period(i);
    rows_[i].manifest_period = begins ? rows_[i].span.msn : rows_[i - 1].manifest_period;
    rows_[i].manifest_start = begins ? rows_[i].span.start : rows_[i - 1].manifest_start;
    periods_assigned_ = rows_[i].span.msn;
  }
}

void Window::announce(std::int64_t msn) {
  assert(msn <= ready_ && msn <= periods_assigned_);
  announced_ = std::max(announced_, msn);
  first_listed_ = first_listed(announced_);
}

void Window::mark_stored(std::int64_t msn, std::size_t track) {
  if (find(msn) == nullptr) return;
  row_at(msn).pieces[track].stored = true;
}

std::vector<Row> Window::trim() {
  std::vector<Row> gone;
  while (!rows_.empty() && rows_.front().span.msn < first_listed_ - settings_.older &&
         rows_.front().span.msn < announced_) {
    gone.push_back(std::move(rows_.front()));
    rows_.pop_front();
  }
  return gone;
}

void Window::release_older() {
  for (Row& row : rows_) {
    if (row.span.msn >= first_listed_ - 1) return;
    for (Piece& piece : row.pieces) {
      if (piece.stored) piece.chunks.clear();
    }
  }
}

std::size_t Window::bytes_held() const {
  std::size_t bytes = 0;
  for (const Row& row : rows_) {
    for (const Piece& piece : row.pieces) bytes += piece.chunks.empty() ? 0 : piece.bytes;
  }
  for (const Track& track : tracks_) bytes += track.cutter.bytes_waiting();
  for (const Early& early : early_) bytes += early.chunk.bytes->size();
  return bytes;
}

void Window::restore(Restored restored, Instant now) {
  make_tracks(restored.plan, now);
  for (auto& [name, state] : restored.sources) sources_.insert_or_assign(name, state);
  if (restored.rows.empty()) return;
  for (Row& row : restored.rows) {
    row.closed_at = now;
    rows_.push_back(std::move(row));
  }
  timeline_->resume(rows_.back().span, restored.period_epoch);
  announced_ = restored.announced;
  periods_assigned_ = restored.announced;
  first_listed_ = restored.first_listed;
  ready_ = std::max(restored.announced, rows_.front().span.msn - 1);
  for (std::size_t i = 0; i < tracks_.size(); ++i) {
    tracks_[i].next = rows_.front().span.msn;
    for (const Row& row : rows_) {
      if (row.pieces[i].state == Piece::State::undecided) break;
      tracks_[i].next = row.span.msn + 1;
      if (row.pieces[i].state == Piece::State::present) {
        tracks_[i].heard = true;
        tracks_[i].decided_end = row.pieces[i].decode_end;
      }
    }
  }
}

}  // namespace ribalta::packager
