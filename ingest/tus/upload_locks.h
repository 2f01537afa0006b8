// One writer of an upload at a time. A writer that has fallen silent (its line is gone and nobody has noticed) gives
// way to the next one; a writer that is alive does not.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "core/async.h"
#include "core/http/server.h"
#include "core/ids.h"

namespace ribalta::ingest::tus {

/// Nothing from the writer for this long: it may be cut for another.
inline constexpr std::chrono::milliseconds kWriterSilence{2'000};
/// A writer that was cut lets go within this.
inline constexpr std::chrono::milliseconds kWriterGone{2'000};

class UploadLocks;

/// Held by a handler while it writes, on the handler's loop; given back by its destructor. Whoever is going to change
/// an upload has its lock, and reads the record after that: what was read before may be another's past.
class UploadLock {
 public:
  /// @param exchange  of the client that writes; null for work without one, which is never cut.
  UploadLock(UploadLocks& locks, std::string upload, http::Exchange* exchange);
  ~UploadLock();
  UploadLock(const UploadLock&) = delete;
  UploadLock& operator=(const UploadLock&) = delete;
  void heard();
  /// True once another writer has taken over: what is not on disk yet is dropped, since that one has seen the offset.
  [[nodiscard]] bool taken_over() const;

 private:
  friend class UploadLocks;
  struct State;
  UploadLocks& locks_;
  std::string upload_;
  std::shared_ptr<State> state_;
};

class UploadLocks {
 public:
  /// @return the lock, or nothing while another writer is alive (423).
  Task<std::unique_ptr<UploadLock>> lock(UploadId upload, http::Exchange& exchange);
  /// For work without a client, like expiry. @return nothing while somebody else has it.
  std::unique_ptr<UploadLock> try_lock(UploadId upload);

 private:
  friend class UploadLock;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<UploadLock::State>, std::less<>> locks_;
};

}  // namespace ribalta::ingest::tus
