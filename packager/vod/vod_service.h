// Answers for videos: playback paths below /v/{video}/{version}/ and the control plane's calls about access. Reads the
// object store on the disk pool; keeps what playlists need of the videos that are watched, bounded.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "core/async.h"
#include "core/http/server.h"
#include "core/metrics.h"
#include "core/store/object_store.h"
#include "core/units.h"
#include "packager/vod/bounded_cache.h"
#include "packager/vod/vod_access.h"
#include "packager/vod/vod_asset.h"

namespace ribalta::packager {

/// Videos whose tracks and indexes are held: some 10 KiB for a short clip, 400 KiB for an hour in five rungs. Beyond
/// either, what was watched longest ago goes and is read anew when it is asked for.
inline constexpr std::size_t kAssetsMax = 2048;
inline constexpr std::size_t kAssetBytesMax = 64 * 1024 * 1024;
/// Videos whose access is remembered, and for how long: hiding one must work everywhere within 10 s, edges included.
inline constexpr std::size_t kAccessesMax = 8192;
inline constexpr std::chrono::milliseconds kAccessAgeMax{2'000};
/// Read from the store and written to the reader at a time.
inline constexpr std::size_t kPieceBytes = 256 * 1024;
inline constexpr std::size_t kPosterBytesMax = 4 * 1024 * 1024;

struct VodOptions {
  std::string node_secret;  ///< signs the control plane's calls
  std::function<std::chrono::steady_clock::time_point()> now = [] { return std::chrono::steady_clock::now(); };
  std::function<WallTime()> wall = [] { return wall_now(); };
};

/// Thread safe: requests of every loop share it. Outlives the server that its routes are given to.
class VodService {
 public:
  VodService(ObjectStore& store, VodOptions options, Metrics& metrics);

  /// GET /v/{video}/{version}/{file}: index.m3u8, index.mpd, {track}.m3u8, poster.jpg.
  Task<void> get_file(http::Exchange& exchange, std::string video, std::string version, std::string file);
  /// GET /v/{video}/{version}/{track}/{file}: init.mp4, {n}.m4s with n from 1.
  Task<void> get_media(http::Exchange& exchange, std::string video, std::string version, std::string track,
                       std::string file);
  /// PUT /videos/{video}/access, DELETE /videos/{video}: signed by a node.
  Task<void> put_access(http::Exchange& exchange, std::string video);
  Task<void> remove(http::Exchange& exchange, std::string video);

 private:
  using Asset = std::shared_ptr<const VodAsset>;
  struct KnownAccess {
    Access access = Access::gone;
    std::chrono::steady_clock::time_point read_at;
  };

  Task<Result<Access>> access_of(std::string video);
  /// The asset, or nothing after this request was refused and answered.
  Task<Asset> open_for(http::Exchange& exchange, std::string video, std::string version);
  Task<void> send_poster(http::Exchange& exchange, Asset asset);
  Task<void> send_segment(http::Exchange& exchange, Asset asset, std::string key, VodSegment segment, std::string type);
  bool is_signed(const http::Exchange& exchange) const;
  void forget(const std::string& video);

  ObjectStore& store_;
  VodOptions options_;
  BoundedCache<Asset> assets_{kAssetsMax, kAssetBytesMax};
  BoundedCache<KnownAccess> accesses_{kAccessesMax, kAccessesMax};
  Counter& assets_loaded_;
  Counter& assets_broken_;
  Counter& segment_bytes_;
};

void add_vod_routes(http::Router& router, VodService& service);

}  // namespace ribalta::packager
