#include "packager/live/track_buffer.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "packager/live/timeline.h"

namespace ribalta::packager {

Result<void> TrackBuffer::fence(const WriterState& writer) const {
  if (writer.epoch < epoch_) return fail(Code::conflict, "a higher epoch holds the track:", epoch_.value);
  return {};
}

Result<WriterState> TrackBuffer::begin(Epoch epoch) {
  if (epoch < epoch_) return fail(Code::conflict, "a higher epoch holds the track:", epoch_.value);
  if (epoch > epoch_) {
    epoch_ = epoch;
    epoch_has_media_ = false;
    // A publisher who comes back goes on after what is held. A worker that takes a rung over begins again after what is
    // published: its frames and those of the worker before are two encodings, and change hands at a key frame.
    floor_ = source_ ? end_ : std::optional<std::int64_t>{published_end_};
  }
  WriterState writer;
  writer.epoch = epoch;
  return writer;
}

Result<void> TrackBuffer::set_init(WriterState& writer, const media::TrackConfig& config, SharedBytes bytes) {
  if (auto fenced = fence(writer); !fenced) return fenced;
  if (bytes->size() > kInitBytesMax) return fail(Code::limit, "init segment: bytes", bytes->size());
  if (init_ && init_->config.kind != config.kind) return fail(Code::malformed, "init segment: another kind of media");
  if (init_ && init_->config.timescale != config.timescale && !source_) {
    return fail(Code::malformed, "init segment: another timescale");
  }
  if (!init_ || *init_->bytes != *bytes) {
    if (inits_.size() >= kInitsMax) return fail(Code::limit, "init segments of one track:", inits_.size());
    // Decode times are compared in ticks: they move to the new clock with the init segment.
    if (init_ && end_ && init_->config.timescale != config.timescale) {
      const std::uint32_t before = init_->config.timescale;
      end_ = rescale_floor({*end_, before}, config.timescale).ticks;
      published_end_ = rescale_floor({published_end_, before}, config.timescale).ticks;
      if (floor_) floor_ = rescale_floor({*floor_, before}, config.timescale).ticks;
      if (durable_) durable_ = rescale_floor({*durable_, before}, config.timescale).ticks;
    }
    InitSegment init;
    init.number = static_cast<std::int64_t>(inits_.size());
    init.bytes = std::move(bytes);
    init.config = config;
    init_ = std::make_shared<const InitSegment>(std::move(init));
    inits_.push_back(init_);
  }
  if (writer.init) writer.init_repeated = true;
  writer.init = init_;
  return {};
}

Result<std::optional<Chunk>> TrackBuffer::append(WriterState& writer, Incoming incoming) {
  if (auto fenced = fence(writer); !fenced) return pass(fenced);
  assert(writer.init);  // the reader of CMAF refuses a chunk before its init segment
  const std::uint32_t timescale = writer.init->config.timescale;
  if (incoming.bytes->size() > kLiveChunkBytesMax) return fail(Code::limit, "chunk: bytes", incoming.bytes->size());
  if (incoming.duration <= 0) return fail(Code::malformed, "chunk without duration at", incoming.decode_time);
  const MediaTime longest{kChunkDurationUsMax, 1'000'000};
  if (compare({incoming.duration, timescale}, longest) > 0) {
    return fail(Code::limit, "chunk: ticks of duration", incoming.duration);
  }
  const std::int64_t end = incoming.decode_time + incoming.duration;
  if (writer.last_decode_time && incoming.decode_time <= *writer.last_decode_time) {
    return fail(Code::malformed, "decode time goes back to", incoming.decode_time);
  }
  writer.last_decode_time = incoming.decode_time;

  if (epoch_has_media_ && end_) {
    if (incoming.decode_time < *end_) {
      if (!writer.resuming)
        return fail(Code::malformed, "decode time overlaps the chunk before, at", incoming.decode_time);
      if (end <= *end_) return std::optional<Chunk>{};
      return fail(Code::malformed, "chunk is cut otherwise than the one that is held, at", incoming.decode_time);
    }
  } else {
    const bool too_early = floor_ && incoming.decode_time < *floor_;
    if (too_early || !incoming.key) return std::optional<Chunk>{};
  }
  writer.resuming = false;
  epoch_has_media_ = true;

  Chunk chunk;
  chunk.bytes = std::move(incoming.bytes);
  chunk.decode_time = incoming.decode_time;
  chunk.duration = incoming.duration;
  chunk.presentation_time = incoming.presentation_time;
  chunk.key = incoming.key;
  chunk.init_repeated = std::exchange(writer.init_repeated, false);
  chunk.epoch = writer.epoch;
  chunk.init = writer.init;
  if (!durable_) durable_ = chunk.decode_time;
  end_ = end;
  hold(chunk);
  return std::optional<Chunk>{std::move(chunk)};
}

void TrackBuffer::hold(const Chunk& chunk) {
  ring_bytes_ += chunk.bytes->size();
  if (chunk.key) keys_.push_back(ring_first_ + ring_.size());
  ring_.push_back(chunk);
  // Whole GOPs leave from the front: while the second-oldest key frame alone still covers what must be kept.
  for (;;) {
    const std::size_t first_is_key = !keys_.empty() && keys_.front() == ring_first_ ? 1 : 0;
    std::size_t second_key = ring_.size() - 1;  // one GOP alone is too large: its readers wait for the next key frame
    if (first_is_key < keys_.size()) {
      second_key = static_cast<std::size_t>(keys_[first_is_key] - ring_first_);
    } else if (ring_bytes_ <= kRingBytesMax || second_key == 0) {
      return;
    }
    const Chunk& begins = ring_[second_key];
    const std::int64_t covered =
        elapsed_us({begins.decode_time, begins.timescale()}, {chunk.decode_end(), chunk.timescale()});
    if (covered < kRingUsMax && ring_bytes_ <= kRingBytesMax) return;
    for (std::size_t i = 0; i < second_key; ++i) {
      ring_bytes_ -= ring_.front().bytes->size();
      ring_.pop_front();
      ++ring_first_;
    }
    while (!keys_.empty() && keys_.front() < ring_first_) keys_.pop_front();
  }
}

std::optional<std::uint64_t> TrackBuffer::newest_key() const {
  return keys_.empty() ? std::nullopt : std::optional{keys_.back()};
}

TrackBuffer::Batch TrackBuffer::read(Cursor& cursor) const {
  Batch batch;
  if (ring_.empty()) return batch;
  const std::uint64_t end = ring_first_ + ring_.size();
  if (!cursor.placed) {
    const std::optional<std::uint64_t> key = newest_key();
    if (!key) return batch;
    std::uint64_t oldest = ring_first_;
    while (oldest < end && !ring_[oldest - ring_first_].key) ++oldest;
    cursor.next = cursor.from_start ? oldest : *key;
    cursor.placed = true;
  }
  const bool lost = cursor.next < ring_first_;
  const bool behind = cursor.caught_up && end - cursor.next > kChunksWaitingMax;
  if (lost || behind) {
    const std::optional<std::uint64_t> key = newest_key();
    if (key && *key > cursor.next) {
      cursor.next = *key;
      batch.skipped = true;
    } else if (lost) {
      return batch;  // the next key frame is still to come
    }
  }
  while (cursor.next < end && batch.pieces.size() < kBatchChunks) {
    const Chunk& chunk = ring_[cursor.next - ring_first_];
    if (chunk.epoch != cursor.epoch_sent || chunk.init->number != cursor.init_sent || chunk.init_repeated) {
      batch.pieces.push_back(chunk.init->bytes);
      cursor.epoch_sent = chunk.epoch;
      cursor.init_sent = chunk.init->number;
    }
    batch.pieces.push_back(chunk.bytes);
    ++cursor.next;
  }
  if (cursor.next == end) cursor.caught_up = true;
  return batch;
}

void TrackBuffer::restore(Epoch epoch, SharedInit init, std::vector<SharedInit> inits,
                          std::int64_t decode_time_durable) {
  epoch_ = epoch;
  init_ = std::move(init);
  inits_ = std::move(inits);
  end_ = decode_time_durable;
  durable_ = decode_time_durable;
  published_end_ = decode_time_durable;
  // What was held beyond is gone with the process before: whoever comes, with this epoch or a higher one, begins at a
  // key frame from here on.
  floor_ = decode_time_durable;
  epoch_has_media_ = false;
}

std::optional<Head> TrackBuffer::head() const {
  if (!init_ || !end_) return std::nullopt;
  return Head{epoch_, *end_, durable_.value_or(*end_), init_->config.timescale};
}

}  // namespace ribalta::packager
