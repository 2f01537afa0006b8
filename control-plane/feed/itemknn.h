// Item to item by shared audience: cosine, held down where few viewers speak for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "control-plane/feed/matrix.h"
#include "control-plane/feed/neighbours.h"
#include "control-plane/feed/source.h"

namespace ribalta::feed {

struct ItemKnnOptions {
  std::size_t neighbours = 100;
  float shrink = 20;  ///< added to the product of norms: an item of one viewer is nobody's neighbour at full strength
};

class ItemKnn final : public Source {
 public:
  ItemKnn(const Matrix& matrix, const ItemKnnOptions& options);

  [[nodiscard]] std::string_view name() const override { return "watched_together"; }
  void find(std::span<const Seen> history, std::int64_t now_ms, std::size_t limit, const Allowed& allowed,
            std::vector<Candidate>& out) const override;
  void score(std::span<const Seen> history, std::int64_t now_ms, std::span<const ItemIndex> items,
             std::span<float> out) const override;

  [[nodiscard]] std::vector<Neighbour> neighbours(ItemIndex item) const { return neighbours_.row(item); }

 private:
  Neighbours neighbours_;
};

}  // namespace ribalta::feed
