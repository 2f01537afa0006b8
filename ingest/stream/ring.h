// The newest chunks of one track, from the last durable key frame on: what is sent again when the packager restarts.
// One loop only.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>

#include "core/bytes.h"

namespace ribalta::ingest {

/// Media that one track keeps: a restart of the packager takes 3 s, on a busy machine 15. Beyond, the oldest GOPs go,
/// and the track has a gap there.
inline constexpr std::int64_t kRingSecondsMax = 20;
/// The same in bytes, for sources of more than 12 Mbit/s.
inline constexpr std::size_t kRingBytesMax = 32 * 1024 * 1024;

struct RingChunk {
  std::shared_ptr<const Bytes> bytes;  ///< one CMAF chunk
  std::shared_ptr<const Bytes> init;   ///< the init segment before it; another pointer means that it is sent again
  std::int64_t decode_time = 0;        ///< in the track's ticks
  std::int64_t decode_end = 0;
  bool key = false;  ///< decoding can start here; always true for audio
};

class Ring {
 public:
  explicit Ring(std::uint32_t timescale) : timescale_(timescale) {}

  void push(RingChunk chunk);
  /// Forgets what lies before the last key frame at or before `decode_time_durable`.
  void trim(std::int64_t decode_time_durable);

  void clear();

  /// Chunks are numbered from 0; [first, end) are held.
  [[nodiscard]] std::uint64_t first() const { return first_; }
  [[nodiscard]] std::uint64_t end() const { return first_ + chunks_.size(); }
  [[nodiscard]] const RingChunk& at(std::uint64_t number) const;
  /// The first chunk that a writer may send when the packager has everything before `decode_time`. Where the chunk at
  /// that time is gone, the next key frame; where it comes in the middle of a GOP that the packager holds, that very
  /// chunk.
  [[nodiscard]] std::uint64_t resume(std::int64_t decode_time) const;
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  /// Chunks that were given up before they were durable.
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

 private:
  void drop_front();
  std::uint32_t timescale_;
  std::deque<RingChunk> chunks_;
  std::uint64_t first_ = 0;
  std::size_t bytes_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace ribalta::ingest
