#include "packager/vod/vod_manifests.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "core/units.h"
#include "packager/manifest/dash.h"
#include "packager/manifest/hls.h"

namespace ribalta::packager {
namespace {

constexpr std::string_view kAudioGroup{"audio"};

std::int64_t to_us(std::int64_t ticks, std::uint32_t timescale) {
  return rescale_nearest({ticks, timescale}, 1'000'000).ticks;
}

/// Each end rounded alone: durations sum up to the track's length, however many there are.
std::int64_t duration_us(const VodTrack& track, const VodSegment& segment) {
  const std::uint32_t timescale = track.config.timescale;
  return to_us(segment.time + segment.duration, timescale) - to_us(segment.time, timescale);
}

/// EXTINF, rounded, may not be over it in any track (RFC 8216 §4.3.3.1).
std::int64_t target_duration_s(const VodAsset& asset) {
  std::int64_t longest = 1;
  for (const auto* tracks : {&asset.video_tracks, &asset.audio_tracks}) {
    for (const VodTrack& track : *tracks) {
      for (const VodSegment& segment : track.segments) {
        longest = std::max(longest, rounded_seconds(duration_us(track, segment)));
      }
    }
  }
  return longest;
}

std::string init_uri(const VodTrack& track) { return track.name + "/init.mp4"; }

/// The codec strings of all audio tracks, each once: a player may meet any of them in the group.
std::string audio_codecs(const VodAsset& asset) {
  std::string all;
  for (std::size_t i = 0; i < asset.audio_tracks.size(); ++i) {
    const std::string& codecs = asset.audio_tracks[i].codecs;
    const auto before = std::span{asset.audio_tracks}.first(i);
    if (std::ranges::any_of(before, [&](const VodTrack& track) { return track.codecs == codecs; })) continue;
    all += (all.empty() ? "" : ",") + codecs;
  }
  return all;
}

DashRepresentation representation_of(const VodTrack& track, MediaTime start) {
  DashRepresentation representation;
  representation.id = track.name;
  representation.codecs = track.codecs;
  representation.bandwidth = track.bandwidth;
  if (track.config.kind == media::TrackKind::video) {
    representation.width = track.width;
    representation.height = track.height;
    representation.fps = track.fps;
  } else {
    representation.sample_rate = track.config.sample_rate;
    representation.channels = track.config.channels;
  }
  representation.timescale = track.config.timescale;
  representation.presentation_time_offset = rescale_nearest(start, track.config.timescale).ticks;
  representation.init_uri = init_uri(track);
  representation.media_uri = track.name + "/$Number$.m4s";
  representation.start_number = 1;
  for (const VodSegment& segment : track.segments) {
    representation.segments.push_back({.time = segment.time, .duration = segment.duration});
  }
  return representation;
}

/// Players switch within an adaptation set: one codec, one language.
void add_to_sets(std::vector<DashAdaptationSet>& sets, const VodTrack& track, MediaTime start) {
  const std::string language = rfc5646_language(track.language);
  const std::string_view family = std::string_view{track.codecs}.substr(0, track.codecs.find('.'));
  const auto fits = [&](const DashAdaptationSet& set) {
    return set.kind == track.config.kind && set.language == language &&
           set.representations.front().codecs.starts_with(family);
  };
  auto set = std::ranges::find_if(sets, fits);
  if (set == sets.end()) {
    sets.push_back({.kind = track.config.kind, .language = language, .representations = {}});
    set = std::prev(sets.end());
  }
  set->representations.push_back(representation_of(track, start));
}

}  // namespace

std::string rfc5646_language(std::string_view three_letters) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 36> kShort{
      {{"ara", "ar"}, {"bul", "bg"}, {"cat", "ca"}, {"ces", "cs"}, {"dan", "da"}, {"deu", "de"},
       {"ell", "el"}, {"eng", "en"}, {"est", "et"}, {"eus", "eu"}, {"fas", "fa"}, {"fin", "fi"},
       {"fra", "fr"}, {"gle", "ga"}, {"heb", "he"}, {"hin", "hi"}, {"hrv", "hr"}, {"hun", "hu"},
       {"ind", "id"}, {"ita", "it"}, {"jpn", "ja"}, {"kor", "ko"}, {"lav", "lv"}, {"lit", "lt"},
       {"nld", "nl"}, {"nor", "no"}, {"pol", "pl"}, {"por", "pt"}, {"ron", "ro"}, {"rus", "ru"},
       {"slk", "sk"}, {"slv", "sl"}, {"spa", "es"}, {"swe", "sv"}, {"tur", "tr"}, {"zho", "zh"}}};
  if (three_letters == "und") return {};
  const auto* found = std::ranges::find(kShort, three_letters, [](const auto& pair) { return pair.first; });
  return std::string{found != kShort.end() ? found->second : three_letters};
}

