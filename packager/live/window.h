// The live window of one stream: joins the timeline's spans with each track's pieces, decides what may be published
// (the edge of the slowest healthy rung), and keeps what is published for as long as players may ask for it. Pure:
// chunks and instants in; the caller stores pieces, writes the record, and then announces.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/media/ladder.h"
#include "packager/live/timeline.h"
#include "packager/live/track_cutter.h"

namespace ribalta::packager {

using Instant = std::chrono::steady_clock::time_point;

/// A rung this many segments behind the reference still holds the others back; one more, and it shows gaps.
inline constexpr std::int64_t kSegmentsBehindMax = 2;
/// How long the first publication waits for rungs of which nothing has come.
inline constexpr std::chrono::seconds kFirstRungsWait{5};
/// Chunks kept while no plan says what to do with them, of all tracks: 5 s of 8 tracks of single frames fit many times.
inline constexpr std::size_t kEarlyChunksMax = 20'000;

struct WindowSettings {
  std::int64_t listed = 6;  ///< segments in playlists
  std::int64_t older = 12;  ///< segments kept behind them, for players that hold an older playlist
};

/// One media sequence number in all tracks of the plan.
struct Row {
  Span span;
  std::vector<Piece> pieces;         ///< one for each of Window::tracks()
  std::int64_t manifest_period = 0;  ///< msn of the first row of its DASH Period; known once it is to be announced
  MediaTime manifest_start;          ///< where that row starts
  Instant closed_at{};               ///< when this process learned where it ends
};

class Window {
 public:
  struct Track {
    std::string name;
    media::TrackKind kind = media::TrackKind::video;
    TrackCutter cutter;
    std::int64_t next = 0;                    ///< first msn that is undecided
    bool lagging = false;                     ///< shows gaps, and holds nobody back
    bool heard = false;                       ///< some chunk came
    std::optional<std::int64_t> decided_end;  ///< decode time up to which pieces are fixed
    std::uint64_t gaps = 0;
  };

  explicit Window(WindowSettings settings) : settings_(settings) {}

  /// The plan, once. Chunks that came before are cut now.
  void set_plan(const media::LadderPlan& plan, Instant now);
  [[nodiscard]] const std::optional<media::LadderPlan>& plan() const { return plan_; }

  /// @error limit: kEarlyChunksMax.
  Result<void> push(std::string_view track, bool source, const Chunk& chunk, Instant now);
  /// Lets waits end that nothing but time ends.
  void tick(Instant now);
  void end(Instant now);
  [[nodiscard]] bool ended() const { return ended_; }

  [[nodiscard]] const std::vector<Track>& tracks() const { return tracks_; }
  [[nodiscard]] std::optional<std::size_t> track_index(std::string_view name) const;
  [[nodiscard]] const std::deque<Row>& rows() const { return rows_; }
  [[nodiscard]] const Row* find(std::int64_t msn) const;
  [[nodiscard]] std::size_t reference() const { return reference_; }
  [[nodiscard]] Epoch period_epoch() const { return timeline_ ? timeline_->period_epoch() : Epoch{}; }

  /// Newest msn that is decided in all tracks, and newest that was announced; -1: none.
  [[nodiscard]] std::int64_t ready() const { return ready_; }
  [[nodiscard]] std::int64_t announced() const { return announced_; }
  /// First msn in playlists that end at `announced`; never goes back.
  [[nodiscard]] std::int64_t first_listed(std::int64_t announced) const;
  /// Which DASH Periods the rows up to `msn` belong to. Decided before the record is written, and then fixed.
  void assign_manifest_periods(std::int64_t msn);
  void announce(std::int64_t msn);
  void mark_stored(std::int64_t msn, std::size_t track);
  /// Takes out the rows that nobody may ask for any more.
  std::vector<Row> trim();
  /// Forgets the bytes of stored pieces that playlists no longer list.
  void release_older();
  [[nodiscard]] std::size_t bytes_held() const;

  /// Goes on from a record. Called once, on a fresh window.
  struct Restored {
    media::LadderPlan plan;
    std::vector<Row> rows;
    std::int64_t announced = -1;
    std::int64_t first_listed = 0;
    Epoch period_epoch;
    std::map<std::string, std::pair<Epoch, std::int64_t>> sources;  ///< epoch and init number of each source track
  };
  void restore(Restored restored, Instant now);

 private:
  void make_tracks(const media::LadderPlan& plan, Instant now);
  void take(std::string_view track, bool source, const Chunk& chunk, Instant now);
  void add_rows(const std::vector<Span>& spans, Instant now);
  void decide(Instant now);
  [[nodiscard]] bool too_long(const Piece& piece) const;
  void give_up(std::size_t track, Row& row);
  [[nodiscard]] Row& row_at(std::int64_t msn);
  [[nodiscard]] bool begins_manifest_period(std::size_t index) const;

  WindowSettings settings_;
  std::optional<media::LadderPlan> plan_;
  Instant planned_at_;
  std::optional<Timeline> timeline_;
  std::vector<Track> tracks_;
  std::size_t reference_ = 0;
  std::map<std::string, std::pair<Epoch, std::int64_t>, std::less<>> sources_;
  std::deque<Row> rows_;
  std::int64_t ready_ = -1;
  std::int64_t announced_ = -1;
  std::int64_t periods_assigned_ = -1;
  std::int64_t first_listed_ = 0;
  bool ended_ = false;

  struct Early {
    std::string track;
    bool source = false;
    Chunk chunk;
  };
  std::vector<Early> early_;
};

}  // namespace ribalta::packager
