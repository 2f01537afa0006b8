// All live streams of one packager, sharded over the event loops: a stream's id decides its loop, and its shard's table
// is touched there only.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/daemon.h"
#include "packager/live/recovery.h"
#include "packager/live/stream.h"

namespace ribalta::packager {

/// Ids of removed streams that are remembered, so that a late writer does not bring one back: a day of short streams.
inline constexpr std::size_t kRemovedIdsMax = 10'000;
inline constexpr std::chrono::milliseconds kTick{250};
inline constexpr std::chrono::seconds kOriginLifetime{60};  ///< of the key in Redis
inline constexpr std::chrono::seconds kOriginRenewal{20};
/// How long Redis says of a removed stream that it is gone: longer than edges keep what nobody asks for (a day).
inline constexpr std::chrono::hours kGoneLifetime{48};
/// What stands in Redis then, instead of an address.
inline constexpr std::string_view kOriginGone = "gone";

class Hub {
 public:
  Hub(Node& node, LiveSettings settings);

  /// Reads what an earlier process left in the store. Blocks; before the loops run. A stream whose record can't be read
  /// is told and left alone. @error the store can't be listed.
  Result<void> restore();
  /// Starts each shard's housekeeping.
  void start();
  /// Stores and announces what is ready. Streams go on existing: writers resume at the next process.
  Task<void> drain(std::chrono::milliseconds deadline);
  [[nodiscard]] std::string health() const { return context_.health(); }
  [[nodiscard]] bool draining() const { return draining_; }

  [[nodiscard]] asio::any_io_executor loop_of(const StreamId& id) const;
  [[nodiscard]] ObjectStore& store() { return context_.store; }

  // On the stream's loop:
  [[nodiscard]] std::shared_ptr<LiveStream> find(const StreamId& id);
  /// @error closed: it was removed; limit: streams_max.
  Result<std::shared_ptr<LiveStream>> find_or_create(const StreamId& id);
  [[nodiscard]] bool was_removed(const StreamId& id);
  /// Ends it and removes its objects, also those that an earlier process left. @error what stands in the way: say it
  /// again.
  Task<Result<void>> remove(StreamId id);
  /// Waits for a stream that does not exist yet.
  Task<std::shared_ptr<LiveStream>> await(StreamId id, std::chrono::milliseconds limit);

 private:
  struct Shard {
    explicit Shard(const asio::any_io_executor& on) : loop(on), changed(on) {}
    asio::any_io_executor loop;
    std::unordered_map<StreamId, std::shared_ptr<LiveStream>> streams;
    std::unordered_set<StreamId> removed;
    std::deque<StreamId> removed_order;
    Event changed;
  };
  Shard& shard_of(const StreamId& id);
  Task<void> housekeeping(std::size_t index);
  Result<void> restore_stream(const StreamId& id, const StoredObjects& objects);
  void note_removed(Shard& shard, const StreamId& id);
  void set_origin(const StreamId& id);
  void tell_gone(const StreamId& id);
  static Task<void> redis_command(std::shared_ptr<redis::Client> client, std::vector<std::string> arguments);

  Node& node_;
  LiveContext context_;
  std::string address_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::atomic<std::int64_t> streams_{0};
  std::atomic<std::uint64_t> redis_connections_{0};  ///< each one: all origins are told again
  std::atomic<bool> draining_{false};
};

}  // namespace ribalta::packager
