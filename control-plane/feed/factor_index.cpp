#include "control-plane/feed/factor_index.h"

#include <Eigen/Dense>
#include <algorithm>
#include <utility>

#include "control-plane/feed/best.h"

namespace ribalta::feed {
namespace {

using Rows = Eigen::Matrix<float, Eigen::Dynamic, kFactors, Eigen::RowMajor>;
using Vector = Eigen::Matrix<float, kFactors, 1>;

/// Items of one centre that placing it looks at, and how often it is moved: more make hardly better lists.
constexpr std::size_t kSamplePerCentre = 64;
constexpr int kMoves = 6;
/// Rows that are compared with all centres at once.
constexpr Eigen::Index kBlock = 256;

/// The nearest centre of each row, by distance.
std::vector<std::uint32_t> nearest(const Rows& rows, const Rows& centres) {
  const Eigen::VectorXf half_squares = 0.5F * centres.rowwise().squaredNorm();
  std::vector<std::uint32_t> found(static_cast<std::size_t>(rows.rows()));
  Eigen::MatrixXf products;
  for (Eigen::Index begin = 0; begin < rows.rows(); begin += kBlock) {
    const Eigen::Index count = std::min(kBlock, rows.rows() - begin);
    products.noalias() = centres * rows.middleRows(begin, count).transpose();
    products.colwise() -= half_squares;
    for (Eigen::Index i = 0; i < count; ++i) {
      Eigen::Index best = 0;
      products.col(i).maxCoeff(&best);
      found[static_cast<std::size_t>(begin + i)] = static_cast<std::uint32_t>(best);
    }
  }
  return found;
}

Rows gathered(const Ials& model, std::span<const ItemIndex> items) {
  Rows rows(static_cast<Eigen::Index>(items.size()), kFactors);
  for (std::size_t i = 0; i < items.size(); ++i) {
    const Factors factors = model.item(items[i]);
    rows.row(static_cast<Eigen::Index>(i)) = Eigen::Map<const Vector>{factors.data()}.transpose();
  }
  return rows;
}

}  // namespace

FactorIndex::FactorIndex(std::unique_ptr<Ials> model, std::size_t read) : model_(std::move(model)), read_(read) {
  std::vector<ItemIndex> known;
  for (ItemIndex item = 0; item < model_->items(); ++item) {
    if (model_->item(item) != Factors{}) known.push_back(item);
  }
  if (known.size() > read_) place_centres(known);
  fill_lists(known);
}

/// k-means over an even sample, begun at items of that sample.
void FactorIndex::place_centres(std::span<const ItemIndex> known) {
  const std::size_t count = std::min(kFactorCentresMax, known.size() / kSamplePerCentre);
  std::vector<ItemIndex> sample;
  const std::size_t wanted = std::min(known.size(), count * kSamplePerCentre);
  for (std::size_t i = 0; i < wanted; ++i) sample.push_back(known[i * known.size() / wanted]);
  const Rows rows = gathered(*model_, sample);
  Rows centres(static_cast<Eigen::Index>(count), kFactors);
  for (std::size_t i = 0; i < count; ++i) {
    centres.row(static_cast<Eigen::Index>(i)) = rows.row(static_cast<Eigen::Index>(i * wanted / count));
  }
  for (int move = 0; move < kMoves; ++move) {
    const std::vector<std::uint32_t> owners = nearest(rows, centres);
    Rows sums = Rows::Zero(centres.rows(), kFactors);
    std::vector<float> counts(count);
    for (std::size_t i = 0; i < owners.size(); ++i) {
      sums.row(owners[i]) += rows.row(static_cast<Eigen::Index>(i));
      ++counts[owners[i]];
    }
    for (std::size_t i = 0; i < count; ++i) {
      const auto at = static_cast<Eigen::Index>(i);
      if (counts[i] > 0) centres.row(at) = sums.row(at) / counts[i];
    }
  }
  centres_.assign(centres.data(), centres.data() + centres.size());
}

void FactorIndex::fill_lists(std::span<const ItemIndex> known) {
  const std::size_t lists = std::max<std::size_t>(1, centres_.size() / kFactors);
  std::vector<std::uint32_t> owners(known.size());
  if (!centres_.empty()) {
    const Eigen::Map<const Rows> centres{centres_.data(), static_cast<Eigen::Index>(lists), kFactors};
    constexpr std::size_t kPart = 65'536;  // so that the copy of the factors stays small
    for (std::size_t begin = 0; begin < known.size(); begin += kPart) {
      const auto part = known.subspan(begin, std::min(kPart, known.size() - begin));
      std::ranges::copy(nearest(gathered(*model_, part), centres), owners.begin() + static_cast<std::ptrdiff_t>(begin));
    }
  }
  begins_.assign(lists + 1, 0);
  for (const std::uint32_t owner : owners) ++begins_[owner + 1];
  for (std::size_t i = 0; i < lists; ++i) begins_[i + 1] += begins_[i];
  items_.resize(known.size());
  factors_.resize(known.size() * kFactors);
  std::vector<std::size_t> next{begins_.begin(), begins_.end() - 1};
  for (std::size_t i = 0; i < known.size(); ++i) {
    const std::size_t place = next[owners[i]]++;
    items_[place] = known[i];
    std::ranges::copy(model_->item(known[i]), factors_.begin() + static_cast<std::ptrdiff_t>(place * kFactors));
  }
}

void FactorIndex::learn_item(ItemIndex item, std::span<const std::span<const Seen>> histories) {
  const bool again = std::ranges::find(learned_, item) != learned_.end();
  if (!again && (learned_.size() == kFactorItemsLearnedMax || model_->item(item) != Factors{})) return;
  model_->learn_item(item, histories);
  if (!again && model_->item(item) != Factors{}) learned_.push_back(item);
}

void FactorIndex::find(std::span<const Seen> history, std::int64_t /*now_ms*/, std::size_t limit,
                       const Allowed& allowed, std::vector<Candidate>& out) const {
  const Factors viewer = model_->viewer(history);
  if (viewer == Factors{}) return;
  std::vector<Candidate> lists;  // by what their centres promise
  if (centres_.empty()) {
    lists.push_back({});
  } else {
    const Eigen::Map<const Rows> centres{centres_.data(), static_cast<Eigen::Index>(centres_.size() / kFactors),
                                         kFactors};
    const Eigen::VectorXf promised = centres * Eigen::Map<const Vector>{viewer.data()};
    for (Eigen::Index i = 0; i < promised.size(); ++i) lists.push_back({static_cast<ItemIndex>(i), promised[i]});
    std::ranges::sort(lists, better);
  }
  Best best{limit};
  const auto offer = [&](ItemIndex item, const float* factors) {
    const float score = dot(viewer.data(), factors);
    if (score != 0) best.offer({item, score}, allowed);
  };
  for (const ItemIndex item : learned_) offer(item, model_->item(item).data());
  std::size_t read = 0;
  for (const Candidate& list : lists) {
    if (read >= read_) break;
    const std::size_t begin = begins_[list.item];
    const std::size_t end = std::min(begins_[list.item + std::size_t{1}], begin + (read_ - read));
    for (std::size_t i = begin; i < end; ++i) offer(items_[i], factors_.data() + i * kFactors);
    read += end - begin;
  }
  best.take(out);
}

}  // namespace ribalta::feed
