// Reads HLS playlists (RFC 8216; EXT-X-GAP of rfc8216bis) as strictly as a picky player: written apart from the
// packager's writer, so that one does not hide the other's mistakes. Strangers' bytes: every size and count has a
// limit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/result.h"

namespace ribalta::check {

inline constexpr std::size_t kPlaylistBytesMax = 8 * 1024 * 1024;
inline constexpr std::size_t kLineBytesMax = 8 * 1024;
inline constexpr std::size_t kAttributesMax = 64;
inline constexpr std::size_t kSegmentsMax = 100'000;  ///< 55 h of 2 s segments
inline constexpr std::size_t kVariantsMax = 256;
/// Longest segment or target that makes sense, in seconds; also keeps sums of durations in range.
inline constexpr std::int64_t kDurationSecondsMax = 24 * 3600;

struct ByteRange {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  bool operator==(const ByteRange&) const = default;
};

struct HlsVariant {
  std::int64_t bandwidth = 0;
  std::optional<std::int64_t> average_bandwidth;
  std::string codecs;
  std::int64_t width = 0;  ///< 0: no RESOLUTION
  std::int64_t height = 0;
  std::optional<double> fps;
  std::string audio_group;
  std::string uri;
};

struct HlsRendition {
  std::string type;  ///< AUDIO, VIDEO, SUBTITLES, CLOSED-CAPTIONS
  std::string group;
  std::string name;
  std::string uri;
  bool is_default = false;
};

struct HlsMultivariant {
  std::int64_t version = 1;
  bool independent_segments = false;
  std::vector<HlsVariant> variants;
  std::vector<HlsRendition> renditions;
};

/// An init segment.
struct HlsMap {
  std::string uri;
  std::optional<ByteRange> range;
  bool operator==(const HlsMap&) const = default;
};

struct HlsSegment {
  std::string uri;
  std::optional<ByteRange> range;
  std::int64_t duration_us = 0;
  bool discontinuity = false;  ///< between this segment and the one before
  bool gap = false;
  std::optional<HlsMap> map;
  std::optional<std::int64_t> program_date_time_ms;  ///< since 1970-01-01T00:00:00Z
};

struct HlsMedia {
  std::int64_t version = 1;
  bool version_stated = false;
  bool independent_segments = false;
  std::int64_t target_duration_s = 0;
  std::int64_t media_sequence = 0;
  std::int64_t discontinuity_sequence = 0;
  std::string playlist_type;  ///< VOD, EVENT or empty
  bool ended = false;
  bool fractions = false;  ///< some EXTINF has a decimal point
  std::vector<HlsSegment> segments;
};

/// @error malformed: with the line's number and what RFC 8216 wants there; limit: the names above; unsupported:
///        EXT-X-KEY other than NONE (nothing encrypted is looked into).
Result<std::variant<HlsMultivariant, HlsMedia>> parse_hls(std::string_view text);

/// Microseconds of a decimal number of seconds, rounded down. @error malformed; limit: kDurationSecondsMax.
Result<std::int64_t> parse_seconds_us(std::string_view text);
/// `2026-11-23T21:28:03.123Z`, also with an offset instead of Z (RFC 3339). Milliseconds since 1970.
Result<std::int64_t> parse_date_time_ms(std::string_view text);

}  // namespace ribalta::check
