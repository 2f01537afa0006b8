#include "control-plane/catalogue.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "control-plane/errands_store.h"
#include "control-plane/farm.h"
#include "control-plane/identity.h"
#include "control-plane/jobs_store.h"
#include "control-plane/sessions_store.h"
#include "control-plane/store.h"
#include "control-plane/streams_store.h"
#include "control-plane/uploads_store.h"

namespace ribalta::control {
namespace {

constexpr std::size_t kFilenameBytesMax = 255;

Refused no_video() { return refuse(404, "not_found", "There is no such video."); }

bool under_way(const std::optional<VideoWork>& work) {
  return work && !failure_of(*work) && (work->upload_state == "draft" || work->job.has_value());
}

/// A name to show: no path, no control characters, not endless.
std::string clean_filename(std::string_view name) {
  const std::size_t slash = name.find_last_of("/\\");
  if (slash != std::string_view::npos) name = name.substr(slash + 1);
  std::string clean;
  for (const char c : name.substr(0, kFilenameBytesMax))
    clean += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '_' : c;
  while (!clean.empty() && (static_cast<unsigned char>(clean.back()) & 0xC0) == 0x80)
    clean.pop_back();  // a cut character
  return clean.empty() ? "upload" : clean;
}

Result<Outcome<void>> check_quota(sql::Session& session, const User& user, const UploadWish& wish,
                                  const UploadRules& rules) {
  UploadsStore uploads{session};
  if (wish.bytes < 0) return refuse(400, "malformed", "bytes: not negative");  // an empty file is refused with its kind
  if (wish.bytes > rules.upload_bytes_max) {
    return refuse(413, "limits",
                  "The file has " + human_bytes(wish.bytes) + "; the largest that is taken here has " +
                      human_bytes(rules.upload_bytes_max) + ".");
  }
  auto drafts = uploads.drafts_of(user.id);
  if (!drafts) return pass(drafts);
  if (*drafts >= rules.drafts_max) {
    return refuse(
        429, "drafts",
        "You have " + std::to_string(*drafts) + " uploads under way, the most at once. Finish or cancel one.");
  }
  auto used = uploads.bytes_of(user.id);
  if (!used) return pass(used);
  if (*used > rules.user_bytes_max - wish.bytes) {
    return refuse(413, "quota",
                  "The file has " + human_bytes(wish.bytes) + ", and of your " + human_bytes(rules.user_bytes_max) +
                      " there are " + human_bytes(std::max<std::int64_t>(0, rules.user_bytes_max - *used)) +
                      " left. Delete a video to make room.");
  }
  return Outcome<void>{};
}

/// The video that the upload is for: a new draft, or the one that it replaces.
Result<Outcome<VideoId>> video_for(sql::Session& session, const User& user, const UploadWish& wish, UploadId upload,
                                   std::int64_t now) {
  VideosStore videos{session};
  if (wish.replaces.empty()) {
    const Video video{.user = user.id,
                      .title = title_from(wish.title, clean_filename(wish.filename)),
                      .created = now,
                      .upload = upload};
    if (auto inserted = videos.insert(video); !inserted) return pass(inserted);
    return Outcome<VideoId>{video.id};
  }
  const Result<VideoId> id = VideoId::parse(wish.replaces);
  if (!id) return no_video();
  auto own = own_video(session, user, *id);
  if (!own) return pass(own);
  if (!*own) return refuse(*own);
  if (under_way((*own)->work))
    return refuse(409, "busy", "A file for this video is being uploaded or processed already.");
  if (const auto& failed = (*own)->video.upload) {  // what failed makes room
    if (auto removed = UploadsStore{session}.remove(*failed); !removed) return pass(removed);
    if (auto owed = ErrandsStore{session}.want(ErrandKind::upload_remove, failed->view(), now); !owed)
      return pass(owed);
  }
  if (auto set = videos.set_upload(*id, upload); !set) return pass(set);
  return Outcome<VideoId>{*id};
}

Result<void> remove_uploads_of(sql::Session& session, VideoId video, std::int64_t now) {
  UploadsStore uploads{session};
  auto all = uploads.of_video(video);
  if (!all) return pass(all);
  for (const Upload& upload : *all) {
    if (auto removed = uploads.remove(upload.id); !removed) return removed;
    if (auto owed = ErrandsStore{session}.want(ErrandKind::upload_remove, upload.id.view(), now); !owed) return owed;
  }
  return {};
}

Result<void> take_down_video(sql::Session& session, VideoId id, std::int64_t now) {
  ErrandsStore errands{session};
  auto cancelled = JobsStore{session}.cancel_of_video(id, now);
  if (!cancelled) return pass(cancelled);
  if (auto removed = remove_uploads_of(session, id, now); !removed) return removed;
  if (auto deleted = VideosStore{session}.set_deleted(id, now); !deleted) return pass(deleted);
  if (*cancelled > 0) {
    if (auto owed = errands.want(ErrandKind::video_tidy, id.view(), now + kTidyDeletedMs); !owed) return owed;
  }
  return errands.want(ErrandKind::video_access, id.view(), now);
}

/// Its broadcast ends, and no media of any stay for the time that an ended one is otherwise kept.
Result<void> take_down_lives(sql::Session& session, UserId user, const LiveRules& rules, std::int64_t now) {
  auto live = StreamsStore{session}.active_of(user);
  if (!live) return pass(live);
  if (*live) {
    if (auto ended = end_stream(session, (*live)->id, rules, now); !ended) return ended;
  }
  auto kept = StreamsStore{session}.kept_of(user);
  if (!kept) return pass(kept);
  for (const StreamId id : *kept) {
    if (auto owed = ErrandsStore{session}.want(ErrandKind::stream_remove, id.view(), now); !owed) return owed;
  }
  return {};
}

Result<Outcome<void>> check_admin_stays(sql::Session& session, const User& user, bool stays_admin) {
  if (!user.admin || user.suspended || stays_admin) return Outcome<void>{};
  auto admins = UsersStore{session}.count_admins();
  if (!admins) return pass(admins);
  if (*admins <= 1) return refuse(409, "last_admin", "The last administrator stays one.");
  return Outcome<void>{};
}

}  // namespace

std::string human_bytes(std::int64_t bytes) {
  constexpr std::array<const char*, 5> kUnits{"bytes", "kB", "MB", "GB", "TB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1000 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
  return text.data();
}

std::optional<ShownFailure> failure_of(const VideoWork& work) {
  if (work.upload_state == "expired") {
    return ShownFailure{
        "upload-expired",
        "The upload was not finished in time, and what had come of it was removed. Upload the file again.", false};
  }
  if (!work.job) return std::nullopt;
  if (*work.job == JobState::failed) return ShownFailure{work.failure_kind, work.failure_reason, true};
  if (*work.job == JobState::cancelled) return ShownFailure{"worker", "Processing was cancelled.", true};
  return std::nullopt;
}

Result<Outcome<UploadTicket>> authorise_upload(sql::Session& session, const User& user, const UploadWish& wish,
                                               const UploadRules& rules, std::int64_t now) {
  if (!user.creator) return refuse(403, "not_creator", "This account may not upload.");
  auto room = check_quota(session, user, wish, rules);
  if (!room) return pass(room);
  if (!*room) return refuse(*room);
  if (!wish.title.empty()) {
    if (const auto titled = check_title(wish.title); !titled) return refuse(titled);
  }
  const UploadId upload_id = UploadId::random();
  auto video = video_for(session, user, wish, upload_id, now);
  if (!video) return pass(video);
  if (!*video) return refuse(*video);
  const Upload upload{.id = upload_id,
                      .video = **video,
                      .user = user.id,
                      .filename = clean_filename(wish.filename),
                      .bytes = wish.bytes,
                      .created = now};
  if (auto inserted = UploadsStore{session}.insert(upload); !inserted) return pass(inserted);
  return Outcome<UploadTicket>{UploadTicket{.user = user.id, .video = **video, .upload = upload_id}};
}

Result<Outcome<void>> access_upload(sql::Session& session, const User& user, UploadId id) {
  auto upload = UploadsStore{session}.by_id(id);
  if (!upload) return pass(upload);
  if (!*upload || (*upload)->user != user.id || !user.creator || (*upload)->state == "expired") {
    return refuse(403, "forbidden", "There is no such upload of yours.");
  }
  return Outcome<void>{};
}

Result<Outcome<void>> finish_upload(sql::Session& session, const UploadFinished& finished, std::int64_t now) {
  UploadsStore uploads{session};
  auto upload = uploads.by_id(finished.upload);
  if (!upload) return pass(upload);
  if (!*upload) {  // its video was deleted while the last bytes came: what was stored goes too
    if (auto owed = ErrandsStore{session}.want(ErrandKind::upload_remove, finished.upload.view(), now); !owed)
      return pass(owed);
    return Outcome<void>{};
  }
  if ((*upload)->video != finished.video) return refuse(404, "not_found", "The upload belongs to another video.");
  if (finished.key != "uploads/" + finished.upload.text()) return refuse(400, "malformed", "key: not this upload's");
  if ((*upload)->job) return Outcome<void>{};  // said before
  if (auto stored = uploads.set_stored(finished.upload, finished.bytes, now); !stored) return pass(stored);
  if (auto set = VideosStore{session}.set_upload(finished.video, finished.upload); !set) return pass(set);
  if (auto queued = queue_vod(session, **upload, now); !queued) return pass(queued);
  // Long before it plays, the packager knows who may play it.
  if (auto owed = ErrandsStore{session}.want(ErrandKind::video_access, finished.video.view(), now); !owed)
    return pass(owed);
  return Outcome<void>{};
}

Result<void> end_upload(sql::Session& session, const UploadEnded& ended, std::int64_t now) {
  UploadsStore uploads{session};
  VideosStore videos{session};
  auto upload = uploads.by_id(ended.upload);
  if (!upload) return pass(upload);
  if (!*upload || (*upload)->state != "draft") return {};
  if (ended.reason == "expired")
    return uploads.set_expired(ended.upload);  // shown as failed: nothing vanishes silently
  if (auto removed = uploads.remove(ended.upload); !removed) return removed;
  auto view = videos.view((*upload)->video);
  if (!view) return pass(view);
  if (!*view || (*view)->video.upload != ended.upload) return {};
  if ((*view)->video.version > 0) return videos.set_upload((*upload)->video, std::nullopt);
  auto deleted = videos.set_deleted((*upload)->video, now);
  if (!deleted) return pass(deleted);
  return {};
}

Result<Outcome<VideoView>> own_video(sql::Session& session, const User& user, VideoId id) {
  auto view = VideosStore{session}.view(id);
  if (!view) return pass(view);
  if (!*view || (*view)->video.user != user.id) return no_video();
  return Outcome<VideoView>{std::move(**view)};
}

Result<Outcome<VideoView>> change_video(sql::Session& session, const User& user, VideoId id, const VideoChange& change,
                                        std::int64_t now) {
  VideosStore videos{session};
  auto own = own_video(session, user, id);
  if (!own || !*own) return own;
  if (change.title) {
    if (const auto titled = check_title(*change.title); !titled) return refuse(titled);
    if (auto set = videos.set_title(id, *change.title); !set) return pass(set);
  }
  if (change.visibility) {
    if (*change.visibility != "public" && *change.visibility != "private") {
      return refuse(400, "malformed", "visibility: public or private");
    }
    if (auto set = videos.set_public(id, *change.visibility == "public"); !set) return pass(set);
    if (auto owed = ErrandsStore{session}.want(ErrandKind::video_access, id.view(), now); !owed) return pass(owed);
  }
  return own_video(session, user, id);
}

Result<Outcome<void>> delete_video(sql::Session& session, const Identity& who, VideoId id, std::int64_t now) {
  auto view = VideosStore{session}.view(id);
  if (!view) return pass(view);
  const bool own = *view && who.user && who.user->id == (*view)->video.user;
  if (!*view || (!own && !who.is_admin())) return no_video();
  if (auto taken = take_down_video(session, id, now); !taken) return pass(taken);
  return Outcome<void>{};
}

Result<Outcome<VideoView>> retry_video(sql::Session& session, const User& user, VideoId id, std::int64_t now) {
  auto own = own_video(session, user, id);
  if (!own || !*own) return own;
  const auto failure = (*own)->work ? failure_of(*(*own)->work) : std::nullopt;
  if (!failure) return refuse(409, "not_retryable", "This video has not failed.");
  if (!failure->retryable) return refuse(409, "not_retryable", "Its file is gone: upload it again.");
  auto upload = UploadsStore{session}.by_id(*(*own)->video.upload);
  if (!upload) return pass(upload);
  if (!*upload || (*upload)->state != "stored")
    return refuse(409, "not_retryable", "Its file is gone: upload it again.");
  if (auto queued = queue_vod(session, **upload, now); !queued) return pass(queued);
  return own_video(session, user, id);
}

Result<Outcome<void>> change_roles(sql::Session& session, const User& user, const RoleChange& change,
                                   const LiveRules& rules, std::int64_t now) {
  auto may = check_admin_stays(session, user, change.admin && !change.suspended);
  if (!may || !*may) return may;
  UsersStore users{session};
  if (auto set = users.set_roles(user.id, change.admin, change.creator, change.suspended); !set) return pass(set);
  if (change.suspended) {
    if (auto ended = SessionsStore{session}.remove_all_of(user.id); !ended) return pass(ended);
  }
  if (change.suspended) {
    if (auto taken = take_down_lives(session, user.id, rules, now); !taken) return pass(taken);
  } else if (!change.creator) {
    auto live = StreamsStore{session}.active_of(user.id);
    if (!live) return pass(live);
    if (*live) {
      if (auto ended = end_stream(session, (*live)->id, rules, now); !ended) return pass(ended);
    }
  }
  if (change.suspended != user.suspended) {
    auto ids = VideosStore{session}.ids_of(user.id);
    if (!ids) return pass(ids);
    for (const VideoId id : *ids) {
      if (auto owed = ErrandsStore{session}.want(ErrandKind::video_access, id.view(), now); !owed) return pass(owed);
    }
  }
  return Outcome<void>{};
}

Result<Outcome<void>> remove_account(sql::Session& session, const User& user, const LiveRules& rules,
                                     std::int64_t now) {
  auto may = check_admin_stays(session, user, false);
  if (!may || !*may) return may;
  SessionsStore sessions{session};
  if (auto ended = sessions.remove_all_of(user.id); !ended) return pass(ended);
  if (auto ended = sessions.remove_tokens_of(user.id); !ended) return pass(ended);
  if (auto taken = take_down_lives(session, user.id, rules, now); !taken) return pass(taken);
  if (auto forgotten = StreamsStore{session}.forget_words_of(user.id); !forgotten) return pass(forgotten);
  auto videos = VideosStore{session}.ids_of(user.id);
  if (!videos) return pass(videos);
  for (const VideoId id : *videos) {
    if (auto taken = take_down_video(session, id, now); !taken) return pass(taken);
  }
  if (auto removed = UsersStore{session}.set_removed(user.id, now); !removed) return pass(removed);
  return Outcome<void>{};
}

}  // namespace ribalta::control
