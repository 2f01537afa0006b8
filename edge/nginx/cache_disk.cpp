#include "edge/nginx/cache_disk.h"

#include <sys/statvfs.h>

#include <utility>

namespace ribalta::edge {

bool CacheDisk::is_low() {
  if (folder_.empty() || std::exchange(asked_s_, ngx_time()) == ngx_time()) return low_;
  struct statvfs disk{};
  const bool was_low = low_;
  low_ = statvfs(folder_.c_str(), &disk) == 0 && std::uint64_t{disk.f_bavail} * disk.f_frsize < free_bytes_min_;
  if (low_ && !was_low) {
    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "ribalta: the cache's disk is nearly full: media pass through unstored");
  }
  return low_;
}

}  // namespace ribalta::edge
