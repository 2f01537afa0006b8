// What is measured of a source: the pass-through verdict, the source report and the warnings that a streamer reads.
// Pure: frames and clocks are passed in. Nothing here believes metadata; what it says of bitrates is passed on beside
// what was measured.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "core/media/track.h"
#include "core/result.h"
#include "ingest/stream/source_track.h"

namespace ribalta::ingest {

/// Bodies of the calls to the control plane (docs/contracts.md).
struct VideoReport {
  std::string codecs;
  std::int64_t width = 0;
  std::int64_t height = 0;
  double fps = 0;
  std::int64_t bitrate = 0;
  std::optional<std::int64_t> bitrate_announced;  ///< what the encoder says that it aims for
  std::optional<std::int64_t> keyframe_interval_ms;
  bool passthrough = false;
  std::string passthrough_reason;
};
BOOST_DESCRIBE_STRUCT(VideoReport, (),
                      (codecs, width, height, fps, bitrate, bitrate_announced, keyframe_interval_ms, passthrough,
                       passthrough_reason))
struct AudioReport {
  std::string codecs;
  std::int64_t sample_rate = 0;
  std::int64_t channels = 0;
  std::int64_t bitrate = 0;
  std::optional<std::int64_t> bitrate_announced;
};
BOOST_DESCRIBE_STRUCT(AudioReport, (), (codecs, sample_rate, channels, bitrate, bitrate_announced))
struct SourceReport {
  std::int64_t epoch = 0;
  std::optional<VideoReport> video;
  std::optional<AudioReport> audio;
};
BOOST_DESCRIBE_STRUCT(SourceReport, (), (epoch, video, audio))
struct Health {
  std::int64_t bitrate = 0;
  double fps = 0;
  std::optional<std::int64_t> keyframe_interval_ms;
  std::vector<std::string> warnings;
};
BOOST_DESCRIBE_STRUCT(Health, (), (bitrate, fps, keyframe_interval_ms, warnings))

/// The verdict stands with the second key frame, or after this: key frames 4 s apart still make it on a jittery line,
/// and the plan is there before the packager makes its own at 5 s.
inline constexpr std::int64_t kVerdictMs = 4'400;
/// Key frames further apart make segments that no player starts well with: the source feeds the farm only.
inline constexpr std::int64_t kKeyIntervalMaxMs = 4'000;
/// Key frame intervals that differ by more than this share of the longest are irregular (scene cuts place extra ones).
inline constexpr double kKeyIntervalSpread = 0.5;
/// What health is measured over.
inline constexpr std::int64_t kHealthWindowMs = 10'000;
/// Media that comes this much later than it should shows that the line is too slow.
inline constexpr std::int64_t kLateMs = 2'000;

class Meter {
 public:
  void on_video(const VideoSource::Seen& seen, std::int64_t arrival_ms);
  void on_audio(std::size_t bytes, std::int64_t time_ms, std::int64_t arrival_ms);
  /// What metadata says of the bitrates; what it does not say stays as it was.
  void announce(std::optional<std::int64_t> video, std::optional<std::int64_t> audio);
  /// A sentence that stays until the publish ends (an audio codec that is not taken, …). At most 8 are kept.
  void warn(std::string sentence);

  /// True when the source can be reported: at the second key frame, or kVerdictMs after the first frame.
  [[nodiscard]] bool verdict_ready(std::int64_t now_ms) const;
  [[nodiscard]] SourceReport report(const media::TrackConfig* video, const media::TrackConfig* audio) const;
  [[nodiscard]] Health health(std::int64_t now_ms, const TrackCounts& video, const TrackCounts& audio) const;

 private:
  struct Frame {
    std::int64_t arrival_ms = 0;
    std::int64_t decode_time = 0;
    std::size_t bytes = 0;
    bool video = false;
  };
  [[nodiscard]] double fps() const;
  [[nodiscard]] std::int64_t bitrate(bool video, bool audio) const;
  [[nodiscard]] std::string passthrough_reason(const media::TrackConfig& config) const;
  void forget(std::int64_t now_ms);

  std::deque<Frame> frames_;                   ///< the newest kHealthWindowMs: at most some thousands
  std::deque<std::int64_t> key_intervals_ms_;  ///< the newest 4
  std::optional<std::int64_t> key_time_;       ///< decode time of the newest key frame
  std::uint64_t keys_ = 0;
  bool open_gop_ = false;
  std::optional<std::int64_t> first_arrival_ms_;
  std::optional<std::int64_t> video_arrival_ms_;
  std::optional<std::int64_t> audio_arrival_ms_;
  /// Smallest of arrival minus media time so far: what "in time" is on this line.
  std::optional<std::int64_t> delay_min_ms_;
  std::int64_t delay_ms_ = 0;
  std::optional<std::int64_t> video_announced_;
  std::optional<std::int64_t> audio_announced_;
  std::vector<std::string> warnings_;
};

}  // namespace ribalta::ingest
