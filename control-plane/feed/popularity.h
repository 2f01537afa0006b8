// What everybody watches now: each event counts, and half as much after each half-life. What strangers get.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "control-plane/feed/matrix.h"
#include "control-plane/feed/source.h"

namespace ribalta::feed {

class Popularity final : public Source {
 public:
  /// @param half_life  0: an event counts for ever.
  explicit Popularity(std::chrono::milliseconds half_life) : half_life_ms_(half_life.count()) {}

  /// In any order of times. What is no item or no weight is ignored.
  void learn(const Interaction& event);
  void learn(const Matrix& matrix);

  [[nodiscard]] std::string_view name() const override { return "popular"; }
  void find(std::span<const Seen> history, std::int64_t now_ms, std::size_t limit, const Allowed& allowed,
            std::vector<Candidate>& out) const override;
  /// Of each item the logarithm of 1 and what its events count now: a hundred times as popular is not a hundred times
  /// as good.
  void score(std::span<const Seen> history, std::int64_t now_ms, std::span<const ItemIndex> items,
             std::span<float> out) const override;

 private:
  struct Count {
    double value = 0;  ///< as of time_ms
    std::int64_t time_ms = 0;
  };
  [[nodiscard]] float value(const Count& count, std::int64_t now_ms) const;
  [[nodiscard]] double decay(std::int64_t from_ms, std::int64_t to_ms) const;

  std::int64_t half_life_ms_;
  std::vector<Count> counts_;  ///< by item
};

}  // namespace ribalta::feed
