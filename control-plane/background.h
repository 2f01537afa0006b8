// What the control plane does without being asked: errands to other rooms, the bell, sweeping silent streams and lost
// leases, and telling a Redis that forgot. All on loop 0.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_set>

#include "control-plane/control.h"
#include "control-plane/errands_store.h"
#include "core/async.h"

namespace ribalta::control {

/// Errands at once: a packager that hangs must not hold up the object store's.
inline constexpr std::size_t kErrandsAtOnce = 8;
/// Between looks at errands and sweeps, when nobody wakes us.
inline constexpr std::chrono::milliseconds kTick{1'000};
/// The bell is rung again for jobs that wait.
inline constexpr std::int64_t kRingAgainMs = 5'000;
/// Before a failed errand is tried again: this, doubled each time up to the second.
inline constexpr std::int64_t kErrandFirstWaitMs = 250;
inline constexpr std::int64_t kErrandWaitMaxMs = 60'000;
/// A Redis that forgot is told of streams whose media were removed for this long: longer than edges keep media that
/// nobody asks for (a day). The packager tells it for as long.
inline constexpr std::int64_t kGoneTellMs = 172'800'000;
/// Streams that ended before that, removed or not, need not be told of any more.
std::int64_t gone_since(Control& control);

class Background : public std::enable_shared_from_this<Background> {
 public:
  explicit Background(std::shared_ptr<Control> control);

  /// Starts its coroutines on loop 0.
  void start();
  /// Ends them soon. From any loop.
  void stop();

  /// One errand, now. @error what stands in the way: it is tried again.
  Task<Result<void>> run(const Errand& errand);
  /// One look at everything. For tests, and what the loop does each second.
  Task<void> sweep();
  /// Runs what is due and returns when it has ended. For tests.
  Task<void> run_due();

 private:
  Task<void> loop();
  Task<void> take(Errand errand);
  /// Also when nobody woke us, every kRingAgainMs.
  Task<void> ring(bool woken);
  Task<void> tell_redis();
  Task<void> tell_restricted_videos();
  Task<void> tell_removed_streams();
  Task<Result<void>> video_access(VideoId video);
  Task<Result<void>> video_tidy(VideoId video);
  Task<Result<void>> stream_plan(StreamId stream);
  Task<Result<void>> stream_end(StreamId stream);
  Task<Result<void>> stream_remove(StreamId stream);

  std::shared_ptr<Control> control_;
  Event woken_;
  bool stopping_ = false;
  std::unordered_set<std::string> running_;  ///< kind and subject: never two at once for one
  std::int64_t rung_ms_ = 0;
  std::int64_t swept_sessions_ms_ = 0;
  std::uint64_t connections_ = 0;  ///< to Redis, so far: each may be to one that forgot
  bool telling_ = false;
  /// Videos that an errand told of meanwhile: what `tell_redis` had read before that may have been said after it.
  std::unordered_set<std::string> overtaken_;
  Gauge& queued_live_;
  Gauge& queued_vod_;
  Counter& errands_failed_;
  Counter& swept_;
};

}  // namespace ribalta::control
