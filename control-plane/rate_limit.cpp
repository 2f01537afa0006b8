#include "control-plane/rate_limit.h"

#include <algorithm>
#include <cmath>

namespace ribalta::control {

double RateLimit::left(const Bucket& bucket, std::int64_t now_ms) const {
  const auto passed = static_cast<double>(std::max<std::int64_t>(0, now_ms - bucket.at_ms));
  const double refilled = bucket.left + passed * static_cast<double>(burst_) / static_cast<double>(window_ms_);
  return std::min(refilled, static_cast<double>(burst_));
}

std::int64_t RateLimit::wait_locked(const std::string& key, std::int64_t now_ms) const {
  const auto found = buckets_.find(key);
  if (found == buckets_.end()) return 0;
  const double have = left(found->second, now_ms);
  if (have >= 1) return 0;
  const double missing_ms = (1 - have) * static_cast<double>(window_ms_) / static_cast<double>(burst_);
  return static_cast<std::int64_t>(std::ceil(missing_ms / 1000));
}

void RateLimit::count_locked(const std::string& key, std::int64_t now_ms) {
  if (buckets_.size() >= kRateKeysMax && !buckets_.contains(key)) make_room(now_ms);
  const auto [entry, fresh] = buckets_.try_emplace(key, Bucket{static_cast<double>(burst_), now_ms});
  entry->second = {std::max(0.0, left(entry->second, now_ms) - 1), now_ms};
}

std::int64_t RateLimit::wait_s(const std::string& key, std::int64_t now_ms) {
  const std::lock_guard lock{mutex_};
  return wait_locked(key, now_ms);
}

void RateLimit::count(const std::string& key, std::int64_t now_ms) {
  const std::lock_guard lock{mutex_};
  count_locked(key, now_ms);
}

std::int64_t RateLimit::take(const std::string& key, std::int64_t now_ms) {
  const std::lock_guard lock{mutex_};
  const std::int64_t wait = wait_locked(key, now_ms);
  if (wait == 0) count_locked(key, now_ms);
  return wait;
}

void RateLimit::give_back(const std::string& key, std::int64_t now_ms) {
  const std::lock_guard lock{mutex_};
  const auto found = buckets_.find(key);
  if (found == buckets_.end()) return;
  found->second = {std::min(left(found->second, now_ms) + 1, static_cast<double>(burst_)), now_ms};
}

void RateLimit::make_room(std::int64_t now_ms) {
  std::erase_if(buckets_, [&](const auto& entry) { return left(entry.second, now_ms) >= static_cast<double>(burst_); });
  while (buckets_.size() >= kRateKeysMax) buckets_.erase(buckets_.begin());
}

}  // namespace ribalta::control
