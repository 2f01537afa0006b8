#include "control-plane/feed/ials.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cassert>
#include <cmath>
#include <numbers>
#include <thread>

#include "control-plane/feed/best.h"

namespace ribalta::feed {
namespace {

using Vector = Eigen::Matrix<float, kFactors, 1>;
using Square = Eigen::Matrix<float, kFactors, kFactors>;
using Rows = Eigen::Matrix<float, Eigen::Dynamic, kFactors, Eigen::RowMajor>;

/// The standard deviation of a random start is this by the root of kFactors, as in the paper.
constexpr double kStartDeviation = 0.1;

float between(float value, float low, float high) { return value > low ? std::min(value, high) : low; }

/// SplitMix64: the n-th number of a seed, without a state that an order of calls could change.
std::uint64_t random_bits(std::uint64_t seed, std::uint64_t n) {
  std::uint64_t bits = seed + (n + 1) * 0x9E3779B97F4A7C15U;
  bits = (bits ^ (bits >> 30U)) * 0xBF58476D1CE4E5B9U;
  bits = (bits ^ (bits >> 27U)) * 0x94D049BB133111EBU;
  return bits ^ (bits >> 31U);
}

/// Box and Muller, the cosine alone.
float random_normal(std::uint64_t seed, std::uint64_t n) {
  const auto uniform = [seed](std::uint64_t k) {
    return (static_cast<double>(random_bits(seed, k) >> 11U) + 0.5) * 0x1p-53;
  };
  return static_cast<float>(std::sqrt(-2 * std::log(uniform(2 * n))) *
                            std::cos(2 * std::numbers::pi * uniform(2 * n + 1)));
}

const float* row(const std::vector<float>& rows, std::size_t index) { return rows.data() + index * kFactors; }

/// Who is so near to nothing is nothing: products of smaller numbers leave the range in which a processor is fast.
constexpr float kSquaresMin = 1e-16F;

/// weight × Σ v v' over all rows.
std::vector<float> outer_sum(const std::vector<float>& rows, float weight) {
  const Eigen::Map<const Rows> all{rows.data(), static_cast<Eigen::Index>(rows.size() / kFactors), kFactors};
  std::vector<float> sum(kFactors * kFactors);
  Eigen::Map<Square>{sum.data()}.noalias() = weight * (all.transpose() * all);
  return sum;
}

/// One side's least squares: `(Σ w v v' + background + λ n I) x = Σ w v` over what was seen.
class Normal {
 public:
  explicit Normal(const std::vector<float>& background) : background_(background.data()) {}

  void begin() {
    left_ = background_;
    right_.setZero();
    waiting_ = 0;
  }
  void add(const float* vector, float weight) {
    const Eigen::Map<const Vector> seen{vector};
    right_ += weight * seen;
    block_.row(waiting_) = std::sqrt(weight) * seen.transpose();
    if (++waiting_ == kBlock) flush();
  }
  void solve(float ridge, float* out) {
    flush();
    left_.diagonal().array() += ridge;
    const Eigen::LLT<Square> cholesky{left_};
    Vector solution = cholesky.solve(right_);
    const bool sound = cholesky.info() == Eigen::Success && solution.allFinite();
    if (!sound || solution.squaredNorm() <= kSquaresMin) solution.setZero();
    Eigen::Map<Vector>{out} = solution;
  }

 private:
  static constexpr Eigen::Index kBlock = 128;
  void flush() {
    if (waiting_ == 0) return;
    left_.selfadjointView<Eigen::Lower>().rankUpdate(block_.topRows(waiting_).transpose());
    waiting_ = 0;
  }

