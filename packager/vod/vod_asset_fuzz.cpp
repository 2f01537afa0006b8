// A track's file and its record, as they lie in the store: what loads must be playable, whatever the bytes.
#include <cstdlib>

#include "packager/vod/testing.h"
#include "packager/vod/vod_asset.h"
#include "packager/vod/vod_manifests.h"
#include "packager/vod/vod_record.h"

using namespace ribalta;
using namespace ribalta::packager;
using namespace ribalta::packager::testing;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ByteSpan bytes{reinterpret_cast<const std::byte*>(data) + 1, size - 1};
  if (data[0] % 2 == 0) {
    static_cast<void>(parse_vod_record(as_text(bytes)));
    return 0;
  }
  MemoryStore store;
  static_cast<void>(store.put(key_of("video.json"), as_bytes(record_json(video_json("v1"), ""))));
  static_cast<void>(store.put(key_of("v1.cmfv"), bytes));
  const auto asset = load_vod_asset(store, kVideo, kVersion);
  if (!asset) return 0;
  const VodTrack& track = (*asset)->video_tracks[0];
  for (const VodSegment& segment : track.segments) {
    if (segment.offset > bytes.size() || segment.bytes > bytes.size() - segment.offset) std::abort();
  }
  if (vod_multivariant(**asset).empty() || vod_media_playlist(**asset, track).empty() || vod_mpd(**asset).empty())
    std::abort();
  return 0;
}
