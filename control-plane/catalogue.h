// The rules of videos and of the uploads that they are made from: quotas, drafts, replacing, retrying, deleting, and
// what suspending an account does to them. Plain functions over a SQL session and the time.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "control-plane/identity.h"
#include "control-plane/live.h"
#include "control-plane/outcome.h"
#include "control-plane/users_store.h"
#include "control-plane/videos_store.h"
#include "core/ids.h"
#include "core/sql/sql.h"

namespace ribalta::control {

struct UploadRules {
  std::int64_t upload_bytes_max = 0;
  std::int64_t user_bytes_max = 0;
  std::int64_t drafts_max = 0;
};

struct UploadWish {
  std::int64_t bytes = 0;
  std::string filename;
  std::string title;
  std::string replaces;  ///< id of a video, or empty
};

struct UploadTicket {
  UserId user = UserId::random();
  VideoId video = VideoId::random();
  UploadId upload = UploadId::random();
};
BOOST_DESCRIBE_STRUCT(UploadTicket, (), (user, video, upload))

struct UploadFinished {
  UploadId upload = UploadId::random();
  VideoId video = VideoId::random();
  std::string key;
  std::int64_t bytes = 0;
  std::string filename;
};
BOOST_DESCRIBE_STRUCT(UploadFinished, (), (upload, video, key, bytes, filename))

struct UploadEnded {
  UploadId upload = UploadId::random();
  VideoId video = VideoId::random();
  std::string reason;  ///< `expired` or `terminated`
};
BOOST_DESCRIBE_STRUCT(UploadEnded, (), (upload, video, reason))

/// A draft and its share of the quota. Call in a write transaction, or the quota can be passed by asking twice at once.
/// @refusal 403 not_creator; 404 not_found (replaces); 409 busy (replaces one that is being worked on); 413 quota,
/// limits;
///          429 drafts; 400 malformed.
Result<Outcome<UploadTicket>> authorise_upload(sql::Session& session, const User& user, const UploadWish& wish,
                                               const UploadRules& rules, std::int64_t now);
/// @refusal 403 forbidden: another's, over, or unknown.
Result<Outcome<void>> access_upload(sql::Session& session, const User& user, UploadId upload);
/// Queues the job; said twice, it is fine. @refusal 404 not_found.
Result<Outcome<void>> finish_upload(sql::Session& session, const UploadFinished& finished, std::int64_t now);
Result<void> end_upload(sql::Session& session, const UploadEnded& ended, std::int64_t now);

/// The user's own video. @refusal 404 not_found.
Result<Outcome<VideoView>> own_video(sql::Session& session, const User& user, VideoId video);

struct VideoChange {
  std::optional<std::string> title;
  std::optional<std::string> visibility;
};
BOOST_DESCRIBE_STRUCT(VideoChange, (), (title, visibility))
/// @refusal 404 not_found; 400 bad_title, malformed.
Result<Outcome<VideoView>> change_video(sql::Session& session, const User& user, VideoId video,
                                        const VideoChange& change, std::int64_t now);
/// A lease of its work may outlive a deleted video for this long: what it wrote is removed once more after it.
inline constexpr std::int64_t kTidyDeletedMs = 600'000;
/// The owner or an administrator. @refusal 404 not_found.
Result<Outcome<void>> delete_video(sql::Session& session, const Identity& who, VideoId video, std::int64_t now);
/// @refusal 404 not_found; 409 not_retryable.
Result<Outcome<VideoView>> retry_video(sql::Session& session, const User& user, VideoId video, std::int64_t now);

struct RoleChange {
  bool admin = false;
  bool creator = false;
  bool suspended = false;
};
/// Suspending ends sessions and the live stream and hides the videos. @refusal 409 last_admin.
Result<Outcome<void>> change_roles(sql::Session& session, const User& user, const RoleChange& change,
                                   const LiveRules& rules, std::int64_t now);

/// All that an account is and made: sessions, tokens and key end, its videos and broadcasts are taken down, its name is
/// free again (docs/running.md says what stays, and why). @refusal 409 last_admin.
Result<Outcome<void>> remove_account(sql::Session& session, const User& user, const LiveRules& rules, std::int64_t now);

/// The kind that a failed work is shown with, and whether a retry may help.
struct ShownFailure {
  std::string kind;
  std::string reason;
  bool retryable = false;
};
std::optional<ShownFailure> failure_of(const VideoWork& work);

/// `4.0 GB`: for sentences.
std::string human_bytes(std::int64_t bytes);

}  // namespace ribalta::control
