#include "control-plane/feed/ease.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

namespace ribalta::feed {
namespace {

using Dense = Eigen::MatrixXd;

/// Below this a block is inverted by its Cholesky decomposition.
constexpr Eigen::Index kBlockItems = 64;

/// The inverse of a symmetric positive definite matrix in its place, block by block over the Schur complement: nearly
/// all of it are products of large matrices, the one thing that runs at the speed of the machine.
void invert(Eigen::Ref<Dense> matrix) {
  const Eigen::Index size = matrix.rows();
  if (size <= kBlockItems) {
    matrix = matrix.llt().solve(Dense::Identity(size, size)).eval();
    return;
  }
  const Eigen::Index half = size / 2;
  const Eigen::Index rest = size - half;
  invert(matrix.topLeftCorner(half, half));
  Dense across(rest, half);
  across.noalias() = matrix.bottomLeftCorner(rest, half) * matrix.topLeftCorner(half, half);
  matrix.bottomRightCorner(rest, rest).noalias() -= across * matrix.topRightCorner(half, rest);
  invert(matrix.bottomRightCorner(rest, rest));
  matrix.bottomLeftCorner(rest, half).noalias() = -(matrix.bottomRightCorner(rest, rest) * across);
  matrix.topLeftCorner(half, half).noalias() -= across.transpose() * matrix.bottomLeftCorner(rest, half);
  matrix.topRightCorner(half, rest) = matrix.bottomLeftCorner(rest, half).transpose();
}

/// X'X of the items in `head`, both halves.
Dense gram(const Matrix& matrix, std::span<const ItemIndex> head) {
  const auto size = static_cast<Eigen::Index>(head.size());
  constexpr Eigen::Index kNone = -1;
  std::vector<Eigen::Index> place(matrix.items(), kNone);
  for (Eigen::Index i = 0; i < size; ++i) place[head[static_cast<std::size_t>(i)]] = i;
  Dense sums = Dense::Zero(size, size);
  std::vector<std::pair<Eigen::Index, double>> row;
  for (ViewerIndex viewer = 0; viewer < matrix.viewers(); ++viewer) {
    row.clear();
    for (const Seen& seen : matrix.history(viewer)) {
      if (place[seen.item] != kNone) row.emplace_back(place[seen.item], static_cast<double>(seen.weight));
    }
    for (const auto& [a, left] : row) {
      for (const auto& [b, right] : row) sums(a, b) += left * right;
    }
  }
  return sums;
}

}  // namespace

Ease::Ease(const Matrix& matrix, const EaseOptions& options) {
  std::vector<ItemIndex> head = matrix.most_watched(std::min(options.items, kEaseItemsMax));
  std::ranges::sort(head);
  const float asked = std::isnan(options.regularisation) ? kEaseRegularisationMin : options.regularisation;
  const float lambda = std::clamp(asked, kEaseRegularisationMin, kEaseRegularisationMax);
  Dense inverse = gram(matrix, head);
  inverse.diagonal().array() += static_cast<double>(lambda);
  if (!head.empty()) invert(inverse);

  // Column j holds what every item adds to item j; what is kept are rows: all that one item adds to.
  const Eigen::ArrayXd scale = -inverse.diagonal().array().inverse();
  std::vector<Neighbour> row;
  for (std::size_t i = 0; i < head.size(); ++i) {
    row.clear();
    const auto from = static_cast<Eigen::Index>(i);
    for (std::size_t j = 0; j < head.size(); ++j) {
      const auto to = static_cast<Eigen::Index>(j);
      const auto weight = static_cast<float>(inverse(to, from) * scale(to));  // symmetric: (to, from) lies in a column
      if (to != from && std::isfinite(weight) && weight != 0) row.push_back({head[j], weight});
    }
    keep_strongest(row, options.weights_per_item);
    weights_.append(head[i], row);
  }
  weights_.finish(matrix.items());
}

void Ease::find(std::span<const Seen> history, std::int64_t /*now_ms*/, std::size_t limit, const Allowed& allowed,
                std::vector<Candidate>& out) const {
  weights_.find(usable(history, weights_.items()), limit, allowed, out);
}

void Ease::score(std::span<const Seen> history, std::int64_t /*now_ms*/, std::span<const ItemIndex> items,
                 std::span<float> out) const {
  weights_.score(usable(history, weights_.items()), items, out);
}

}  // namespace ribalta::feed
