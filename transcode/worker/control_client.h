// The worker's side of the job calls (docs/contracts.md, "Control plane").
#pragma once

#include <boost/describe/class.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/async.h"
#include "core/http/client.h"
#include "core/ids.h"
#include "core/media/ladder.h"

namespace ribalta::transcode {

struct JobLimits {
  std::optional<std::int64_t> duration_ms_max;
  std::optional<std::int64_t> bytes_max;
  std::optional<std::int64_t> side_max;
  std::optional<double> fps_max;
};
BOOST_DESCRIBE_STRUCT(JobLimits, (), (duration_ms_max, bytes_max, side_max, fps_max))

/// A leased job: of kind `vod` (video, version, input) or `live` (stream, plan, source tracks).
struct Job {
  JobId job = JobId::random();
  std::string kind;
  std::int64_t epoch = 0;
  std::int64_t attempt = 0;
  std::optional<VideoId> video;
  std::optional<std::string> version;
  std::optional<std::string> input;
  std::optional<JobLimits> limits;
  std::optional<StreamId> stream;
  std::optional<media::LadderPlan> plan;
  std::optional<std::string> source_video;
  std::optional<std::string> source_audio;
};
BOOST_DESCRIBE_STRUCT(Job, (),
                      (job, kind, epoch, attempt, video, version, input, limits, stream, plan, source_video,
                       source_audio))

/// What came of a call about a leased job.
enum class LeaseState : std::uint8_t {
  held,       ///< go on
  cancelled,  ///< nobody wants the result
  lost,       ///< another holds the lease, or the job is over
  unknown,    ///< no answer: held until proven otherwise
};

struct JobFailure {
  std::string kind;    ///< a RefusalKind's name, or `worker`
  std::string reason;  ///< a sentence for a creator
  bool retry = false;
};

class ControlClient {
 public:
  ControlClient(http::Address control, std::string node_secret, NodeId node)
      : control_(std::move(control)), secret_(std::move(node_secret)), node_(node) {}

  /// The next job of that kind, or none. @error unavailable and others: ask again later.
  Task<Result<std::optional<Job>>> lease(std::string kind);
  Task<LeaseState> heartbeat(JobId job, std::int64_t epoch, double progress, std::string stage);
  Task<LeaseState> complete(JobId job, std::int64_t epoch, boost::json::value result);
  Task<LeaseState> fail(JobId job, std::int64_t epoch, JobFailure failure);

 private:
  Task<Result<http::Response>> post(std::string target, std::string body);
  Task<LeaseState> about(JobId job, std::string verb, std::string body);

  http::Address control_;
  std::string secret_;
  NodeId node_;
};

}  // namespace ribalta::transcode
