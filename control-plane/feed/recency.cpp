#include "control-plane/feed/recency.h"

#include <cmath>

namespace ribalta::feed {

float recency_weight(const Recency& recency, std::size_t rank) {
  if (!(recency.half_life_items > 0)) return 1;
  return recency.floor + (1 - recency.floor) * std::exp2(-static_cast<float>(rank) / recency.half_life_items);
}

std::vector<Seen> Recent::weighted(std::span<const Seen> history) const {
  std::vector<Seen> found{history.begin(), history.end()};
  for (std::size_t i = 0; i < found.size(); ++i) found[i].weight *= recency_weight(recency_, found.size() - 1 - i);
  return found;
}

void Recent::find(std::span<const Seen> history, std::int64_t now_ms, std::size_t limit, const Allowed& allowed,
                  std::vector<Candidate>& out) const {
  of_.find(weighted(history), now_ms, limit, allowed, out);
}

void Recent::score(std::span<const Seen> history, std::int64_t now_ms, std::span<const ItemIndex> items,
                   std::span<float> out) const {
  of_.score(weighted(history), now_ms, items, out);
}

}  // namespace ribalta::feed
