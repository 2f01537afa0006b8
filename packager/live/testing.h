// Tracks made of nothing, for tests: a minute of stream in a millisecond. Each frame is a chunk of a few bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "packager/live/chunk.h"
#include "packager/live/window.h"

namespace ribalta::packager::testing {

inline SharedInit make_init(media::TrackKind kind, std::int64_t number = 0) {
  InitSegment init;
  init.number = number;
  init.bytes = std::make_shared<const Bytes>(Bytes(8, static_cast<std::byte>(number)));
  init.config.kind = kind;
  init.config.codec = kind == media::TrackKind::video ? media::CodecId::h264 : media::CodecId::aac;
  init.config.timescale = kind == media::TrackKind::video ? kVideoTimescale : 48'000;
  init.config.width = 640;
  init.config.height = 360;
  init.config.sample_rate = 48'000;
  init.config.channels = 2;
  return std::make_shared<const InitSegment>(std::move(init));
}

inline Chunk make_chunk(const SharedInit& init, std::int64_t decode_time, std::int64_t duration, bool key,
                        std::int64_t epoch = 1, std::int64_t shift = 0, std::size_t bytes = 100) {
  Chunk chunk;
  chunk.bytes = std::make_shared<const Bytes>(Bytes(bytes, std::byte{1}));
  chunk.decode_time = decode_time;
  chunk.duration = duration;
  chunk.presentation_time = decode_time + shift;
  chunk.key = key;
  chunk.epoch = Epoch{epoch};
  chunk.init = init;
  return chunk;
}

inline constexpr std::int64_t kFrame = 3'000;  ///< 30 frames a second at 90 kHz
inline constexpr std::int64_t kAudioFrame = 1'024;

/// Feeds one window with tracks that run side by side, in the order of time.
class Feeder {
 public:
  explicit Feeder(Window& window) : window_(window) {}

  struct Video {
    std::string name;
    bool source = false;
    std::int64_t gop = 60;  ///< frames
    std::int64_t epoch = 1;
    std::int64_t shift = 0;  ///< of presentation against decode time
    SharedInit init = make_init(media::TrackKind::video);
  };
  /// Frames [from, to) counted at 30 a second; a key frame wherever the number since `origin` is a multiple of the GOP.
  void video(const Video& track, std::int64_t from, std::int64_t to, std::int64_t origin = 0) {
    for (std::int64_t frame = from; frame < to; ++frame) {
      const bool key = (frame - origin) % track.gop == 0;
      push(track.name, track.source,
           make_chunk(track.init, frame * kFrame - track.shift, kFrame, key, track.epoch, track.shift));
    }
  }
  /// Audio frames that begin in [from_s, to_s).
  void audio(const std::string& name, bool source, double from_s, double to_s, std::int64_t epoch = 1,
             const SharedInit& init = make_init(media::TrackKind::audio)) {
    auto tick = static_cast<std::int64_t>(from_s * 48'000);
    tick = (tick + kAudioFrame - 1) / kAudioFrame * kAudioFrame;
    for (; tick < static_cast<std::int64_t>(to_s * 48'000); tick += kAudioFrame) {
      push(name, source, make_chunk(init, tick, kAudioFrame, true, epoch));
    }
  }
  void push(const std::string& name, bool source, const Chunk& chunk) {
    const Result<void> pushed = window_.push(name, source, chunk, now);
    assert(pushed);
  }
  /// What the daemon does after storing: announces all that is ready.
  void announce() {
    window_.assign_manifest_periods(window_.ready());
    if (window_.ready() > window_.announced()) window_.announce(window_.ready());
    window_.trim();
  }
  Instant now{};

 private:
  Window& window_;
};

/// A plan of src-v, the named rungs, and src-a unless `audio` is empty.
inline media::LadderPlan make_plan(const std::vector<std::string>& video = {"src-v"},
                                   const std::vector<std::string>& audio = {"src-a"}) {
  media::LadderPlan plan;
  plan.stream = "0123456789abcdef";
  for (const std::string& name : video) {
    plan.video.push_back({.track = name,
                          .passthrough = name == "src-v",
                          .width = 640,
                          .height = 360,
                          .fps = 30,
                          .codecs = "avc1.64001e",
                          .bitrate = 800'000,
                          .bandwidth = 1'120'000});
  }
  for (const std::string& name : audio) {
    plan.audio.push_back({.track = name,
                          .passthrough = name == "src-a",
                          .codecs = "mp4a.40.2",
                          .sample_rate = 48'000,
                          .channels = 2,
                          .bitrate = 128'000,
                          .bandwidth = 160'000});
  }
  return plan;
}

}  // namespace ribalta::packager::testing
