// Unfinished uploads on disk: `{id}.part` holds the bytes, `{id}.json` what is known of them. Both survive a kill at
// any moment; what counts as received is the size of the file. Every call blocks: made on the disk pool.
#pragma once

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "core/ids.h"
#include "core/result.h"
#include "core/store/object_store.h"

namespace ribalta::ingest::tus {

/// receiving → stored (in the object store, durably) → finished (the control plane knows).
/// receiving → ended (given up or expired; kept until the control plane knows).
BOOST_DEFINE_ENUM_CLASS(UploadState, receiving, stored, finished, ended)

struct UploadRecord {
  std::string upload;
  std::string video;
  std::string user;
  std::int64_t bytes = 0;
  std::string filename;
  std::string metadata;  ///< Upload-Metadata as sent
  std::int64_t created_unix_ms = 0;
  UploadState state = UploadState::receiving;
  std::string reason;  ///< of `ended`: expired or terminated
  /// A piece with a checksum is being written from here on: after a kill, what lies beyond was never checked.
  std::optional<std::int64_t> unchecked_from;
};
BOOST_DESCRIBE_STRUCT(UploadRecord, (),
                      (upload, video, user, bytes, filename, metadata, created_unix_ms, state, reason, unchecked_from))

/// The file of one upload, open for appending.
class UploadFile {
 public:
  ~UploadFile();
  UploadFile(UploadFile&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  UploadFile& operator=(UploadFile&&) = delete;
  /// @error no_space: what did fit is there; io.
  Result<void> write(std::int64_t offset, ByteSpan bytes);
  Result<void> truncate(std::int64_t size);

 private:
  friend class UploadStore;
  explicit UploadFile(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

class UploadStore {
 public:
  UploadStore(std::filesystem::path folder, ObjectStore& objects) : folder_(std::move(folder)), objects_(objects) {}

  Result<void> prepare();
  /// Makes both files. @error no_space: the disk has fewer bytes left than the upload is going to need.
  Result<void> create(const UploadRecord& record);
  /// @error not_found; malformed: the record was not written by us.
  Result<UploadRecord> load(UploadId upload);
  /// Replaces the record (rename).
  Result<void> save(const UploadRecord& record);
  /// Bytes that were received: the size of the file, or all once it is stored.
  Result<std::int64_t> offset(const UploadRecord& record);
  Result<UploadFile> open(UploadId upload);
  /// Moves a whole upload into the object store as `uploads/{id}`, durably, and records it. Idempotent.
  Result<void> store(UploadRecord& record);
  /// Removes the bytes; the record stays as `ended` until `forget`.
  Result<void> end(UploadRecord& record, std::string_view reason);
  void forget(UploadId upload);
  /// When a byte last came, or the record was last written.
  [[nodiscard]] std::int64_t touched_unix_ms(UploadId upload) const;
  /// Every upload that has a record.
  [[nodiscard]] std::vector<UploadId> all() const;

 private:
  [[nodiscard]] bool is_stored(const UploadRecord& record) const;
  [[nodiscard]] std::filesystem::path part(std::string_view upload) const {
    return folder_ / (std::string{upload} + ".part");
  }
  [[nodiscard]] std::filesystem::path json(std::string_view upload) const {
    return folder_ / (std::string{upload} + ".json");
  }
  std::filesystem::path folder_;
  ObjectStore& objects_;
};

/// Key of an uploaded file in the object store.
std::string upload_key(std::string_view upload);

}  // namespace ribalta::ingest::tus
