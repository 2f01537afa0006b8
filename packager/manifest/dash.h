// DASH manifests as text (ISO/IEC 23009-1), for live and VOD alike: SegmentTemplate with $Number$ and a
// SegmentTimeline, so that every URL is the one that HLS's playlists have. Structs in, text out.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/media/track.h"
#include "core/units.h"

namespace ribalta::packager {

struct DashSegment {
  std::int64_t time = 0;  ///< earliest presentation time, in the representation's timescale
  std::int64_t duration = 0;
};

/// One track within one Period. Its segments are numbered without holes from start_number.
struct DashRepresentation {
  std::string id;
  std::string codecs;
  std::int64_t bandwidth = 0;
  std::int64_t width = 0;  ///< video
  std::int64_t height = 0;
  double fps = 0;
  std::int64_t sample_rate = 0;  ///< audio
  std::int64_t channels = 0;
  std::uint32_t timescale = 1;
  std::int64_t presentation_time_offset = 0;  ///< the media time that is played at the Period's start
  std::string init_uri;
  std::string media_uri;  ///< with $Number$
  std::int64_t start_number = 0;
  std::vector<DashSegment> segments;
};

struct DashAdaptationSet {
  media::TrackKind kind = media::TrackKind::video;
  std::string language;  ///< RFC 5646, or empty
  std::vector<DashRepresentation> representations;
};

struct DashPeriod {
  std::string id;
  std::int64_t start_us = 0;
  std::vector<DashAdaptationSet> adaptation_sets;
};

struct DashManifest {
  bool dynamic = false;
  std::int64_t duration_us = 0;  ///< of the whole presentation; static manifests only
  // Dynamic manifests only:
  WallTime availability_start;  ///< the wall clock at time 0
  WallTime now;                 ///< publishTime, and what UTCTiming says
  std::int64_t update_period_us = 0;
  std::int64_t time_shift_depth_us = 0;
  std::int64_t presentation_delay_us = 0;
  std::int64_t segment_duration_max_us = 0;
  std::vector<DashPeriod> periods;
};
std::string write_mpd(const DashManifest& manifest);

}  // namespace ribalta::packager
