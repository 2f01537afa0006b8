#include "packager/live/plan.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "core/json.h"
#include "core/media/codec_config.h"
#include "packager/live/timeline.h"

namespace ribalta::packager {
namespace {

constexpr std::int64_t kBandwidthMax = 1'000'000'000;
constexpr double kFpsMax = 1'000;
constexpr std::size_t kCodecsCharsMax = 128;

/// Stands between quotes in a playlist and in an XML attribute.
bool is_codecs(std::string_view text) {
  if (text.empty() || text.size() > kCodecsCharsMax) return false;
  return std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
           c == '_' || c == ',';
  });
}

Result<void> in_range(std::string_view what, std::int64_t value, std::int64_t min, std::int64_t max) {
  if (value < min || value > max) return fail(Code::limit, what, value);
  return {};
}

Result<void> check_common(const std::string& track, const std::string& codecs, std::int64_t bitrate,
                          std::int64_t bandwidth, std::set<std::string>& names) {
  if (!is_track_name(track)) return fail(Code::malformed, "not a track's name");
  if (!names.insert(track).second) return fail(Code::malformed, "twice in the plan:", track);
  if (!is_codecs(codecs)) return fail(Code::malformed, "codecs of", track);
  if (auto ok = in_range("bitrate", bitrate, 0, kBandwidthMax); !ok) return ok.error().in(track);
  if (auto ok = in_range("bandwidth", bandwidth, 1, kBandwidthMax); !ok) return ok.error().in(track);
  return {};
}

/// Bits a second over any second of what was seen, and on the whole.
struct Rates {
  std::int64_t mean = 0;
  std::int64_t peak = 0;
  double chunks_a_second = 0;
  std::int64_t key_interval_us = 0;  ///< the longest seen
};
Rates measure(const std::vector<Chunk>& chunks) {
  Rates rates;
  if (chunks.empty()) return rates;
  std::int64_t bytes = 0;
  std::int64_t in_second = 0;
  std::size_t oldest = 0;
  std::optional<MediaTime> key;
  for (const Chunk& chunk : chunks) {
    const auto size = static_cast<std::int64_t>(chunk.bytes->size());
    const MediaTime at{chunk.decode_time, chunk.timescale()};
    bytes += size;
    in_second += size;
    while (elapsed_us({chunks[oldest].decode_time, chunks[oldest].timescale()}, at) >= 1'000'000) {
      in_second -= static_cast<std::int64_t>(chunks[oldest].bytes->size());
      ++oldest;
    }
    rates.peak = std::max(rates.peak, in_second * 8);
    if (!chunk.key) continue;
    if (key) rates.key_interval_us = std::max(rates.key_interval_us, elapsed_us(*key, at));
    key = at;
  }
  const Chunk& first = chunks.front();
  const Chunk& last = chunks.back();
  const std::int64_t us = elapsed_us({first.decode_time, first.timescale()}, {last.decode_end(), last.timescale()});
  if (us <= 0) return rates;
  rates.mean = bytes * 8 * 1'000'000 / us;
  rates.chunks_a_second = static_cast<double>(chunks.size()) * 1e6 / static_cast<double>(us);
  return rates;
}

}  // namespace

