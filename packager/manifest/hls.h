// HLS playlists as text (RFC 8216, and rfc8216bis for EXT-X-GAP), for live and VOD alike: structs in, text out. What
// stands in them is decided elsewhere; here are only the tags, their order and their number formats.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/units.h"

namespace ribalta::packager {

struct HlsSegment {
  std::int64_t duration_us = 0;
  std::string uri;
  std::string map_uri;  ///< its init segment; EXT-X-MAP is written where it changes. Empty for a gap that knows none
  bool gap = false;
  bool discontinuity = false;  ///< between this segment and the one before
  std::optional<WallTime> program_date_time;
};

struct HlsMediaPlaylist {
  std::int64_t target_duration_s = 1;
  std::int64_t media_sequence = 0;
  std::int64_t discontinuity_sequence = 0;
  bool vod = false;    ///< EXT-X-PLAYLIST-TYPE:VOD, which also ends it
  bool ended = false;  ///< EXT-X-ENDLIST
  std::vector<HlsSegment> segments;
};
std::string write_media_playlist(const HlsMediaPlaylist& playlist);

struct HlsAudio {
  std::string group;
  std::string name;
  std::string language;  ///< RFC 5646, or empty
  std::int64_t channels = 0;
  bool is_default = false;
  std::string uri;
};

struct HlsVariant {
  std::int64_t bandwidth = 0;
  std::int64_t average_bandwidth = 0;
  std::string codecs;      ///< of its video and its audio, with a comma between
  std::int64_t width = 0;  ///< 0: no video
  std::int64_t height = 0;
  double fps = 0;           ///< 0: unknown, left out
  std::string audio_group;  ///< or empty
  std::string uri;
};

struct HlsMultivariant {
  std::vector<HlsAudio> audio;
  std::vector<HlsVariant> variants;
};
std::string write_multivariant(const HlsMultivariant& playlist);

/// The seconds of an EXTINF with its six decimals, as integers made them.
std::string seconds_text(std::int64_t us);
/// EXTINF rounded to whole seconds, as TARGETDURATION compares it (RFC 8216 §4.3.3.1).
constexpr std::int64_t rounded_seconds(std::int64_t us) { return (us + 500'000) / 1'000'000; }

}  // namespace ribalta::packager
