// Viewers and items as 64 numbers each, by alternating least squares on implicit feedback (Rendle, Krichene, Zhang,
// Koren, "Revisiting the Performance of iALS on Item Recommendation Benchmarks", RecSys 2022): all pairs count, those
// that happened more; regularisation grows with how often a viewer or an item was seen. Viewers are not kept: a history
// gives a viewer's numbers when it is asked about, as the last step of training would.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "control-plane/feed/matrix.h"
#include "control-plane/feed/source.h"

namespace ribalta::feed {

/// 256 bytes an item: 100 000 items are 26 MB, read through once for each question.
inline constexpr std::size_t kFactors = 64;
using Factors = std::array<float, kFactors>;

/// The product of two of them, each kFactors numbers, summed in one fixed order: the model and its index give the same.
inline float dot(const float* a, const float* b) {
  constexpr std::size_t kLanes = 8;  // sums side by side: what the compiler may not choose itself
  std::array<float, kLanes> sums{};
  for (std::size_t i = 0; i < kFactors; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  }
  return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

inline constexpr std::size_t kIalsSweepsMax = 100;
inline constexpr std::size_t kIalsThreadsMax = 16;

/// A viewer's numbers are held down by λ α₀ times the number of items: a λ that is right for thousands of items lets a
/// million shrink to nothing. Of more items than these, λ falls as they grow.
inline constexpr std::size_t kIalsItemsWhole = 4'000;

struct IalsOptions {
  float regularisation = 0.01F;    ///< λ for kIalsItemsWhole items or fewer; 1e-6 to 1e3
  float unobserved_weight = 0.3F;  ///< α₀, beside 1 for what happened; 1e-6 to 10
  std::size_t sweeps = 12;         ///< at most kIalsSweepsMax
  std::uint64_t seed = 1;
  std::size_t threads = 1;  ///< any number gives the same, bit for bit
};

class Ials final : public Source {
 public:
  Ials(const Matrix& matrix, const IalsOptions& options);

  /// Gives an item its numbers from the histories of those who watched it: a new one, or one whose audience has grown.
  /// The rest stays as it was trained. An index of kMatrixItemsMax or more is ignored. Takes 0.1 ms a history.
  void learn_item(ItemIndex item, std::span<const std::span<const Seen>> histories);

  [[nodiscard]] std::string_view name() const override { return "factors"; }
  void find(std::span<const Seen> history, std::int64_t now_ms, std::size_t limit, const Allowed& allowed,
            std::vector<Candidate>& out) const override;
  void score(std::span<const Seen> history, std::int64_t now_ms, std::span<const ItemIndex> items,
             std::span<float> out) const override;

  /// A viewer's numbers. Zeros for whoever has no history.
  [[nodiscard]] Factors viewer(std::span<const Seen> history) const;
  /// Zeros for an item that nobody has watched.
  [[nodiscard]] Factors item(ItemIndex item) const;
  /// Of the training.
  [[nodiscard]] std::size_t items() const { return items_.size() / kFactors; }

 private:
  /// Its numbers, or nullptr: it was neither in the training nor learned since.
  [[nodiscard]] const float* numbers(ItemIndex item) const;

  IalsOptions options_;
  std::vector<float> items_;                        ///< kFactors each, by item
  std::unordered_map<ItemIndex, Factors> learned_;  ///< those behind them that were learned since
  std::vector<float> items_sum_;                    ///< α₀ Σ v v' over items, kFactors × kFactors
  std::vector<float> viewers_sum_;                  ///< the same over viewers
  std::size_t viewers_ = 0;
  std::size_t items_trained_ = 0;  ///< how many items regularisation is scaled by
};

}  // namespace ribalta::feed
