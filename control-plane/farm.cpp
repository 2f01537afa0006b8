#include "control-plane/farm.h"

#include <algorithm>
#include <boost/json/object.hpp>

#include "control-plane/errands_store.h"
#include "control-plane/store.h"
#include "control-plane/streams_store.h"
#include "control-plane/videos_store.h"
#include "core/json.h"

namespace ribalta::control {
namespace {

constexpr std::int64_t kSweepMax = 100;
/// Jobs without a subject that one lease call puts away before it answers "none".
constexpr int kStaleJobsMax = 20;
/// A version that was replaced still plays for those who watch it; an attempt's leftovers may still be written for a
/// while.
constexpr std::int64_t kTidyReplacedMs = 3'600'000;
constexpr std::int64_t kTidyLeftoversMs = 600'000;
constexpr std::size_t kStageBytesMax = 32;

constexpr std::string_view kSilent = "The worker stopped answering.";
constexpr std::string_view kGaveUp =
    "Processing stopped three times without a result. The file is kept: try again, or ask the operator to look at the "
    "log.";

/// Kinds that a worker may give; anything else is a defect of ours.
constexpr std::string_view kFailureKinds[] = {
    "empty",    "not-media",  "truncated",   "corrupt", "encrypted", "unsupported-codec",
    "no-video", "no-samples", "still-image", "limits",  "worker"};

Refused lost() { return refuse(409, "lost", "The lease is held by another, or the job is over."); }

/// At most `size` bytes, never a part of a character.
std::string cut(std::string_view text, std::size_t size) {
  if (text.size() <= size) return std::string{text};
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
  return std::string{text.substr(0, size)};
}

bool wants(const LeaseRequest& request, std::string_view kind) {
  return std::ranges::find(request.kinds, kind) != request.kinds.end();
}

/// The job's own fields, or none when there is nothing left to work on.
Result<std::optional<boost::json::object>> describe_vod(sql::Session& session, const Job& job, std::int64_t version,
                                                        const VodLimits& limits) {
  auto upload = UploadsStore{session}.by_id(*job.upload);
  if (!upload) return pass(upload);
  if (!*upload || version == 0) return std::optional<boost::json::object>{};
  boost::json::object limit{{"duration_ms_max", limits.duration_ms_max},
                            {"bytes_max", limits.bytes_max},
                            {"side_max", limits.side_max},
                            {"fps_max", static_cast<std::int64_t>(limits.fps_max)}};
  boost::json::object object{{"video", job.video->view()},
                             {"version", std::to_string(version)},
                             {"input", "uploads/" + job.upload->text()},
                             {"limits", std::move(limit)}};
  return std::optional<boost::json::object>{std::move(object)};
}

Result<std::optional<boost::json::object>> describe_live(sql::Session& session, const Job& job) {
  auto stream = StreamsStore{session}.by_id(*job.stream);
  if (!stream) return pass(stream);
  if (!*stream || (*stream)->state == StreamState::ended) return std::optional<boost::json::object>{};
  auto plan = json_parse((*stream)->plan);
  if (!plan) return plan.error().in("plan of stream", job.stream->view());
  boost::json::object object{
      {"stream", job.stream->view()}, {"plan", *plan}, {"source_video", "src-v"}, {"source_audio", "src-a"}};
  return std::optional<boost::json::object>{std::move(object)};
}

Result<Outcome<void>> publish_version(sql::Session& session, const Job& job, const VodResult& result,
                                      std::int64_t now) {
  VideosStore videos{session};
  UploadsStore uploads{session};
  ErrandsStore errands{session};
  auto before = videos.view(*job.video);
  if (!before) return pass(before);
  const ReadyVersion ready{.version = job.version,
                           .width = result.width,
                           .height = result.height,
                           .duration_ms = result.duration_ms,
                           .poster = result.poster};
  auto switched = videos.set_ready(*job.video, ready, *job.upload, now);
  if (!switched) return pass(switched);
  if (auto owed = errands.want(ErrandKind::video_access, job.video->view(), now); !owed) return pass(owed);
  if (!*switched || !*before) return Outcome<void>{};  // deleted meanwhile: the errand removes what the worker wrote

  const Video& old = (*before)->video;
  const bool replaced = old.version > 0;
  if (replaced || job.attempts > 1) {
    const std::int64_t when = now + (replaced ? kTidyReplacedMs : kTidyLeftoversMs);
    if (auto owed = errands.want(ErrandKind::video_tidy, job.video->view(), when); !owed) return pass(owed);
  }
  if (old.source_upload && *old.source_upload != *job.upload) {
    if (auto removed = uploads.remove(*old.source_upload); !removed) return pass(removed);
    if (auto owed = errands.want(ErrandKind::upload_remove, old.source_upload->view(), now); !owed) return pass(owed);
  }
  return Outcome<void>{};
}

/// How long a live job waits after so many ends in a row.
std::int64_t live_delay_ms(std::int64_t attempts) {
  if (attempts < kAttemptsMax) return 0;
  return std::min(kLiveRetryMaxMs, kRetryFirstMs << (2 * std::min<std::int64_t>(attempts - kAttemptsMax, 4)));
}

/// After a lease was lost or given up: again, or never. `delay_ms` is a VOD job's.
Result<bool> retry_or_fail(sql::Session& session, const Job& job, bool may_retry, std::int64_t delay_ms,
                           std::string_view kind, std::string_view reason, std::string_view last_reason,
                           std::int64_t now) {
  JobsStore jobs{session};
  const bool live = job.kind == JobKind::live;
  const std::int64_t attempts = live && now - job.leased >= kLiveAttemptMs ? 0 : job.attempts;
  if (job.video) {
    auto owed = ErrandsStore{session}.want(ErrandKind::video_tidy, job.video->view(), now + kTidyLeftoversMs);
    if (!owed) return pass(owed);
  }
  if (may_retry && (live || attempts < kAttemptsMax)) {
    const std::int64_t pause = live ? live_delay_ms(attempts) : delay_ms;
    return jobs.requeue(job.id, job.epoch, attempts, now + pause, kind, reason);
  }
  return jobs.end(job.id, job.epoch, JobState::failed, kind, may_retry ? last_reason : reason, now);
}

}  // namespace

Result<std::optional<std::string>> lease_job(sql::Session& session, const LeaseRequest& request,
                                             const VodLimits& limits, std::int64_t now) {
  JobsStore jobs{session};
  for (int i = 0; i < kStaleJobsMax; ++i) {
    auto next = jobs.next(wants(request, "live"), wants(request, "vod"), now);
    if (!next) return pass(next);
    if (!*next) return std::optional<std::string>{};
    const Job& job = **next;
    std::int64_t version = 0;
    if (job.video) {
      auto made = VideosStore{session}.next_version(*job.video);
      if (!made) return pass(made);
      version = *made;
    }
    auto object = job.kind == JobKind::vod ? describe_vod(session, job, version, limits) : describe_live(session, job);
    if (!object) return pass(object);
    if (auto leased = jobs.lease(job, request.worker, version, now, now + kLeaseMs); !leased) return pass(leased);
    if (!*object) {  // its upload or stream is gone
      auto ended = jobs.end(job.id, job.epoch + 1, JobState::cancelled, "", "", now);
      if (!ended) return pass(ended);
      continue;
    }
    (**object)["job"] = job.id.view();
    (**object)["kind"] = to_string(job.kind);
    (**object)["epoch"] = job.epoch + 1;
    (**object)["attempt"] = job.attempts + 1;
    return std::optional<std::string>{json_write(boost::json::value(std::move(**object)))};
  }
  return std::optional<std::string>{};
}

Result<Outcome<JobAction>> job_heartbeat(sql::Session& session, JobId id, const JobHeartbeat& beat, std::int64_t now) {
  JobsStore jobs{session};
  const double progress = std::clamp(beat.progress, 0.0, 1.0);
  auto held = jobs.beat(id, beat.epoch, progress, cut(beat.stage, kStageBytesMax), now + kLeaseMs);
  if (!held) return pass(held);
  if (*held) return Outcome<JobAction>{JobAction::go};
  auto job = jobs.by_id(id);
  if (!job) return pass(job);
  if (*job && (*job)->state == JobState::cancelled && (*job)->epoch == beat.epoch)
    return Outcome<JobAction>{JobAction::cancel};
  return lost();
}

Result<Outcome<void>> complete_job(sql::Session& session, JobId id, const JobComplete& complete, std::int64_t now) {
  JobsStore jobs{session};
  auto job = jobs.by_id(id);
  if (!job) return pass(job);
  if (!*job || (*job)->epoch != complete.epoch) return lost();
  if ((*job)->state == JobState::done) return Outcome<void>{};  // the answer to the first call was lost on its way
  if ((*job)->state != JobState::leased) return lost();
  VodResult result;
  if ((*job)->kind == JobKind::vod) {
    auto read = json_read_value<VodResult>(complete.result, JsonUnknown::ignore);
    if (!read) return refuse(400, "malformed", "result: " + read.error().message);
    result = std::move(*read);
    if (result.version != std::to_string((*job)->version))
      return refuse(400, "malformed", "result: another version was leased");
    if (result.width <= 0 || result.height <= 0 || result.duration_ms < 0)
      return refuse(400, "malformed", "result: no picture");
  }
  auto ended = jobs.end(id, complete.epoch, JobState::done, "", "", now);
  if (!ended) return pass(ended);
  if (!*ended) return lost();
  if ((*job)->kind == JobKind::live) return Outcome<void>{};
  return publish_version(session, **job, result, now);
}

Result<Outcome<void>> fail_job(sql::Session& session, JobId id, const JobFail& failure, std::int64_t now) {
  JobsStore jobs{session};
  auto job = jobs.by_id(id);
  if (!job) return pass(job);
  if (!*job || (*job)->epoch != failure.epoch) return lost();
  if ((*job)->state == JobState::failed || (*job)->state == JobState::queued) return Outcome<void>{};  // said before
  if ((*job)->state != JobState::leased) return lost();
  if ((*job)->stream) {
    auto stream = StreamsStore{session}.by_id(*(*job)->stream);
    if (!stream) return pass(stream);
    if (!*stream || (*stream)->state == StreamState::ended) {  // its source ended under it: nothing failed
      auto ended = jobs.end(id, failure.epoch, JobState::cancelled, "", "", now);
      if (!ended) return pass(ended);
      return Outcome<void>{};
    }
  }
  const bool known = std::ranges::find(kFailureKinds, failure.kind) != std::end(kFailureKinds);
  const std::string_view kind = known ? std::string_view{failure.kind} : "worker";
  const std::string reason = cut(failure.reason, kReasonBytesMax);
  const std::int64_t delay = kRetryFirstMs << (2 * std::clamp<std::int64_t>((*job)->attempts - 1, 0, 4));
  const std::string_view last_reason = kind == "worker" ? kGaveUp : std::string_view{reason};
  auto ended = retry_or_fail(session, **job, failure.retry, delay, kind, reason, last_reason, now);
  if (!ended) return pass(ended);
  return Outcome<void>{};
}

Result<void> queue_vod(sql::Session& session, const Upload& upload, std::int64_t now) {
  const Job job{.kind = JobKind::vod, .video = upload.video, .upload = upload.id, .created = now};
  if (auto queued = JobsStore{session}.insert(job); !queued) return queued;
  return UploadsStore{session}.set_job(upload.id, job.id);
}

Result<bool> jobs_want_sweep(sql::Session& session, std::int64_t now) {
  auto expired = JobsStore{session}.expired(now, 1);
  if (!expired) return pass(expired);
  if (!expired->empty()) return true;
  auto forgotten = UploadsStore{session}.stored_without_job(1);
  if (!forgotten) return pass(forgotten);
  if (!forgotten->empty()) return true;
  auto drafts = UploadsStore{session}.drafts_before(now - kDraftMs, 1);
  if (!drafts) return pass(drafts);
  return !drafts->empty();
}

Result<std::int64_t> sweep_jobs(sql::Session& session, std::int64_t now) {
  auto expired = JobsStore{session}.expired(now, kSweepMax);
  if (!expired) return pass(expired);
  for (const Job& job : *expired) {
    auto swept = retry_or_fail(session, job, true, 0, "worker", kSilent, kGaveUp, now);
    if (!swept) return pass(swept);
  }
  auto forgotten = UploadsStore{session}.stored_without_job(kSweepMax);
  if (!forgotten) return pass(forgotten);
  for (const Upload& upload : *forgotten) {
    if (auto queued = queue_vod(session, upload, now); !queued) return pass(queued);
  }
  auto drafts = UploadsStore{session}.drafts_before(now - kDraftMs, kSweepMax);
  if (!drafts) return pass(drafts);
  for (const Upload& upload : *drafts) {
    if (auto over = UploadsStore{session}.set_expired(upload.id); !over) return pass(over);
  }
  return static_cast<std::int64_t>(expired->size() + forgotten->size() + drafts->size());
}

void Workers::seen(std::string_view worker, bool live, std::int64_t now) {
  const std::lock_guard lock{mutex_};
  std::erase_if(workers_, [now](const auto& entry) { return now - entry.second.at > kRememberedMs; });
  const auto known = workers_.find(worker);
  if (known != workers_.end()) {
    known->second = {now, known->second.live || live};
  } else if (workers_.size() < kWorkersMax) {
    workers_.emplace(std::string{worker}, Seen{now, live});
  }
}

std::int64_t Workers::live_workers(std::int64_t now) const {
  const std::lock_guard lock{mutex_};
  return std::ranges::count_if(
      workers_, [now](const auto& entry) { return entry.second.live && now - entry.second.at <= kRememberedMs; });
}

}  // namespace ribalta::control
