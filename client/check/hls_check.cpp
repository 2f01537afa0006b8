#include "client/check/hls_check.h"

#include <algorithm>
#include <set>

#include "client/check/source.h"

namespace ribalta::check {
namespace {

/// EXTINF has six decimals here, three in other packagers: what rounding to milliseconds can make.
constexpr std::int64_t kExtinfToleranceUs = 1'000;
/// Program date times are milliseconds; sums of EXTINF drift against them by less than this.
constexpr std::int64_t kDateToleranceMs = 50;

std::int64_t to_us(std::int64_t ticks, std::uint32_t timescale) {
  return rescale_nearest({ticks, timescale}, 1'000'000).ticks;
}

std::string seconds(std::int64_t us) { return std::to_string(static_cast<double>(us) / 1e6) + " s"; }

void check_version(const HlsMedia& playlist, const std::string& where, Findings& findings) {
  const bool maps =
      std::ranges::any_of(playlist.segments, [](const HlsSegment& segment) { return segment.map.has_value(); });
  const bool ranges =
      std::ranges::any_of(playlist.segments, [](const HlsSegment& segment) { return segment.range.has_value(); });
  const std::int64_t needed = maps ? 6 : ranges ? 4 : playlist.fractions ? 3 : 1;
  if (playlist.version < needed) {
    findings.add("version", where,
                 "EXT-X-VERSION is " + std::to_string(playlist.version) + ", its tags need " + std::to_string(needed));
  }
}

void check_dates(const HlsMedia& playlist, const std::string& where, Findings& findings) {
  for (std::size_t i = 1; i < playlist.segments.size(); ++i) {
    const HlsSegment& before = playlist.segments[i - 1];
    const HlsSegment& segment = playlist.segments[i];
    if (segment.discontinuity || !before.program_date_time_ms || !segment.program_date_time_ms) continue;
    const std::int64_t apart = *segment.program_date_time_ms - *before.program_date_time_ms;
    if (std::abs(apart - before.duration_us / 1'000) > kDateToleranceMs) {
      findings.add("program-date-time", where + " " + segment.uri,
                   "the dates are " + std::to_string(apart) + " ms apart, EXTINF says " + seconds(before.duration_us));
    }
  }
}

/// One media playlist's segments with their media.
void load_segments(LoadedPlaylist& loaded, MediaStore& media, Findings& findings) {
  const SegmentFacts* before = nullptr;
  std::int64_t msn = loaded.playlist.media_sequence;
  for (const HlsSegment& listed : loaded.playlist.segments) {
    LoadedSegment segment{.msn = msn++, .location = {}, .listed = listed};
    if (listed.discontinuity) before = nullptr;
    const auto location = resolve(loaded.location, listed.uri);
    if (!location) {
      findings.add("uri", loaded.location, location.error().message);
    } else if (!listed.gap && listed.map) {
      segment.location = *location;
      const auto map = resolve(loaded.location, listed.map->uri);
      const InitFacts* const init = map ? media.init(*map, listed.map->range) : nullptr;
      if (!map) findings.add("uri", loaded.location, map.error().message);
      if (init != nullptr) {
        loaded.init = init;
        segment.facts = media.segment(*location, listed.range, *init, before);
      }
    }
    before = segment.facts;
    if (segment.facts != nullptr) {
      const std::int64_t us = to_us(segment.facts->duration, segment.facts->decode_end.timescale);
      if (std::abs(us - listed.duration_us) > kExtinfToleranceUs) {
        findings.add("extinf", segment.location,
                     "EXTINF says " + seconds(listed.duration_us) + ", its samples last " + seconds(us));
      }
    }
    loaded.segments.push_back(std::move(segment));
  }
}

struct ReadPlaylist {
  std::string text;
  std::variant<HlsMultivariant, HlsMedia> parsed;
};

std::optional<ReadPlaylist> read_playlist(const std::string& location, Findings& findings) {
  auto text = fetch(location);
  if (!text) {
    findings.add("playlist-missing", location, text.error().message);
    return std::nullopt;
  }
  auto parsed = parse_hls(*text);
  if (!parsed) {
    findings.add("playlist-syntax", location, parsed.error().message);
    return std::nullopt;
  }
  return ReadPlaylist{std::move(*text), std::move(*parsed)};
}

}  // namespace

bool HlsPresentation::live() const {
  return std::ranges::any_of(playlists, [](const auto& entry) { return !entry.second.playlist.ended; });
}

void check_multivariant(const HlsMultivariant& playlist, const std::string& where, Findings& findings) {
  std::set<std::pair<std::string, std::string>> names;
  std::map<std::string, int> defaults;
  for (const HlsRendition& rendition : playlist.renditions) {
    if (!names.insert({rendition.type + " " + rendition.group, rendition.name}).second) {
      findings.add("rendition-name", where, "two renditions of one group have the name " + rendition.name);
    }
    if (rendition.is_default && ++defaults[rendition.type + " " + rendition.group] > 1) {
      findings.add("rendition-default", where, "two defaults in the group " + rendition.group);
    }
  }
  for (const HlsVariant& variant : playlist.variants) {
    const std::string place = where + " " + variant.uri;
    if (variant.codecs.empty()) findings.add("variant-codecs", place, "CODECS is missing (RFC 8216 4.3.4.2: SHOULD)");
    if (variant.bandwidth <= 0) findings.add("bandwidth", place, "BANDWIDTH is 0");
    if (variant.average_bandwidth && *variant.average_bandwidth > variant.bandwidth) {
      findings.add("average-bandwidth", place, "AVERAGE-BANDWIDTH is over BANDWIDTH");
    }
    if (variant.width > 0 && !variant.fps) findings.add("frame-rate", place, "FRAME-RATE is missing beside RESOLUTION");
    const auto in_group = [&](const HlsRendition& rendition) {
      return rendition.type == "AUDIO" && rendition.group == variant.audio_group;
    };
    if (!variant.audio_group.empty() && std::ranges::none_of(playlist.renditions, in_group)) {
      findings.add("audio-group", place, "no rendition has the group " + variant.audio_group);
    }
  }
}

void check_media_playlist(const HlsMedia& playlist, const std::string& where, Findings& findings) {
  check_version(playlist, where, findings);
  check_dates(playlist, where, findings);
  if (playlist.segments.empty()) findings.add("playlist-empty", where, "it lists no segment");
  if (playlist.playlist_type == "VOD" && !playlist.ended) findings.add("endlist", where, "VOD without EXT-X-ENDLIST");
  if (!playlist.segments.empty() && playlist.segments.front().discontinuity && playlist.media_sequence == 0) {
    findings.add("discontinuity", where, "a discontinuity before the very first segment");
  }
  for (const HlsSegment& segment : playlist.segments) {
    const std::string place = where + " " + segment.uri;
    // RFC 8216 §4.3.3.1: rounded to the nearest integer, it is at most the target duration.
    if ((segment.duration_us + 500'000) / 1'000'000 > playlist.target_duration_s) {
      findings.add(
          "extinf-over-target", place,
          seconds(segment.duration_us) + " with a target of " + std::to_string(playlist.target_duration_s) + " s");
    }
    if (segment.duration_us == 0) findings.add("extinf", place, "EXTINF is 0");
    if (!segment.map && !segment.gap) findings.add("map", place, "no EXT-X-MAP: only fragmented MP4 is looked into");
  }
}

std::optional<LoadedPlaylist> load_playlist(const std::string& location, MediaStore& media, Findings& findings) {
  auto read = read_playlist(location, findings);
  if (!read) return std::nullopt;
  auto* const playlist = std::get_if<HlsMedia>(&read->parsed);
  if (playlist == nullptr) {
    findings.add("playlist-syntax", location, "a multivariant playlist where a media playlist belongs");
    return std::nullopt;
  }
  check_media_playlist(*playlist, location, findings);
  LoadedPlaylist loaded{.location = location, .playlist = std::move(*playlist), .segments = {}};
  load_segments(loaded, media, findings);
  return loaded;
}

std::optional<HlsPresentation> load_hls(const std::string& location, MediaStore& media, Findings& findings) {
  auto read = read_playlist(location, findings);
  if (!read) return std::nullopt;
  HlsPresentation out{.location = location, .text = std::move(read->text), .multivariant = {}, .playlists = {}};
  std::vector<std::string> uris;
  if (auto* multivariant = std::get_if<HlsMultivariant>(&read->parsed)) {
    out.multivariant = std::move(*multivariant);
    check_multivariant(*out.multivariant, location, findings);
    for (const HlsVariant& variant : out.multivariant->variants) uris.push_back(variant.uri);
    for (const HlsRendition& rendition : out.multivariant->renditions) {
      if (rendition.type == "AUDIO" && !rendition.uri.empty()) uris.push_back(rendition.uri);
    }
  }
  if (!out.multivariant) {
    if (auto loaded = load_playlist(location, media, findings)) out.playlists.emplace(location, std::move(*loaded));
    return out;
  }
  for (const std::string& uri : uris) {
    const auto resolved = resolve(location, uri);
    if (!resolved) {
      findings.add("uri", location, resolved.error().message);
      continue;
    }
    if (out.playlists.contains(*resolved)) continue;
    if (auto loaded = load_playlist(*resolved, media, findings)) out.playlists.emplace(*resolved, std::move(*loaded));
  }
  return out;
}

}  // namespace ribalta::check
