// Uploaded files in SQL: whose they are, how large, and which job works on them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.h"
#include "core/result.h"
#include "core/sql/sql.h"

namespace ribalta::control {

struct Upload {
  UploadId id = UploadId::random();
  VideoId video = VideoId::random();
  UserId user = UserId::random();
  std::string filename;
  std::int64_t bytes = 0;
  std::string state = "draft";  ///< draft, stored, expired
  std::int64_t created = 0;
  std::int64_t stored = 0;
  std::optional<JobId> job;
};

class UploadsStore {
 public:
  explicit UploadsStore(sql::Session& session) : sql_(session) {}

  Result<void> insert(const Upload& upload);
  Result<std::optional<Upload>> by_id(UploadId id);
  Result<std::vector<Upload>> of_video(VideoId video);
  Result<void> set_stored(UploadId id, std::int64_t bytes, std::int64_t now);
  Result<void> set_expired(UploadId id);
  Result<void> set_job(UploadId id, JobId job);
  Result<void> remove(UploadId id);

  /// Bytes of a user's files, those being uploaded counted whole: what the quota is about.
  Result<std::int64_t> bytes_of(UserId user);
  Result<std::int64_t> drafts_of(UserId user);
  /// Drafts that were begun before that instant.
  Result<std::vector<Upload>> drafts_before(std::int64_t before, std::int64_t limit);
  /// Stored, and no job was ever made: left by nothing that we know of, and picked up all the same.
  Result<std::vector<Upload>> stored_without_job(std::int64_t limit);

 private:
  sql::Session& sql_;
};

}  // namespace ribalta::control
