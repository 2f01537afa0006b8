#include "control-plane/videos_store.h"

#include "control-plane/store.h"

namespace ribalta::control {
namespace {

constexpr std::string_view kSelect =
    "SELECT v.id, v.user_id, v.title, v.visibility, v.created, v.published, v.version, v.width, v.height, "
    "v.duration_ms, "
    "v.poster, v.upload_id, v.source_upload_id, u.name, u.suspended, w.filename, w.bytes, w.state, j.state, j.stage, "
    "j.progress, j.attempts, j.failure_kind, j.failure_reason FROM videos v JOIN users u ON u.id = v.user_id "
    "LEFT JOIN uploads w ON w.id = v.upload_id LEFT JOIN jobs j ON j.id = w.job_id AND w.job_id <> '' ";
constexpr std::string_view kPublished =
    "v.visibility = 'public' AND v.version > 0 AND v.deleted = 0 AND u.suspended = 0 ";

template <class T>
using Maybe = std::optional<T>;

JobState job_state(std::string_view text) {
  for (const JobState state : {JobState::queued, JobState::leased, JobState::done, JobState::failed}) {
    if (to_string(state) == text) return state;
  }
  return JobState::cancelled;
}

Result<std::vector<VideoView>> many(sql::Session& session, std::string_view name, const std::string& rest,
                                    const sql::Values& values) {
  auto rows =
      session.rows<std::string, std::string, std::string, std::string, std::int64_t, std::int64_t, std::int64_t,
                   std::int64_t, std::int64_t, std::int64_t, bool, std::string, std::string, std::string, bool,
                   Maybe<std::string>, Maybe<std::int64_t>, Maybe<std::string>, Maybe<std::string>, Maybe<std::string>,
                   Maybe<double>, Maybe<std::int64_t>, Maybe<std::string>, Maybe<std::string>>(
          name, std::string{kSelect} + rest, values);
  if (!rows) return pass(rows);
  std::vector<VideoView> views;
  for (auto& [id, user, title, visibility, created, published, version, width, height, duration, poster, upload, source,
              user_name, suspended, filename, bytes, upload_state, job, stage, progress, attempts, kind, reason] :
       *rows) {
    VideoView view{.video = {stored_id<VideoId>(id), stored_id<UserId>(user), std::move(title), visibility == "public",
                             created, published, version, width, height, duration, poster,
                             stored_optional_id<UploadId>(upload), stored_optional_id<UploadId>(source), 0},
                   .user_name = std::move(user_name),
                   .user_suspended = suspended,
                   .work = {}};
    if (upload_state) {
      view.work = VideoWork{.filename = *filename, .bytes = *bytes, .upload_state = *upload_state};
      if (job) {
        view.work->job = job_state(*job);
        view.work->stage = *stage;
        view.work->progress = *progress;
        view.work->attempts = *attempts;
        view.work->failure_kind = *kind;
        view.work->failure_reason = *reason;
      }
    }
    views.push_back(std::move(view));
  }
  return views;
}

/// Everything is older than this: the first page's cursor.
PageCursor first_page() { return {INT64_MAX, "~"}; }

}  // namespace

Result<void> VideosStore::insert(const Video& video) {
  return done(
      sql_.run("videos.insert",
               "INSERT INTO videos (id, user_id, title, visibility, created, published, version, versions_made, width, "
               "height, duration_ms, poster, upload_id, source_upload_id, deleted) "
               "VALUES (:1, :2, :3, :4, :5, 0, 0, 0, 0, 0, 0, 0, :6, '', 0)",
               {video.id.view(), video.user.view(), video.title, video.is_public ? "public" : "private", video.created,
                text_of(video.upload)}));
}

Result<std::optional<VideoView>> VideosStore::view(VideoId id) {
  auto found = many(sql_, "videos.view", "WHERE v.id = :1 AND v.deleted = 0", {id.view()});
  if (!found) return pass(found);
  if (found->empty()) return std::optional<VideoView>{};
  return std::optional<VideoView>{std::move(found->front())};
}

Result<std::vector<VideoView>> VideosStore::feed(const std::optional<PageCursor>& after, std::int64_t limit) {
  const PageCursor from = after.value_or(first_page());
  return many(sql_, "videos.feed",
              "WHERE " + std::string{kPublished} +
                  "AND (v.published, v.id) < (:1, :2) ORDER BY v.published DESC, v.id DESC LIMIT :3",
              {from.instant, from.id, limit});
}

Result<std::vector<VideoView>> VideosStore::published_of(UserId user, const std::optional<PageCursor>& after,
                                                         std::int64_t limit) {
  const PageCursor from = after.value_or(first_page());
  return many(sql_, "videos.published_of",
              "WHERE v.user_id = :4 AND " + std::string{kPublished} +
                  "AND (v.published, v.id) < (:1, :2) ORDER BY v.published DESC, v.id DESC LIMIT :3",
              {from.instant, from.id, limit, user.view()});
}

Result<std::vector<VideoView>> VideosStore::all_of(UserId user, const std::optional<PageCursor>& after,
                                                   std::int64_t limit) {
  const PageCursor from = after.value_or(first_page());
  return many(sql_, "videos.all_of",
              "WHERE v.user_id = :4 AND v.deleted = 0 AND (v.created, v.id) < (:1, :2) "
              "ORDER BY v.created DESC, v.id DESC LIMIT :3",
              {from.instant, from.id, limit, user.view()});
}

Result<void> VideosStore::set_title(VideoId id, std::string_view title) {
  return done(sql_.run("videos.set_title", "UPDATE videos SET title = :2 WHERE id = :1", {id.view(), title}));
}

Result<void> VideosStore::set_public(VideoId id, bool is_public) {
  return done(sql_.run("videos.set_public", "UPDATE videos SET visibility = :2 WHERE id = :1",
                       {id.view(), is_public ? "public" : "private"}));
}

Result<void> VideosStore::set_upload(VideoId id, const std::optional<UploadId>& upload) {
  return done(
      sql_.run("videos.set_upload", "UPDATE videos SET upload_id = :2 WHERE id = :1", {id.view(), text_of(upload)}));
}

Result<std::int64_t> VideosStore::next_version(VideoId id) {
  return number(sql_.row<std::int64_t>(
      "videos.next_version",
      "UPDATE videos SET versions_made = versions_made + 1 WHERE id = :1 RETURNING versions_made", {id.view()}));
}

Result<bool> VideosStore::set_ready(VideoId id, const ReadyVersion& ready, UploadId source, std::int64_t now) {
  return hit(sql_.run(
      "videos.set_ready",
      "UPDATE videos SET version = :2, width = :3, height = :4, duration_ms = :5, poster = :6, "
      "source_upload_id = :7, upload_id = CASE WHEN upload_id = :7 THEN '' ELSE upload_id END, "
      "published = CASE WHEN published = 0 THEN :8 ELSE published END WHERE id = :1 AND deleted = 0",
      {id.view(), ready.version, ready.width, ready.height, ready.duration_ms, ready.poster, source.view(), now}));
}

Result<bool> VideosStore::set_deleted(VideoId id, std::int64_t now) {
  return hit(sql_.run("videos.set_deleted",
                      "UPDATE videos SET deleted = :2, title = '', version = 0, upload_id = '', source_upload_id = '' "
                      "WHERE id = :1 AND deleted = 0",
                      {id.view(), now}));
}

Result<std::optional<std::string>> VideosStore::access(VideoId id) {
  auto row = sql_.row<std::int64_t, std::string, bool>(
      "videos.access",
      "SELECT v.deleted, v.visibility, u.suspended FROM videos v JOIN users u ON u.id = v.user_id WHERE v.id = :1",
      {id.view()});
  if (!row) return pass(row);
  if (!*row) return std::optional<std::string>{};
  const auto& [deleted, visibility, suspended] = **row;
  if (deleted != 0) return std::optional<std::string>{"gone"};
  return std::optional<std::string>{visibility == "public" && !suspended ? "public" : "token"};
}

Result<std::vector<VideosStore::Access>> VideosStore::restricted(std::string_view after, std::int64_t limit) {
  auto rows = sql_.rows<std::string, std::int64_t>(
      "videos.restricted",
      "SELECT v.id, v.deleted FROM videos v JOIN users u ON u.id = v.user_id "
      "WHERE (v.deleted > 0 OR v.visibility = 'private' OR u.suspended = 1) AND v.id > :1 ORDER BY v.id LIMIT :2",
      {after, limit});
  if (!rows) return pass(rows);
  std::vector<Access> found;
  for (const auto& [id, deleted] : *rows) found.push_back({stored_id<VideoId>(id), deleted != 0 ? "gone" : "token"});
  return found;
}

Result<std::vector<VideoId>> VideosStore::ids_of(UserId user) {
  auto rows = sql_.rows<std::string>("videos.ids_of", "SELECT id FROM videos WHERE user_id = :1 AND deleted = 0",
                                     {user.view()});
  if (!rows) return pass(rows);
  std::vector<VideoId> ids;
  for (const auto& [id] : *rows) ids.push_back(stored_id<VideoId>(id));
  return ids;
}

Result<VideoCounts> VideosStore::counts() {
  auto rows = sql_.rows<std::string, std::int64_t>(
      "videos.counts",
      "SELECT CASE WHEN v.version > 0 THEN 'ready' WHEN w.state = 'draft' THEN 'draft' WHEN w.state = 'expired' THEN "
      "'failed' "
      "WHEN j.state IN ('queued', 'leased') THEN 'processing' ELSE 'failed' END AS what, COUNT(*) FROM videos v "
      "LEFT JOIN uploads w ON w.id = v.upload_id LEFT JOIN jobs j ON j.id = w.job_id AND w.job_id <> '' "
      "WHERE v.deleted = 0 GROUP BY what");
  if (!rows) return pass(rows);
  VideoCounts counts;
  for (const auto& [what, count] : *rows) {
    if (what == "ready") counts.ready = count;
    if (what == "draft") counts.draft = count;
    if (what == "processing") counts.processing = count;
    if (what == "failed") counts.failed = count;
  }
  return counts;
}

}  // namespace ribalta::control
