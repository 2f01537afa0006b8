// HLS as a whole: the rules of RFC 8216 on each playlist, each playlist against its media, and the renditions against
// each other.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "client/check/findings.h"
#include "client/check/hls.h"
#include "client/check/media_store.h"

namespace ribalta::check {

struct LoadedSegment {
  std::int64_t msn = 0;
  std::string location;
  HlsSegment listed;
  const SegmentFacts* facts = nullptr;  ///< nothing: a gap, or a finding says why
};

struct LoadedPlaylist {
  std::string location;
  HlsMedia playlist;
  const InitFacts* init = nullptr;  ///< of its newest segment
  std::vector<LoadedSegment> segments;
};

struct HlsPresentation {
  std::string location;
  std::string text;  ///< of the multivariant playlist
  std::optional<HlsMultivariant> multivariant;
  std::map<std::string, LoadedPlaylist> playlists;  ///< by location

  [[nodiscard]] bool live() const;
};

/// What needs no media.
void check_multivariant(const HlsMultivariant& playlist, const std::string& where, Findings& findings);
void check_media_playlist(const HlsMedia& playlist, const std::string& where, Findings& findings);

/// Fetches a multivariant playlist (or a media playlist alone) and everything below it. @return nothing: it can't be
/// read; why is a finding.
std::optional<HlsPresentation> load_hls(const std::string& location, MediaStore& media, Findings& findings);
/// A media playlist and its segments, those that `media` knows already without fetching them again. @return as
/// load_hls.
std::optional<LoadedPlaylist> load_playlist(const std::string& location, MediaStore& media, Findings& findings);
/// Each variant against what its segments are, and the renditions against each other.
void check_presentation(const HlsPresentation& presentation, Findings& findings);

}  // namespace ribalta::check
