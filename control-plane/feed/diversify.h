// The order of a page: the best first, but not one author or one topic again and again.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "control-plane/feed/items.h"
#include "control-plane/feed/source.h"

namespace ribalta::feed {

struct DiversityOptions {
  float author_decay = 0.3F;  ///< what is left of a score for each of the last `window` by the same author; 0..1
  float topic_decay = 0.94F;  ///< the same for each that shares a topic
  std::size_t window = 10;
};

/// Picks `count` or fewer, one after another, each time the best after decay (greedy, as in maximal marginal
/// relevance); of two alike the lower index. Scores count from the worst of the list, so that decay never lifts
/// anything.
/// @param scored  each item once, scores finite.
/// @param before  what the viewer saw last, oldest first.
/// @return places in `scored`, in the order to show them.
std::vector<std::size_t> diversify(const Items& items, std::span<const Candidate> scored,
                                   std::span<const ItemIndex> before, std::size_t count,
                                   const DiversityOptions& options);

}  // namespace ribalta::feed
