#include "ingest/stream/health.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "core/media/bitstream.h"
#include "core/media/codec_config.h"
#include "core/units.h"

namespace ribalta::ingest {
namespace {

constexpr std::size_t kWarningsMax = 8;
constexpr std::size_t kFramesMax = 8192;  ///< in the window: 10 s of 240 fps video and audio; older ones go first
constexpr std::size_t kKeyIntervalsKept = 4;
constexpr std::int64_t kTrackMissingMs = 10'000;
/// In the order in which they are preferred.
constexpr std::array<double, 12> kCommonRates{30, 60, 25, 50, 24, 15, 20, 10, 12, 29.97, 59.94, 23.976};

std::string seconds(std::int64_t ms) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f s", static_cast<double>(ms) / 1000);
  return text;
}

/// What browsers decode everywhere: 8 bits, 4:2:0, frames.
std::string unplayable_reason(const media::TrackConfig& config) {
  const Result<media::AvcConfig> avc = media::parse_avcc(config.codec_config);
  if (!avc || avc->sps.empty()) return "The H.264 headers cannot be read.";
  const Result<media::PictureFormat> picture = media::parse_h264_sps(avc->sps.front());
  if (!picture) return "The H.264 headers cannot be read.";
  if (picture->chroma_format != 1 || picture->luma_bits != 8 || picture->chroma_bits != 8) {
    return "The picture is not 8-bit 4:2:0, which browsers cannot show; it is converted for viewers.";
  }
  if (picture->interlaced) return "The picture is interlaced; it is converted for viewers.";
  return {};
}

}  // namespace

void Meter::forget(std::int64_t now_ms) {
  while (!frames_.empty() && (frames_.front().arrival_ms < now_ms - kHealthWindowMs || frames_.size() > kFramesMax)) {
    frames_.pop_front();
  }
}

void Meter::on_video(const VideoSource::Seen& seen, std::int64_t arrival_ms) {
  if (!first_arrival_ms_) first_arrival_ms_ = arrival_ms;
  video_arrival_ms_ = arrival_ms;
  frames_.push_back({arrival_ms, seen.decode_time, seen.bytes, true});
  forget(arrival_ms);
  open_gop_ = open_gop_ || seen.open_gop;
  const std::int64_t delay_ms = arrival_ms - seen.decode_time * 1000 / kVideoTimescale;
  delay_min_ms_ = std::min(delay_min_ms_.value_or(delay_ms), delay_ms);
  delay_ms_ = delay_ms;
  if (!seen.key) return;
  ++keys_;
  if (key_time_) key_intervals_ms_.push_back((seen.decode_time - *key_time_) * 1000 / kVideoTimescale);
  if (key_intervals_ms_.size() > kKeyIntervalsKept) key_intervals_ms_.pop_front();
  key_time_ = seen.decode_time;
}

void Meter::on_audio(std::size_t bytes, std::int64_t time_ms, std::int64_t arrival_ms) {
  if (!first_arrival_ms_) first_arrival_ms_ = arrival_ms;
  audio_arrival_ms_ = arrival_ms;
  frames_.push_back({arrival_ms, time_ms, bytes, false});
  forget(arrival_ms);
}

void Meter::announce(std::optional<std::int64_t> video, std::optional<std::int64_t> audio) {
  if (video) video_announced_ = video;
  if (audio) audio_announced_ = audio;
}

void Meter::warn(std::string sentence) {
  if (warnings_.size() < kWarningsMax && std::ranges::find(warnings_, sentence) == warnings_.end()) {
    warnings_.push_back(std::move(sentence));
  }
}

bool Meter::verdict_ready(std::int64_t now_ms) const {
  return keys_ >= 2 || (first_arrival_ms_ && now_ms - *first_arrival_ms_ >= kVerdictMs);
}

/// Frames over the media time that they span. Timestamps are whole milliseconds: next to a common rate it is that rate.
double Meter::fps() const {
  std::int64_t first = 0;
  std::int64_t last = 0;
  std::int64_t count = 0;
  for (const Frame& frame : frames_) {
    if (!frame.video) continue;
    if (count++ == 0) first = frame.decode_time;
    last = frame.decode_time;
  }
  if (count < 2 || last <= first) return 0;
  const double span_ms = static_cast<double>(last - first) * 1000 / kVideoTimescale;
  const double fps = static_cast<double>(count - 1) * 1000 / span_ms;
  // Both ends are rounded to a millisecond. Within that, a whole rate is likelier than 1000/1001 of it.
  const double unsure = fps * std::max(0.0005, 1.5 / span_ms);
  for (const double rate : kCommonRates) {
    if (std::abs(rate - fps) <= unsure) return rate;
  }
  return std::round(fps * 1000) / 1000;
}

