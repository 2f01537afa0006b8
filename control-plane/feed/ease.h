// Item to item by EASE (Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019): the linear map from a
// history to itself with nothing on its diagonal, in closed form: P = (X'X + λI)^-1, B = I - P diag(1 / diag P).
// A new viewer needs no training, only a history; a new item waits for the next training.
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

/// The inverse is dense: 134 MB and some 20 s of one core at this many items. The rest of the catalogue is others'
/// work.
inline constexpr std::size_t kEaseItemsMax = 4'096;
/// At less the inverse loses its digits; at more every weight is nothing.
inline constexpr float kEaseRegularisationMin = 0.1F;
inline constexpr float kEaseRegularisationMax = 1e7F;

struct EaseOptions {
  float regularisation = 300;         ///< λ
  std::size_t items = kEaseItemsMax;  ///< the most watched; at most kEaseItemsMax
  std::size_t weights_per_item = 512;
};

class Ease final : public Source {
 public:
  Ease(const Matrix& matrix, const EaseOptions& options);

  [[nodiscard]] std::string_view name() const override { return "taste"; }
  void find(std::span<const Seen> history, std::int64_t now_ms, std::size_t limit, const Allowed& allowed,
            std::vector<Candidate>& out) const override;
  void score(std::span<const Seen> history, std::int64_t now_ms, std::span<const ItemIndex> items,
             std::span<float> out) const override;

  /// What having seen an item adds to each other's score.
  [[nodiscard]] std::vector<Neighbour> weights(ItemIndex item) const { return weights_.row(item); }

 private:
  Neighbours weights_;
};

}  // namespace ribalta::feed
