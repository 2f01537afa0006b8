// What ingest and transcode call (docs/contracts.md, "Control plane"). Each call is signed by its node.
#include "control-plane/api.h"
#include "control-plane/jobs_store.h"
#include "core/internal_auth.h"
#include "core/log.h"
#include "core/network.h"
#include "core/units.h"

namespace ribalta::control {
namespace {

/// Bodies of other rooms: a job's result lists tracks, a heartbeat warnings.
constexpr std::uint64_t kInternalBodyBytesMax = 256 * 1024;

struct UploadAuthorise {
  std::string cookie;
  std::string csrf;
  std::string authorization;
  std::int64_t bytes = 0;
  std::string filename;
  std::string title;
  std::string replaces;
};
BOOST_DESCRIBE_STRUCT(UploadAuthorise, (), (cookie, csrf, authorization, bytes, filename, title, replaces))

struct UploadAccess {
  std::string cookie;
  std::string csrf;
  std::string authorization;
  std::string upload;
};
BOOST_DESCRIBE_STRUCT(UploadAccess, (), (cookie, csrf, authorization, upload))

struct ActionAnswer {
  std::string action;
};
BOOST_DESCRIBE_STRUCT(ActionAnswer, (), (action))

using InternalHandler = Task<http::Response> (*)(ControlPtr, http::Exchange&, const Parameters&, NodeId);

/// 503 for what may pass, 500 for what is our bug; logged once here.
http::Response failed(const Error& error, std::string_view call) {
  log_warning("an internal call failed", {{"call", call}, {"error", error}});
  return error.code == Code::internal ? http::Response::error(500, "internal", "a defect of the control plane")
                                      : http::Response::error(503, "unavailable", "the database does not answer");
}

/// `Cookie` as it came, or the session's value alone.
std::string session_in(const std::string& cookie) {
  http::RequestHead head;
  head.fields.set("Cookie", cookie);
  std::string session = head.cookie(kSessionCookie);
  if (session.empty() && cookie.find('=') == std::string::npos) return cookie;
  return session;
}

template <class T>
Task<Outcome<T>> read_internal(http::Exchange& exchange) {
  Result<std::string> body = co_await exchange.read_all(kInternalBodyBytesMax);
  if (!body) co_return std::unexpected<Refusal>{Refusal{400, "malformed", "the body did not come whole"}};
  Result<T> read = json_read<T>(*body, JsonUnknown::ignore);  // another room may be newer
  if (!read) co_return std::unexpected<Refusal>{Refusal{400, "malformed", read.error().message}};
  co_return std::move(*read);
}

template <class T>
http::Response respond_with(const Result<Outcome<T>>& outcome, std::string_view call) {
  if (!outcome) return failed(outcome.error(), call);
  if (!*outcome) return to_response(outcome->error());
  if constexpr (std::is_void_v<T>) {
    return http::Response::json(200, "{}");
  } else {
    return http::Response::json(200, json_write(**outcome));
  }
}

Task<http::Response> post_publish(ControlPtr control, http::Exchange& exchange, const Parameters&, NodeId node) {
  Outcome<PublishRequest> request = co_await read_internal<PublishRequest>(exchange);
  if (!request) co_return to_response(request.error());
  const std::int64_t now = control->now_ms();
  const IngestNode ingest{exchange.head().peer, node};
  auto work = [control, request = *request, ingest, now](sql::Session& session) {
    return publish(session, control->secrets, request, ingest, control->live_rules(), now);
  };
  const auto answer = co_await control->write<Lane::background>("publish", std::move(work));
  // Only wrong keys are limited: others behind the same address go on, and keys are too long to guess.
  if (answer && !*answer && answer->error().code == "wrong_key") {
    if (const std::int64_t wait = control->wrong_key_address.take(network_of(request->address), now); wait > 0) {
      co_return to_response(
          {403, "wrong_key",
           "Too many wrong stream keys from your address. Try again in " + std::to_string(wait) + " s.", wait});
    }
  }
  if (answer && *answer) {
    log_info("publish accepted",
             {{"stream", (*answer)->stream.view()}, {"epoch", (*answer)->epoch}, {"resumed", (*answer)->resumed}});
  }
  control->wake();
  co_return respond_with(answer, "publish");
}

Task<http::Response> post_source(ControlPtr control, http::Exchange& exchange, const Parameters& parameters, NodeId) {
  const Outcome<StreamId> stream = path_id<StreamId>(parameters, "stream");
  if (!stream) co_return to_response(stream.error());
  Outcome<SourceReport> report = co_await read_internal<SourceReport>(exchange);
  if (!report) co_return to_response(report.error());
  const std::int64_t now = control->now_ms();
  auto work = [control, id = *stream, report = *report, now](sql::Session& session) -> Result<Outcome<std::string>> {
    auto counts = JobsStore{session}.counts();
    if (!counts) return pass(counts);
    std::int64_t live_jobs = 0;
    for (const JobCount& count : *counts) {
      const bool active = count.state == JobState::queued || count.state == JobState::leased;
      if (count.kind == JobKind::live && active) live_jobs += count.count;
    }
    return report_source(session, id, report, control->farm(live_jobs), now);
  };
  const auto plan = co_await control->write<Lane::background>("source", std::move(work));
  control->wake();
  if (!plan) co_return failed(plan.error(), "source");
  if (!*plan) co_return to_response(plan->error());
  co_return http::Response::json(200, **plan);
}

Task<http::Response> post_stream_heartbeat(ControlPtr control, http::Exchange& exchange, const Parameters& parameters,
                                           NodeId node) {
  const Outcome<StreamId> stream = path_id<StreamId>(parameters, "stream");
  if (!stream) co_return to_response(stream.error());
  Outcome<StreamHeartbeat> beat = co_await read_internal<StreamHeartbeat>(exchange);
  if (!beat) co_return to_response(beat.error());
  if (beat->state != "publishing" && beat->state != "interrupted") {
    co_return http::Response::error(400, "malformed", "state: publishing or interrupted");
  }
  const IngestNode ingest{exchange.head().peer, node};
  const std::int64_t now = control->now_ms();
  auto work = [control, id = *stream, beat = *beat, ingest, now](sql::Session& session) {
    return stream_heartbeat(session, id, beat, ingest, control->live_rules(), now);
  };
  const Result<StreamAction> action = co_await control->write<Lane::background>("stream heartbeat", std::move(work));
  if (!action) co_return failed(action.error(), "stream heartbeat");
  co_return http::Response::json(200, json_write(ActionAnswer{*action == StreamAction::go ? "go" : "end"}));
}

/// The caller of an upload, whose fields ingest hands on.
Result<Outcome<Identity>> uploader(sql::Session& session, const Control& control, const Credentials& credentials,
                                   std::int64_t now) {
  auto who = identify(session, control.secrets, credentials, now);
  if (!who || !*who) return who;
  if (const auto user = require_user(**who); !user) return refuse(user);
  if (const auto ours = check_csrf(**who, credentials); !ours) return refuse(ours);
  return who;
}

Task<http::Response> post_authorise(ControlPtr control, http::Exchange& exchange, const Parameters&, NodeId) {
  Outcome<UploadAuthorise> request = co_await read_internal<UploadAuthorise>(exchange);
  if (!request) co_return to_response(request.error());
  const std::int64_t now = control->now_ms();
  auto work = [control, request = *request, now](sql::Session& session) -> Result<Outcome<UploadTicket>> {
    auto who = uploader(session, *control, {session_in(request.cookie), request.csrf, request.authorization}, now);
    if (!who) return pass(who);
    if (!*who) return refuse(*who);
    const UploadWish wish{request.bytes, request.filename, request.title, request.replaces};
    return authorise_upload(session, *(*who)->user, wish, control->upload_rules(), now);
  };
  const auto ticket = co_await control->write<Lane::background>("authorise upload", std::move(work));
  co_return respond_with(ticket, "authorise upload");
}

Task<http::Response> post_access(ControlPtr control, http::Exchange& exchange, const Parameters&, NodeId) {
  Outcome<UploadAccess> request = co_await read_internal<UploadAccess>(exchange);
  if (!request) co_return to_response(request.error());
  const Result<UploadId> upload = UploadId::parse(request->upload);
  if (!upload) co_return http::Response::error(403, "forbidden", "There is no such upload of yours.");
  const std::int64_t now = control->now_ms();
  auto work = [control, request = *request, id = *upload, now](sql::Session& session) -> Result<Outcome<void>> {
    auto who = uploader(session, *control, {session_in(request.cookie), request.csrf, request.authorization}, now);
    if (!who) return pass(who);
    if (!*who) return refuse(*who);
    return access_upload(session, *(*who)->user, id);
  };
  const auto access = co_await control->read<Lane::background>(std::move(work));
  co_return respond_with(access, "upload access");
}

Task<http::Response> post_finished(ControlPtr control, http::Exchange& exchange, const Parameters&, NodeId) {
  Outcome<UploadFinished> finished = co_await read_internal<UploadFinished>(exchange);
  if (!finished) co_return to_response(finished.error());
  const std::int64_t now = control->now_ms();
  auto work = [finished = *finished, now](sql::Session& session) { return finish_upload(session, finished, now); };
  const auto done = co_await control->write<Lane::background>("upload finished", std::move(work));
  if (done && *done)
    log_info("upload stored",
             {{"upload", finished->upload.view()}, {"video", finished->video.view()}, {"bytes", finished->bytes}});
  control->wake();
  co_return respond_with(done, "upload finished");
}

Task<http::Response> post_ended(ControlPtr control, http::Exchange& exchange, const Parameters&, NodeId) {
  Outcome<UploadEnded> ended = co_await read_internal<UploadEnded>(exchange);
  if (!ended) co_return to_response(ended.error());
  const std::int64_t now = control->now_ms();
  auto work = [ended = *ended, now](sql::Session& session) { return end_upload(session, ended, now); };
  const Result<void> done = co_await control->write<Lane::background>("upload ended", std::move(work));
  if (!done) co_return failed(done.error(), "upload ended");
  co_return http::Response::json(200, "{}");
}

Task<http::Response> post_lease(ControlPtr control, http::Exchange& exchange, const Parameters&, NodeId) {
  Outcome<LeaseRequest> request = co_await read_internal<LeaseRequest>(exchange);
  if (!request) co_return to_response(request.error());
  if (request->worker.empty() || request->worker.size() > 64)
    co_return http::Response::error(400, "malformed", "worker: 1 to 64 bytes");
  const std::int64_t now = control->now_ms();
  const bool live = std::ranges::find(request->kinds, "live") != request->kinds.end();
  const bool vod = std::ranges::find(request->kinds, "vod") != request->kinds.end();
  control->workers.seen(request->worker, live, now);
  // Workers ask every few seconds: only when there is something is it worth the write lock.
  auto waits = co_await control->read<Lane::background>(
      [live, vod, now](sql::Session& session) { return JobsStore{session}.next(live, vod, now); });
  if (!waits) co_return failed(waits.error(), "lease");
  http::Response none;
  none.status = 204;
  if (!*waits) co_return none;
  auto work = [request = *request, limits = control->vod_limits(), now](sql::Session& session) {
    return lease_job(session, request, limits, now);
  };
  Result<std::optional<std::string>> job = co_await control->write<Lane::background>("lease", std::move(work));
  if (!job) co_return failed(job.error(), "lease");
  if (!*job) co_return none;
  co_return http::Response::json(200, std::move(**job));
}

Task<http::Response> post_job_heartbeat(ControlPtr control, http::Exchange& exchange, const Parameters& parameters,
                                        NodeId) {
  const Outcome<JobId> job = path_id<JobId>(parameters, "job");
  if (!job) co_return to_response(job.error());
  Outcome<JobHeartbeat> beat = co_await read_internal<JobHeartbeat>(exchange);
  if (!beat) co_return to_response(beat.error());
  const std::int64_t now = control->now_ms();
  auto work = [control, id = *job, beat = *beat, now](sql::Session& session) -> Result<Outcome<JobAction>> {
    auto action = job_heartbeat(session, id, beat, now);
    if (!action || !*action) return action;
    auto known = JobsStore{session}.by_id(id);
    if (!known) return pass(known);
    if (*known) control->workers.seen((*known)->worker, (*known)->kind == JobKind::live, now);
    return action;
  };
  const auto action = co_await control->write<Lane::background>("job heartbeat", std::move(work));
  if (!action) co_return failed(action.error(), "job heartbeat");
  if (!*action) co_return to_response(action->error());
  co_return http::Response::json(200, json_write(ActionAnswer{**action == JobAction::go ? "go" : "cancel"}));
}

Task<http::Response> post_complete(ControlPtr control, http::Exchange& exchange, const Parameters& parameters, NodeId) {
  const Outcome<JobId> job = path_id<JobId>(parameters, "job");
  if (!job) co_return to_response(job.error());
  Outcome<JobComplete> complete = co_await read_internal<JobComplete>(exchange);
  if (!complete) co_return to_response(complete.error());
  const std::int64_t now = control->now_ms();
  auto work = [id = *job, complete = *complete, now](sql::Session& session) {
    return complete_job(session, id, complete, now);
  };
  const auto done = co_await control->write<Lane::background>("complete", std::move(work));
  if (done && *done) log_info("job done", {{"job", job->view()}, {"epoch", complete->epoch}});
  control->wake();
  co_return respond_with(done, "complete");
}

Task<http::Response> post_fail(ControlPtr control, http::Exchange& exchange, const Parameters& parameters, NodeId) {
  const Outcome<JobId> job = path_id<JobId>(parameters, "job");
  if (!job) co_return to_response(job.error());
  Outcome<JobFail> failure = co_await read_internal<JobFail>(exchange);
  if (!failure) co_return to_response(failure.error());
  const std::int64_t now = control->now_ms();
  auto work = [id = *job, failure = *failure, now](sql::Session& session) {
    return fail_job(session, id, failure, now);
  };
  const auto done = co_await control->write<Lane::background>("fail", std::move(work));
  if (done && *done)
    log_info("job failed",
             {{"job", job->view()}, {"epoch", failure->epoch}, {"kind", failure->kind}, {"retry", failure->retry}});
  control->wake();
  co_return respond_with(done, "fail");
}

Task<void> signed_call(ControlPtr control, http::Exchange& exchange, const Parameters& parameters,
                       InternalHandler handler) {
  const Result<NodeId> node = verify_internal(control->node.node_secret, exchange.head(), wall_now());
  if (!node) {
    co_return co_await respond(
        exchange, http::Response::error(401, "unauthorized", "The call is not signed by a node of this instance."));
  }
  http::Response response = co_await handler(control, exchange, parameters, *node);
  co_await respond(exchange, std::move(response));
}

}  // namespace

void add_internal_routes(const ControlPtr& control, http::Router& router) {
  const auto add = [&](std::string_view path, InternalHandler handler) {
    router.add("POST", "/internal/v1" + std::string{path},
               [control, handler](http::Exchange& exchange, const Parameters& parameters) {
                 return signed_call(control, exchange, parameters, handler);
               });
  };
  add("/publish", post_publish);
  add("/streams/{stream}/source", post_source);
  add("/streams/{stream}/heartbeat", post_stream_heartbeat);
  add("/uploads/authorise", post_authorise);
  add("/uploads/access", post_access);
  add("/uploads/finished", post_finished);
  add("/uploads/ended", post_ended);
  add("/jobs/lease", post_lease);
  add("/jobs/{job}/heartbeat", post_job_heartbeat);
  add("/jobs/{job}/complete", post_complete);
  add("/jobs/{job}/fail", post_fail);
}

}  // namespace ribalta::control
