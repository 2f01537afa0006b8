// The media of one publish, from messages to chunks in two rings: tags, timeline, tracks, and what is measured of them.
// Pure: clocks are passed in.
#pragma once

#include <cstdint>
#include <optional>

#include "core/result.h"
#include "core/units.h"
#include "ingest/rtmp/rtmp.h"
#include "ingest/stream/health.h"
#include "ingest/stream/source_track.h"
#include "ingest/stream/timeline.h"

namespace ribalta::ingest {

class Source {
 public:
  /// Where a publish goes on: all 0 for a new stream, else what the packager and the wall clock say.
  struct Start {
    std::int64_t base_ms = 0;           ///< where the first frame lands
    std::int64_t video_floor = 0;       ///< decode time before which no video begins, in ticks
    std::int64_t audio_floor = 0;       ///< the same for audio
    std::uint32_t audio_timescale = 0;  ///< the audio track's, or 0 when the packager has none
  };
  explicit Source(const Start& start);

  /// Takes one message. What cannot be read is left out, and the streamer is warned.
  /// @param arrival_ms  any steady clock.
  /// @return why a header was not taken, the first time for each side.
  /// @error unsupported: a video codec that is not taken, in words for the streamer: the publish ends.
  Result<std::optional<Error>> on_media(const rtmp::MediaMessage& message, std::int64_t arrival_ms, WallTime arrival);
  void on_announced(const rtmp::Announced& announced) { meter_.announce(announced.video, announced.audio); }
  /// Nothing more comes: what waits is written.
  void flush();

  /// Nothing before audio's first header.
  [[nodiscard]] Ring* ring(TrackSide side);
  [[nodiscard]] bool verdict_ready(std::int64_t now_ms) const { return meter_.verdict_ready(now_ms); }
  [[nodiscard]] SourceReport report() const { return meter_.report(video_.config(), audio_.config()); }
  [[nodiscard]] Health health(std::int64_t now_ms) const {
    return meter_.health(now_ms, video_.counts(), audio_.counts());
  }
  /// Of both sides.
  [[nodiscard]] TrackCounts counts() const;

 private:
  Result<std::optional<Error>> take_video(const rtmp::MediaMessage& message, std::int64_t arrival_ms, WallTime arrival);
  std::optional<Error> take_audio(const rtmp::MediaMessage& message, std::int64_t arrival_ms);

  Timeline timeline_;
  VideoSource video_;
  AudioSource audio_;
  Meter meter_;
  bool video_header_told_ = false;
  bool audio_header_told_ = false;
};

}  // namespace ribalta::ingest
