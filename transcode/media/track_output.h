// From coded frames to CMAF: gives samples their decode times and durations, and cuts segments.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "core/bytes.h"
#include "core/media/track.h"
#include "core/result.h"
#include "transcode/engine.h"
#include "transcode/media/rung_worker.h"
#include "transcode/media/sink.h"

namespace ribalta::transcode {

/// How much later than decoded everything is shown (90 kHz): the picture that a B-frame waits for, with room for clocks
/// that round, and the sound's priming packet (1024 samples), so that nothing lies before zero. The same for all tracks
/// of a file. A multiple of 15, which are 8 samples at 48 kHz.
///
/// Signed composition offsets would do without, but FFmpeg takes their largest negative for a delay of the track and
/// shows it late (mov.c, dts_shift; seen with 5.1): its viewers would have sound and picture apart.
std::int64_t shown_later(double fps);
/// Slower sources have no B-frames: they would be shown much later.
inline constexpr double kReorderFpsMin = 15;

/// One rung's way from pictures to segments. Decode times are not the encoder's: the n-th coded frame is decoded when
/// the n-th shown frame would be, without shown_later. So they rise by exactly the source's frame durations, and every
/// key frame is decoded at its own time in every rung, whatever B-frames lie between.
class VideoTrackOutput final : public PictureTarget {
 public:
  VideoTrackOutput(std::size_t track, MediaSink& sink, std::int64_t later)
      : track_(track), sink_(sink), later_(later) {}

  /// Opens the encoder and writes the init segment.
  Result<void> open(Engine& engine, const RungSettings& settings);
  /// A picture shown at `time` for `duration` (90 kHz). A key picture begins a segment.
  Result<void> push(const AVFrame& picture, const Showing& showing) override;
  Result<void> finish() override;

 private:
  struct Slot {
    std::int64_t time;
    std::uint32_t duration;
  };
  Result<void> take(const EncodedFrame& frame);
  Result<void> flush_segment();

  std::size_t track_;
  MediaSink& sink_;
  std::int64_t later_;
  std::unique_ptr<RungEncoder> encoder_;
  media::TrackConfig config_;
  std::deque<Slot> slots_;  ///< shown and not yet coded; as many as the encoder holds back
  std::vector<media::Sample> samples_;
  std::vector<Bytes> data_;
  std::uint32_t sequence_ = 0;
};

/// The sound's way from packets to segments.
class AudioTrackOutput {
 public:
  AudioTrackOutput(std::size_t track, MediaSink& sink, std::int64_t segment_ms, std::int64_t later)
      : track_(track), sink_(sink), segment_ms_(segment_ms), later_samples_(later * 8 / 15) {}
  Result<void> open(ByteSpan codec_config, std::int64_t bitrate);
  /// @param pts  in samples from the file's zero; the priming packet's is negative.
  Result<void> push(std::int64_t pts, ByteSpan data);
  Result<void> finish();

 private:
  std::size_t track_;
  MediaSink& sink_;
  std::int64_t segment_ms_;
  std::int64_t later_samples_;
  media::TrackConfig config_;
  std::int64_t segment_ = 0;
  std::vector<media::Sample> samples_;
  std::vector<Bytes> data_;
  std::uint32_t sequence_ = 0;
};

}  // namespace ribalta::transcode