/// Bits a second over the arrival window.
std::int64_t Meter::bitrate(bool video, bool audio) const {
  std::uint64_t bytes = 0;
  std::optional<std::int64_t> first;
  std::int64_t last = 0;
  for (const Frame& frame : frames_) {
    if (frame.video ? !video : !audio) continue;
    if (!first) first = frame.arrival_ms;
    bytes += frame.bytes;
    last = frame.arrival_ms;
  }
  if (!first || last - *first < 500) return static_cast<std::int64_t>(bytes) * 8;
  return static_cast<std::int64_t>(bytes) * 8 * 1000 / (last - *first);
}

std::string Meter::passthrough_reason(const media::TrackConfig& config) const {
  if (open_gop_) return "Key frames are open GOPs; turn \"open GOP\" (or \"intra refresh\") off in the encoder.";
  if (key_intervals_ms_.empty()) {
    return "There is no key frame every " + seconds(kKeyIntervalMaxMs) + "; set the key frame interval to 2 s.";
  }
  const std::int64_t longest = *std::ranges::max_element(key_intervals_ms_);
  if (longest > kKeyIntervalMaxMs) {
    return "Key frames come only every " + seconds(longest) + "; set the key frame interval to 2 s.";
  }
  const std::int64_t shortest = *std::ranges::min_element(key_intervals_ms_);
  if (static_cast<double>(longest - shortest) > kKeyIntervalSpread * static_cast<double>(longest)) {
    return "Key frames come irregularly (" + seconds(shortest) + " to " + seconds(longest) +
           "); set a fixed key frame interval of 2 s.";
  }
  return unplayable_reason(config);
}

SourceReport Meter::report(const media::TrackConfig* video, const media::TrackConfig* audio) const {
  SourceReport report;
  if (video != nullptr && video_arrival_ms_) {
    const Result<std::string> codecs = media::codec_string(*video);
    VideoReport& out = report.video.emplace();
    out.codecs = codecs ? *codecs : "avc1";
    out.width = video->width;
    out.height = video->height;
    out.fps = fps();
    out.bitrate = bitrate(true, false);
    out.bitrate_announced = video_announced_;
    if (!key_intervals_ms_.empty()) out.keyframe_interval_ms = key_intervals_ms_.back();
    out.passthrough_reason = passthrough_reason(*video);
    out.passthrough = out.passthrough_reason.empty();
  }
  if (audio != nullptr && audio_arrival_ms_) {
    const Result<std::string> codecs = media::codec_string(*audio);
    report.audio = AudioReport{codecs ? *codecs : "mp4a.40.2", audio->sample_rate, audio->channels,
                               bitrate(false, true), audio_announced_};
  }
  return report;
}

Health Meter::health(std::int64_t now_ms, const TrackCounts& video, const TrackCounts& audio) const {
  Health health{.bitrate = bitrate(true, true), .fps = fps(), .warnings = warnings_};
  if (!key_intervals_ms_.empty()) health.keyframe_interval_ms = key_intervals_ms_.back();
  const auto missing = [&](const std::optional<std::int64_t>& newest) {
    return now_ms - newest.value_or(first_arrival_ms_.value_or(now_ms)) >= kTrackMissingMs;
  };
  if (missing(video_arrival_ms_)) health.warnings.emplace_back("No video is coming.");
  if (missing(audio_arrival_ms_)) health.warnings.emplace_back("No sound is coming.");
  if (video_arrival_ms_ && !key_intervals_ms_.empty() && key_intervals_ms_.back() > kKeyIntervalMaxMs) {
    health.warnings.push_back("Key frames come only every " + seconds(key_intervals_ms_.back()) +
                              "; set the key frame interval to 2 s.");
  }
  if (open_gop_) health.warnings.emplace_back("Key frames are open GOPs; turn \"open GOP\" off in the encoder.");
  if (delay_min_ms_ && delay_ms_ - *delay_min_ms_ > kLateMs) {
    health.warnings.push_back("The stream arrives " + seconds(delay_ms_ - *delay_min_ms_) +
                              " late: the connection is slower than the stream; lower its bitrate.");
  }
  if (video.dropped_broken + audio.dropped_broken > 0) {
    health.warnings.push_back("Frames that cannot be read were left out: " +
                              std::to_string(video.dropped_broken + audio.dropped_broken) + ".");
  }
  return health;
}

}  // namespace ribalta::ingest
