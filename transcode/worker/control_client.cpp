#include "transcode/worker/control_client.h"

#include <boost/json/serialize.hpp>

#include "core/internal_auth.h"
#include "core/json.h"
#include "core/log.h"

namespace ribalta::transcode {
namespace {

struct LeaseBody {
  std::string worker;
  std::vector<std::string> kinds;
  std::vector<std::string> encoders;
};
BOOST_DESCRIBE_STRUCT(LeaseBody, (), (worker, kinds, encoders))
struct BeatBody {
  std::int64_t epoch = 0;
  double progress = 0;
  std::string stage;
};
BOOST_DESCRIBE_STRUCT(BeatBody, (), (epoch, progress, stage))
struct CompleteBody {
  std::int64_t epoch = 0;
  boost::json::value result;
};
BOOST_DESCRIBE_STRUCT(CompleteBody, (), (epoch, result))
struct FailBody {
  std::int64_t epoch = 0;
  std::string kind;
  std::string reason;
  bool retry = false;
};
BOOST_DESCRIBE_STRUCT(FailBody, (), (epoch, kind, reason, retry))
struct ActionAnswer {
  std::string action;
};
BOOST_DESCRIBE_STRUCT(ActionAnswer, (), (action))

}  // namespace

Task<Result<http::Response>> ControlClient::post(std::string target, std::string body) {
  http::Request request;
  request.method = "POST";
  request.target = std::move(target);
  request.fields.set("Content-Type", "application/json");
  request.fields.set(kNodeField, sign_internal(secret_, node_, request.method, request.target, wall_now()));
  request.body = std::move(body);
  Result<http::Response> answer = co_await http::call(control_, std::move(request));
  co_return answer;
}

Task<Result<std::optional<Job>>> ControlClient::lease(std::string kind) {
  std::string body = json_write(LeaseBody{node_.text(), {std::move(kind)}, {"x264"}});
  const Result<http::Response> answer = co_await post("/internal/v1/jobs/lease", std::move(body));
  if (!answer) co_return answer.error().in("lease a job");
  if (answer->status == 204) co_return std::optional<Job>{};
  if (answer->status != 200) co_return ribalta::fail(Code::unavailable, "lease a job: status", answer->status);
  Result<Job> job = json_read<Job>(answer->body, JsonUnknown::ignore);
  if (!job) co_return job.error().in("a leased job");
  co_return std::optional<Job>{std::move(*job)};
}

Task<LeaseState> ControlClient::about(JobId job, std::string verb, std::string body) {
  std::string target = "/internal/v1/jobs/" + job.text() + "/" + verb;
  const Result<http::Response> answer = co_await post(std::move(target), std::move(body));
  if (!answer || answer->status >= 500) co_return LeaseState::unknown;
  if (answer->status == 409 || answer->status == 404) co_return LeaseState::lost;
  if (answer->status != 200) {
    log_error("the control plane refused a call about a job",
              {{"job", job.view()}, {"verb", verb}, {"status", answer->status}, {"answer", answer->body}});
    co_return LeaseState::lost;
  }
  const Result<ActionAnswer> action = json_read<ActionAnswer>(answer->body, JsonUnknown::ignore);
  co_return action && action->action == "cancel" ? LeaseState::cancelled : LeaseState::held;
}

Task<LeaseState> ControlClient::heartbeat(JobId job, std::int64_t epoch, double progress, std::string stage) {
  std::string body = json_write(BeatBody{epoch, progress, std::move(stage)});
  co_return co_await about(job, "heartbeat", std::move(body));
}

Task<LeaseState> ControlClient::complete(JobId job, std::int64_t epoch, boost::json::value result) {
  std::string body = json_write(CompleteBody{epoch, std::move(result)});
  co_return co_await about(job, "complete", std::move(body));
}

Task<LeaseState> ControlClient::fail(JobId job, std::int64_t epoch, JobFailure failure) {
  std::string body = json_write(FailBody{epoch, std::move(failure.kind), std::move(failure.reason), failure.retry});
  co_return co_await about(job, "fail", std::move(body));
}

}  // namespace ribalta::transcode
