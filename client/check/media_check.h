// Looks into the media of one track: box structure, decode times to the tick, key frames, codec configuration. What it
// learns of each segment is what playlists and manifests are then held against.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "client/check/findings.h"
#include "core/bytes.h"
#include "core/media/track.h"
#include "core/units.h"

namespace ribalta::check {

/// What one segment really is.
struct SegmentFacts {
  MediaTime decode_begin;
  MediaTime decode_end;
  MediaTime first_presentation;  ///< of the earliest shown sample
  std::int64_t duration = 0;     ///< ticks, sum over samples
  std::uint64_t bytes = 0;
  std::size_t samples = 0;
  std::int64_t shortest = 0;  ///< ticks of its shortest sample
  bool starts_with_key = false;
};

/// What one init segment says.
struct InitFacts {
  media::TrackConfig config;
  std::string codec;  ///< RFC 6381, from the bitstream's configuration
  std::uint64_t bytes = 0;
};

/// @return nothing when it can't be used; the reason is a finding.
std::optional<InitFacts> check_init(std::string_view bytes, const std::string& where, Findings& findings);

/// One segment of the track. `before`: the facts of the segment that it must follow to the tick; nothing at a
/// discontinuity, behind a gap, or at the start.
std::optional<SegmentFacts> check_segment(std::string_view bytes, const InitFacts& init, const SegmentFacts* before,
                                          const std::string& where, Findings& findings);

/// `ftyp moov sidx (moof mdat)…`, one file for a track: its index against its fragments.
struct FileFacts {
  InitFacts init;
  std::vector<SegmentFacts> segments;
};
std::optional<FileFacts> check_track_file(std::string_view bytes, const std::string& where, Findings& findings);

}  // namespace ribalta::check
