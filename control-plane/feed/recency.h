// A source asked about now: what was seen last counts most, and the rest of the taste stays.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "control-plane/feed/source.h"

namespace ribalta::feed {

/// Weight by rank, 0 the newest: `floor + (1 - floor) × 2^(-rank / half_life_items)`. By rank and not by age, so that
/// whoever comes back after a month is met where they left.
struct Recency {
  float half_life_items = 0;  ///< 0 (or less): all of a history counts alike
  float floor = 0;            ///< 0 to 1: what the oldest still counts
  bool operator==(const Recency&) const = default;
};
[[nodiscard]] float recency_weight(const Recency& recency, std::size_t rank);

/// Answers what `of` answers for the history so weighted. It needs no training and no memory of its own.
class Recent final : public Source {
 public:
  /// `of` and `name` live longer than this.
  Recent(const Source& of, std::string_view name, const Recency& recency) : of_(of), name_(name), recency_(recency) {}

  [[nodiscard]] std::string_view name() const override { return name_; }
  void find(std::span<const Seen> history, std::int64_t now_ms, std::size_t limit, const Allowed& allowed,
            std::vector<Candidate>& out) const override;
  void score(std::span<const Seen> history, std::int64_t now_ms, std::span<const ItemIndex> items,
             std::span<float> out) const override;

 private:
  [[nodiscard]] std::vector<Seen> weighted(std::span<const Seen> history) const;

  const Source& of_;
  std::string_view name_;
  Recency recency_;
};

}  // namespace ribalta::feed
