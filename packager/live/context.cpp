#include "packager/live/context.h"

namespace ribalta::packager {

LiveMetrics::LiveMetrics(Metrics& metrics)
    : bytes_in(metrics.counter("ribalta_packager_bytes_in_total", "Bytes of chunks that were taken from writers")),
      chunks(metrics.counter("ribalta_packager_chunks_total", "Chunks that were taken from writers")),
      chunks_dropped(metrics.counter("ribalta_packager_chunks_dropped_total",
                                     "Chunks that were held already, or came before a new writer's first key frame")),
      chunks_refused(metrics.counter("ribalta_packager_chunks_refused_total", "Chunks that ended their PUT")),
      reader_skips(metrics.counter("ribalta_packager_reader_skips_total",
                                   "Times a reader of a track was behind and went on from the newest key frame")),
      segments(metrics.counter("ribalta_packager_segments_total", "Segments that were announced, of all tracks")),
      gaps(metrics.counter("ribalta_packager_gaps_total", "Segments that were announced as gaps")),
      store_errors(metrics.counter("ribalta_packager_store_errors_total", "Writes to the object store that failed")),
      streams(metrics.gauge("ribalta_packager_streams", "Live streams that are held, ended ones included")),
      held_bytes(metrics.gauge("ribalta_packager_held_bytes", "Bytes of live media in memory")) {}

void LiveContext::store_failed(const Error& error) {
  metrics.store_errors.add();
  const std::scoped_lock lock{mutex_};
  store_error_ = error.message;
}

void LiveContext::store_works() {
  const std::scoped_lock lock{mutex_};
  store_error_.clear();
}

std::string LiveContext::health() const {
  const std::scoped_lock lock{mutex_};
  return store_error_.empty() ? std::string{} : "live goes on from memory, the object store fails: " + store_error_;
}

}  // namespace ribalta::packager
