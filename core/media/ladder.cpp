#include "core/media/ladder.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <string_view>
#include <utility>

#include "core/bytes.h"

namespace ribalta::media {
namespace {

/// Means that look good to most people with x264 at 30 frames/s, by picture area; between them the logarithm is linear.
struct BitratePoint {
  double area;
  double bitrate;
};
constexpr BitratePoint kBitrates[] = {{16.0 * 16, 20e3},        {426.0 * 240, 350e3},     {640.0 * 360, 700e3},
                                      {960.0 * 540, 1'300e3},   {1280.0 * 720, 2'400e3},  {1920.0 * 1080, 4'500e3},
                                      {2560.0 * 1440, 8'000e3}, {3840.0 * 2160, 16'000e3}};

/// ITU-T H.264 (08/2021) table A-1. Rates for the High profile are 1.25 times those listed (table A-2).
struct Level {
  int idc;
  std::int64_t macroblocks_per_second;
  std::int64_t macroblocks;
  std::int64_t dpb_macroblocks;
  std::int64_t bitrate;
};
constexpr Level kLevels[] = {
    {30, 40'500, 1'620, 8'100, 10'000'000},        {31, 108'000, 3'600, 18'000, 14'000'000},
    {32, 216'000, 5'120, 20'480, 20'000'000},      {40, 245'760, 8'192, 32'768, 20'000'000},
    {41, 245'760, 8'192, 32'768, 50'000'000},      {42, 522'240, 8'704, 34'816, 50'000'000},
    {50, 589'824, 22'080, 110'400, 135'000'000},   {51, 983'040, 36'864, 184'320, 240'000'000},
    {52, 2'073'600, 36'864, 184'320, 240'000'000}, {60, 4'177'920, 139'264, 696'320, 240'000'000},
    {61, 8'355'840, 139'264, 696'320, 480'000'000}};
/// Pictures that a decoder must be able to hold: what the encoder's B-pyramid and references need.
constexpr std::int64_t kDpbPictures = 4;

/// maxrate is 1.2 times the mean, the buffer 0.6 s of the mean: over a segment of 2 s that is 1.5 times the mean.
constexpr double kMaxrateShare = 1.2;
constexpr double kBufferSeconds = 0.6;
constexpr double kSegmentSeconds = 2.0;
/// Boxes of a live chunk for each frame: moof with one trun entry, and mdat's header.
constexpr double kBoxBitsPerFrame = 8.0 * 128;

constexpr double kFpsAssumed = 30;

double sane_fps(double fps, double fps_max) {
  if (!std::isfinite(fps) || fps <= 0) fps = kFpsAssumed;
  return std::clamp(fps, 1.0, fps_max);
}

std::int64_t even_floor(double side) { return std::max<std::int64_t>(2, static_cast<std::int64_t>(side) / 2 * 2); }
std::int64_t even_nearest(double side) { return std::max<std::int64_t>(2, std::llround(side / 2) * 2); }

std::int64_t macroblocks_of(std::int64_t side) { return (side + 15) / 16; }

struct Size {
  std::int64_t width;
  std::int64_t height;
};

std::int64_t short_side(const Size& size) { return std::min(size.width, size.height); }

/// The source's shape with that short side, both sides even, neither over the source's.
Size scaled(const LadderSource& source, std::int64_t to_short) {
  const bool portrait = source.height > source.width;
  const std::int64_t from_short = std::min(source.width, source.height);
  const std::int64_t from_long = std::max(source.width, source.height);
  const double ratio = static_cast<double>(to_short) / static_cast<double>(from_short);
  const std::int64_t short_out = even_floor(static_cast<double>(to_short));
  const std::int64_t long_out =
      std::min(even_nearest(static_cast<double>(from_long) * ratio), even_floor(static_cast<double>(from_long)));
  return portrait ? Size{short_out, long_out} : Size{long_out, short_out};
}

/// The largest rung: the source within the cap, and no larger in area than 16:9 at the cap, so that a wide film needs
/// no higher level than a common one.
Size top_size(const LadderSource& source, std::int64_t short_side_max) {
  Size size = scaled(source, std::min(std::min(source.width, source.height), short_side_max));
  const double cap = static_cast<double>(short_side_max);
  const double area_max = cap * cap * 16 / 9;
  const double area = static_cast<double>(size.width) * static_cast<double>(size.height);
  if (area <= area_max) return size;
  return scaled(source, even_floor(static_cast<double>(short_side(size)) * std::sqrt(area_max / area)));
}

Result<LadderVideo> encoded(const Size& size, double fps) {
  LadderVideo rung;
  rung.track = "v" + std::to_string(short_side(size));
  rung.width = size.width;
  rung.height = size.height;
  rung.fps = fps;
  rung.bitrate = h264_bitrate(size.width, size.height, fps);
  const double peak = static_cast<double>(rung.bitrate) * (kMaxrateShare + kBufferSeconds / kSegmentSeconds);
  rung.bandwidth = std::llround((peak + kBoxBitsPerFrame * fps) / 1000) * 1000;
  // Sources of uneven rate go up to 30 frames/s in places, whatever their mean.
  const int level = h264_level(size.width, size.height, std::max(fps, kFpsAssumed), rung.bandwidth);
  if (level == 0) return fail(Code::limit, "no H.264 level holds the rung", rung.track);
  char text[16];
  std::snprintf(text, sizeof text, "avc1.6400%02x", static_cast<unsigned>(level));
  rung.codecs = text;
  return rung;
}

Result<void> check(const LadderSource& source) {
  for (const std::int64_t side : {source.width, source.height}) {
    if (side < kSideMin) return fail(Code::limit, "ladder: a side is under 2 pixels", side);
    if (side > kSideMax) return fail(Code::limit, "ladder: a side is too long", side);
  }
  return {};
}

bool spaced(std::int64_t side, std::int64_t above) {
  return static_cast<double>(side) <= static_cast<double>(above) * kRungSpacingMax;
}

}  // namespace

std::int64_t h264_bitrate(std::int64_t width, std::int64_t height, double fps) {
  const double area = std::clamp(static_cast<double>(width) * static_cast<double>(height), kBitrates[0].area,
                                 kBitrates[std::size(kBitrates) - 1].area);
  std::size_t upper = 1;
  while (upper + 1 < std::size(kBitrates) && kBitrates[upper].area < area) ++upper;
  const BitratePoint& low = kBitrates[upper - 1];
  const BitratePoint& high = kBitrates[upper];
  const double position = std::log(area / low.area) / std::log(high.area / low.area);
  const double at_30 = low.bitrate * std::pow(high.bitrate / low.bitrate, position);
  // Twice the frames are not twice the bits: neighbours resemble each other more.
  const double rate = std::clamp(fps, 10.0, 120.0) / kFpsAssumed;
  return std::llround(at_30 * std::pow(rate, 0.6) / 1000) * 1000;
}

RateControl rate_control_for(const LadderVideo& rung) {
  // A plan from elsewhere may have its own share between mean and cap: what the cap leaves is kept, whatever it is.
  const double boxes = kBoxBitsPerFrame * rung.fps;
  const double cap = std::max(static_cast<double>(rung.bandwidth) - boxes, static_cast<double>(rung.bandwidth) / 2);
  const double mean = std::min(static_cast<double>(rung.bitrate), cap);
  const double share = kMaxrateShare + kBufferSeconds / kSegmentSeconds;
  const double scale = std::min(1.0, cap / (mean * share));
  return {.bitrate = std::llround(mean),
          .maxrate = std::llround(std::max(mean * kMaxrateShare * scale, 1000.0)),
          .buffer_bits = std::llround(std::max(mean * kBufferSeconds * scale, 1000.0))};
}

int h264_level(std::int64_t width, std::int64_t height, double fps, std::int64_t bandwidth) {
  const std::int64_t across = macroblocks_of(width);
  const std::int64_t down = macroblocks_of(height);
  const std::int64_t frame = across * down;
  const double rate = static_cast<double>(frame) * fps;
  for (const Level& level : kLevels) {
    if (frame > level.macroblocks) continue;
    if (std::max(across, down) * std::max(across, down) > 8 * level.macroblocks) continue;  // A.3.1 f, g
    if (rate > static_cast<double>(level.macroblocks_per_second)) continue;
    if (frame * kDpbPictures > level.dpb_macroblocks) continue;
    if (bandwidth > level.bitrate * 5 / 4) continue;
    return level.idc;
  }
  return 0;
}

Result<int> h264_high_level(const std::string& codecs) {
  constexpr std::string_view kPrefix = "avc1.6400";
  if (codecs.size() != kPrefix.size() + 2 || !codecs.starts_with(kPrefix)) {
    return fail(Code::malformed, "not a codec string of an encoded rung", codecs);
  }
  const Result<Bytes> level = from_hex(std::string_view{codecs}.substr(kPrefix.size()));
  if (!level) return level.error().in("codec string", codecs);
  return std::to_integer<int>((*level)[0]);
}

Result<std::vector<LadderVideo>> vod_ladder(const LadderSource& source, const LadderOptions& options) {
  if (const Result<void> checked = check(source); !checked) return pass(checked);
  const double fps = sane_fps(source.fps, options.fps_max);
  std::vector<LadderVideo> rungs;
  const Size top = top_size(source, options.short_side_max);
  Result<LadderVideo> first = encoded(top, fps);
  if (!first) return pass(first);
  rungs.push_back(std::move(*first));
  std::int64_t above = short_side(top);
  for (const std::int64_t side : kShortSides) {
    if (rungs.size() >= options.rungs_max) break;
    if (!spaced(side, above)) continue;
    Result<LadderVideo> rung = encoded(scaled(source, side), fps);
    if (!rung) return pass(rung);
    rungs.push_back(std::move(*rung));
    above = side;
  }
  return rungs;
}

LiveLadderOptions live_options_for(unsigned cores) {
  LiveLadderOptions options;
  cores = std::clamp(cores, 1U, 64U);
  options.pixel_rate_max = 20e6 * cores;
  options.encoded_rungs_max = cores <= 2 ? 2 : cores <= 4 ? 3 : 4;
  options.short_side_max = cores <= 4 ? 720 : 1080;
  return options;
}

Result<std::vector<LadderVideo>> live_ladder(const LadderSource& source, const LadderVideo* passthrough,
                                             const LiveLadderOptions& options) {
  if (const Result<void> checked = check(source); !checked) return pass(checked);
  const double fps = sane_fps(source.fps, options.fps_max);
  std::vector<LadderVideo> rungs;
  double spent = 0;
  const auto afford = [&](Result<LadderVideo> rung) -> Result<void> {
    if (!rung) return pass(rung);
    const double rate = static_cast<double>(rung->width) * static_cast<double>(rung->height) * fps;
    const bool first_encoded = spent == 0;  // one rung always: below the source it is what saves a slow line
    if (!first_encoded && spent + rate > options.pixel_rate_max) return {};
    spent += rate;
    rungs.push_back(std::move(*rung));
    return {};
  };

  const std::int64_t source_short = std::min(source.width, source.height);
  std::int64_t top = source_short;
  std::size_t encoded_max = options.encoded_rungs_max;
  if (!passthrough && encoded_max > 0) {
    // Without the source itself, the best picture comes first; one that the machine cannot pay for is made smaller.
    std::int64_t side = std::min(source_short, options.short_side_max);
    for (const std::int64_t step : kShortSides) {
      const Size size = top_size(source, side);
      const double rate = static_cast<double>(size.width) * static_cast<double>(size.height) * fps;
      if (rate <= options.pixel_rate_max * 0.8) break;
      if (step < side) side = step;
    }
    const Size size = top_size(source, side);
    top = short_side(size);
    Result<LadderVideo> rung = encoded(size, fps);
    if (const Result<void> added = afford(std::move(rung)); !added) return pass(added);
  }

  // In the order of use: 360 plays nearly everywhere, 720 is what a good phone wants, then what lies between and below.
  for (const std::int64_t side : {360, 720, 540, 240, 1080}) {
    if (rungs.size() >= encoded_max) break;
    if (!spaced(side, top) || side > options.short_side_max) continue;
    Result<LadderVideo> rung = encoded(scaled(source, side), fps);
    if (const Result<void> added = afford(std::move(rung)); !added) return pass(added);
  }
  if (passthrough) {
    rungs.push_back(*passthrough);
  }
  std::ranges::sort(rungs, [](const LadderVideo& a, const LadderVideo& b) {
    return std::pair{a.passthrough, a.width * a.height} > std::pair{b.passthrough, b.width * b.height};
  });
  return rungs;
}

LadderAudio encoded_audio() {
  return {.track = "a128",
          .passthrough = false,
          .codecs = "mp4a.40.2",
          .sample_rate = 48'000,
          .channels = 2,
          .bitrate = 128'000,
          .bandwidth = 192'000};
}

}  // namespace ribalta::media
