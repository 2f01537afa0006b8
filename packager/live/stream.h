// One live stream: its tracks, its window, and the pass that stores before it announces. Everything in it happens on
// one event loop; callers on other loops hop there (run_on in hub.h) and take away values or shared bytes that never
// change.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/async.h"
#include "core/ids.h"
#include "core/media/cmaf_reader.h"
#include "core/result.h"
#include "packager/live/context.h"
#include "packager/live/store_job.h"
#include "packager/live/track_buffer.h"
#include "packager/live/window.h"

namespace ribalta::packager {

/// One PUT as its stream knows it. `cut` may be called once, from the stream's loop: it hops to the connection's by
/// itself.
struct Writer {
  std::string track;
  WriterState state;
  std::function<void(const Error&)> cut;
};

class LiveStream : public std::enable_shared_from_this<LiveStream> {
 public:
  LiveStream(StreamId id, const asio::any_io_executor& loop, LiveContext& context);

  [[nodiscard]] const StreamId& id() const { return id_; }
  [[nodiscard]] const asio::any_io_executor& loop() const { return loop_; }
  /// Starts the pass that stores and announces. Called once, after make_shared (and restore).
  void start();
  /// Goes on from what the store has. Blocks; called before the loops run. @error what the record lacks.
  /// @param note  where the record was not the newest: the key of the note that it was extended by (recovery.h)
  Result<void> restore(const StreamRecord& record, const std::string& note);

  // Writers.
  /// @error conflict: the epoch; closed: ended; limit: kLiveTracksMax; malformed: source here and rung there.
  Result<std::shared_ptr<Writer>> begin_put(std::string_view track, Epoch epoch, bool source,
                                            std::function<void(const Error&)> cut);
  /// Takes items in order. @error what TrackBuffer says; closed: ended; limit: memory of the stream.
  Result<void> put(Writer& writer, std::vector<media::CmafItem>& items);
  void end_put(const std::shared_ptr<Writer>& writer);
  [[nodiscard]] std::optional<Head> head(std::string_view track) const;

  // The control plane.
  /// @error conflict: there is another plan; closed.
  Result<void> set_plan(const media::LadderPlan& plan);
  void end();
  [[nodiscard]] bool ended() const { return ended_; }
  /// After the end was announced: nothing in it changes any more.
  [[nodiscard]] bool complete() const { return complete_; }

  // Readers of tracks.
  struct Read {
    bool exists = false;
    bool end = false;  ///< the stream has ended and everything was read
    TrackBuffer::Batch batch;
    TrackBuffer::Cursor cursor;
  };
  /// What comes next, or nothing after `wait`.
  Task<Read> read(std::string track, TrackBuffer::Cursor cursor, std::chrono::milliseconds wait);

  // Players. Texts are whole; empty: nothing is announced (of that track).
  [[nodiscard]] std::string multivariant() const;
  [[nodiscard]] std::string media_playlist(std::string_view track) const;
  [[nodiscard]] std::string mpd(WallTime now) const;
  [[nodiscard]] bool has_track(std::string_view track) const { return window_.track_index(track).has_value(); }
  [[nodiscard]] bool announced() const { return window_.announced() >= 0; }
  /// Waits until something is announced, or the limit.
  Task<void> until_announced(std::chrono::milliseconds limit);
  [[nodiscard]] SharedBytes init_segment(std::string_view track, std::int64_t number) const;
  struct Segment {
    bool announced = false;
    std::vector<SharedBytes> chunks;  ///< empty: only the store has it
  };
  [[nodiscard]] Segment segment(std::string_view track, Epoch epoch, std::int64_t msn) const;
  [[nodiscard]] bool is_video(std::string_view track) const;

  // Housekeeping.
  void tick(Instant now);
  /// True when nobody needs it any more: ended long ago, or removed.
  [[nodiscard]] bool expired(Instant now) const;
  /// Ends it and drops what waits. After it nothing of it is stored any more: its objects may go.
  Task<void> remove();
  /// The process is stopping: writers are told to try again, at the next one.
  void send_writers_away();
  /// Returns once everything that was ready is announced, or after the limit; nothing is stored any more after that.
  Task<void> settle(std::chrono::milliseconds limit);

 private:
  struct TrackState {
    TrackState(std::string name, bool source, const asio::any_io_executor& loop)
        : buffer(std::move(name), source), event(loop) {}
    TrackBuffer buffer;
    Event event;
    std::vector<std::weak_ptr<Writer>> writers;
    std::int64_t inits_stored = 0;
  };
  TrackState* find(std::string_view track);
  [[nodiscard]] const TrackState* find(std::string_view track) const;
  Result<void> take_chunk(TrackState& track, Writer& writer, const media::ChunkItem& item, Instant now);
  void cut_writers(TrackState& track, Epoch below, const Error& why);
  void use_plan(const media::LadderPlan& plan, bool fallback, Instant now);
  bool use_fallback(Instant now);
  void after_push(Instant now);
  static Task<void> store_passes(std::shared_ptr<LiveStream> stream);
  [[nodiscard]] bool pass_due() const;
  [[nodiscard]] StoreJob make_job(bool ending);
  void after_job(const StoreJob& job, std::int64_t ready, bool ending);
  void announce(std::int64_t msn);
  Result<void> restore_track(const RecordTrack& recorded, std::optional<MediaTime> lost_until);
  [[nodiscard]] std::size_t bytes_held() const;
  void mark_dirty();

  StreamId id_;
  asio::any_io_executor loop_;
  LiveContext& context_;
  std::map<std::string, std::unique_ptr<TrackState>, std::less<>> tracks_;
  Window window_;
  bool plan_fallback_ = false;
  std::int64_t start_unix_ms_ = 0;
  std::optional<Instant> first_media_;
  Instant active_;  ///< when a writer was last there
  std::size_t writers_ = 0;
  bool ended_ = false;
  bool complete_ = false;
  std::optional<Instant> ended_at_;
  std::int64_t ended_unix_ms_ = 0;
  bool removed_ = false;
  bool storing_ = false;  ///< a pass is on the disk pool
  bool stopped_ = false;  ///< no more passes
  bool dirty_ = false;    ///< the record must be written again
  std::vector<std::string> removals_;
  std::string note_;      ///< key of the note in the store, while the record can't be written
  std::size_t held_ = 0;  ///< bytes at the last tick, and what came since
  double held_shown_ = 0;
  bool overlong_told_ = false;
  Event work_;          ///< there may be something to store
  Event announcement_;  ///< something was announced
};

}  // namespace ribalta::packager
