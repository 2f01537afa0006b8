// Items that nobody had liked when models were trained: who has liked them since, until they are enough for numbers.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "control-plane/feed/source.h"

namespace ribalta::feed {

/// An item gets numbers from so many viewers who like it, and again from each time twice as many, up to the most.
/// Fewer say little; more change little, and each takes time.
inline constexpr std::size_t kLikersFirst = 5;
inline constexpr std::size_t kLikersMax = 40;
/// So many get numbers when models are installed; the others, one with each event. Each takes up to 6 ms.
inline constexpr std::size_t kNewcomersAtOnce = 32;
/// Items that are watched for; further ones wait for the next training. At most 14 MB.
inline constexpr std::size_t kNewcomersMax = 65'536;

class Newcomers {
 public:
  /// @return the item is to be learned now: it has just got the first so many, or twice as many as the last time.
  bool like(ItemIndex item, ViewerIndex viewer);

  /// In the order in which they came.
  [[nodiscard]] const std::map<ItemIndex, std::vector<ViewerIndex>>& likers() const { return likers_; }
  void clear() { likers_.clear(); }

 private:
  std::map<ItemIndex, std::vector<ViewerIndex>> likers_;
};

}  // namespace ribalta::feed
