// DASH as a whole: the rules of ISO/IEC 23009-1 and DASH-IF IOP on the manifest, its timelines against the media, and
// HLS beside it.
#pragma once

#include <optional>
#include <string>

#include "client/check/findings.h"
#include "client/check/hls_check.h"
#include "client/check/media_store.h"
#include "client/check/mpd.h"

namespace ribalta::check {

/// What needs no media. `now_ms`: the wall clock, for manifests of what is live.
void check_manifest(const Mpd& mpd, const std::string& where, std::int64_t now_ms, Findings& findings);

struct DashPresentation {
  std::string location;
  Mpd mpd;
};
std::optional<DashPresentation> load_dash(const std::string& location, std::int64_t now_ms, MediaStore& media,
                                          Findings& findings);
/// HLS and DASH describe the same media: the same representations, and (where it is whole) the same segments.
void check_same_media(const HlsPresentation& hls, const DashPresentation& dash, Findings& findings);

}  // namespace ribalta::check
