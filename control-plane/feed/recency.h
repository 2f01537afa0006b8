// How much of a history counts: what was seen last says most of what is wanted next, and the rest of the taste stays.
#pragma once

#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include "control-plane/feed/matrix.h"
#include "control-plane/feed/source.h"

namespace ribalta::feed {

/// Weight by rank, 0 the newest: `floor + (1 - floor) × 2^(-rank / half_life_items)`. By rank and not by age, so that
/// whoever comes back after a month is met where they left.
struct Recency {
  float half_life_items = 0;  ///< 0: all of a history counts alike
  float floor = 0;            ///< 0 to 1: what the oldest still counts
  bool operator==(const Recency&) const = default;
};

inline float recency_weight(const Recency& recency, std::size_t rank) {
  if (!(recency.half_life_items > 0)) return 1;
  const float decayed = std::exp2(-static_cast<float>(rank) / recency.half_life_items);
  return recency.floor + (1 - recency.floor) * decayed;
}

/// The newest kHistoryItemsMax of a history that somebody passes in, their weights sane and by recency; what weighs
/// nothing, and what is no item below `items`, left out.
inline std::vector<Seen> weighed(std::span<const Seen> history, const Recency& recency, std::size_t items) {
  if (history.size() > kHistoryItemsMax) history = history.last(kHistoryItemsMax);
  std::vector<Seen> found;
  found.reserve(history.size());
  for (std::size_t i = 0; i < history.size(); ++i) {
    const Seen& seen = history[i];
    const float weight = sane_weight(seen.weight) * recency_weight(recency, history.size() - 1 - i);
    if (seen.item < items && weight > 0) found.push_back({seen.item, weight, seen.time_ms});
  }
  return found;
}

}  // namespace ribalta::feed
