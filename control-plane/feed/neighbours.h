// A weight from item to item, as rows of what matters: how EASE, item neighbours and the like answer for a history.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "control-plane/feed/source.h"

namespace ribalta::feed {

struct Neighbour {
  ItemIndex item = 0;
  float weight = 0;
  bool operator==(const Neighbour&) const = default;
};

/// Of more than `limit`, those of the greatest magnitude stay, of two alike the lower index; in any order.
void keep_strongest(std::vector<Neighbour>& row, std::size_t limit);

class Neighbours {
 public:
  /// Rows come in the order of their items; those left out are empty.
  /// @param row  in any order.
  void append(ItemIndex item, std::vector<Neighbour> row);
  /// After the last row: how many items there are.
  void finish(std::size_t items);

  [[nodiscard]] std::size_t items() const { return begins_.empty() ? 0 : begins_.size() - 1; }
  /// By item.
  [[nodiscard]] std::vector<Neighbour> row(ItemIndex item) const;

  void find(std::span<const Seen> weighed, std::size_t limit, const Allowed& allowed,
            std::vector<Candidate>& out) const;
  void score(std::span<const Seen> weighed, std::span<const ItemIndex> items, std::span<float> out) const;

 private:
  class Sums;
  /// Items that are named have places of their own, without the holes between them: what a question touches lies close
  /// together, however many items nobody watches.
  struct Weight {
    std::uint32_t place = 0;  ///< until `finish`: the item
    float weight = 0;
  };
  static constexpr std::uint32_t kNowhere = 0xFFFFFFFF;

  [[nodiscard]] std::span<const Weight> weights(ItemIndex item) const;
  [[nodiscard]] std::uint32_t place(ItemIndex item) const { return item < items() ? places_[item] : kNowhere; }

  std::vector<std::size_t> begins_;
  std::vector<Weight> all_;
  std::vector<ItemIndex> named_;       ///< by place, in ascending order
  std::vector<std::uint32_t> places_;  ///< by item; kNowhere where no row names it
};

}  // namespace ribalta::feed
