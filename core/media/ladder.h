// The ladder: from what a source is to the rungs that viewers are offered. Pure: no media is touched here. The control
// plane announces a live ladder with it before the first frame is encoded, so everything that a playlist says of a rung
// (size, codec string, cap) is decided here, and the encoder is held to it.
//
// Rungs are keyed on the SHORT side, so that 1080x1920 from a phone and 1920x1080 from a camera get the same steps.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "core/result.h"

namespace ribalta::media {

/// One video entry of a ladder plan (docs/contracts.md, "Ladder plan").
struct LadderVideo {
  std::string track;         ///< `src-v`, or `v` and the short side
  bool passthrough = false;  ///< the source as it came; not encoded by the farm
  std::int64_t width = 0;
  std::int64_t height = 0;
  double fps = 0;
  std::string codecs;          ///< RFC 6381; for encoded rungs exactly what the encoder will write
  std::int64_t bitrate = 0;    ///< bits/s, the mean that is aimed for
  std::int64_t bandwidth = 0;  ///< bits/s over any segment, boxes included: never exceeded
  bool operator==(const LadderVideo&) const = default;
};
BOOST_DESCRIBE_STRUCT(LadderVideo, (), (track, passthrough, width, height, fps, codecs, bitrate, bandwidth))

/// One audio entry of a ladder plan.
struct LadderAudio {
  std::string track;  ///< `src-a`, or `a` and kb/s
  bool passthrough = false;
  std::string codecs;
  std::int64_t sample_rate = 0;
  std::int64_t channels = 0;
  std::int64_t bitrate = 0;
  std::int64_t bandwidth = 0;
  bool operator==(const LadderAudio&) const = default;
};
BOOST_DESCRIBE_STRUCT(LadderAudio, (), (track, passthrough, codecs, sample_rate, channels, bitrate, bandwidth))

struct LadderPlan {
  std::string stream;
  std::int64_t segment_target_ms = 2'000;
  std::int64_t target_duration_s = 2;
  std::vector<LadderVideo> video;  ///< highest first
  std::vector<LadderAudio> audio;
  bool operator==(const LadderPlan&) const = default;
};
BOOST_DESCRIBE_STRUCT(LadderPlan, (), (stream, segment_target_ms, target_duration_s, video, audio))

/// What is encoded from: the picture as a viewer sees it (turned upright, square pixels).
struct LadderSource {
  std::int64_t width = 0;
  std::int64_t height = 0;
  double fps = 0;  ///< mean frames a second; 0 or nonsense: 30 is assumed
};

struct LadderOptions {
  std::int64_t short_side_max = 1080;
  double fps_max = 60;
  std::size_t rungs_max = 6;
};

/// Rungs that are offered below the source's own size.
inline constexpr std::int64_t kShortSides[] = {2160, 1440, 1080, 720, 540, 360, 240};
/// A rung is left out when its short side is over this share of the one above: nobody would see the difference.
inline constexpr double kRungSpacingMax = 0.8;
/// Sides that a plan can be made for. 2 is the smallest 4:2:0 picture; the upper bound keeps areas inside 32 bits.
inline constexpr std::int64_t kSideMin = 2;
inline constexpr std::int64_t kSideMax = 16'384;

/// The rungs of an uploaded video, highest first. The top one has the source's size, made even, with its short side at
/// most short_side_max and its area at most that of 16:9 there; nothing is ever larger than the source.
/// @error limit: a side under kSideMin or over kSideMax.
Result<std::vector<LadderVideo>> vod_ladder(const LadderSource& source, const LadderOptions& options = {});

struct LiveLadderOptions {
  std::int64_t short_side_max = 1080;  ///< of encoded rungs
  double fps_max = 60;
  std::size_t encoded_rungs_max = 2;
  /// What the workers together may spend on one stream, in encoded pixels a second.
  double pixel_rate_max = 40e6;
};

/// What a machine of so many cores can encode of one stream beside its other work: x264 at the live preset takes about
/// 60 million pixels a second and core, of which a third is planned (decoding, scaling, other streams, busy scenes).
LiveLadderOptions live_options_for(unsigned cores);

/// A live ladder, highest first. With `passthrough` (what ingest found of the source, as an entry of the plan) that is
/// the top and encoded rungs lie below it; without, the top rung is encoded at the source's size within the options.
/// The most useful rungs are kept first: 360, 720, 540, 240. No workers (encoded_rungs_max 0): the source alone, or
/// none.
Result<std::vector<LadderVideo>> live_ladder(const LadderSource& source, const LadderVideo* passthrough,
                                             const LiveLadderOptions& options);

/// AAC-LC stereo at 128 kb/s and 48 kHz, what every ladder that encodes audio offers.
LadderAudio encoded_audio();

/// Bits/s for H.264 at that size and rate: the mean aimed for.
std::int64_t h264_bitrate(std::int64_t width, std::int64_t height, double fps);

/// How an encoder keeps a rung's bandwidth: the bits of any window of `window_ms` are at most maxrate x window +
/// buffer, and boxes take the rest.
struct RateControl {
  std::int64_t bitrate = 0;      ///< bits/s
  std::int64_t maxrate = 0;      ///< bits/s
  std::int64_t buffer_bits = 0;  ///< VBV
};
RateControl rate_control_for(const LadderVideo& rung);

/// The level (level_idc: 31 is 3.1) that holds such pictures at such a rate and cap, from 3.0 up, with a decoded
/// picture buffer of at least four (ITU-T H.264 table A-1). 0: none does.
int h264_level(std::int64_t width, std::int64_t height, double fps, std::int64_t bandwidth);

/// The level in a codec string that the farm wrote (`avc1.6400LL`, High profile). @error malformed: another string.
Result<int> h264_high_level(const std::string& codecs);

}  // namespace ribalta::media
