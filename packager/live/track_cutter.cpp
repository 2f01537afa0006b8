#include "packager/live/track_cutter.h"

#include <algorithm>
#include <cassert>

namespace ribalta::packager {
namespace {

bool reaches(MediaTime time, MediaTime boundary) { return elapsed_us(boundary, time) >= -kBoundaryToleranceUs; }

Piece gap() {
  Piece piece;
  piece.state = Piece::State::gap;
  return piece;
}

}  // namespace

void TrackCutter::push(Chunk chunk) {
  if (chunk.key) shift_ = chunk.presentation_time - chunk.decode_time;
  const MediaTime position{video_ ? chunk.decode_time + shift_ : chunk.decode_time, chunk.timescale()};
  // A writer that took the track over begins at a key frame; frames of the one before that reach past it would mix two
  // encodings of the same picture.
  while (!waiting_.empty() && waiting_.back().chunk.epoch < chunk.epoch &&
         compare(waiting_.back().position, position) >= 0) {
    bytes_waiting_ -= waiting_.back().chunk.bytes->size();
    waiting_.pop_back();
  }
  bytes_waiting_ += chunk.bytes->size();
  waiting_.push_back({std::move(chunk), position});
  progress_ = waiting_.back().end();
  position_of_newest_ = position;
}

void TrackCutter::drop_front(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    bytes_waiting_ -= waiting_.front().chunk.bytes->size();
    waiting_.pop_front();
  }
}

std::optional<Piece> TrackCutter::cut(const Span& span) { return video_ ? cut_video(span) : cut_audio(span); }

void TrackCutter::skip(const Span& span) {
  while (!waiting_.empty() && !reaches(waiting_.front().position, span.next_start)) drop_front(1);
}

/// True when the first `count` waiting chunks play from the span's start to its end with this track's rules for holes.
bool TrackCutter::whole(const Span& span, std::size_t count) const {
  const Waiting& last = waiting_[count - 1];
  for (std::size_t i = 1; i < count; ++i) {
    if (waiting_[i].chunk.init->number != waiting_[0].chunk.init->number) return false;
    const bool hole = elapsed_us(waiting_[i - 1].end(), waiting_[i].position) > kRungHoleUsMax;
    if (hole && !lenient_) return false;
  }
  if (lenient_ || span.ends_period || finished_) return true;
  return elapsed_us(last.end(), span.end) <= kRungHoleUsMax;
}

std::optional<Piece> TrackCutter::cut_video(const Span& span) {
  while (!waiting_.empty() && !reaches(waiting_.front().position, span.start)) drop_front(1);
  if (waiting_.empty()) {
    if (finished_) return gap();
    return std::nullopt;
  }
  const Waiting& first = waiting_.front();
  const bool begins = first.chunk.key && span.keyed && elapsed_us(span.start, first.position) <= kBoundaryToleranceUs;
  if (!begins) {
    skip(span);
    return gap();
  }
  std::size_t count = 1;
  while (count < waiting_.size() && !reaches(waiting_[count].position, span.end)) ++count;
  const bool complete = count < waiting_.size() || finished_ || reaches(waiting_.back().end(), span.end);
  if (!complete) return std::nullopt;
  if (!whole(span, count)) {
    skip(span);
    return gap();
  }
  Piece piece = take(0, count);
  const MediaTime start{0, piece.init->config.timescale};
  piece.duration =
      rescale_nearest(span.end, start.timescale).ticks - rescale_nearest(span.start, start.timescale).ticks;
  drop_front(count);
  return piece;
}

/// Audio is all key frames: its segment begins with the first frame at or after the boundary. At a period's end it goes
/// as far as the reference, so that all tracks go on from one place: what a publisher who came back sent before the
/// first key frame belongs nowhere. Where two encodings meet in one span the longer one is its segment, which has one
/// init segment.
std::optional<Piece> TrackCutter::cut_audio(const Span& span) {
  while (!waiting_.empty() && compare(waiting_.front().position, span.start) < 0) drop_front(1);
  std::size_t count = 0;
  while (count < waiting_.size() && compare(waiting_[count].position, span.next_start) < 0) ++count;
  const bool complete = count < waiting_.size() || finished_ ||
                        (!waiting_.empty() && compare(waiting_.back().end(), span.next_start) >= 0);
  if (!complete) return std::nullopt;
  std::size_t usable = 0;
  while (usable < count && compare(waiting_[usable].position, span.end) < 0) ++usable;
  if (usable == 0) {
    drop_front(count);
    return gap();
  }

  std::size_t best_first = 0;
  std::size_t best_count = 0;
  std::int64_t best_us = -1;
  for (std::size_t first = 0; first < usable;) {
    std::size_t end = first + 1;
    while (end < usable && waiting_[end].chunk.init->number == waiting_[first].chunk.init->number) ++end;
    const std::int64_t us = elapsed_us(waiting_[first].position, waiting_[end - 1].end());
    if (us > best_us) {
      best_us = us;
      best_first = first;
      best_count = end - first;
    }
    first = end;
  }
  Piece piece = take(best_first, best_count);
  piece.duration = piece.decode_end - piece.decode_time;
  drop_front(count);
  return piece;
}

Piece TrackCutter::take(std::size_t first, std::size_t count) {
  assert(count > 0 && first + count <= waiting_.size());
  Piece piece;
  piece.state = Piece::State::present;
  for (std::size_t i = first; i < first + count; ++i) {
    const Chunk& chunk = waiting_[i].chunk;
    piece.epoch = std::max(piece.epoch, chunk.epoch);
    piece.bytes += chunk.bytes->size();
    piece.chunks.push_back(chunk);
  }
  const Chunk& head = piece.chunks.front();
  piece.init = head.init;
  piece.decode_time = head.decode_time;
  piece.presentation_time = head.presentation_time;
  piece.decode_end = piece.chunks.back().decode_end();
  return piece;
}

}  // namespace ribalta::packager
