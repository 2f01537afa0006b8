#include "packager/manifest/hls.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace ribalta::packager {
namespace {

void line(std::string& out, std::string_view tag, std::int64_t value) {
  out += tag;
  out += std::to_string(value);
  out += '\n';
}

}  // namespace

std::string seconds_text(std::int64_t us) {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%lld.%06lld", static_cast<long long>(us / 1'000'000),
                static_cast<long long>(us % 1'000'000));
  return text.data();
}

std::string write_media_playlist(const HlsMediaPlaylist& playlist) {
  const bool gaps = std::ranges::any_of(playlist.segments, [](const HlsSegment& segment) { return segment.gap; });
  std::string out = "#EXTM3U\n";
  out.reserve(256 + playlist.segments.size() * 96);
  line(out, "#EXT-X-VERSION:", gaps ? 8 : 7);  // EXT-X-GAP needs 8; EXT-X-MAP in media playlists 6
  line(out, "#EXT-X-TARGETDURATION:", playlist.target_duration_s);
  line(out, "#EXT-X-MEDIA-SEQUENCE:", playlist.media_sequence);
  if (playlist.discontinuity_sequence > 0) {
    line(out, "#EXT-X-DISCONTINUITY-SEQUENCE:", playlist.discontinuity_sequence);
  }
  if (playlist.vod) out += "#EXT-X-PLAYLIST-TYPE:VOD\n";
  out += "#EXT-X-INDEPENDENT-SEGMENTS\n";
  std::string_view map;
  for (const HlsSegment& segment : playlist.segments) {
    if (segment.discontinuity) out += "#EXT-X-DISCONTINUITY\n";
    if (!segment.map_uri.empty() && segment.map_uri != map) {
      map = segment.map_uri;
      out += "#EXT-X-MAP:URI=\"" + segment.map_uri + "\"\n";
    }
    if (segment.program_date_time) {
      out += "#EXT-X-PROGRAM-DATE-TIME:" + to_rfc3339(*segment.program_date_time) + "\n";
    }
    if (segment.gap) out += "#EXT-X-GAP\n";
    out += "#EXTINF:" + seconds_text(segment.duration_us) + ",\n" + segment.uri + "\n";
  }
  if (playlist.vod || playlist.ended) out += "#EXT-X-ENDLIST\n";
  return out;
}

std::string write_multivariant(const HlsMultivariant& playlist) {
  std::string out = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n";
  for (const HlsAudio& audio : playlist.audio) {
    out += "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"" + audio.group + "\",NAME=\"" + audio.name + "\"";
    if (!audio.language.empty()) out += ",LANGUAGE=\"" + audio.language + "\"";
    out += audio.is_default ? ",DEFAULT=YES,AUTOSELECT=YES" : ",DEFAULT=NO,AUTOSELECT=YES";
    if (audio.channels > 0) out += ",CHANNELS=\"" + std::to_string(audio.channels) + "\"";
    out += ",URI=\"" + audio.uri + "\"\n";
  }
  for (const HlsVariant& variant : playlist.variants) {
    out += "#EXT-X-STREAM-INF:BANDWIDTH=" + std::to_string(variant.bandwidth);
    if (variant.average_bandwidth > 0) out += ",AVERAGE-BANDWIDTH=" + std::to_string(variant.average_bandwidth);
    out += ",CODECS=\"" + variant.codecs + "\"";
    if (variant.width > 0) {
      out += ",RESOLUTION=" + std::to_string(variant.width) + "x" + std::to_string(variant.height);
    }
    if (variant.fps > 0) {
      std::array<char, 32> fps{};
      std::snprintf(fps.data(), fps.size(), ",FRAME-RATE=%.3f", variant.fps);
      out += fps.data();
    }
    if (!variant.audio_group.empty()) out += ",AUDIO=\"" + variant.audio_group + "\"";
    out += "\n" + variant.uri + "\n";
  }
  return out;
}

}  // namespace ribalta::packager
