// What a publisher's frames become: samples on the track's clock, one CMAF chunk for a video frame (and for a few audio
// packets), pushed into the track's ring. Pure: times come from the timeline, the arrival clock is passed in.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/bytes.h"
#include "core/media/track.h"
#include "core/result.h"
#include "core/units.h"
#include "ingest/stream/ring.h"
#include "ingest/stream/timeline.h"

namespace ribalta::ingest {

/// AAC packets in one audio chunk: 43 ms at 48 kHz, a tenth of which would be boxes with one packet each.
inline constexpr std::size_t kAudioChunkPackets = 2;
/// A frame is shown until the next one comes, up to this; then there is a hole, which the packager makes a period of.
inline constexpr std::int64_t kFrameDurationMaxMs = kJumpForwardMs;

/// What both sides count, for health and the source report.
struct TrackCounts {
  std::uint64_t frames = 0;
  std::uint64_t bytes = 0;
  std::uint64_t dropped_broken = 0;      ///< NAL units that do not fit their frame
  std::uint64_t dropped_before_key = 0;  ///< frames before the first key frame or header
};

class VideoSource {
 public:
  /// @param floor  decode time, in ticks, before which nothing begins: what the packager has of this track.
  explicit VideoSource(std::int64_t floor = 0) : ring_(kVideoTimescale), floor_(floor) {}

  /// An AVCDecoderConfigurationRecord; the same one again changes nothing. Another one begins a new init segment with
  /// the next key frame. Parameter sets in Annex B are taken too, since some cameras send those.
  /// @error malformed, unsupported: what its parser says; the track goes on with the configuration that it had.
  Result<void> on_header(ByteSpan record);
  /// One access unit at `placed` with its composition offset. It is written when the next one comes, since only that
  /// tells how long it lasts.
  void on_frame(const Placed& placed, std::int32_t composition_ms, ByteSpan data, WallTime arrival);
  /// Writes the frame that waits, with the duration of the one before it.
  void flush();
  /// The init segment is sent again with the next key frame: a new period begins there.
  void begin_period() { period_pending_ = true; }

  /// The newest header's configuration, or nothing before the first.
  [[nodiscard]] const media::TrackConfig* config() const { return config_.get(); }
  [[nodiscard]] Ring& ring() { return ring_; }
  [[nodiscard]] const TrackCounts& counts() const { return counts_; }
  /// The frame that on_frame has just taken, if it has: for the verdict and health.
  struct Seen {
    std::int64_t decode_time = 0;
    std::size_t bytes = 0;
    bool key = false;
    bool open_gop = false;
  };
  std::optional<Seen> take_seen() { return std::exchange(seen_, std::nullopt); }

 private:
  struct Waiting {
    std::int64_t decode_time = 0;
    std::int32_t composition = 0;
    bool key = false;
    Bytes data;
    WallTime arrival{};
    std::shared_ptr<const Bytes> init;
    std::shared_ptr<const media::TrackConfig> config;
  };
  Result<Bytes> normalised(ByteSpan data) const;
  void write(std::int64_t decode_end);

  Ring ring_;
  Bytes record_;                       ///< as it came, to see changes
  std::uint8_t nal_length_bytes_ = 4;  ///< as the publisher sends them; chunks always have 4
  std::shared_ptr<const media::TrackConfig> config_;
  std::shared_ptr<const Bytes> init_;
  std::int64_t floor_;  ///< the next frame begins at or after this
  std::optional<Waiting> waiting_;
  bool key_needed_ = true;
  bool period_pending_ = false;
  std::int64_t duration_ = kVideoTimescale / 30;
  std::uint32_t sequence_ = 0;
  TrackCounts counts_;
  std::optional<Seen> seen_;
};

class AudioSource {
 public:
  /// @param floor      as VideoSource's, in the track's ticks.
  /// @param timescale  the track's, where the packager has it already; 0: the first header's sample rate.
  explicit AudioSource(std::int64_t floor = 0, std::uint32_t timescale = 0) : floor_(floor), timescale_(timescale) {}

  /// An AudioSpecificConfig; the same one again changes nothing.
  /// @error malformed, unsupported: what its parser says; the track goes on with the configuration that it had.
  Result<void> on_header(ByteSpan record);
  /// One AAC access unit. Packets before `base_ms`, the common zero, are left out.
  /// @return its duration in ticks, or 0 when it was left out.
  std::int64_t on_frame(const Placed& placed, std::int64_t base_ms, ByteSpan data);
  void flush();
  void begin_period() { period_pending_ = true; }

  [[nodiscard]] const media::TrackConfig* config() const { return config_.get(); }
  /// Nothing before the first header.
  [[nodiscard]] Ring* ring() { return ring_ ? &*ring_ : nullptr; }
  [[nodiscard]] const TrackCounts& counts() const { return counts_; }

 private:
  struct Packet {
    AudioClock::Span span;
    Bytes data;
  };
  std::int64_t floor_;
  std::uint32_t timescale_;
  std::optional<Ring> ring_;
  Bytes record_;
  std::shared_ptr<const media::TrackConfig> config_;
  std::shared_ptr<const Bytes> init_;
  std::uint32_t packet_samples_ = 1024;  ///< as it sounds
  std::optional<AudioClock> clock_;
  std::vector<Packet> packets_;  ///< of the chunk that is being gathered
  bool period_pending_ = false;
  std::uint32_t sequence_ = 0;
  TrackCounts counts_;
};

}  // namespace ribalta::ingest
