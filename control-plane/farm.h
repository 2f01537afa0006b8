// The rules of jobs: who gets which, how long a lease lasts, what becomes of a result, a failure, or silence. A job's
// result is published by compare-and-set on its lease's epoch, in the transaction that ends the job: none is published
// twice.
#pragma once

#include <boost/describe/class.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control-plane/jobs_store.h"
#include "control-plane/outcome.h"
#include "control-plane/uploads_store.h"
#include "core/ids.h"
#include "core/sql/sql.h"

namespace ribalta::control {

/// From the last heartbeat; workers send one every 5 s.
inline constexpr std::int64_t kLeaseMs = 20'000;
inline constexpr std::int64_t kAttemptsMax = 3;
/// A live job that ran this long begins to count its attempts anew: a broadcast outlives many workers.
inline constexpr std::int64_t kLiveAttemptMs = 60'000;
/// Before a failed job is tried again: this, and four times as long each time. A live job is taken up at once; after
/// kAttemptsMax in a row it waits too, at most kLiveRetryMaxMs, and is never given up while its stream is on the air.
inline constexpr std::int64_t kRetryFirstMs = 5'000;
inline constexpr std::int64_t kLiveRetryMaxMs = 60'000;
inline constexpr std::size_t kReasonBytesMax = 500;
/// Ingest ends an upload a day after its last byte and says so; one that nobody spoke of for so long has no ingest
/// left.
inline constexpr std::int64_t kDraftMs = std::int64_t{7} * 24 * 3'600'000;

struct LeaseRequest {
  std::string worker;
  std::vector<std::string> kinds;
  std::vector<std::string> encoders;
};
BOOST_DESCRIBE_STRUCT(LeaseRequest, (), (worker, kinds, encoders))

struct JobHeartbeat {
  std::int64_t epoch = 0;
  double progress = 0;
  std::string stage;
};
BOOST_DESCRIBE_STRUCT(JobHeartbeat, (), (epoch, progress, stage))

struct JobComplete {
  std::int64_t epoch = 0;
  boost::json::value result;
};
BOOST_DESCRIBE_STRUCT(JobComplete, (), (epoch, result))

struct JobFail {
  std::int64_t epoch = 0;
  std::string kind;
  std::string reason;
  bool retry = false;
};
BOOST_DESCRIBE_STRUCT(JobFail, (), (epoch, kind, reason, retry))

struct VodResult {
  std::string version;
  std::int64_t duration_ms = 0;
  std::int64_t width = 0;
  std::int64_t height = 0;
  boost::json::value tracks;
  bool poster = false;
};
BOOST_DESCRIBE_STRUCT(VodResult, (), (version, duration_ms, width, height, tracks, poster))

/// What a worker may accept of an uploaded file.
struct VodLimits {
  std::int64_t duration_ms_max = 0;
  std::int64_t bytes_max = 0;
  std::int64_t side_max = 0;
  double fps_max = 0;
};
BOOST_DESCRIBE_STRUCT(VodLimits, (), (duration_ms_max, bytes_max, side_max, fps_max))

/// The next job as JSON (docs/contracts.md), or none.
Result<std::optional<std::string>> lease_job(sql::Session& session, const LeaseRequest& request,
                                             const VodLimits& limits, std::int64_t now);

enum class JobAction : std::uint8_t { go, cancel };
/// @refusal 409 lost.
Result<Outcome<JobAction>> job_heartbeat(sql::Session& session, JobId job, const JobHeartbeat& beat, std::int64_t now);
/// A repeated call of the lease that completed it is fine. @refusal 409 lost; 400 malformed result.
Result<Outcome<void>> complete_job(sql::Session& session, JobId job, const JobComplete& complete, std::int64_t now);
/// @refusal 409 lost.
Result<Outcome<void>> fail_job(sql::Session& session, JobId job, const JobFail& fail, std::int64_t now);

/// A VOD job for a stored upload, which is then the work shown with its video.
Result<void> queue_vod(sql::Session& session, const Upload& upload, std::int64_t now);

Result<bool> jobs_want_sweep(sql::Session& session, std::int64_t now);
/// Leases that ran out are queued again, or failed after kAttemptsMax; stored uploads without a job get one; drafts
/// that nobody ended have failed.
Result<std::int64_t> sweep_jobs(sql::Session& session, std::int64_t now);

/// Workers that were heard of lately, in memory: what the ladder plan is made for. After a restart they are known again
/// within the 5 s in which each asks for work.
class Workers {
 public:
  /// A worker asks every 5 s while it has room, and its jobs' heartbeats come every 5 s.
  static constexpr std::int64_t kRememberedMs = 20'000;
  static constexpr std::size_t kWorkersMax = 1000;

  void seen(std::string_view worker, bool live, std::int64_t now);
  /// Workers that take live jobs.
  [[nodiscard]] std::int64_t live_workers(std::int64_t now) const;

 private:
  struct Seen {
    std::int64_t at = 0;
    bool live = false;
  };
  mutable std::mutex mutex_;
  std::map<std::string, Seen, std::less<>> workers_;
};

}  // namespace ribalta::control
