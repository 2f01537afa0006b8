// How often each publisher is read where many share a loop. A read of one frame costs as much as a read of ten: system
// calls, and wake-ups here, at the packager and at whoever follows the track. One publisher is read as its bytes come;
// with more of them on a loop, each is left alone a little longer after a read that took all there was, and those that
// wait are read together. Any thread; clocks are passed in.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ratio>

#include "ingest/door/guard.h"

namespace ribalta::ingest {

/// So many publishers on a loop are read as their bytes come.
inline constexpr std::size_t kUnhurriedPublishers = 8;
/// What each publisher beyond them adds to the pause between two reads, up to kReadPauseMax: a share of a segment that
/// no viewer sees, in which 6 Mbit/s fill what the kernel holds of a connection at first.
inline constexpr std::chrono::milliseconds kReadPauseStep{1};
inline constexpr std::chrono::milliseconds kReadPauseMax{80};
/// Pauses end on this grid.
using ReadGrid = std::chrono::duration<std::int64_t, std::centi>;

class Pace {
 public:
  explicit Pace(std::size_t loops) : loops_(loops) {}

  void joined() { ++publishers_; }
  void left() { --publishers_; }
  /// When a publisher that was read at `now`, and had nothing more, is read again: at once, or at the end of its pause.
  [[nodiscard]] SteadyTime next(SteadyTime now) const {
    const std::size_t of_a_loop = publishers_ / loops_;
    if (of_a_loop <= kUnhurriedPublishers) return now;
    const auto pause = std::min(kReadPauseMax, kReadPauseStep * static_cast<int>(of_a_loop - kUnhurriedPublishers));
    return SteadyTime{std::chrono::ceil<ReadGrid>((now + pause).time_since_epoch())};
  }

 private:
  std::size_t loops_;
  std::atomic<std::size_t> publishers_ = 0;
};

}  // namespace ribalta::ingest
