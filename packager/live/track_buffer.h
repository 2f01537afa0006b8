// One track of a live stream as writers and readers see it: the fence that keeps a stalled writer and its replacement
// apart, the continuity of decode times, and the ring of newest chunks that readers follow. Lives on its stream's loop.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "core/result.h"
#include "packager/live/chunk.h"

namespace ribalta::packager {

/// The ring keeps this much of a track, in whole GOPs: what a reader with `from=start` gets, and how far a reader may
/// fall behind before its place is gone.
inline constexpr std::int64_t kRingUsMax = 30'000'000;
inline constexpr std::size_t kRingBytesMax = 48 * 1024 * 1024;  ///< 30 s at 12 Mb/s; beyond, the oldest GOPs go first
/// Chunks a live reader may have waiting: 4 s of single frames at 60 fps. Further behind it will not catch up by
/// itself, so it goes on from the newest key frame and `ribalta_packager_reader_skips_total` counts it.
inline constexpr std::size_t kChunksWaitingMax = 240;
/// One chunk: a key frame of 4 s at 60 Mb/s would still fit; larger ones are refused (413).
inline constexpr std::size_t kLiveChunkBytesMax = 16 * 1024 * 1024;
inline constexpr std::size_t kInitBytesMax = 128 * 1024;         ///< parameter sets of any codec fit many times over
inline constexpr std::int64_t kChunkDurationUsMax = 10'000'000;  ///< a "chunk" that long belongs to no live stream
inline constexpr std::size_t kInitsMax = 1'000;                  ///< changes of the init segment in one track's life

struct Head {
  Epoch epoch;
  std::int64_t decode_time = 0;
  std::int64_t decode_time_durable = 0;
  std::uint32_t timescale = 0;
};

/// What one PUT has done so far. Made by TrackBuffer::begin, handed back with each item.
struct WriterState {
  Epoch epoch;
  SharedInit init;
  bool resuming = true;  ///< until its first new chunk: what is held already is dropped, not refused
  std::optional<std::int64_t> last_decode_time;
  bool init_repeated = false;  ///< since its newest chunk that was taken
};

class TrackBuffer {
 public:
  TrackBuffer(std::string name, bool source) : name_(std::move(name)), source_(source) {}

  /// A PUT begins. @error conflict: a higher epoch holds the track.
  Result<WriterState> begin(Epoch epoch);
  /// @error conflict, as begin; malformed: another kind of media than before; limit: kInitBytesMax, kInitsMax.
  Result<void> set_init(WriterState& writer, const media::TrackConfig& config, SharedBytes bytes);

  struct Incoming {
    SharedBytes bytes;
    std::int64_t decode_time = 0;
    std::int64_t duration = 0;
    std::int64_t presentation_time = 0;
    bool key = false;
  };
  /// @return the chunk as it was taken; nothing when it was dropped (held already, or before a new writer's first key
  ///         frame). @error conflict; malformed: decode times that go back or overlap; limit.
  Result<std::optional<Chunk>> append(WriterState& writer, Incoming chunk);

  /// Where a reader begins, and what comes next for it.
  struct Cursor {
    std::uint64_t next = 0;
    Epoch epoch_sent;
    std::int64_t init_sent = -1;
    bool caught_up = false;
    bool placed = false;
    bool from_start = false;
  };
  struct Batch {
    std::vector<SharedBytes> pieces;  ///< init segments and chunks in sending order
    bool skipped = false;             ///< the reader was behind and has lost chunks
  };
  /// Up to kBatchChunks; empty when nothing new is there.
  Batch read(Cursor& cursor) const;

  /// After a restart: what the record says of this track.
  void restore(Epoch epoch, SharedInit init, std::vector<SharedInit> inits, std::int64_t decode_time_durable);
  /// Chunks before this decode time are in published segments: a new writer must not replace them.
  void set_published_end(std::int64_t decode_time) { published_end_ = std::max(published_end_, decode_time); }
  void set_durable(std::int64_t decode_time) { durable_ = decode_time; }

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] bool source() const { return source_; }
  [[nodiscard]] Epoch epoch() const { return epoch_; }
  [[nodiscard]] bool has_media() const { return end_.has_value(); }
  [[nodiscard]] std::optional<Head> head() const;
  [[nodiscard]] const SharedInit& init() const { return init_; }
  [[nodiscard]] const std::vector<SharedInit>& inits() const { return inits_; }
  [[nodiscard]] const std::deque<Chunk>& ring() const { return ring_; }
  [[nodiscard]] std::size_t bytes_held() const { return ring_bytes_; }

 private:
  static constexpr std::size_t kBatchChunks = 64;
  [[nodiscard]] Result<void> fence(const WriterState& writer) const;
  void hold(const Chunk& chunk);
  [[nodiscard]] std::optional<std::uint64_t> newest_key() const;

  std::string name_;
  bool source_;
  Epoch epoch_;
  SharedInit init_;
  std::vector<SharedInit> inits_;    ///< by number
  std::optional<std::int64_t> end_;  ///< end of the newest whole chunk
  std::int64_t published_end_ = 0;
  std::optional<std::int64_t> durable_;
  std::optional<std::int64_t> floor_;  ///< a new epoch's first chunk may not begin before
  bool epoch_has_media_ = false;

  std::deque<Chunk> ring_;
  std::deque<std::uint64_t> keys_;  ///< numbers of the key frames in ring_
  std::uint64_t ring_first_ = 0;    ///< number of ring_.front(), counted from the track's first chunk
  std::size_t ring_bytes_ = 0;
};

}  // namespace ribalta::packager
