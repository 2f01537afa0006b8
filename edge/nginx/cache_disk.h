// Is there room on the disk for more cached media? nginx's cache manager deletes what was used least, but later than a
// flood of new media writes, and nginx cuts an answer short that it cannot store. So we stop storing before.
#pragma once

#include <cstdint>
#include <string>

#include "edge/nginx/nginx.h"

namespace ribalta::edge {

class CacheDisk {
 public:
  CacheDisk(std::string folder, std::uint64_t free_bytes_min)
      : folder_(std::move(folder)), free_bytes_min_(free_bytes_min) {}
  /// Asks the file system at most once a second. Unknown (no such folder) counts as room.
  bool is_low();

 private:
  std::string folder_;  ///< empty: never low
  std::uint64_t free_bytes_min_;
  time_t asked_s_ = 0;
  bool low_ = false;
};

}  // namespace ribalta::edge
