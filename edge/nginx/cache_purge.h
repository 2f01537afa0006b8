// Takes purged media off the cache's disk. They can't be had any more from the moment of the purge (their tag is gone,
// or its generation is another), and nobody who asked for them to be removed should find them in a folder a day later.
//
// nginx knows its files by a hash alone, so that finding a tag's is reading the head of every file: a thread of its own
// does that, in the worker that listens to purges. It touches nothing of nginx' but the cache's zone, under its lock.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "edge/answers.h"
#include "edge/nginx/nginx.h"

namespace ribalta::edge {

/// An answer that was on its way when its tag was purged is stored after the first look: each tag is looked for once
/// more after this. No answer takes longer (proxy_read_timeout).
inline constexpr std::chrono::seconds kPurgeAgainAfter{20};
/// Tags that wait. Further ones leave the disk when nobody has asked for them for a day (proxy_cache_path: inactive).
inline constexpr std::size_t kPurgeTagsMax = 4'096;

class CachePurge {
 public:
  /// @param removed  counts files; added to from the thread.
  CachePurge(std::vector<ngx_http_file_cache_t*> caches, std::uint64_t& removed);
  ~CachePurge();
  CachePurge(const CachePurge&) = delete;
  CachePurge& operator=(const CachePurge&) = delete;
  void want(const Tag& tag);

 private:
  using Clock = std::chrono::steady_clock;
  struct Wish {
    Clock::time_point wanted;
    bool looked_for = false;
  };
  void run();
  /// When the next look is due; the far future where nothing is wanted.
  [[nodiscard]] Clock::time_point due() const;
  void look(ngx_http_file_cache_t& cache, const std::set<std::string>& tags);

  std::vector<ngx_http_file_cache_t*> caches_;
  std::uint64_t& removed_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Wish> wishes_;
  bool stopping_ = false;
  std::thread thread_;  ///< last: it uses the rest
};

/// The caches of all `proxy_cache_path` directives.
std::vector<ngx_http_file_cache_t*> proxy_caches(ngx_cycle_t* cycle);

}  // namespace ribalta::edge
