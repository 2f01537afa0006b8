// The newest used of what was read from the store, bounded in count and in bytes; thread safe.
#pragma once

#include <cassert>
#include <cstddef>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

namespace ribalta::packager {

/// Keys are texts, values are cheap to copy (a shared pointer, an enum). What was used longest ago goes first.
template <class Value>
class BoundedCache {
 public:
  BoundedCache(std::size_t count_max, std::size_t bytes_max) : count_max_(count_max), bytes_max_(bytes_max) {
    assert(count_max > 0);
  }

  std::optional<Value> get(const std::string& key) {
    const std::scoped_lock lock{mutex_};
    const auto found = index_.find(key);
    if (found == index_.end()) return std::nullopt;
    order_.splice(order_.begin(), order_, found->second);
    return found->second->value;
  }

  /// Replaces what stands under the key. A value larger than the whole cache is not kept.
  void put(const std::string& key, Value value, std::size_t bytes) {
    const std::scoped_lock lock{mutex_};
    erase_locked(key);
    if (bytes > bytes_max_) return;
    while (!order_.empty() && (order_.size() >= count_max_ || bytes_ + bytes > bytes_max_)) {
      const std::string oldest = order_.back().key;
      erase_locked(oldest);
    }
    order_.push_front({key, std::move(value), bytes});
    index_.emplace(key, order_.begin());
    bytes_ += bytes;
  }

  void erase(const std::string& key) {
    const std::scoped_lock lock{mutex_};
    erase_locked(key);
  }

  void erase_if(const std::function<bool(const std::string&)>& goes) {
    const std::scoped_lock lock{mutex_};
    for (auto entry = order_.begin(); entry != order_.end();) {
      const auto next = std::next(entry);
      if (goes(entry->key)) erase_locked(std::string{entry->key});
      entry = next;
    }
  }

  [[nodiscard]] std::size_t size() const {
    const std::scoped_lock lock{mutex_};
    return order_.size();
  }
  [[nodiscard]] std::size_t bytes() const {
    const std::scoped_lock lock{mutex_};
    return bytes_;
  }

 private:
  struct Entry {
    std::string key;
    Value value;
    std::size_t bytes = 0;
  };

  void erase_locked(const std::string& key) {
    const auto found = index_.find(key);
    if (found == index_.end()) return;
    bytes_ -= found->second->bytes;
    order_.erase(found->second);
    index_.erase(found);
  }

  std::size_t count_max_;
  std::size_t bytes_max_;
  std::size_t bytes_ = 0;
  std::list<Entry> order_;  // newest used first
  std::unordered_map<std::string, typename std::list<Entry>::iterator> index_;
  mutable std::mutex mutex_;
};

}  // namespace ribalta::packager
