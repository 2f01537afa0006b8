// Cuts one track's chunks at the boundaries that the timeline decided: what of this track belongs to a span, or that
// the track has nothing playable there (a gap). Pure: chunks and spans in, pieces out.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "packager/live/chunk.h"
#include "packager/live/timeline.h"

namespace ribalta::packager {

/// Media that a segment of an encoded rung may lack (a worker that stumbled): more is a gap, so that players take
/// another rung. Source tracks are published with the holes that they came with.
inline constexpr std::int64_t kRungHoleUsMax = 500'000;

/// A track's part of a span: its segment, kept as the chunks that it came in, so that parts find their place.
struct Piece {
  enum class State : std::uint8_t { undecided, present, gap };
  State state = State::undecided;
  Epoch epoch;  ///< of its newest chunk; stands in its name
  SharedInit init;
  std::vector<Chunk> chunks;     ///< empty once only the object store has them
  std::int64_t decode_time = 0;  ///< ticks of init->config.timescale, as the others
  std::int64_t decode_end = 0;
  std::int64_t presentation_time = 0;  ///< the earliest frame's
  std::int64_t duration = 0;           ///< as players are told: boundary to boundary for video, its frames for audio
  std::size_t bytes = 0;
  bool stored = false;  ///< the object store has it
};

class TrackCutter {
 public:
  /// @param lenient  a source track: holes inside a segment are published as they are.
  TrackCutter(media::TrackKind kind, bool lenient) : video_(kind == media::TrackKind::video), lenient_(lenient) {}

  /// Chunks in decode order. A higher epoch replaces what waits from the same time on.
  void push(Chunk chunk);
  /// The piece of this span, in state present or gap; nothing while the track may still complete it.
  std::optional<Piece> cut(const Span& span);
  /// Gives the span up: drops what waits of it.
  void skip(const Span& span);
  /// No more chunks will come: whatever is there is all.
  void finish() { finished_ = true; }

  /// Where the track's media end so far, on the clock of presentation.
  [[nodiscard]] std::optional<MediaTime> progress() const { return progress_; }
  /// Where the newest chunk's presentation is shifted against its decode time: a reference's frames are placed by it.
  [[nodiscard]] MediaTime position_of_newest() const { return position_of_newest_; }
  [[nodiscard]] std::size_t bytes_waiting() const { return bytes_waiting_; }

 private:
  struct Waiting {
    Chunk chunk;
    MediaTime position;
    [[nodiscard]] MediaTime end() const { return {position.ticks + chunk.duration, position.timescale}; }
  };
  void drop_front(std::size_t count);
  std::optional<Piece> cut_video(const Span& span);
  std::optional<Piece> cut_audio(const Span& span);
  [[nodiscard]] bool whole(const Span& span, std::size_t count) const;
  Piece take(std::size_t first, std::size_t count);

  bool video_;
  bool lenient_;
  bool finished_ = false;
  std::int64_t shift_ = 0;  ///< presentation minus decode time of the newest key frame, in ticks
  std::deque<Waiting> waiting_;
  std::size_t bytes_waiting_ = 0;
  std::optional<MediaTime> progress_;
  MediaTime position_of_newest_;
};

}  // namespace ribalta::packager
