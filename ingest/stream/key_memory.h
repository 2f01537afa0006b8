// Keys that the control plane accepted in the last hours, so that a publisher who reconnects while the control plane is
// down may go on. Only a keyed hash of each key is held, in memory and in one file (data/ingest/keys.json): never the
// key. All calls from any thread.
#pragma once

#include <boost/describe/class.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/units.h"

namespace ribalta::ingest {

inline constexpr std::chrono::hours kKeyLifetime{12};
/// A publisher who comes back within this time goes on with the same stream.
inline constexpr std::chrono::seconds kGrace{30};
/// Keys remembered: one creator has one key. Beyond, the one that was seen longest ago goes.
inline constexpr std::size_t kKeysMax = 10'000;
inline constexpr std::size_t kKeysFileBytesMax = 8 * 1024 * 1024;

struct RememberedKey {
  std::string hash;
  std::string user;
  std::string stream;
  std::int64_t epoch = 0;
  std::int64_t start_unix_ms = 0;
  std::int64_t accepted_unix_ms = 0;  ///< by the control plane
  std::int64_t seen_unix_ms = 0;      ///< when media last came
  bool publishing = false;
};
BOOST_DESCRIBE_STRUCT(RememberedKey, (),
                      (hash, user, stream, epoch, start_unix_ms, accepted_unix_ms, seen_unix_ms, publishing))

class KeyMemory {
 public:
  /// @param secret  keys the hash, so that the file alone does not allow guessing.
  KeyMemory(std::filesystem::path file, std::string secret) : file_(std::move(file)), secret_(std::move(secret)) {}

  /// Reads the file. Blocks. A missing file is an empty memory. @error io, malformed: it then begins empty.
  Result<void> load();
  /// Writes the file when something changed. Blocks. @error io, no_space.
  Result<void> save();

  [[nodiscard]] std::string hash(std::string_view key) const;
  void remember(RememberedKey key);
  /// The entry when the control plane accepted that key at most kKeyLifetime ago.
  [[nodiscard]] std::optional<RememberedKey> find(std::string_view hash, WallTime now) const;
  void seen(std::string_view hash, WallTime now);
  void stopped(std::string_view hash, WallTime now);
  void forget(std::string_view hash);
  /// Entries that were publishing when the file was last written: publishers that a killed process has lost.
  [[nodiscard]] std::vector<RememberedKey> lost() const;

 private:
  std::filesystem::path file_;
  std::string secret_;
  mutable std::mutex mutex_;
  std::map<std::string, RememberedKey, std::less<>> keys_;
  bool changed_ = false;
};

}  // namespace ribalta::ingest
