// Variants against their media, renditions against each other.
#include <algorithm>
#include <cmath>

#include "client/check/bandwidth.h"
#include "client/check/hls_check.h"
#include "client/check/source.h"

namespace ribalta::check {
namespace {

/// Playlists round; what is told may be this much (in thousandths) under what is measured.
constexpr std::int64_t kUnderstatedMax = 5;
/// A VOD's BANDWIDTH is its peak: told this much (in hundredths) too high, players choose too low a rung.
constexpr std::int64_t kOverstatedMax = 15;
constexpr std::int64_t kAverageOffMax = 5;  ///< hundredths
/// Audio is cut where its own packets, or chunks of a few of them, end.
constexpr std::int64_t kAudioApartMaxMs = 100;
/// FRAME-RATE is the largest rate that occurs (RFC 8216 §4.3.4.2): at least the mean, at most what the shortest frame
/// has. Timestamps in milliseconds move both a little.
constexpr double kFrameRateOffMax = 0.05;
/// Frame rates are measured over segments of at least so many frames.
constexpr std::size_t kFramesMin = 12;

std::vector<Sized> sizes(const LoadedPlaylist& playlist) {
  std::vector<Sized> out;
  for (const LoadedSegment& segment : playlist.segments) {
    if (segment.facts != nullptr) out.push_back({segment.listed.duration_us, segment.facts->bytes});
  }
  return out;
}

std::vector<std::string> split_codecs(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    std::string one{text.substr(0, comma)};
    std::erase(one, ' ');
    std::ranges::transform(one, one.begin(),
                           [](char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); });
    out.push_back(std::move(one));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return out;
}

bool names_codec(const std::vector<std::string>& codecs, const InitFacts& init) {
  return std::ranges::find(codecs, split_codecs(init.codec).front()) != codecs.end();
}

void check_picture(const HlsVariant& variant, const LoadedPlaylist& video, const std::string& place,
                   Findings& findings) {
  const media::TrackConfig& config = video.init->config;
  const std::int64_t shown =
      (std::int64_t{config.width} * config.sar_num + config.sar_den / 2) / std::max(1U, config.sar_den);
  if (variant.width != shown || variant.height != config.height) {
    findings.add("resolution", place,
                 "RESOLUTION is " + std::to_string(variant.width) + "x" + std::to_string(variant.height) +
                     ", the picture " + std::to_string(shown) + "x" + std::to_string(config.height));
  }
  std::int64_t ticks = 0;
  std::int64_t shortest = INT64_MAX;
  std::size_t frames = 0;
  for (const LoadedSegment& segment : video.segments) {
    if (segment.facts == nullptr) continue;
    ticks += segment.facts->duration;
    frames += segment.facts->samples;
    shortest = std::min(shortest, segment.facts->shortest);
  }
  if (!variant.fps || frames < kFramesMin || ticks <= 0 || shortest <= 0) return;
  // The last frame ends with the sound, whatever its length: one frame more or less says nothing.
  const double mean = static_cast<double>(frames - 1) * config.timescale / static_cast<double>(ticks);
  const double largest = static_cast<double>(config.timescale) / static_cast<double>(shortest);
  if (*variant.fps < mean * (1 - kFrameRateOffMax) || *variant.fps > largest * (1 + kFrameRateOffMax)) {
    findings.add("frame-rate", place,
                 "FRAME-RATE is " + std::to_string(*variant.fps) + ", measured " + std::to_string(mean) +
                     " in the mean, " + std::to_string(largest) + " at most");
  }
}

void check_rates(const HlsVariant& variant, const std::vector<const LoadedPlaylist*>& audio,
                 const LoadedPlaylist& video, bool live, const std::string& place, Findings& findings) {
  const std::vector<Sized> picture = sizes(video);
  if (picture.empty()) return;
  std::int64_t peak = peak_bandwidth(picture, video.playlist.target_duration_s);
  std::int64_t average = average_bandwidth(picture);
  std::int64_t audio_peak = 0;
  std::int64_t audio_average = 0;
  for (const LoadedPlaylist* playlist : audio) {
    audio_peak = std::max(audio_peak, peak_bandwidth(sizes(*playlist), playlist->playlist.target_duration_s));
    audio_average = std::max(audio_average, average_bandwidth(sizes(*playlist)));
  }
  // Of single segments, whatever they last: what many packagers tell, and as good.
  std::int64_t largest = audio_peak;
  for (const Sized& one : picture) largest = std::max(largest, audio_peak + average_bandwidth({&one, 1}));
  peak += audio_peak;
  average += audio_average;
  const std::string told = std::to_string(variant.bandwidth) + ", measured " + std::to_string(peak);
  if (peak > variant.bandwidth + variant.bandwidth * kUnderstatedMax / 1'000) {
    findings.add("bandwidth", place, "BANDWIDTH is " + told + " at the peak");
  }
  if (live) return;  // a cap for what is still to come
  if (variant.bandwidth > largest + largest * kOverstatedMax / 100) {
    findings.add("bandwidth-overstated", place, "BANDWIDTH is " + told + " at the peak");
  }
  if (variant.average_bandwidth && std::abs(*variant.average_bandwidth - average) > average * kAverageOffMax / 100) {
    findings.add(
        "average-bandwidth", place,
        "AVERAGE-BANDWIDTH is " + std::to_string(*variant.average_bandwidth) + ", measured " + std::to_string(average));
  }
}

void check_variant(const HlsPresentation& presentation, const HlsVariant& variant, Findings& findings) {
  const auto loaded = [&](const std::string& uri) -> const LoadedPlaylist* {
    const auto location = resolve(presentation.location, uri);
    const auto found = location ? presentation.playlists.find(*location) : presentation.playlists.end();
    return found == presentation.playlists.end() || found->second.init == nullptr ? nullptr : &found->second;
  };
  const std::string place = presentation.location + " " + variant.uri;
  const LoadedPlaylist* const main = loaded(variant.uri);
  if (main == nullptr) return;
  const std::vector<std::string> codecs = split_codecs(variant.codecs);
  std::vector<const InitFacts*> tracks{main->init};
  std::vector<const LoadedPlaylist*> audio;
  for (const HlsRendition& rendition : presentation.multivariant->renditions) {
    if (variant.audio_group.empty() || rendition.type != "AUDIO" || rendition.group != variant.audio_group) continue;
    const LoadedPlaylist* const sound = rendition.uri.empty() ? nullptr : loaded(rendition.uri);
    if (sound == nullptr) continue;
    audio.push_back(sound);
    tracks.push_back(sound->init);
  }
  for (const InitFacts* track : tracks) {
    if (!names_codec(codecs, *track)) {
      findings.add("codecs", place, "CODECS is \"" + variant.codecs + "\", the media has " + track->codec);
    }
  }
  for (const std::string& codec : codecs) {
    const auto is = [&](const InitFacts* track) { return split_codecs(track->codec).front() == codec; };
    if (std::ranges::none_of(tracks, is)) {
      findings.add("codecs", place, "CODECS names " + codec + ", which no track of it has");
    }
  }
  if (main->init->config.kind == media::TrackKind::video) check_picture(variant, *main, place, findings);
  check_rates(variant, audio, *main, presentation.live(), place, findings);
}

/// Segments of one number begin at the same picture in all video renditions; audio begins close to it.
void check_alignment(const LoadedPlaylist& reference, const LoadedPlaylist& other, Findings& findings) {
  const std::int64_t first = reference.playlist.media_sequence;
  for (const LoadedSegment& segment : other.segments) {
    const std::int64_t index = segment.msn - first;
    if (index < 0 || index >= static_cast<std::int64_t>(reference.segments.size())) continue;
    const LoadedSegment& twin = reference.segments[static_cast<std::size_t>(index)];
    const std::string place = other.location + " segment " + std::to_string(segment.msn);
    const bool first_listed = index == 0 || segment.msn == other.playlist.media_sequence;
    if (!first_listed && segment.listed.discontinuity != twin.listed.discontinuity) {
      findings.add("discontinuity", place, "a discontinuity here or in " + reference.location + ", not in both");
    }
    if (segment.facts == nullptr || twin.facts == nullptr) continue;
    const MediaTime begin = segment.facts->first_presentation;
    const MediaTime expected = twin.facts->first_presentation;
    if (other.init->config.kind == media::TrackKind::video) {
      if (compare(begin, expected) != 0) {
        findings.add("rung-alignment", place,
                     "begins at " + std::to_string(to_seconds(begin)) + " s, " + reference.location + " at " +
                         std::to_string(to_seconds(expected)) + " s");
      }
      continue;
    }
    const std::int64_t apart = begin.ticks - rescale_nearest(expected, begin.timescale).ticks;
    if (std::abs(apart) * 1'000 > kAudioApartMaxMs * begin.timescale) {
      findings.add("audio-alignment", place,
                   "sound begins " + std::to_string(apart) + " ticks (1/" + std::to_string(begin.timescale) +
                       " s) from its picture");
    }
  }
}

}  // namespace

void check_presentation(const HlsPresentation& presentation, Findings& findings) {
  if (!presentation.multivariant) return;
  for (const HlsVariant& variant : presentation.multivariant->variants) check_variant(presentation, variant, findings);
  const LoadedPlaylist* reference = nullptr;
  for (const auto& [location, playlist] : presentation.playlists) {
    if (playlist.init == nullptr || playlist.init->config.kind != media::TrackKind::video) continue;
    if (reference == nullptr) reference = &playlist;
  }
  if (reference == nullptr) return;
  const HlsMedia& first = reference->playlist;
  for (const auto& [location, playlist] : presentation.playlists) {
    if (&playlist == reference || playlist.init == nullptr) continue;
    if (playlist.playlist.target_duration_s != first.target_duration_s) {
      findings.add("target-duration", location, "another target duration than " + reference->location);
    }
    const bool video = playlist.init->config.kind == media::TrackKind::video;
    if (video && !presentation.live() && playlist.segments.size() != reference->segments.size()) {
      findings.add("rung-alignment", location, "another number of segments than " + reference->location);
    }
    check_alignment(*reference, playlist, findings);
  }
}

}  // namespace ribalta::check
