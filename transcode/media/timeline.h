// The file's time, made whole: from zero, rising, without jumps of a broken clock, at most 60 pictures a second, no
// picture longer than a second, key pictures on a grid that all rungs share. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace ribalta::transcode {

/// A picture held longer is shown again: segments would otherwise last as long as a slide.
inline constexpr std::int64_t kHoldTicksMax = 90'000;
inline constexpr std::int64_t kRepeatTicks = 45'000;
/// A picture that is shown longer past a cut is cut there and shown again, as the next segment's key picture: sound and
/// picture of a segment begin at most 100 ms apart (`ribalta check`: audio-alignment).
inline constexpr std::int64_t kPastCutTicksMax = 9'000;
/// Clocks of formats that restart (MPEG-TS): forward they jump by more than any real gap, and back nothing goes so far.
inline constexpr std::int64_t kJumpTicksMin = 10 * 90'000;
inline constexpr std::int64_t kJumpBackTicksMin = 90'000;
/// Clocks of one file that are remembered: the newest ones.
inline constexpr std::size_t kClocksMax = 4;

/// Puts decoded frames' times (90 kHz) on the file's own line. Where the format's clock restarts, each stream comes to
/// the new one in its own time (frames of both lie mixed in the file), and both then are as far from it.
class SourceClock {
 public:
  /// @param zero  where the file begins; @param jumps  whether the format's clock may restart.
  SourceClock(std::int64_t zero, bool jumps) : jumps_(jumps), offsets_{-zero} {}
  /// A time from zero; a frame without one follows the frame before it. `duration`: of the frame, 0 unknown.
  std::int64_t place(std::optional<std::int64_t> ticks, std::int64_t duration, bool video);
  /// What is added to the times of sound, as of its newest frame: another one than before is another clock.
  [[nodiscard]] std::int64_t sound_offset() const { return audio_.offset; }

 private:
  struct Line {
    std::int64_t offset = 0;
    std::optional<std::int64_t> next;        ///< where the next frame is expected
    std::optional<std::int64_t> before_gap;  ///< where it was before the last gap
  };
  void settle(Line& line, std::int64_t ticks);

  bool jumps_;
  std::vector<std::int64_t> offsets_;  ///< of the clocks so far, newest last
  Line video_;
  Line audio_;
};

/// Which frames are kept when the source has more than the ladder's.
class FrameLimiter {
 public:
  explicit FrameLimiter(double fps_max) : step_(90'000.0 / fps_max) {}
  /// True when the frame at this time (rising) is kept.
  bool keep(std::int64_t time);

 private:
  double step_;
  double next_ = 0;
  std::optional<std::int64_t> last_;
};

/// When a picture is shown, and how.
struct Showing {
  std::int64_t time = 0;
  std::uint32_t duration = 0;  ///< 0: not known yet (live)
  bool key = false;
  std::int32_t later = 0;  ///< live: shown so much later than decoded, as the source's last key frame
};

/// Turns times of pictures into showings: a picture's duration is known when the next one comes.
class Schedule {
 public:
  explicit Schedule(std::int64_t segment_ms) : segment_ticks_(segment_ms * 90) {}
  /// The showings of the picture before, now that the next one is at `next`. The very first picture is shown from 0.
  std::vector<Showing> until(std::int64_t next);
  /// The showings of the last picture. @param duration  as its source said; 0 unknown: as the one before.
  std::vector<Showing> end(std::int64_t duration);
  [[nodiscard]] std::int64_t end_time() const { return end_; }

 private:
  std::vector<Showing> show(std::int64_t from, std::int64_t to);
  std::int64_t segment_ticks_;
  std::optional<std::int64_t> current_;
  std::int64_t last_duration_ = 3'000;
  std::int64_t next_cut_ = 0;
  std::int64_t end_ = 0;
};

}  // namespace ribalta::transcode
