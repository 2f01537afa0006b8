#include "control-plane/jobs_store.h"

#include "control-plane/store.h"

namespace ribalta::control {
namespace {

constexpr std::string_view kSelect =
    "SELECT id, kind, video_id, upload_id, stream_id, state, epoch, attempts, worker, leased, lease_until, run_after, "
    "stage, "
    "progress, version, failure_kind, failure_reason, created, ended FROM jobs ";

JobState state_from(std::string_view text) {
  for (const JobState state : {JobState::queued, JobState::leased, JobState::done, JobState::failed}) {
    if (to_string(state) == text) return state;
  }
  return JobState::cancelled;
}
JobKind kind_from(std::string_view text) { return text == to_string(JobKind::live) ? JobKind::live : JobKind::vod; }

Result<std::vector<Job>> many(sql::Session& session, std::string_view name, const std::string& rest,
                              const sql::Values& values) {
  auto rows = session.rows<std::string, std::string, std::string, std::string, std::string, std::string, std::int64_t,
                           std::int64_t, std::string, std::int64_t, std::int64_t, std::int64_t, std::string, double,
                           std::int64_t, std::string, std::string, std::int64_t, std::int64_t>(
      name, std::string{kSelect} + rest, values);
  if (!rows) return pass(rows);
  std::vector<Job> jobs;
  for (auto& [id, kind, video, upload, stream, state, epoch, attempts, worker, leased, until, run_after, stage,
              progress, version, failure_kind, failure_reason, created, ended] : *rows) {
    jobs.push_back({stored_id<JobId>(id), kind_from(kind), stored_optional_id<VideoId>(video),
                    stored_optional_id<UploadId>(upload), stored_optional_id<StreamId>(stream), state_from(state),
                    epoch, attempts, std::move(worker), leased, until, run_after, std::move(stage), progress, version,
                    std::move(failure_kind), std::move(failure_reason), created, ended});
  }
  return jobs;
}

Result<std::optional<Job>> one(sql::Session& session, std::string_view name, const std::string& rest,
                               const sql::Values& values) {
  auto found = many(session, name, rest, values);
  if (!found) return pass(found);
  if (found->empty()) return std::optional<Job>{};
  return std::optional<Job>{std::move(found->front())};
}

}  // namespace

std::string_view to_string(JobKind kind) { return kind == JobKind::live ? "live" : "vod"; }

std::string_view to_string(JobState state) {
  switch (state) {
    case JobState::queued:
      return "queued";
    case JobState::leased:
      return "leased";
    case JobState::done:
      return "done";
    case JobState::failed:
      return "failed";
    case JobState::cancelled:
      return "cancelled";
  }
  return "cancelled";
}

Result<void> JobsStore::insert(const Job& job) {
  return done(sql_.run(
      "jobs.insert",
      "INSERT INTO jobs (id, kind, video_id, upload_id, stream_id, state, epoch, attempts, worker, leased, "
      "lease_until, run_after, stage, progress, version, failure_kind, failure_reason, created, ended) "
      "VALUES (:1, :2, :3, :4, :5, 'queued', 0, 0, '', 0, 0, :6, 'queued', 0, 0, '', '', :6, 0)",
      {job.id.view(), to_string(job.kind), text_of(job.video), text_of(job.upload), text_of(job.stream), job.created}));
}

Result<std::optional<Job>> JobsStore::by_id(JobId id) { return one(sql_, "jobs.by_id", "WHERE id = :1", {id.view()}); }

Result<std::optional<Job>> JobsStore::next(bool live, bool vod, std::int64_t now) {
  return one(sql_, "jobs.next",
             "WHERE state = 'queued' AND run_after <= :1 AND ((kind = 'live' AND 1 = :2) OR (kind = 'vod' AND 1 = :3)) "
             "ORDER BY kind, created, id LIMIT 1",  // `live` sorts before `vod`
             {now, live, vod});
}

Result<void> JobsStore::lease(const Job& job, std::string_view worker, std::int64_t version, std::int64_t now,
                              std::int64_t until) {
  return done(sql_.run("jobs.lease",
                       "UPDATE jobs SET state = 'leased', epoch = epoch + 1, attempts = attempts + 1, worker = :2, "
                       "leased = :3, lease_until = :4, version = :5, stage = 'start', progress = 0 "
                       "WHERE id = :1 AND state = 'queued'",
                       {job.id.view(), worker, now, until, version}));
}

Result<bool> JobsStore::beat(JobId id, std::int64_t epoch, double progress, std::string_view stage,
                             std::int64_t until) {
  return hit(sql_.run("jobs.beat",
                      "UPDATE jobs SET lease_until = :5, progress = :3, stage = :4 "
                      "WHERE id = :1 AND epoch = :2 AND state = 'leased'",
                      {id.view(), epoch, progress, stage, until}));
}

Result<bool> JobsStore::end(JobId id, std::int64_t epoch, JobState state, std::string_view kind,
                            std::string_view reason, std::int64_t now) {
  return hit(sql_.run("jobs.end",
                      "UPDATE jobs SET state = :3, failure_kind = :4, failure_reason = :5, ended = :6, "
                      "progress = CASE WHEN 'done' = :3 THEN 1 ELSE progress END "
                      "WHERE id = :1 AND epoch = :2 AND state = 'leased'",
                      {id.view(), epoch, to_string(state), kind, reason, now}));
}

Result<bool> JobsStore::requeue(JobId id, std::int64_t epoch, std::int64_t attempts, std::int64_t run_after,
                                std::string_view kind, std::string_view reason) {
  return hit(
      sql_.run("jobs.requeue",
               "UPDATE jobs SET state = 'queued', stage = 'queued', attempts = :3, run_after = :4, failure_kind = :5, "
               "failure_reason = :6 WHERE id = :1 AND epoch = :2 AND state = 'leased'",
               {id.view(), epoch, attempts, run_after, kind, reason}));
}

Result<std::vector<Job>> JobsStore::expired(std::int64_t now, std::int64_t limit) {
  return many(sql_, "jobs.expired", "WHERE state = 'leased' AND lease_until < :1 ORDER BY lease_until LIMIT :2",
              {now, limit});
}

Result<std::int64_t> JobsStore::cancel_of_video(VideoId video, std::int64_t now) {
  return sql_.run(
      "jobs.cancel_of_video",
      "UPDATE jobs SET state = 'cancelled', ended = :2 WHERE video_id = :1 AND state IN ('queued', 'leased')",
      {video.view(), now});
}

Result<std::int64_t> JobsStore::cancel_of_upload(UploadId upload, std::int64_t now) {
  return sql_.run(
      "jobs.cancel_of_upload",
      "UPDATE jobs SET state = 'cancelled', ended = :2 WHERE upload_id = :1 AND state IN ('queued', 'leased')",
      {upload.view(), now});
}

Result<std::int64_t> JobsStore::cancel_queued_of_stream(StreamId stream, std::int64_t now) {
  return sql_.run("jobs.cancel_queued_of_stream",
                  "UPDATE jobs SET state = 'cancelled', ended = :2 WHERE stream_id = :1 AND state = 'queued'",
                  {stream.view(), now});
}

Result<std::optional<Job>> JobsStore::of_stream(StreamId stream) {
  return one(sql_, "jobs.of_stream", "WHERE stream_id = :1 ORDER BY created DESC LIMIT 1", {stream.view()});
}

Result<std::vector<std::int64_t>> JobsStore::versions_under_way(VideoId video) {
  auto rows = sql_.rows<std::int64_t>("jobs.versions_under_way",
                                      "SELECT version FROM jobs WHERE video_id = :1 AND state = 'leased' LIMIT 100",
                                      {video.view()});
  if (!rows) return pass(rows);
  std::vector<std::int64_t> versions;
  for (const auto& [version] : *rows) versions.push_back(version);
  return versions;
}

Result<std::int64_t> JobsStore::count_due(JobKind kind, std::int64_t now) {
  return number(sql_.row<std::int64_t>(
      "jobs.count_due", "SELECT COUNT(*) FROM jobs WHERE state = 'queued' AND kind = :1 AND run_after <= :2",
      {to_string(kind), now}));
}

Result<std::vector<JobCount>> JobsStore::counts() {
  auto rows = sql_.rows<std::string, std::string, std::int64_t>(
      "jobs.counts", "SELECT kind, state, COUNT(*) FROM jobs GROUP BY kind, state");
  if (!rows) return pass(rows);
  std::vector<JobCount> counts;
  for (const auto& [kind, state, count] : *rows) counts.push_back({kind_from(kind), state_from(state), count});
  return counts;
}

}  // namespace ribalta::control
