// A live's source tracks in, its encoded rungs out, each picture as it comes. Times are the source's own, to the tick.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "core/media/cmaf_reader.h"
#include "transcode/engine.h"
#include "transcode/media/audio.h"
#include "transcode/media/decoder.h"
#include "transcode/media/live_output.h"
#include "transcode/media/live_settings.h"
#include "transcode/media/rung_worker.h"
#include "transcode/media/sink.h"
#include "transcode/media/timeline.h"
#include "transcode/media/video_graph.h"

namespace ribalta::transcode {

class LivePipeline {
 public:
  LivePipeline(const LiveSettings& settings, MediaSink& sink);
  /// Opens the encoders and writes the rungs' init segments.
  Result<void> open();
  /// Bytes of the source's video or sound as the packager sends them, in any cut. A source that cannot be decoded is
  /// damage that passes; @error: the bytes are no CMAF, or an encoder or the sink failed.
  Result<void> feed_video(ByteSpan bytes);
  Result<void> feed_audio(ByteSpan bytes);
  /// Nothing came for a while: what waits for the next picture goes out.
  Result<void> idle();
  Result<void> finish();

 private:
  struct Meta {
    std::int64_t time;
    bool key;
    std::int32_t later;
  };
  Result<void> on_video_init(const media::TrackConfig& config);
  Result<void> on_video_sample(const media::Sample& sample);
  Result<void> on_picture(Frame frame);
  Result<void> on_set(PictureSet set);
  bool take_key(std::int64_t time);
  Result<void> on_audio_init(const media::TrackConfig& config);
  Result<void> on_audio_sample(const media::Sample& sample);

  const LiveSettings& settings_;
  MediaSink& sink_;
  std::unique_ptr<Engine> engine_ = make_cpu_engine();
  std::vector<std::unique_ptr<RungWorker>> workers_;
  std::int64_t wanted_from_ = 0;  ///< the earliest resume point of all rungs, decode time

  media::CmafReader video_;
  Bytes video_codec_config_;
  std::optional<Decoder> pictures_;
  std::optional<VideoGraph> graph_;
  bool skipping_ = true;
  std::map<std::int64_t, std::int32_t>
      keys_;  ///< shown time of source key frames to come, and how much later than decoded
  std::int32_t later_ = 0;
  std::int64_t cut_next_ = 0;
  bool period_begins_ = true;
  bool key_owed_ = true;
  std::optional<std::int64_t> last_time_;
  FrameLimiter limiter_;
  std::deque<Meta> metas_;  ///< of pictures inside the filters

  media::CmafReader audio_;
  Bytes audio_codec_config_;
  AVRational audio_base_{1, kAudioRate};
  std::optional<std::int64_t> audio_begin_;  ///< first sample that is encoded
  std::optional<Decoder> sound_;
  std::optional<AudioEncoder> audio_encoder_;
  std::optional<LiveAudioOutput> audio_output_;
};

}  // namespace ribalta::transcode
