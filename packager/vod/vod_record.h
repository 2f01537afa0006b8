// `video.json`: what a version of a video consists of (docs/contracts.md, "Object store").
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace ribalta::packager {

struct VodVideoRecord {
  std::string track;
  std::string file;
  std::string codecs;
  std::int64_t width = 0;
  std::int64_t height = 0;
  double fps = 0;
  std::int64_t timescale = 0;
  std::int64_t duration = 0;  ///< in timescale
};
BOOST_DESCRIBE_STRUCT(VodVideoRecord, (), (track, file, codecs, width, height, fps, timescale, duration))

struct VodAudioRecord {
  std::string track;
  std::string file;
  std::string codecs;
  std::int64_t sample_rate = 0;
  std::int64_t channels = 0;
  std::string language;
  std::int64_t timescale = 0;
  std::int64_t duration = 0;
};
BOOST_DESCRIBE_STRUCT(VodAudioRecord, (), (track, file, codecs, sample_rate, channels, language, timescale, duration))

struct VodRecord {
  std::string video;
  std::string version;
  std::int64_t duration_ms = 0;
  std::int64_t segment_target_ms = 0;
  std::vector<VodVideoRecord> video_tracks;
  std::vector<VodAudioRecord> audio_tracks;
  std::string poster;  ///< file name, or empty
};
BOOST_DESCRIBE_STRUCT(VodRecord, (),
                      (video, version, duration_ms, segment_target_ms, video_tracks, audio_tracks, poster))

inline constexpr std::size_t kRecordBytesMax = 256 * 1024;
/// Tracks of one kind: a ladder has under ten rungs.
inline constexpr std::size_t kTracksMax = 16;

/// 1..32 of a-z, 0-9, '-', '_': stands in paths and object keys as it is.
bool is_version(std::string_view text);

/// Reads and checks: every value that goes into a playlist or an object key is of safe characters and in its range.
/// Unknown fields are passed over. @error malformed, limit.
Result<VodRecord> parse_vod_record(std::string_view json);

}  // namespace ribalta::packager
