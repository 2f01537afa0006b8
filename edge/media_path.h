// What a viewer asked for, read from the request target as it was sent. Media paths need no escapes, so that none are
// accepted: the text that is checked is the text that names the cache entry and that the origin gets.
//
//   /live/{stream}/{rest}   /v/{video}/{version}/{rest}   and both behind /t/{token}
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"

namespace ribalta::edge {

inline constexpr std::size_t kPathCharsMax = 256;    ///< without the token; the longest of ours is under 100
inline constexpr std::size_t kQueryCharsMax = 1024;  ///< players add reports of their own (CMCD), which are dropped
inline constexpr std::size_t kSegmentCharsMax = 64;  ///< between two slashes
inline constexpr std::size_t kRestSegmentsMax = 3;   ///< after the stream, or after the version
/// Digits of _HLS_msn and _HLS_part: 10^15 segments are 60 million years, and the number stays exact in a player's
/// double.
inline constexpr std::size_t kDirectiveDigitsMax = 15;

enum class MediaKind : std::uint8_t { live = 1, vod = 2 };

struct MediaTarget {
  MediaKind kind = MediaKind::live;
  std::string_view token;  ///< as sent; empty where there is none
  std::string_view path;   ///< without the token: `/live/…` or `/v/…`
  std::string_view id;     ///< public id of the stream or video
  /// Delivery directives in one spelling and order, with the '?' (rfc8216bis §6.2.5): `?_HLS_msn=7&_HLS_part=2`. Empty
  /// where there are none, and for everything but live playlists: the rest of a query never reaches key or origin.
  std::string query;
};

/// @param target  path and query as in the request line. The views point into it.
/// @error not_found: no media path of ours; limit: longer than ours ever are; malformed: delivery directives that break
/// their rules (repeated,
///        not a number, _HLS_part without _HLS_msn).
Result<MediaTarget> parse_media_target(std::string_view target);

/// The name under which an answer is kept: `p|` answers for everybody, `t|` answers that a token opened. `generation`
/// (0: none) changes when the tag is purged.
std::string cache_key(const MediaTarget& target, bool authorised, std::uint64_t generation);

/// The same request target with the token replaced by '-', for logs; other targets come back as they are.
std::string mask_token(std::string_view target);

/// An origin's address as it stands in Redis and in the configuration, in the form that goes between `http://` and the
/// path: `unix:/run/packager.sock` becomes `unix:/run/packager.sock:`, `10.0.0.1:80` and `[::1]:80` stay.
/// @error malformed: anything else; names are not looked up here.
Result<std::string> origin_authority(std::string_view address);

}  // namespace ribalta::edge
