// The upload door: tus 1.0.0 at /files/ (core, creation, creation-with-upload, termination, checksum, expiration).
//   POST /files/ → who may, and as which video? (control plane) → 201, Location: /files/{upload}, Ribalta-Video:
//   {video} PATCH /files/{upload} … → bytes to disk; the last one is answered once the file is durable in the object
//   store then the control plane is told, again and again until it answers, also after a restart.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "core/http/server.h"
#include "core/metrics.h"
#include "ingest/rooms.h"
#include "ingest/tus/protocol.h"
#include "ingest/tus/upload_access.h"
#include "ingest/tus/upload_locks.h"
#include "ingest/tus/upload_store.h"

namespace ribalta::ingest::tus {

/// Gathered before a write to disk: an upload in progress holds this much memory.
inline constexpr std::size_t kWriteBytes = 256 * 1024;
/// Between two looks for uploads that have expired.
inline constexpr std::chrono::seconds kSweepEvery{60};

class TusService {
 public:
  struct Settings {
    std::filesystem::path folder;  ///< data/ingest/uploads
    std::chrono::milliseconds lifetime{std::chrono::hours{24}};
  };
  TusService(const Rooms& rooms, ObjectStore& objects, Settings settings, Metrics& metrics);

  /// Adds /files/ and its kin. The service outlives the router's server.
  void add_routes(http::Router& router);
  /// Goes on with what an earlier process left: stores what is whole, tells what was not told. Runs for ever on `loop`.
  Result<void> start(const asio::any_io_executor& loop);

 private:
  Task<void> dispatch(http::Exchange& exchange, std::string upload);
  Task<void> options(http::Exchange& exchange);
  Task<void> create(http::Exchange& exchange);
  Task<void> head(http::Exchange& exchange, UploadId upload);
  Task<void> patch(http::Exchange& exchange, UploadId upload);
  Task<void> terminate(http::Exchange& exchange, UploadId upload);

  Task<http::Response> state_of(http::Exchange& exchange, UploadId upload, UploadRecord& record);
  /// The record, when the caller may touch it; otherwise the answer for the client.
  Task<std::expected<UploadRecord, http::Response>> admit(const http::RequestHead& head, UploadId upload);
  /// The record as it stands, for who has the lock; otherwise the answer for the client.
  Task<std::expected<UploadRecord, http::Response>> reload(UploadId upload);
  Task<http::Response> patch_locked(http::Exchange& exchange, UploadId upload, UploadLock& lock, std::int64_t wanted,
                                    std::optional<Checksum> checksum);
  Task<http::Response> terminate_locked(http::Exchange& exchange, UploadId upload);
  /// Cuts off what was never held against its checksum: a process was killed while it came.
  Result<void> drop_unchecked(UploadRecord& record);
  /// Cuts a PATCH off again whose bytes are not what it said: nothing of it was acknowledged.
  Task<Result<void>> take_back(UploadId upload, std::int64_t offset);
  Task<http::Response> receive(http::Exchange& exchange, UploadRecord& record, UploadLock& lock, std::int64_t offset,
                               std::optional<Checksum> checksum, unsigned status);
  Task<Result<std::int64_t>> write_body(http::Exchange& exchange, UploadId upload, UploadLock& lock,
                                        std::int64_t offset, std::int64_t bytes_max, Hasher* hasher);
  Task<Result<void>> finish(UploadRecord& record);
  http::Response progress(const UploadRecord& record, std::int64_t offset, unsigned status) const;

  void tell_of(const asio::any_io_executor& loop, const UploadRecord& record);
  Task<void> tell(UploadRecord record);
  static Task<void> sweep(TusService& self, asio::any_io_executor loop);
  Task<void> resume(UploadId upload);
  Task<void> sweep_once(asio::any_io_executor loop);

  const Rooms& rooms_;
  UploadStore store_;
  UploadAccess access_;
  UploadLocks locks_;
  Settings settings_;
  Counter& bytes_;
  Counter& finished_;
  Counter& failed_;
};

}  // namespace ribalta::ingest::tus
