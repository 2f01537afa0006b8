// What every source of candidates answers. Sources know items and viewers by dense indices, which the feed gives out:
// no ids, no clock, no threads in here. The same classes serve the feed and its evaluation.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

namespace ribalta::feed {

using ItemIndex = std::uint32_t;
using ViewerIndex = std::uint32_t;

/// One thing that a viewer did with an item. `weight` says how much it tells of liking it: above 0.
struct Interaction {
  ViewerIndex viewer = 0;
  ItemIndex item = 0;
  float weight = 1;
  std::int64_t time_ms = 0;
};

/// The same, in one viewer's history: oldest first, an item once (its last time).
struct Seen {
  ItemIndex item = 0;
  float weight = 1;
  std::int64_t time_ms = 0;
  bool operator==(const Seen&) const = default;
};

struct Candidate {
  ItemIndex item = 0;
  float score = 0;
  bool operator==(const Candidate&) const = default;
};
/// Best first; of two with one score the lower index first, so that the same scores are always the same list.
constexpr bool better(const Candidate& a, const Candidate& b) {
  return a.score != b.score ? a.score > b.score : a.item < b.item;
}

/// False for what may not be shown to this viewer now.
using Allowed = std::function<bool(ItemIndex)>;

class Source {
 public:
  Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  virtual ~Source() = default;

  /// A word of a-z and '_', as it stands in "why am I seeing this" and in the scorer's features.
  [[nodiscard]] virtual std::string_view name() const = 0;
  /// The best `limit` or fewer for such a history, sorted by `better`, appended to `out`; each of them allowed. Whoever
  /// has no history gets what the source gives to strangers, or nothing.
  virtual void find(std::span<const Seen> history, std::int64_t now_ms, std::size_t limit, const Allowed& allowed,
                    std::vector<Candidate>& out) const = 0;
  /// What `find` would have scored these items with; finite, 0 for what the source knows nothing of.
  virtual void score(std::span<const Seen> history, std::int64_t now_ms, std::span<const ItemIndex> items,
                     std::span<float> out) const = 0;
};

}  // namespace ribalta::feed