std::string vod_multivariant(const VodAsset& asset) {
  HlsMultivariant playlist;
  std::int64_t audio_peak = 0;
  std::int64_t audio_average = 0;
  for (const VodTrack& track : asset.audio_tracks) {
    audio_peak = std::max(audio_peak, track.bandwidth);
    audio_average = std::max(audio_average, track.bandwidth_average);
    if (asset.video_tracks.empty()) {
      playlist.variants.push_back({.bandwidth = track.bandwidth,
                                   .average_bandwidth = track.bandwidth_average,
                                   .codecs = track.codecs,
                                   .audio_group = {},
                                   .uri = track.name + ".m3u8"});
      continue;
    }
    const std::string language = rfc5646_language(track.language);
    std::string name = "Audio " + std::to_string(playlist.audio.size() + 1);
    if (!language.empty()) name += " (" + language + ")";
    playlist.audio.push_back({.group = std::string{kAudioGroup},
                              .name = std::move(name),
                              .language = language,
                              .channels = track.config.channels,
                              .is_default = playlist.audio.empty(),
                              .uri = track.name + ".m3u8"});
  }
  const std::string sound = audio_codecs(asset);
  for (const VodTrack& track : asset.video_tracks) {
    playlist.variants.push_back({.bandwidth = track.bandwidth + audio_peak,
                                 .average_bandwidth = track.bandwidth_average + audio_average,
                                 .codecs = sound.empty() ? track.codecs : track.codecs + "," + sound,
                                 .width = track.width,
                                 .height = track.height,
                                 .fps = track.fps,
                                 .audio_group = sound.empty() ? std::string{} : std::string{kAudioGroup},
                                 .uri = track.name + ".m3u8"});
  }
  return write_multivariant(playlist);
}

std::string vod_media_playlist(const VodAsset& asset, const VodTrack& track) {
  HlsMediaPlaylist playlist{.target_duration_s = target_duration_s(asset), .vod = true, .segments = {}};
  const std::string map = init_uri(track);
  playlist.segments.reserve(track.segments.size());
  for (std::size_t i = 0; i < track.segments.size(); ++i) {
    playlist.segments.push_back({.duration_us = duration_us(track, track.segments[i]),
                                 .uri = track.name + "/" + std::to_string(i + 1) + ".m4s",
                                 .map_uri = map,
                                 .program_date_time = {}});
  }
  return write_media_playlist(playlist);
}

std::string vod_mpd(const VodAsset& asset) {
  std::vector<const VodTrack*> tracks;
  tracks.reserve(asset.video_tracks.size() + asset.audio_tracks.size());
  for (const VodTrack& track : asset.video_tracks) tracks.push_back(&track);
  for (const VodTrack& track : asset.audio_tracks) tracks.push_back(&track);
  assert(!tracks.empty());
  MediaTime start{tracks[0]->begin(), tracks[0]->config.timescale};
  MediaTime end{tracks[0]->end(), tracks[0]->config.timescale};
  DashManifest manifest;
  for (const VodTrack* track : tracks) {
    const MediaTime begins{track->begin(), track->config.timescale};
    const MediaTime ends{track->end(), track->config.timescale};
    if (compare(begins, start) < 0) start = begins;
    if (compare(ends, end) > 0) end = ends;
    for (const VodSegment& segment : track->segments) {
      manifest.segment_duration_max_us = std::max(manifest.segment_duration_max_us, duration_us(*track, segment));
    }
  }
  manifest.duration_us = to_us(end.ticks, end.timescale) - to_us(start.ticks, start.timescale);
  DashPeriod period;
  period.id = "0";
  for (const VodTrack* track : tracks) add_to_sets(period.adaptation_sets, *track, start);
  manifest.periods.push_back(std::move(period));
  return write_mpd(manifest);
}

}  // namespace ribalta::packager
