#include "transcode/media/timeline.h"

#include <algorithm>
#include <cassert>
#include <cstdlib>

namespace ribalta::transcode {

/// Which of the file's clocks the stream is on with this frame.
void SourceClock::settle(Line& line, std::int64_t ticks) {
  const auto off = [&](std::int64_t offset) { return ticks + offset - *line.next; };
  const auto fits = [](std::int64_t error, std::int64_t gap_max) {
    return error >= -kJumpBackTicksMin && error <= gap_max;
  };
  const std::int64_t error = off(line.offset);
  if (fits(error, kJumpBackTicksMin)) return;
  // A time that was wrong made a gap: back from it to where it began.
  if (line.before_gap && std::abs(ticks + line.offset - *line.before_gap) <= kJumpBackTicksMin) return;
  // A clock that the other stream came to first, or that a wrong time had left.
  const auto known = std::find_if(offsets_.rbegin(), offsets_.rend(),
                                  [&](std::int64_t offset) { return fits(off(offset), kJumpBackTicksMin); });
  if (known != offsets_.rend()) {
    line.offset = *known;
    return;
  }
  if (fits(error, kJumpTicksMin)) {
    line.before_gap = line.next;
    return;
  }
  if (fits(off(offsets_.back()), kJumpTicksMin)) {
    line.offset = offsets_.back();
    return;
  }
  line.offset -= error;
  offsets_.push_back(line.offset);
  if (offsets_.size() > kClocksMax) offsets_.erase(offsets_.begin());
}

std::int64_t SourceClock::place(std::optional<std::int64_t> ticks, std::int64_t duration, bool video) {
  Line& line = video ? video_ : audio_;
  if (!ticks) {
    const std::int64_t time = line.next.value_or(0);
    line.next = time + duration;
    return time;
  }
  if (!line.next) {
    line.offset = offsets_.back();
  } else if (jumps_) {
    settle(line, *ticks);
  }
  const std::int64_t time = *ticks + line.offset;
  line.next = time + duration;
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
    const bool key = from >= next_cut_;
    if (key) next_cut_ = (from / segment_ticks_ + 1) * segment_ticks_;
    const std::int64_t left = to - from;
    std::int64_t duration = left > kHoldTicksMax ? kRepeatTicks : left;
    // The sound is cut on the grid, whatever is shown.
    if (from + duration > next_cut_ + kPastCutTicksMax) duration = next_cut_ - from;
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
