// The object store: a folder on one machine (the default); S3 or what speaks it, behind the same interface, beyond.
// Keys are relative paths of safe characters (a-z A-Z 0-9 . _ - and '/', no "..", at most 512). Calls block: they are
// made on the disk pool (`run_blocking` in core/async.h), never on an event loop.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/result.h"

namespace ribalta {

bool is_object_key(std::string_view key);

struct ObjectInfo {
  std::string key;
  std::uint64_t bytes = 0;
};

/// An open object for reading by position; thread safe.
class ObjectReader {
 public:
  virtual ~ObjectReader() = default;
  [[nodiscard]] virtual std::uint64_t size() const = 0;
  /// Exactly `size` bytes from `offset`. @error malformed: past the end; io.
  virtual Result<Bytes> read(std::uint64_t offset, std::size_t size) const = 0;
};

/// An object while it is written; nothing is visible under its key until commit. Dropped without commit: nothing stays.
class ObjectWriter {
 public:
  virtual ~ObjectWriter() = default;
  virtual Result<void> append(ByteSpan bytes) = 0;
  [[nodiscard]] virtual std::uint64_t size() const = 0;
  /// Makes it visible, whole, under its key; survives a kill and a power cut (fsync of file and folder).
  virtual Result<void> commit_durable() = 0;
};

class ObjectStore {
 public:
  virtual ~ObjectStore() = default;

  /// Atomic (rename): survives a kill, not a power cut. For live segments. @error no_space, io.
  virtual Result<void> put(std::string_view key, ByteSpan bytes) = 0;
  /// Also on the disk's platter when it returns (fsync of file and folder). For uploads, VOD and records.
  virtual Result<void> put_durable(std::string_view key, ByteSpan bytes) = 0;
  /// The same for a file that is on this machine; it is moved where it can be, else copied and then removed.
  virtual Result<void> put_file_durable(std::string_view key, const std::filesystem::path& file) = 0;
  virtual Result<std::unique_ptr<ObjectWriter>> create(std::string_view key) = 0;

  /// @error not_found; limit: larger than bytes_max; io.
  virtual Result<Bytes> get(std::string_view key, std::uint64_t bytes_max) const = 0;
  virtual Result<std::unique_ptr<ObjectReader>> open(std::string_view key) const = 0;
  /// A path of this machine for a whole object (a folder store's own file), for processes that need a descriptor.
  virtual Result<std::filesystem::path> local_path(std::string_view key) const = 0;

  /// Objects whose key begins with `prefix` (which ends in '/'), sorted by key.
  virtual Result<std::vector<ObjectInfo>> list(std::string_view prefix) const = 0;
  /// Removing what is not there is fine.
  virtual Result<void> remove(std::string_view key) = 0;
  virtual Result<void> remove_all(std::string_view prefix) = 0;
};

/// A store in a folder, made if absent. Leftovers of writers that were killed are removed at start.
Result<std::unique_ptr<ObjectStore>> open_folder_store(const std::filesystem::path& folder);

}  // namespace ribalta
