// One timeline for a stream: where each frame of a publisher's clock lands on it. Pure: the arrival clock is passed in.
//
// The first frame lands on the base (0, or where a reconnect goes on); all tracks share that zero. Times never go back.
// A publisher's clock that jumps (forward over 5 s or backward over 1 s) is believed once three frames of a track
// agree: then the stream goes on at the distance at which the frames arrived, and the caller begins a new period. A
// single frame that is far off is put where the next frame was expected; smaller steps stay as they are, but never go
// back.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

namespace ribalta::ingest {

inline constexpr std::int64_t kJumpForwardMs = 5'000;
inline constexpr std::int64_t kJumpBackwardMs = 1'000;
inline constexpr int kJumpFrames = 3;
/// What a frame is taken to last before two have come, and at most when a single wrong one is smoothed.
inline constexpr std::int64_t kStepDefaultMs = 33;
inline constexpr std::int64_t kStepMaxMs = 1'000;

enum class TrackSide : std::uint8_t { video, audio };

struct Placed {
  std::int64_t time_ms = 0;  ///< on the stream's timeline; before the base when a track begins late in the interleaving
  bool discontinuity = false;  ///< this frame is the first after a jump that was believed: a new period begins
};

class Timeline {
 public:
  /// @param base_ms  where the first frame lands.
  explicit Timeline(std::int64_t base_ms) : base_ms_(base_ms) {}

  /// @param publisher_ms  the message's timestamp, carried on past 32 bits.
  /// @param arrival_ms    any steady clock.
  Placed place(TrackSide side, std::int64_t publisher_ms, std::int64_t arrival_ms);

  [[nodiscard]] std::int64_t base_ms() const { return base_ms_; }
  [[nodiscard]] bool begun() const { return offset_ms_.has_value(); }

 private:
  struct Track {
    bool begun = false;
    int era = 0;  ///< counts the jumps of the clock that this track has followed
    std::int64_t offset_ms = 0;
    std::int64_t publisher_ms = 0;  ///< of the newest believed frame
    std::int64_t time_ms = 0;       ///< where the newest frame was put
    std::int64_t arrival_ms = 0;    ///< of the newest believed frame
    std::int64_t step_ms = kStepDefaultMs;
    int suspects = 0;
    std::int64_t suspect_ms = 0;
  };
  Placed settle(Track& track, std::int64_t publisher_ms, std::int64_t arrival_ms, bool discontinuity);
  void begin_era(Track& track, std::int64_t publisher_ms, std::int64_t arrival_ms);

  std::int64_t base_ms_;
  std::optional<std::int64_t> offset_ms_;  ///< timeline minus publisher's clock, of the newest era
  int era_ = 0;
  std::array<Track, 2> tracks_;
};

/// Audio counted in samples: frame after frame, whatever the milliseconds say, so that rounding and jitter never show.
/// Only when the timestamps stay further away than a bound for some frames does the count give way.
inline constexpr std::int64_t kAudioDriftMaxMs = 60;
inline constexpr int kAudioDriftFrames = 3;

class AudioClock {
 public:
  /// @param timescale  the track's; differs from the sample rate only when a publisher came back with another rate.
  /// @param floor      nothing begins before this tick.
  AudioClock(std::uint32_t timescale, std::uint32_t sample_rate, std::int64_t floor)
      : timescale_(timescale), sample_rate_(sample_rate), base_(floor) {}

  struct Span {
    std::int64_t begin = 0;  ///< in ticks
    std::int64_t end = 0;
  };
  /// Where a packet of `samples` that the timeline put at `time_ms` lies.
  /// @return nothing when it is to be left out: samples came faster than their timestamps for too long.
  std::optional<Span> place(std::int64_t time_ms, std::uint32_t samples);
  /// The next packet begins where its timestamp says (after a jump), though never before the one before it ended, and
  /// right there where that is within the bound: a hole of milliseconds is no break that anybody could be told of.
  void restart();

 private:
  [[nodiscard]] std::int64_t at(std::int64_t samples) const;
  std::uint32_t timescale_;
  std::uint32_t sample_rate_;
  std::int64_t base_ = 0;     ///< ticks where the count began
  std::int64_t samples_ = 0;  ///< counted since
  bool begun_ = false;
  bool continues_ = false;  ///< packets of this clock end at base_
  int drifted_ = 0;         ///< packets in a row over the bound on the same side; its sign is the side
};

}  // namespace ribalta::ingest
