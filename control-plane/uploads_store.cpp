#include "control-plane/uploads_store.h"

#include "control-plane/store.h"

namespace ribalta::control {
namespace {

Result<std::vector<Upload>> many(sql::Session& session, std::string_view name, const std::string& rest,
                                 const sql::Values& values) {
  auto rows = session.rows<std::string, std::string, std::string, std::string, std::int64_t, std::string, std::int64_t,
                           std::int64_t, std::string>(
      name, "SELECT id, video_id, user_id, filename, bytes, state, created, stored, job_id FROM uploads " + rest,
      values);
  if (!rows) return pass(rows);
  std::vector<Upload> uploads;
  for (auto& [id, video, user, filename, bytes, state, created, stored, job] : *rows) {
    uploads.push_back({stored_id<UploadId>(id), stored_id<VideoId>(video), stored_id<UserId>(user), std::move(filename),
                       bytes, std::move(state), created, stored, stored_optional_id<JobId>(job)});
  }
  return uploads;
}

}  // namespace

Result<void> UploadsStore::insert(const Upload& upload) {
  return done(sql_.run(
      "uploads.insert",
      "INSERT INTO uploads (id, video_id, user_id, filename, bytes, state, created, stored, job_id) "
      "VALUES (:1, :2, :3, :4, :5, 'draft', :6, 0, '')",
      {upload.id.view(), upload.video.view(), upload.user.view(), upload.filename, upload.bytes, upload.created}));
}

Result<std::optional<Upload>> UploadsStore::by_id(UploadId id) {
  auto found = many(sql_, "uploads.by_id", "WHERE id = :1", {id.view()});
  if (!found) return pass(found);
  if (found->empty()) return std::optional<Upload>{};
  return std::optional<Upload>{std::move(found->front())};
}

Result<std::vector<Upload>> UploadsStore::of_video(VideoId video) {
  return many(sql_, "uploads.of_video", "WHERE video_id = :1 ORDER BY created", {video.view()});
}

Result<void> UploadsStore::set_stored(UploadId id, std::int64_t bytes, std::int64_t now) {
  return done(sql_.run("uploads.set_stored",
                       "UPDATE uploads SET state = 'stored', bytes = :2, stored = :3 WHERE id = :1",
                       {id.view(), bytes, now}));
}

Result<void> UploadsStore::set_expired(UploadId id) {
  return done(sql_.run("uploads.set_expired", "UPDATE uploads SET state = 'expired' WHERE id = :1", {id.view()}));
}

Result<void> UploadsStore::set_job(UploadId id, JobId job) {
  return done(sql_.run("uploads.set_job", "UPDATE uploads SET job_id = :2 WHERE id = :1", {id.view(), job.view()}));
}

Result<void> UploadsStore::remove(UploadId id) {
  return done(sql_.run("uploads.remove", "DELETE FROM uploads WHERE id = :1", {id.view()}));
}

Result<std::int64_t> UploadsStore::bytes_of(UserId user) {
  return number(sql_.row<std::int64_t>(
      "uploads.bytes_of",
      "SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM uploads WHERE user_id = :1 AND state <> 'expired'",
      {user.view()}));
}

Result<std::int64_t> UploadsStore::drafts_of(UserId user) {
  return number(sql_.row<std::int64_t>(
      "uploads.drafts_of", "SELECT COUNT(*) FROM uploads WHERE user_id = :1 AND state = 'draft'", {user.view()}));
}

Result<std::vector<Upload>> UploadsStore::drafts_before(std::int64_t before, std::int64_t limit) {
  return many(sql_, "uploads.drafts_before", "WHERE state = 'draft' AND created < :1 ORDER BY created LIMIT :2",
              {before, limit});
}

Result<std::vector<Upload>> UploadsStore::stored_without_job(std::int64_t limit) {
  return many(sql_, "uploads.stored_without_job", "WHERE state = 'stored' AND job_id = '' ORDER BY created LIMIT :1",
              {limit});
}

}  // namespace ribalta::control
