// The zone of shared memory: the answers of Redis, and the counters of all workers.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "edge/answers.h"
#include "edge/cache_status.h"
#include "edge/nginx/nginx.h"

namespace ribalta::edge {

inline constexpr std::size_t kZoneBytesMin = 64 * 1024;
inline constexpr std::size_t kWorkersMax = 256;  ///< beyond, a worker's Redis connection is not counted

/// Added to by all workers without a lock; never set back.
struct Counters {
  std::uint64_t requests;        ///< media requests
  std::uint64_t refused_path;    ///< no media path, bad directives, other methods
  std::uint64_t refused_token;   ///< a token that does not hold
  std::uint64_t refused_access;  ///< `token` in Redis, and none shown
  std::uint64_t refused_gone;
  std::uint64_t answers_shared;  ///< found fresh in shared memory
  std::uint64_t answers_redis;   ///< asked of Redis
  std::uint64_t answers_failed;  ///< Redis did not answer: went on with what was known
  std::uint64_t purges;
  std::uint64_t purged_files;                   ///< of the cache, removed from its disk
  std::uint64_t origins_malformed;              ///< addresses in Redis that are none
  std::array<std::uint64_t, kCacheUses> cache;  ///< by CacheUse
  std::array<std::uint64_t, 6> status;          ///< by hundreds; [0]: closed before an answer
  std::uint64_t bytes_sent;
};

inline void count(std::uint64_t& counter, std::uint64_t by = 1) { __atomic_fetch_add(&counter, by, __ATOMIC_RELAXED); }

/// What lies in the zone.
struct Shared {
  struct Worker {
    std::uint64_t pid;
    std::uint64_t connected;
  };
  std::uint64_t layout;
  AnswerTable* answers;  ///< zones stay where the master mapped them
  Counters counters;
  std::array<Worker, kWorkersMax> workers;  ///< by ngx_worker
};

/// Answers and counters under the zone's lock. A worker that is killed while it holds it is unlocked by the master.
class Zone {
 public:
  explicit Zone(ngx_shm_zone_t* zone) : zone_(zone) {}

  Answer find(MediaKind kind, std::string_view id);
  Answer store(MediaKind kind, std::string_view id, std::optional<std::string_view> value, std::uint64_t asked_ms);
  Answer store_unknown(MediaKind kind, std::string_view id);
  void purge(const Tag& tag);
  void expire_all();
  std::size_t answers_used();
  [[nodiscard]] std::size_t answers_capacity() const { return shared().answers->capacity(); }

  [[nodiscard]] Counters& counters() const { return shared().counters; }
  void set_redis_connected(bool connected);
  [[nodiscard]] std::size_t redis_connected() const;

 private:
  [[nodiscard]] Shared& shared() const { return *static_cast<Shared*>(zone_->data); }
  template <class Work>
  auto locked(Work&& work);
  ngx_shm_zone_t* zone_;
};

/// nginx's callback for a new or re-adopted zone.
ngx_int_t init_zone(ngx_shm_zone_t* zone, void* earlier);

}  // namespace ribalta::edge
