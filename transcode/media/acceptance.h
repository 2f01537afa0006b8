// Is this file a video that can be worked on, and what is in it? Headers prove nothing, so some frames are decoded.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <expected>
#include <string>

#include "transcode/media/av.h"
#include "transcode/media/input.h"
#include "transcode/refusal.h"

namespace ribalta::transcode {

/// What an upload may be ([transcode] in ribalta.toml; the job may narrow it).
struct SourceLimits {
  std::int64_t bytes_max = std::int64_t{8} * 1024 * 1024 * 1024;
  std::int64_t duration_s_max = 4 * 3600;  ///< what the control plane takes by default
  std::int64_t side_max = 4096;
  std::int64_t fps_max = 1000;  ///< over 60, frames are left out
};
BOOST_DESCRIBE_STRUCT(SourceLimits, (), (bytes_max, duration_s_max, side_max, fps_max))

/// How stored pictures are turned to stand upright: first mirrored left to right, then turned clockwise.
struct Orientation {
  bool mirrored = false;
  int quarter_turns = 0;  ///< clockwise, 0..3
  bool operator==(const Orientation&) const = default;
};
/// From a display matrix (ISO/IEC 14496-12 §8.3.2.3). What is no quarter turn, or no number, is taken as none.
Orientation orientation_of(const std::int32_t matrix[9]);

struct SourceInfo {
  int video_stream = -1;
  int audio_stream = -1;   ///< -1: silent
  std::int64_t width = 0;  ///< as a viewer sees it: upright, square pixels
  std::int64_t height = 0;
  Orientation orientation;
  double fps = 0;    ///< measured where it could be
  bool hdr = false;  ///< PQ or HLG
  bool interlaced = false;
  std::int64_t duration_ms = 0;  ///< as the container says: may lie, for progress only; 0 unknown
  std::int64_t zero = 0;         ///< where the file's time begins, 90 kHz: the earliest first frame of both streams
  std::string format;
  std::string video_codec;
  std::string audio_codec;
};

std::expected<SourceInfo, Refusal> accept_source(int descriptor, std::uint64_t bytes, const SourceLimits& limits);

/// The frame's time on the 90 kHz clock, or AV_NOPTS_VALUE.
std::int64_t video_ticks(std::int64_t pts, AVRational time_base);

}  // namespace ribalta::transcode
