// One version of a video as it is played: its tracks, their init segments, and where each segment lies in its file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/media/track.h"
#include "core/result.h"
#include "core/store/object_store.h"

namespace ribalta::packager {

/// One reference of a track's `sidx`. URLs number segments from 1.
struct VodSegment {
  std::uint64_t offset = 0;  ///< in the track's file
  std::uint32_t bytes = 0;
  std::int64_t time = 0;  ///< earliest presentation time, in the track's timescale
  std::uint32_t duration = 0;
};

struct VodTrack {
  std::string name;
  std::string key;            ///< of its file in the object store
  media::TrackConfig config;  ///< as its init segment says
  std::string codecs;         ///< RFC 6381, from the bitstream's configuration
  std::int64_t width = 0;     ///< as it is shown
  std::int64_t height = 0;
  double fps = 0;
  std::string language;  ///< three letters
  Bytes init;            ///< ftyp moov
  std::vector<VodSegment> segments;
  std::int64_t bandwidth = 0;          ///< bits/s of its densest segment, boxes included
  std::int64_t bandwidth_average = 0;  ///< bits/s over all of it

  [[nodiscard]] std::int64_t begin() const { return segments.front().time; }
  [[nodiscard]] std::int64_t end() const { return segments.back().time + segments.back().duration; }
};

struct VodAsset {
  std::string video;
  std::string version;
  std::vector<VodTrack> video_tracks;
  std::vector<VodTrack> audio_tracks;
  bool poster = false;

  /// The track of that name, or nullptr.
  [[nodiscard]] const VodTrack* find(std::string_view name) const;
  /// About what it takes in memory.
  [[nodiscard]] std::size_t bytes() const;
};

/// A segment larger than this is not served: 10 s at 50 Mb/s; it is read in pieces, but players hold it whole.
inline constexpr std::uint32_t kSegmentBytesMax = 64 * 1024 * 1024;

std::string vod_key(std::string_view video, std::string_view version, std::string_view file);

/// Reads video.json and the head of every track's file. Blocks: for the disk pool.
/// @error not_found: no such version; malformed: files and record disagree, or a file is cut short; limit, io.
Result<std::shared_ptr<const VodAsset>> load_vod_asset(const ObjectStore& store, std::string_view video,
                                                       std::string_view version);

}  // namespace ribalta::packager
