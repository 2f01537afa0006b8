// What all live streams of one packager share: settings, store, metrics, and what is wrong right now. Thread safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>

#include "core/metrics.h"
#include "core/store/object_store.h"

namespace ribalta::packager {

struct LiveSettings {
  std::int64_t window_segments = 6;     ///< listed in playlists
  std::int64_t older_segments = 12;     ///< kept behind them, for players that hold an older playlist
  std::int64_t streams_max = 500;       ///< live streams that one packager holds; beyond: 413
  std::int64_t stream_memory_mb = 512;  ///< chunks of one stream in memory; beyond: 413
  std::chrono::milliseconds ended_keep{std::chrono::minutes{10}};  ///< an ended stream's playlists and segments
  std::chrono::milliseconds idle_end{std::chrono::minutes{15}};    ///< without any writer: nobody will end it any more
};

struct LiveMetrics {
  explicit LiveMetrics(Metrics& metrics);
  Counter& bytes_in;
  Counter& chunks;
  Counter& chunks_dropped;
  Counter& chunks_refused;
  Counter& reader_skips;
  Counter& segments;
  Counter& gaps;
  Counter& store_errors;
  Gauge& streams;
  Gauge& held_bytes;
};

class LiveContext {
 public:
  LiveContext(ObjectStore& object_store, LiveSettings live_settings, Metrics& node_metrics)
      : store(object_store), settings(live_settings), metrics(node_metrics) {}

  ObjectStore& store;
  const LiveSettings settings;
  LiveMetrics metrics;

  /// The outcome of the newest write to the store: a failure shows in /healthz until one succeeds.
  void store_failed(const Error& error);
  void store_works();
  [[nodiscard]] std::string health() const;

 private:
  mutable std::mutex mutex_;
  std::string store_error_;
};

}  // namespace ribalta::packager