  Eigen::Map<const Square> background_;
  Square left_;
  Vector right_;
  Rows block_ = Rows::Zero(kBlock, kFactors);
  Eigen::Index waiting_ = 0;
};

/// Calls `work(begin, end)` for parts of 0..count at once. What it computes for one index must not depend on the
/// others.
template <class Work>
void in_parts(std::size_t count, std::size_t threads, const Work& work) {
  std::vector<std::jthread> others;
  for (std::size_t i = 1; i < threads; ++i) {
    others.emplace_back([=, &work] { work(count * i / threads, count * (i + 1) / threads); });
  }
  work(0, count / threads);
}

float ridge(const IalsOptions& options, std::size_t seen, std::size_t others) {
  return options.regularisation * (static_cast<float>(seen) + options.unobserved_weight * static_cast<float>(others));
}

std::vector<float> solve_viewers(const Matrix& matrix, const IalsOptions& options, const std::vector<float>& items) {
  const std::vector<float> background = outer_sum(items, options.unobserved_weight);
  std::vector<float> viewers(matrix.viewers() * kFactors);
  in_parts(matrix.viewers(), options.threads, [&](std::size_t begin, std::size_t end) {
    Normal normal{background};
    for (std::size_t viewer = begin; viewer < end; ++viewer) {
      const std::span<const Seen> history = matrix.history(static_cast<ViewerIndex>(viewer));
      if (history.empty()) continue;
      normal.begin();
      for (const Seen& seen : history) normal.add(row(items, seen.item), seen.weight);
      normal.solve(ridge(options, history.size(), matrix.items()), viewers.data() + viewer * kFactors);
    }
  });
  return viewers;
}

std::vector<float> solve_items(const Matrix& matrix, const IalsOptions& options, const std::vector<float>& viewers) {
  const std::vector<float> background = outer_sum(viewers, options.unobserved_weight);
  std::vector<float> items(matrix.items() * kFactors);
  in_parts(matrix.items(), options.threads, [&](std::size_t begin, std::size_t end) {
    Normal normal{background};
    for (std::size_t item = begin; item < end; ++item) {
      const std::span<const Watcher> audience = matrix.audience(static_cast<ItemIndex>(item));
      if (audience.empty()) continue;
      normal.begin();
      for (const Watcher& watcher : audience) normal.add(row(viewers, watcher.viewer), watcher.weight);
      normal.solve(ridge(options, audience.size(), matrix.viewers()), items.data() + item * kFactors);
    }
  });
  return items;
}

IalsOptions sane(IalsOptions options, std::size_t items) {
  if (items > kIalsItemsWhole) {
    options.regularisation *= static_cast<float>(kIalsItemsWhole) / static_cast<float>(items);
  }
  options.regularisation = between(options.regularisation, 1e-6F, 1e3F);
  options.unobserved_weight = between(options.unobserved_weight, 1e-6F, 10);
  options.sweeps = std::min(options.sweeps, kIalsSweepsMax);
  options.threads = std::clamp<std::size_t>(options.threads, 1, kIalsThreadsMax);
  return options;
}

}  // namespace

Ials::Ials(const Matrix& matrix, const IalsOptions& options)
    : options_(sane(options, matrix.items())),
      items_(matrix.items() * kFactors),
      viewers_(matrix.viewers()),
      items_trained_(matrix.items()) {
  const auto deviation = static_cast<float>(kStartDeviation / std::sqrt(static_cast<double>(kFactors)));
  for (ItemIndex item = 0; item < matrix.items(); ++item) {
    if (matrix.audience(item).empty()) continue;
    for (std::size_t i = item * kFactors; i < (item + std::size_t{1}) * kFactors; ++i) {
      items_[i] = deviation * random_normal(options_.seed, i);
    }
  }
  std::vector<float> viewers;
  for (std::size_t sweep = 0; sweep < options_.sweeps; ++sweep) {
    viewers = solve_viewers(matrix, options_, items_);
    items_ = solve_items(matrix, options_, viewers);
  }
  items_sum_ = outer_sum(items_, options_.unobserved_weight);
  viewers_sum_ = outer_sum(viewers, options_.unobserved_weight);
}

const float* Ials::numbers(ItemIndex item) const {
  if (item < items()) return row(items_, item);
  const auto learned = learned_.find(item);
  return learned == learned_.end() ? nullptr : learned->second.data();
}

Factors Ials::viewer(std::span<const Seen> history) const {
  Factors factors{};
  Normal normal{items_sum_};
  normal.begin();
  std::size_t known = 0;
  for (const Seen& one : usable(history, kMatrixItemsMax)) {
    const float* const item = numbers(one.item);
    if (item == nullptr) continue;
    normal.add(item, one.weight);
    ++known;
  }
  if (known > 0) normal.solve(ridge(options_, known, items_trained_), factors.data());
  return factors;
}

Factors Ials::item(ItemIndex item) const {
  Factors factors{};
  if (const float* const known = numbers(item)) std::copy_n(known, kFactors, factors.begin());
  return factors;
}

void Ials::learn_item(ItemIndex item, std::span<const std::span<const Seen>> histories) {
  if (item >= kMatrixItemsMax) return;
  Normal normal{viewers_sum_};
  normal.begin();
  std::size_t watchers = 0;
  for (const std::span<const Seen> history : histories) {
    const auto found = std::ranges::find(history, item, &Seen::item);
    const float weight = found == history.end() ? 1 : sane_weight(found->weight);
    const Factors watcher = viewer(history);
    if (weight == 0 || watcher == Factors{}) continue;
    normal.add(watcher.data(), weight);
    ++watchers;
  }
  if (watchers == 0) return;
  Factors learned{};
  normal.solve(ridge(options_, watchers, viewers_), learned.data());
  if (item < items()) {
    std::ranges::copy(learned, items_.data() + item * kFactors);
  } else if (learned != Factors{}) {
    learned_.insert_or_assign(item, learned);
  }
}

void Ials::find(std::span<const Seen> history, std::int64_t /*now_ms*/, std::size_t limit, const Allowed& allowed,
                std::vector<Candidate>& out) const {
  const Factors factors = viewer(history);
  if (factors == Factors{}) return;
  Best best{limit};
  const auto offer = [&](ItemIndex item, const float* numbers) {
    const float value = dot(factors.data(), numbers);
    if (value != 0) best.offer({item, value}, allowed);  // 0: nobody has watched it
  };
  for (std::size_t item = 0; item < items(); ++item) offer(static_cast<ItemIndex>(item), row(items_, item));
  for (const auto& [item, learned] : learned_) offer(item, learned.data());
  best.take(out);
}

void Ials::score(std::span<const Seen> history, std::int64_t /*now_ms*/, std::span<const ItemIndex> asked,
                 std::span<float> out) const {
  assert(asked.size() == out.size());
  const Factors factors = viewer(history);
  for (std::size_t i = 0; i < asked.size(); ++i) {
    const float* const item = numbers(asked[i]);
    out[i] = item ? dot(factors.data(), item) : 0;
  }
}

}  // namespace ribalta::feed
