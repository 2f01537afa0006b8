// What viewers went on to after an item: counts from item to item, from each of the last few. Learns event by event.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "control-plane/feed/matrix.h"
#include "control-plane/feed/source.h"

namespace ribalta::feed {

/// Followers that are remembered of one item. A new one beyond them takes the place of the rarest, when it has come
/// more often; until then each miss takes a little from the rarest.
inline constexpr std::size_t kFollowersMax = 256;

struct TransitionOptions {
  std::size_t reach = 8;  ///< how many of the last items count; 1 to 16
  float decay = 0.8F;     ///< what each item further back counts beside the one after it
  float shrink = 5;       ///< added to an item's total: what came after once is no rule
};

class Transitions final : public Source {
 public:
  explicit Transitions(const TransitionOptions& options);

  /// @param before  what this viewer had seen until then, oldest first.
  void learn(std::span<const Seen> before, const Seen& next);
  void learn(const Matrix& matrix);

  [[nodiscard]] std::string_view name() const override { return "watched_next"; }
  void find(std::span<const Seen> history, std::int64_t now_ms, std::size_t limit, const Allowed& allowed,
            std::vector<Candidate>& out) const override;
  void score(std::span<const Seen> history, std::int64_t now_ms, std::span<const ItemIndex> items,
             std::span<float> out) const override;

 private:
  struct Follower {
    ItemIndex item = 0;
    float count = 0;
  };
  struct From {
    std::vector<Follower> followers;  ///< by item
    double total = 0;
  };
  void count(ItemIndex from, ItemIndex to, float weight);
  template <class Take>
  void each(std::span<const Seen> history, const Take& take) const;

  TransitionOptions options_;
  std::vector<From> from_;  ///< by item
};

}  // namespace ribalta::feed
