#include "client/check/dash_check.h"

#include <algorithm>
#include <set>

#include "client/check/source.h"

namespace ribalta::check {
namespace {

/// Clocks of server and checker; segments may be announced no earlier than they are there.
constexpr std::int64_t kClockToleranceMs = 1'000;
/// What rounding to milliseconds can make.
constexpr std::int64_t kRoundingUs = 1'000;
/// mediaPresentationDuration is the longest track; rounding and the last audio frame move it less than this.
constexpr std::int64_t kDurationToleranceUs = 100'000;

MediaTime at(std::int64_t ticks, const MpdRepresentation& representation) {
  return {ticks, static_cast<std::uint32_t>(representation.timescale)};
}

std::int64_t to_us(std::int64_t ticks, const MpdRepresentation& representation) {
  return rescale_nearest(at(ticks, representation), 1'000'000).ticks;
}

/// Where the representation's last segment ends on the manifest's timeline.
std::int64_t end_us(const MpdPeriod& period, const MpdRepresentation& representation) {
  const MpdSegment& last = representation.segments.back();
  return period.start_us.value_or(0) +
         to_us(last.time + last.duration - representation.presentation_time_offset, representation);
}

void check_representation(const MpdPeriod& period, const MpdAdaptationSet& set, const MpdRepresentation& representation,
                          const std::string& place, Findings& findings) {
  const bool video = representation.mime_type == "video/mp4";
  if (!video && representation.mime_type != "audio/mp4") {
    findings.add("mime-type", place, "mimeType is \"" + representation.mime_type + "\"");
  }
  if (representation.codecs.empty()) findings.add("codecs", place, "codecs is missing");
  if (representation.bandwidth <= 0) findings.add("bandwidth", place, "bandwidth is 0");
  if (video && (representation.width <= 0 || representation.height <= 0)) {
    findings.add("resolution", place, "width and height are missing");
  }
  if (video && representation.frame_rate.empty()) findings.add("frame-rate", place, "frameRate is missing");
  if (!video && representation.sample_rate <= 0) findings.add("sample-rate", place, "audioSamplingRate is missing");
  if (representation.init_uri.empty()) findings.add("init-missing", place, "SegmentTemplate without initialization");
  for (std::size_t i = 1; i < representation.segments.size(); ++i) {
    const MpdSegment& before = representation.segments[i - 1];
    if (representation.segments[i].time != before.time + before.duration) {
      findings.add("timeline-gap", place,
                   "S at " + std::to_string(representation.segments[i].time) + " where " +
                       std::to_string(before.time + before.duration) + " follows");
    }
  }
  // The first segment lies at the Period's start, or began before it by less than its length.
  const MpdSegment& first = representation.segments.front();
  const std::int64_t early = representation.presentation_time_offset - first.time;
  if (early > first.duration) {
    findings.add("period-start", place, "its first segment ends before the Period starts");
  }
  if (set.start_with_sap == 0 || !set.segment_alignment) {
    findings.add("segment-alignment", place, "its AdaptationSet lacks segmentAlignment or startWithSAP");
  }
  static_cast<void>(period);
}

/// Representations of one set are switched between: their segments begin and end together.
void check_set_alignment(const MpdAdaptationSet& set, const std::string& place, Findings& findings) {
  const MpdRepresentation& first = set.representations.front();
  for (const MpdRepresentation& other : set.representations) {
    const std::size_t common = std::min(first.segments.size(), other.segments.size());
    // A live rung may lag by a segment at the edge; what both have must agree.
    for (std::size_t i = 0; i < common; ++i) {
      if (compare(at(first.segments[i].time, first), at(other.segments[i].time, other)) == 0) continue;
      if (set.content_type == "audio" || first.mime_type == "audio/mp4") break;
      findings.add("rung-alignment", place + " " + other.id,
                   "segment " + std::to_string(i) + " begins at another time than in " + first.id);
      break;
    }
  }
}

void check_live_manifest(const Mpd& mpd, const std::string& where, std::int64_t now_ms, Findings& findings) {
  const auto needs = [&](bool there, const char* name) {
    if (!there) findings.add("mpd-attribute", where, std::string{name} + " is missing in a dynamic MPD");
  };
  needs(mpd.availability_start_ms.has_value(), "availabilityStartTime");
  needs(mpd.publish_time_ms.has_value(), "publishTime");
  needs(mpd.update_period_us.has_value(), "minimumUpdatePeriod");
  needs(mpd.time_shift_depth_us.has_value(), "timeShiftBufferDepth");
  needs(mpd.utc_timing, "UTCTiming");
  if (!mpd.availability_start_ms) return;
  for (const MpdPeriod& period : mpd.periods) {
    for (const MpdAdaptationSet& set : period.adaptation_sets) {
      for (const MpdRepresentation& representation : set.representations) {
        const std::int64_t there_ms = *mpd.availability_start_ms + end_us(period, representation) / 1'000;
        if (there_ms > now_ms + kClockToleranceMs) {
          findings.add("from-the-future", where + " " + representation.id,
                       "its last segment is announced " + std::to_string(there_ms - now_ms) + " ms before its time");
        }
      }
    }
  }
}

void check_segments(const DashPresentation& presentation, const MpdRepresentation& representation, MediaStore& media,
                    Findings& findings) {
  const std::string base =
      presentation.mpd.base_url.empty()
          ? presentation.location
          : resolve(presentation.location, presentation.mpd.base_url).value_or(presentation.location);
  const std::string place = presentation.location + " " + representation.id;
  const auto init_location = resolve(base, representation.init_uri);
  const InitFacts* const init = init_location ? media.init(*init_location, std::nullopt) : nullptr;
  if (init == nullptr) return;
  if (representation.codecs != init->codec) {
    findings.add("codecs", place, "codecs is \"" + representation.codecs + "\", the media has " + init->codec);
  }
  const media::TrackConfig& config = init->config;
  const std::int64_t shown =
      (std::int64_t{config.width} * config.sar_num + config.sar_den / 2) / std::max(1U, config.sar_den);
  if (config.kind == media::TrackKind::video && representation.width != shown && representation.width != config.width) {
    findings.add("resolution", place,
                 "width is " + std::to_string(representation.width) + ", the picture " + std::to_string(shown));
  }
  const SegmentFacts* before = nullptr;
  for (const MpdSegment& segment : representation.segments) {
    const auto location = resolve(base, segment.uri);
    if (!location) {
      findings.add("uri", place, location.error().message);
      continue;
    }
    const SegmentFacts* const facts = media.segment(*location, std::nullopt, *init, before);
    before = facts;
    if (facts == nullptr) continue;
    if (compare(facts->first_presentation, at(segment.time, representation)) != 0) {
      findings.add("timeline", *location,
                   "S says " + std::to_string(segment.time) + ", its first picture or sound is at " +
                       std::to_string(facts->first_presentation.ticks));
    }
    const MediaTime lasts{facts->duration, facts->decode_end.timescale};
    if (compare(lasts, at(segment.duration, representation)) != 0) {
      findings.add("timeline", *location,
                   "S says it lasts " + std::to_string(segment.duration) + ", its samples last " +
                       std::to_string(facts->duration));
    }
  }
}

}  // namespace

void check_manifest(const Mpd& mpd, const std::string& where, std::int64_t now_ms, Findings& findings) {
  if (mpd.profiles.empty()) findings.add("mpd-attribute", where, "profiles is missing");
  if (!mpd.min_buffer_us) findings.add("mpd-attribute", where, "minBufferTime is missing");
  if (!mpd.dynamic && !mpd.duration_us) findings.add("mpd-attribute", where, "mediaPresentationDuration is missing");
  std::set<std::string> periods;
  std::int64_t start_us = -1;
  std::int64_t last_us = 0;
  for (const MpdPeriod& period : mpd.periods) {
    if (mpd.dynamic && period.id.empty()) findings.add("period-id", where, "a Period of a dynamic MPD without id");
    if (!period.id.empty() && !periods.insert(period.id).second) {
      findings.add("period-id", where, "two Periods have the id " + period.id);
    }
    if (period.start_us.value_or(0) <= start_us)
      findings.add("period-start", where, "Periods do not start one after the other");
    start_us = period.start_us.value_or(0);
    std::set<std::string> ids;
    for (const MpdAdaptationSet& set : period.adaptation_sets) {
      check_set_alignment(set, where, findings);
      for (const MpdRepresentation& representation : set.representations) {
        const std::string place = where + " " + representation.id;
        if (!ids.insert(representation.id).second) findings.add("representation-id", place, "twice in one Period");
        check_representation(period, set, representation, place, findings);
        last_us = std::max(last_us, end_us(period, representation));
        if (!mpd.segment_duration_max_us) continue;
        for (const MpdSegment& segment : representation.segments) {
          if (to_us(segment.duration, representation) <= *mpd.segment_duration_max_us + kRoundingUs) continue;
          findings.add("segment-duration-max", place, "a segment is longer than maxSegmentDuration");
          break;
        }
      }
    }
  }
  if (mpd.dynamic) {
    check_live_manifest(mpd, where, now_ms, findings);
  } else if (mpd.duration_us && std::abs(*mpd.duration_us - last_us) > kDurationToleranceUs) {
    findings.add("presentation-duration", where,
                 "mediaPresentationDuration is " + std::to_string(*mpd.duration_us) + " µs, segments end at " +
                     std::to_string(last_us));
  }
}

std::optional<DashPresentation> load_dash(const std::string& location, std::int64_t now_ms, MediaStore& media,
                                          Findings& findings) {
  const auto text = fetch(location);
  if (!text) {
    findings.add("playlist-missing", location, text.error().message);
    return std::nullopt;
  }
  auto mpd = parse_mpd(*text);
  if (!mpd) {
    findings.add("playlist-syntax", location, mpd.error().message);
    return std::nullopt;
  }
  DashPresentation out{location, std::move(*mpd)};
  check_manifest(out.mpd, location, now_ms, findings);
  for (const MpdPeriod& period : out.mpd.periods) {
    for (const MpdAdaptationSet& set : period.adaptation_sets) {
      for (const MpdRepresentation& representation : set.representations) {
        check_segments(out, representation, media, findings);
      }
    }
  }
  return out;
}

void check_same_media(const HlsPresentation& hls, const DashPresentation& dash, Findings& findings) {
  using Kind = std::pair<std::string, std::uint32_t>;  // codec and height
  std::set<Kind> in_hls;
  std::set<std::string> hls_segments;
  for (const auto& [location, playlist] : hls.playlists) {
    if (playlist.init == nullptr) continue;
    in_hls.insert({playlist.init->codec, playlist.init->config.height});
    for (const LoadedSegment& segment : playlist.segments) hls_segments.insert(segment.location);
  }
  std::set<Kind> in_dash;
  std::set<std::string> dash_segments;
  for (const MpdPeriod& period : dash.mpd.periods) {
    for (const MpdAdaptationSet& set : period.adaptation_sets) {
      for (const MpdRepresentation& representation : set.representations) {
        in_dash.insert({representation.codecs, static_cast<std::uint32_t>(representation.height)});
        for (const MpdSegment& segment : representation.segments) {
          if (auto location = resolve(dash.location, segment.uri)) dash_segments.insert(std::move(*location));
        }
      }
    }
  }
  if (in_hls != in_dash) findings.add("hls-dash", dash.location, "HLS and DASH offer other codecs or sizes");
  const bool shared =
      std::ranges::any_of(dash_segments, [&](const std::string& one) { return hls_segments.contains(one); });
  if (!shared || hls.live() || dash.mpd.dynamic) return;  // other names, or two instants of a moving window
  for (const std::string& segment : hls_segments) {
    if (!dash_segments.contains(segment)) findings.add("hls-dash", segment, "in HLS and not in DASH");
  }
  for (const std::string& segment : dash_segments) {
    if (!hls_segments.contains(segment)) findings.add("hls-dash", segment, "in DASH and not in HLS");
  }
}

}  // namespace ribalta::check
