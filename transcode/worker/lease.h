// A lease while its job runs: heartbeats every 5 s, and what they were answered.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "core/async.h"
#include "transcode/worker/control_client.h"

namespace ribalta::transcode {

inline constexpr std::chrono::milliseconds kHeartbeatEvery{5'000};

/// Shared by the job, its heartbeat and a thread that works for it.
struct Lease {
  explicit Lease(const asio::any_io_executor& executor) : loop(executor), changed(executor) {}
  asio::any_io_executor loop;
  Event changed;  ///< on the loop: `stop` turned true, or the job is done
  std::atomic<double> progress{0};
  std::atomic<bool> stop{false};  ///< work should end: lost, cancelled, or we are stopping
  bool lost = false;              ///< somebody else holds it
  bool cancelled = false;
  bool draining = false;  ///< we are stopping
  bool done = false;      ///< no more heartbeats
};

/// Until the job is done, the lease lost, or the job cancelled. Without an answer the work goes on: the epoch decides
/// whose result counts.
Task<void> keep_lease(std::shared_ptr<Lease> lease, ControlClient& control, JobId job, std::int64_t epoch,
                      std::string stage);

/// Tells the end until somebody answers, with pauses; gives up when draining.
Task<LeaseState> tell_complete(std::shared_ptr<Lease> lease, ControlClient& control, JobId job, std::int64_t epoch,
                               boost::json::value result);
Task<LeaseState> tell_failed(std::shared_ptr<Lease> lease, ControlClient& control, JobId job, std::int64_t epoch,
                             JobFailure failure);

}  // namespace ribalta::transcode
