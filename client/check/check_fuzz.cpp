// Playlists and manifests from strangers: any bytes end in an answer, within the limits.
#include <cstdlib>

#include "client/check/dash_check.h"
#include "client/check/hls.h"
#include "client/check/hls_check.h"
#include "client/check/mpd.h"

using namespace ribalta;
using namespace ribalta::check;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  Findings findings;
  if (const auto playlist = parse_hls(text)) {
    if (const auto* media = std::get_if<HlsMedia>(&*playlist)) {
      if (media->segments.size() > kSegmentsMax) std::abort();
      check_media_playlist(*media, "input", findings);
    } else {
      check_multivariant(std::get<HlsMultivariant>(*playlist), "input", findings);
    }
  }
  if (const auto mpd = parse_mpd(text)) {
    if (mpd->periods.empty() || mpd->periods.size() > kPeriodsMax) std::abort();
    check_manifest(*mpd, "input", 0, findings);
  }
  return 0;
}
