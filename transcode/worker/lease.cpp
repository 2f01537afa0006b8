#include "transcode/worker/lease.h"

#include "core/log.h"

namespace ribalta::transcode {
namespace {
constexpr std::chrono::milliseconds kTellAgain{1'000};
/// When we are stopping, an answer is waited for so often.
constexpr int kTellsWhileDraining = 2;
}  // namespace

Task<void> keep_lease(std::shared_ptr<Lease> lease, ControlClient& control, JobId job, std::int64_t epoch,
                      std::string stage) {
  // Without heartbeats the lease is somebody else's soon: work on it ends rather than being done for nothing.
  bool orderly = false;
  const AtEnd over{[&lease, &orderly] {
    if (orderly) return;
    lease->lost = true;
    lease->stop = true;
    lease->changed.notify_all();
  }};
  while (!lease->done && !lease->lost) {
    const std::uint64_t seen = lease->changed.version();
    const LeaseState state = co_await control.heartbeat(job, epoch, lease->progress, stage);
    if (lease->done) break;
    if (state == LeaseState::lost) lease->lost = true;
    if (state == LeaseState::cancelled) lease->cancelled = true;
    if (lease->lost || lease->cancelled) {
      log_info("job given up",
               {{"job", job.view()}, {"epoch", epoch}, {"why", lease->lost ? "lease lost" : "cancelled"}});
      lease->stop = true;
      lease->changed.notify_all();
      break;
    }
    co_await lease->changed.wait(seen, kHeartbeatEvery);
  }
  orderly = true;
}

Task<LeaseState> tell_complete(std::shared_ptr<Lease> lease, ControlClient& control, JobId job, std::int64_t epoch,
                               boost::json::value result) {
  for (int told = 1;; ++told) {
    const LeaseState state = co_await control.complete(job, epoch, result);
    if (state != LeaseState::unknown || (lease->draining && told >= kTellsWhileDraining)) co_return state;
    co_await sleep_for(kTellAgain);
  }
}

Task<LeaseState> tell_failed(std::shared_ptr<Lease> lease, ControlClient& control, JobId job, std::int64_t epoch,
                             JobFailure failure) {
  for (int told = 1;; ++told) {
    const LeaseState state = co_await control.fail(job, epoch, failure);
    if (state != LeaseState::unknown || (lease->draining && told >= kTellsWhileDraining)) co_return state;
    co_await sleep_for(kTellAgain);
  }
}

}  // namespace ribalta::transcode
