// How often somebody may try: a bucket for each key (an address, a name), in memory. What is lost at a restart is a few
// more tries.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

namespace ribalta::control {

/// Keys remembered; beyond, full buckets go first, then any: an attacker with so many addresses gets some tries more.
inline constexpr std::size_t kRateKeysMax = 20'000;

class RateLimit {
 public:
  /// `burst` tries at once, refilled evenly over `window`.
  RateLimit(std::int64_t burst, std::chrono::milliseconds window) : burst_(burst), window_ms_(window.count()) {}

  /// Seconds until a try is allowed; 0: now. Counts nothing.
  std::int64_t wait_s(const std::string& key, std::int64_t now_ms);
  void count(const std::string& key, std::int64_t now_ms);
  /// Counts a try before it is made, so that tries at the same time can't pass the limit together.
  /// @return 0: counted; else the seconds to wait, and nothing was counted.
  std::int64_t take(const std::string& key, std::int64_t now_ms);
  /// A try that was taken and turned out well does not count.
  void give_back(const std::string& key, std::int64_t now_ms);

 private:
  struct Bucket {
    double left = 0;
    std::int64_t at_ms = 0;
  };
  double left(const Bucket& bucket, std::int64_t now_ms) const;
  std::int64_t wait_locked(const std::string& key, std::int64_t now_ms) const;
  void count_locked(const std::string& key, std::int64_t now_ms);
  void make_room(std::int64_t now_ms);

  std::int64_t burst_;
  std::int64_t window_ms_;
  std::mutex mutex_;
  std::unordered_map<std::string, Bucket> buckets_;
};

}  // namespace ribalta::control
