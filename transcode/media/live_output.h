// From coded frames of a live to CMAF chunks, one frame each.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "core/media/track.h"
#include "transcode/engine.h"
#include "transcode/media/audio.h"
#include "transcode/media/rung_worker.h"
#include "transcode/media/sink.h"

namespace ribalta::transcode {

/// A picture that would last longer is followed by a gap: the source was interrupted, or pictures were skipped.
inline constexpr std::int64_t kLiveGapTicks = 90'000;

/// One rung of a live. A frame waits for the next one, which tells its duration.
class LiveTrackOutput final : public PictureTarget {
 public:
  LiveTrackOutput(std::size_t track, MediaSink& sink, std::int64_t resume_at)
      : track_(track), sink_(sink), resume_at_(resume_at) {}
  Result<void> open(Engine& engine, const RungSettings& settings);
  /// The first picture that is encoded is a key picture at or after resume_at.
  Result<void> push(const AVFrame& picture, const Showing& showing) override;
  Result<void> idle() override { return release(std::nullopt); }
  Result<void> finish() override;

 private:
  struct Held {
    std::int64_t dts;
    std::int64_t pts;
    bool key;
    Bytes data;
  };
  Result<void> take(const EncodedFrame& frame);
  /// Writes the held frame. @param next  when the next one is decoded, where that is known.
  Result<void> release(std::optional<std::int64_t> next);

  std::size_t track_;
  MediaSink& sink_;
  std::int64_t resume_at_;
  std::unique_ptr<RungEncoder> encoder_;
  media::TrackConfig config_;
  std::int64_t nominal_ = 3'000;
  bool started_ = false;
  std::deque<Showing> inside_;  ///< in the encoder
  std::optional<Held> held_;
  std::int64_t end_ = 0;  ///< of what is written
  std::uint32_t sequence_ = 0;
};

/// Packets in one chunk: 85 ms, so that boxes stay a small part of it.
inline constexpr std::size_t kLiveAudioPackets = 4;

class LiveAudioOutput {
 public:
  LiveAudioOutput(std::size_t track, MediaSink& sink) : track_(track), sink_(sink) {}
  Result<void> open(ByteSpan codec_config, std::int64_t bitrate);
  Result<void> push(std::int64_t pts, ByteSpan data);
  Result<void> finish();

 private:
  std::size_t track_;
  MediaSink& sink_;
  media::TrackConfig config_;
  std::vector<media::Sample> samples_;
  std::vector<Bytes> data_;
  std::uint32_t sequence_ = 0;
};

}  // namespace ribalta::transcode
