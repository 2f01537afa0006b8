// Where segments begin. One track, the reference (the plan's first video, or the audio when there is none), decides for
// all: a segment begins at the first key frame that is at least the target after the last, and wherever a period
// begins. Pure: frames in, spans of time out; no clock, no bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/units.h"

namespace ribalta::packager {

/// Microseconds from one instant to another; their clocks may differ. For decisions only, never for what is written.
constexpr std::int64_t elapsed_us(MediaTime from, MediaTime to) {
  return rescale_floor(to, 1'000'000).ticks - rescale_floor(from, 1'000'000).ticks;
}

/// A reference that jumps ahead further than this goes on in a new period: players follow a discontinuity, not a hole.
inline constexpr std::int64_t kReferenceHoleUsMax = 1'000'000;
/// An encoded reference that was away longer than this goes on in a new period too: nobody counts gaps for so long.
inline constexpr std::int64_t kEncodedHoleUsMax = 60'000'000;
/// A changed init segment this close to a period's start belongs to that period: tracks do not change on one tick.
inline constexpr std::int64_t kPeriodJoinUs = 1'000'000;
/// Two tracks mean the same instant when they differ by less than this: far under a frame, over any rounding.
inline constexpr std::int64_t kBoundaryToleranceUs = 4'000;

/// The time that one media sequence number stands for, in all tracks.
struct Span {
  std::int64_t msn = 0;     ///< media sequence number: stream-wide, without holes
  std::int64_t period = 0;  ///< counts discontinuities from 0
  MediaTime start;          ///< presentation time
  MediaTime end;            ///< where its media end
  MediaTime next_start;     ///< where the next span begins: `end`, or later when a period ends here
  bool keyed = true;        ///< a key frame of the reference begins it; without one it is a gap in all video tracks
  bool ends_period = false;

  [[nodiscard]] std::int64_t duration_us() const { return elapsed_us(start, end); }
};

/// One chunk of the reference track, as the timeline sees it.
struct ReferenceChunk {
  MediaTime position;  ///< presentation time of a key frame; for others the decode time moved by as much as the last
                       ///< key frame's
  std::int64_t duration = 0;  ///< in position's ticks
  bool key = false;
};

class Timeline {
 public:
  struct Settings {
    std::int64_t segment_target_ms = 2'000;
    std::int64_t target_duration_s = 2;  ///< no span is longer, rounded to seconds (RFC 8216 §4.3.3.1)
    bool source_decides = true;  ///< the reference is a source: its holes begin periods; an encoded rung's are gaps
  };
  explicit Timeline(Settings settings) : settings_(settings) {}

  /// Goes on after the last span that a record has of an earlier process.
  void resume(const Span& last, Epoch period_epoch);

  /// A source track begins under a publish epoch, or its init segment came again or changed, at `at`: the reference's
  /// next key frame from there begins a period. The same epoch in a second track means the same period.
  void source_changed(MediaTime at, Epoch epoch);

  /// @return the spans that this chunk closes: mostly none or one; more when no key frame came for too long.
  std::vector<Span> on_reference(const ReferenceChunk& chunk);
  /// The stream has ended. @return what was open.
  std::vector<Span> finish();

  [[nodiscard]] std::int64_t period() const { return period_; }
  [[nodiscard]] Epoch period_epoch() const { return period_epoch_; }

 private:
  struct Open {
    MediaTime start;
    bool keyed = true;
  };
  [[nodiscard]] std::int64_t limit_us() const { return settings_.target_duration_s * 1'000'000 + 499'999; }
  [[nodiscard]] std::int64_t hole_max_us() const {
    return settings_.source_decides ? kReferenceHoleUsMax : kEncodedHoleUsMax;
  }
  [[nodiscard]] bool period_due(MediaTime at) const;
  [[nodiscard]] bool segment_due(MediaTime at) const;
  void close(std::vector<Span>& closed, MediaTime end, MediaTime next_start, bool ends_period);
  void split_overlong(std::vector<Span>& closed);
  void begin_period(MediaTime at);

  struct Mark {
    MediaTime at;
    Epoch epoch;
  };
  Settings settings_;
  std::int64_t msn_ = 0;  ///< of the open span, or the next
  std::int64_t period_ = 0;
  Epoch period_epoch_;
  bool period_empty_ = true;  ///< no span of it was begun: what begins next needs no other number
  bool started_ = false;      ///< a first key frame was seen (by this process or by the one before)
  std::optional<MediaTime> period_start_;
  std::optional<Open> open_;
  std::optional<MediaTime> end_;  ///< where the reference's media end so far
  std::optional<MediaTime> last_key_;
  std::int64_t key_interval_us_ = 0;  ///< 0: not seen yet in this period
  std::optional<Mark> mark_;
};

}  // namespace ribalta::packager
