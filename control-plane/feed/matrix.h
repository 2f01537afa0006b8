// Who did what with which item, as models learn from it: each viewer's history and each item's audience, an item once
// in a history. The same interactions in any order make the same matrix; what no model could use is left out and
// counted.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "control-plane/feed/source.h"

namespace ribalta::feed {

/// Indices are given out from 0 without holes; one beyond these is nothing that the feed gave out, and is left out.
/// At the bound the offsets alone are 32 and 8 MB.
inline constexpr ItemIndex kMatrixItemsMax = 1U << 22U;
inline constexpr ViewerIndex kMatrixViewersMax = 1U << 24U;
/// Of a longer history the newest: whoever watched more tells no more, and pairs of items grow with its square.
inline constexpr std::size_t kHistoryItemsMax = 2'048;
/// Larger weights count as this: one event never outweighs everybody else's.
inline constexpr float kWeightMax = 100;

/// The weight as models use it: at most kWeightMax, and 0 for what is no weight at all (0 or less, not a number).
constexpr float sane_weight(float weight) { return weight > 0 ? (weight < kWeightMax ? weight : kWeightMax) : 0; }

/// The newest kHistoryItemsMax of a history that somebody passes in, with sane weights; without what weighs nothing and
/// what is no item below `items`.
std::vector<Seen> usable(std::span<const Seen> history, std::size_t items);

/// One viewer of an item.
struct Watcher {
  ViewerIndex viewer = 0;
  float weight = 1;
  bool operator==(const Watcher&) const = default;
};

class Matrix {
 public:
  Matrix() = default;
  /// Of several events of one viewer with one item, the last time and the greatest weight stay.
  explicit Matrix(std::span<const Interaction> interactions);

  /// One past the highest index of all.
  [[nodiscard]] std::size_t viewers() const { return history_begins_.empty() ? 0 : history_begins_.size() - 1; }
  [[nodiscard]] std::size_t items() const { return audience_begins_.empty() ? 0 : audience_begins_.size() - 1; }
  /// Pairs of viewer and item.
  [[nodiscard]] std::size_t pairs() const { return seen_.size(); }
  [[nodiscard]] std::uint64_t left_out() const { return left_out_; }

  /// Oldest first; of one time the lower index first.
  [[nodiscard]] std::span<const Seen> history(ViewerIndex viewer) const;
  /// By viewer.
  [[nodiscard]] std::span<const Watcher> audience(ItemIndex item) const;
  /// Those with an audience: the largest first, of two alike the lower index; `limit` or fewer.
  [[nodiscard]] std::vector<ItemIndex> most_watched(std::size_t limit) const;

 private:
  std::vector<std::size_t> history_begins_;  ///< of each viewer in seen_, and the end
  std::vector<Seen> seen_;
  std::vector<std::size_t> audience_begins_;
  std::vector<Watcher> watchers_;
  std::uint64_t left_out_ = 0;
};

}  // namespace ribalta::feed
