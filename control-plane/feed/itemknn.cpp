#include "control-plane/feed/itemknn.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace ribalta::feed {
namespace {

std::vector<float> norms_of(const Matrix& matrix) {
  std::vector<float> norms(matrix.items());
  for (ItemIndex item = 0; item < matrix.items(); ++item) {
    double sum = 0;
    for (const Watcher& watcher : matrix.audience(item)) {
      sum += static_cast<double>(watcher.weight) * static_cast<double>(watcher.weight);
    }
    norms[item] = static_cast<float>(std::sqrt(sum));
  }
  return norms;
}

/// How much an item resembles each other one with which it shares viewers. `dots` is all zeros, before and after.
std::vector<Neighbour> resembling(const Matrix& matrix, ItemIndex item, std::span<const float> norms, float shrink,
                                  std::vector<float>& dots) {
  std::vector<ItemIndex> touched;
  for (const Watcher& watcher : matrix.audience(item)) {
    for (const Seen& seen : matrix.history(watcher.viewer)) {
      if (dots[seen.item] == 0) touched.push_back(seen.item);
      dots[seen.item] += watcher.weight * seen.weight;
    }
  }
  std::vector<Neighbour> found;
  for (const ItemIndex other : touched) {
    const float similarity = dots[other] / (norms[item] * norms[other] + shrink);
    if (other != item && similarity > 0) found.push_back({other, similarity});
    dots[other] = 0;
  }
  return found;
}

}  // namespace

/// Similarity is symmetric, the choice of the nearest is not. Each item chooses those that speak for it: were it those
/// that it speaks for, the popular ones would take all places.
ItemKnn::ItemKnn(const Matrix& matrix, const ItemKnnOptions& options) {
  const std::vector<float> norms = norms_of(matrix);
  const float shrink = options.shrink > 0 ? options.shrink : 0;
  std::vector<float> dots(matrix.items());
  std::vector<std::vector<Neighbour>> rows(matrix.items());
  for (ItemIndex item = 0; item < matrix.items(); ++item) {
    std::vector<Neighbour> nearest = resembling(matrix, item, norms, shrink, dots);
    keep_strongest(nearest, options.neighbours);
    for (const Neighbour& neighbour : nearest) rows[neighbour.item].push_back({item, neighbour.weight});
  }
  for (ItemIndex item = 0; item < matrix.items(); ++item) neighbours_.append(item, std::move(rows[item]));
  neighbours_.finish(matrix.items());
}

void ItemKnn::find(std::span<const Seen> history, std::int64_t /*now_ms*/, std::size_t limit, const Allowed& allowed,
                   std::vector<Candidate>& out) const {
  neighbours_.find(usable(history, neighbours_.items()), limit, allowed, out);
}

void ItemKnn::score(std::span<const Seen> history, std::int64_t /*now_ms*/, std::span<const ItemIndex> items,
                    std::span<float> out) const {
  neighbours_.score(usable(history, neighbours_.items()), items, out);
}

}  // namespace ribalta::feed
