// The catalogue of videos in SQL.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control-plane/jobs_store.h"
#include "core/ids.h"
#include "core/result.h"
#include "core/sql/sql.h"

namespace ribalta::control {

struct Video {
  VideoId id = VideoId::random();
  UserId user = UserId::random();
  std::string title;
  bool is_public = true;
  std::int64_t created = 0;
  std::int64_t published = 0;  ///< first became ready; 0: never
  std::int64_t version = 0;    ///< that plays; 0: none yet
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::int64_t duration_ms = 0;
  bool poster = false;
  std::optional<UploadId> upload;         ///< that is being uploaded or processed, or failed
  std::optional<UploadId> source_upload;  ///< that the version was made from
  std::int64_t deleted = 0;
};

/// How far the upload of a video has come: its row, and its job's once there is one.
struct VideoWork {
  std::string filename;
  std::int64_t bytes = 0;
  std::string upload_state;  ///< draft, stored, expired
  std::optional<JobState> job;
  std::string stage;
  double progress = 0;
  std::int64_t attempts = 0;
  std::string failure_kind;
  std::string failure_reason;
};

/// A video with what pages show beside it.
struct VideoView {
  Video video;
  std::string user_name;
  bool user_suspended = false;
  std::optional<VideoWork> work;
};

/// Where a page of a list ended: older rows follow.
struct PageCursor {
  std::int64_t instant = 0;
  std::string id;
};

/// What the work on a version ended with.
struct ReadyVersion {
  std::int64_t version = 0;
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::int64_t duration_ms = 0;
  bool poster = false;
};

struct VideoCounts {
  std::int64_t draft = 0;
  std::int64_t processing = 0;
  std::int64_t ready = 0;
  std::int64_t failed = 0;
};

class VideosStore {
 public:
  explicit VideosStore(sql::Session& session) : sql_(session) {}

  Result<void> insert(const Video& video);
  /// Not the deleted ones.
  Result<std::optional<VideoView>> view(VideoId id);
  /// Public, ready, of users who are not suspended; newest first, at most `limit`.
  Result<std::vector<VideoView>> feed(const std::optional<PageCursor>& after, std::int64_t limit);
  /// The same of one user, by when they were published.
  Result<std::vector<VideoView>> published_of(UserId user, const std::optional<PageCursor>& after, std::int64_t limit);
  /// Every video of a user, by when it was created.
  Result<std::vector<VideoView>> all_of(UserId user, const std::optional<PageCursor>& after, std::int64_t limit);

  Result<void> set_title(VideoId id, std::string_view title);
  Result<void> set_public(VideoId id, bool is_public);
  /// The upload whose work is shown; none: nothing under way.
  Result<void> set_upload(VideoId id, const std::optional<UploadId>& upload);
  /// A number for the version that a lease writes.
  Result<std::int64_t> next_version(VideoId id);
  /// Switches to a version that is whole. @return false: the video was deleted.
  Result<bool> set_ready(VideoId id, const ReadyVersion& ready, UploadId source, std::int64_t now);
  /// Leaves only id and instant. @return false: it was deleted before.
  Result<bool> set_deleted(VideoId id, std::int64_t now);
  /// Also of deleted videos: what edges must be told, `public`, `token` or `gone`.
  Result<std::optional<std::string>> access(VideoId id);
  struct Access {
    VideoId id = VideoId::random();
    std::string access;
  };
  /// All that are not public, in order of ids after `after`.
  Result<std::vector<Access>> restricted(std::string_view after, std::int64_t limit);
  Result<std::vector<VideoId>> ids_of(UserId user);
  Result<VideoCounts> counts();

 private:
  sql::Session& sql_;
};

}  // namespace ribalta::control
