// One accepted publish: media in, two tracks out to the packager, reports to the control plane. Lives on one loop; its
// coroutines hold it until the last chunk is written.
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "core/async.h"
#include "core/metrics.h"
#include "ingest/rooms.h"
#include "ingest/rtmp/rtmp.h"
#include "ingest/stream/publish_auth.h"
#include "ingest/stream/source.h"

namespace ribalta::ingest {

inline constexpr std::chrono::milliseconds kHeartbeatEvery{5'000};
/// How often the packager is asked what is durable, which bounds what the ring holds beyond a segment.
inline constexpr std::chrono::milliseconds kDurableEvery{3'000};
/// What is left at the end is written within this time, or given up: a packager that is down that long has the grace
/// period.
inline constexpr std::chrono::milliseconds kFinishMax{10'000};

/// What publishers share; outlives them.
struct PublisherContext {
  const Rooms& rooms;
  KeyMemory& memory;
  Counter& frames;
  Counter& bytes;
  Counter& frames_dropped;
};

class Publisher : public std::enable_shared_from_this<Publisher> {
 public:
  /// Called on the publisher's loop when the publish must end: a sentence for the streamer.
  using OnEnd = std::function<void(std::string sentence)>;

  Publisher(PublisherContext context, const asio::any_io_executor& loop, PublishGrant grant, std::string key_hash,
            OnEnd on_end);

  /// Asks the packager where a resumed stream stands, then starts writing and reporting. Awaited before media come.
  Task<void> start();
  /// @error unsupported: a video codec that is not taken, in words for the streamer.
  Result<void> on_media(const rtmp::MediaMessage& message);
  void on_announced(const rtmp::Announced& announced) { source_->on_announced(announced); }
  /// No more media: what waits is written, the control plane hears of it. Returns at once.
  void stop();
  /// Waits until the control plane has heard that this publish is over, or gave up telling it: only then may the key be
  /// asked about again without being busy. On the publisher's loop.
  /// @return false when `limit` passed first.
  Task<bool> end_told(std::chrono::milliseconds limit);

  [[nodiscard]] asio::any_io_executor loop() const { return loop_; }
  [[nodiscard]] const PublishGrant& grant() const { return grant_; }

 private:
  struct Head {
    Epoch epoch;
    std::int64_t decode_time = 0;
    std::int64_t decode_time_durable = 0;
    std::uint32_t timescale = 0;
  };
  [[nodiscard]] std::string target(TrackSide side) const;
  [[nodiscard]] Ring* ring(TrackSide side);
  [[nodiscard]] Event& changed(TrackSide side) { return sides_[static_cast<std::size_t>(side)].changed; }
  void wake_all_writers();
  void wake_writers_with_work();
  Task<Result<std::optional<Head>>> head(TrackSide side) const;
  void ask_to_end(std::string sentence);
  void count();

  // Coroutines; each is handed a reference that keeps the publisher alive.
  static Task<void> write_track(std::shared_ptr<Publisher> self, TrackSide side, bool resume);
  Task<bool> write_once(TrackSide side, std::uint64_t& next, bool& resume);
  Task<bool> write_ring(http::Upload& upload, TrackSide side, std::uint64_t& next);
  bool answered(TrackSide side, const std::optional<http::Response>& answer);
  static Task<void> watch_durable(std::shared_ptr<Publisher> self);
  static Task<void> report_source(std::shared_ptr<Publisher> self);
  static Task<void> heartbeats(std::shared_ptr<Publisher> self);
  Task<Result<http::Response>> heartbeat(bool publishing) const;

  PublisherContext context_;
  asio::any_io_executor loop_;
  PublishGrant grant_;
  std::string key_hash_;
  OnEnd on_end_;
  std::optional<Source> source_;  ///< from start() on
  struct Side {
    Event changed;                 ///< a chunk was pushed, stopping, or given up
    std::uint64_t told_until = 0;  ///< the ring's end when its writer was last woken
  };
  std::array<Side, 2> sides_;  ///< by TrackSide
  Event ending_;               ///< stopping, given up, or the end was told
  bool stopping_ = false;
  bool end_told_ = false;
  bool given_up_ = false;  ///< another holds the stream, or it has ended: nothing more is written
  TrackCounts counted_;
};

/// Tells the control plane that publishers were lost when this process was killed, until it answers.
Task<void> report_lost(const Rooms& rooms, KeyMemory& memory, RememberedKey key);

}  // namespace ribalta::ingest
