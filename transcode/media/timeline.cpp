#include "transcode/media/timeline.h"

#include <algorithm>
#include <cassert>
#include <cstdlib>

namespace ribalta::transcode {

std::int64_t SourceClock::place(std::optional<std::int64_t> ticks, std::int64_t duration, bool video) {
  std::optional<std::int64_t>& next = video ? next_video_ : next_audio_;
  if (!ticks) {
    const std::int64_t time = next.value_or(0);
    next = time + duration;
    return time;
  }
  std::int64_t time = *ticks + offset_;
  if (jumps_ && next && std::abs(time - *next) > kJumpTicksMin) {
    offset_ += *next - time;
    time = *next;
  }
  next = time + duration;
  return time;
}

bool FrameLimiter::keep(std::int64_t time) {
  if (last_ && time <= *last_) return false;
  // A quarter of a step early is fine: source clocks round.
  if (last_ && static_cast<double>(time) < next_ - step_ / 4) return false;
  next_ = std::max(next_ + step_, static_cast<double>(time) + step_ / 2);
  last_ = time;
  return true;
}

std::vector<Showing> Schedule::show(std::int64_t from, std::int64_t to) {
  std::vector<Showing> showings;
  while (from < to) {
    const std::int64_t left = to - from;
    const std::int64_t duration = left > kHoldTicksMax ? kRepeatTicks : left;
    const bool key = from >= next_cut_;
    if (key) next_cut_ = (from / segment_ticks_ + 1) * segment_ticks_;
    showings.push_back({.time = from, .duration = static_cast<std::uint32_t>(duration), .key = key});
    from += duration;
  }
  end_ = to;
  return showings;
}

std::vector<Showing> Schedule::until(std::int64_t next) {
  if (!current_) {
    current_ = 0;
    if (next <= 0) return {};
    // The first picture came later than the sound: it is shown from the start.
    const std::vector<Showing> early = show(0, next);
    current_ = next;
    return early;
  }
  if (next <= *current_) return {};
  last_duration_ = next - *current_;
  std::vector<Showing> showings = show(*current_, next);
  current_ = next;
  return showings;
}

std::vector<Showing> Schedule::end(std::int64_t duration) {
  if (!current_) return {};
  if (duration <= 0 || duration > kHoldTicksMax) duration = std::min(last_duration_, kHoldTicksMax);
  std::vector<Showing> showings = show(*current_, *current_ + duration);
  current_.reset();
  return showings;
}

}  // namespace ribalta::transcode