Result<void> check_plan(const media::LadderPlan& plan) {
  if (plan.video.empty() && plan.audio.empty()) return fail(Code::malformed, "plan without tracks");
  if (plan.video.size() + plan.audio.size() > kLiveTracksMax) return fail(Code::limit, "plan: too many tracks");
  if (auto ok = in_range("segment_target_ms", plan.segment_target_ms, 500, 20'000); !ok) return ok;
  if (auto ok = in_range("target_duration_s", plan.target_duration_s, 1, 30); !ok) return ok;
  std::set<std::string> names;
  for (const media::LadderVideo& video : plan.video) {
    if (auto ok = check_common(video.track, video.codecs, video.bitrate, video.bandwidth, names); !ok) return ok;
    if (auto ok = in_range("width", video.width, 1, media::kPictureSideMax); !ok) return ok.error().in(video.track);
    if (auto ok = in_range("height", video.height, 1, media::kPictureSideMax); !ok) return ok.error().in(video.track);
    if (!(video.fps >= 0 && video.fps <= kFpsMax)) return fail(Code::limit, "fps of", video.track);
  }
  for (const media::LadderAudio& audio : plan.audio) {
    if (auto ok = check_common(audio.track, audio.codecs, audio.bitrate, audio.bandwidth, names); !ok) return ok;
    if (auto ok = in_range("sample_rate", audio.sample_rate, 1, media::kSampleRateMax); !ok)
      return ok.error().in(audio.track);
    if (auto ok = in_range("channels", audio.channels, 1, media::kChannelsMax); !ok) return ok.error().in(audio.track);
  }
  return {};
}

Result<media::LadderPlan> parse_plan(std::string_view json, std::string_view stream) {
  if (json.size() > kPlanBytesMax) return fail(Code::limit, "plan: bytes", json.size());
  Result<media::LadderPlan> plan = json_read<media::LadderPlan>(json);
  if (!plan) return plan.error().in("plan");
  if (plan->stream != stream) return fail(Code::malformed, "plan: of another stream");
  if (auto ok = check_plan(*plan); !ok) return ok.error().in("plan");
  return plan;
}

std::optional<media::LadderPlan> fallback_plan(std::string_view stream, const std::vector<SourceSeen>& sources) {
  media::LadderPlan plan;
  plan.stream = stream;
  std::int64_t key_interval_us = 0;
  for (const SourceSeen& source : sources) {
    if (!source.init || source.chunks.empty()) continue;
    const media::TrackConfig& config = source.init->config;
    const Result<std::string> codecs = media::codec_string(config);
    if (!codecs || !is_codecs(*codecs)) continue;
    const Rates rates = measure(source.chunks);
    // Nobody promises a cap here: twice what was seen in any second, so that players choose with room.
    const std::int64_t mean = std::clamp<std::int64_t>(rates.mean, 1'000, kBandwidthMax);
    const std::int64_t cap = std::clamp<std::int64_t>(rates.peak * 2, mean, kBandwidthMax);
    if (config.kind == media::TrackKind::video) {
      media::LadderVideo video{.track = source.track,
                               .passthrough = true,
                               .width = config.width,
                               .height = config.height,
                               .codecs = *codecs,
                               .bitrate = mean,
                               .bandwidth = cap};
      video.fps = std::min(kFpsMax, std::round(rates.chunks_a_second * 1'000) / 1'000);
      plan.video.push_back(std::move(video));
      key_interval_us = std::max(key_interval_us, rates.key_interval_us);
    } else {
      plan.audio.push_back({.track = source.track,
                            .passthrough = true,
                            .codecs = *codecs,
                            .sample_rate = config.sample_rate,
                            .channels = config.channels,
                            .bitrate = mean,
                            .bandwidth = cap});
    }
  }
  if (plan.video.empty() && plan.audio.empty()) return std::nullopt;
  // TARGETDURATION can't change later: it leaves room for key frames up to 4 s apart when they look that rare, or when
  // fewer than two were seen.
  if (!plan.video.empty()) {
    const std::int64_t target_us = plan.segment_target_ms * 1'000;
    const std::int64_t gops = key_interval_us > 0 ? (target_us + key_interval_us - 1) / key_interval_us : 0;
    const std::int64_t segment_us = key_interval_us > 0 ? std::max(target_us, gops * key_interval_us) : 6'000'000;
    plan.target_duration_s = std::clamp<std::int64_t>((segment_us + 999'999) / 1'000'000, 2, 6);
  }
  if (!check_plan(plan)) return std::nullopt;
  return plan;
}

}  // namespace ribalta::packager
