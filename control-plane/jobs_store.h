// The jobs table: what a worker has to do, who holds the lease, and why it failed. Redis only rings the bell.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.h"
#include "core/result.h"
#include "core/sql/sql.h"

namespace ribalta::control {

enum class JobKind : std::uint8_t { live, vod };
std::string_view to_string(JobKind kind);

enum class JobState : std::uint8_t { queued, leased, done, failed, cancelled };
std::string_view to_string(JobState state);

struct Job {
  JobId id = JobId::random();
  JobKind kind = JobKind::vod;
  std::optional<VideoId> video;    ///< vod
  std::optional<UploadId> upload;  ///< vod
  std::optional<StreamId> stream;  ///< live
  JobState state = JobState::queued;
  std::int64_t epoch = 0;  ///< one more at each lease
  std::int64_t attempts = 0;
  std::string worker;
  std::int64_t leased = 0;
  std::int64_t lease_until = 0;
  std::int64_t run_after = 0;
  std::string stage;
  double progress = 0;
  std::int64_t version = 0;  ///< vod: what this lease writes
  std::string failure_kind;
  std::string failure_reason;
  std::int64_t created = 0;
  std::int64_t ended = 0;
};

struct JobCount {
  JobKind kind = JobKind::vod;
  JobState state = JobState::queued;
  std::int64_t count = 0;
};

class JobsStore {
 public:
  explicit JobsStore(sql::Session& session) : sql_(session) {}

  Result<void> insert(const Job& job);
  Result<std::optional<Job>> by_id(JobId id);
  /// The queued job of these kinds that is next: live before vod, then the oldest. Call in a write transaction.
  Result<std::optional<Job>> next(bool live, bool vod, std::int64_t now);
  /// Gives the lease: epoch and attempts go up.
  Result<void> lease(const Job& job, std::string_view worker, std::int64_t version, std::int64_t now,
                     std::int64_t until);
  /// These three change a job only while `epoch` holds its lease. @return false: the lease is lost.
  Result<bool> beat(JobId id, std::int64_t epoch, double progress, std::string_view stage, std::int64_t until);
  Result<bool> end(JobId id, std::int64_t epoch, JobState state, std::string_view kind, std::string_view reason,
                   std::int64_t now);
  Result<bool> requeue(JobId id, std::int64_t epoch, std::int64_t attempts, std::int64_t run_after,
                       std::string_view kind, std::string_view reason);

  /// Leased jobs whose lease has run out.
  Result<std::vector<Job>> expired(std::int64_t now, std::int64_t limit);
  /// Everything that is queued or leased for a video or a stream. @return how many.
  Result<std::int64_t> cancel_of_video(VideoId video, std::int64_t now);
  Result<std::int64_t> cancel_of_upload(UploadId upload, std::int64_t now);
  /// Only what no worker has begun: a worker whose stream ends comes to its end by itself.
  Result<std::int64_t> cancel_queued_of_stream(StreamId stream, std::int64_t now);
  Result<std::optional<Job>> of_stream(StreamId stream);
  /// Versions of a video that a worker may be writing now.
  Result<std::vector<std::int64_t>> versions_under_way(VideoId video);
  /// Queued and due, by kind: for the bell.
  Result<std::int64_t> count_due(JobKind kind, std::int64_t now);
  Result<std::vector<JobCount>> counts();

 private:
  sql::Session& sql_;
};

}  // namespace ribalta::control
