// Reads MPEG-DASH manifests (ISO/IEC 23009-1) of the kind that every player knows: SegmentTemplate with a
// SegmentTimeline, as DASH-IF IOP asks of live services. Strangers' bytes: every size and count has a limit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace ribalta::check {

inline constexpr std::size_t kManifestBytesMax = 8 * 1024 * 1024;
inline constexpr std::size_t kPeriodsMax = 1'000;
inline constexpr std::size_t kRepresentationsMax = 1'000;  ///< in the whole manifest
inline constexpr std::size_t kTimelineMax = 100'000;       ///< segments of one representation

struct MpdSegment {
  std::int64_t time = 0;      ///< S@t: earliest presentation time, in the template's timescale
  std::int64_t duration = 0;  ///< S@d
  std::string uri;            ///< with $Number$ or $Time$ filled in
};

struct MpdRepresentation {
  std::string id;
  std::string mime_type;  ///< of the adaptation set where its own is missing
  std::string codecs;
  std::int64_t bandwidth = 0;
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::string frame_rate;
  std::int64_t sample_rate = 0;
  std::int64_t timescale = 1;
  std::int64_t presentation_time_offset = 0;
  std::string init_uri;
  std::vector<MpdSegment> segments;
};

struct MpdAdaptationSet {
  std::string content_type;
  std::string mime_type;
  bool segment_alignment = false;
  std::int64_t start_with_sap = 0;
  std::vector<MpdRepresentation> representations;
};

struct MpdPeriod {
  std::string id;
  std::optional<std::int64_t> start_us;
  std::vector<MpdAdaptationSet> adaptation_sets;
};

struct Mpd {
  bool dynamic = false;
  std::string profiles;
  std::string base_url;  ///< of the manifest, or empty
  std::optional<std::int64_t> min_buffer_us;
  std::optional<std::int64_t> duration_us;  ///< mediaPresentationDuration
  std::optional<std::int64_t> availability_start_ms;
  std::optional<std::int64_t> publish_time_ms;
  std::optional<std::int64_t> update_period_us;
  std::optional<std::int64_t> time_shift_depth_us;
  std::optional<std::int64_t> segment_duration_max_us;
  bool utc_timing = false;
  std::vector<MpdPeriod> periods;
};

/// @error malformed: with what the standard wants there; limit: the names above; unsupported: segments that are not
///        addressed by a SegmentTemplate with a SegmentTimeline, and BaseURL below the manifest's own.
Result<Mpd> parse_mpd(std::string_view text);

/// Microseconds of an xs:duration without years and months (`PT1H2M3.5S`, `P1DT2S`). @error malformed; limit.
Result<std::int64_t> parse_duration_us(std::string_view text);

}  // namespace ribalta::check
