// What the sources say of a list of candidates, on one scale: the part of the scorer's features that knows the viewer.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "control-plane/feed/source.h"

namespace ribalta::feed {

/// Sources that a scorer can listen to.
inline constexpr std::size_t kSourcesMax = 12;
/// A standardised score is cut off here, so that one outlier of one source does not decide alone.
inline constexpr float kScoreDeviationsMax = 8;
/// Larger than any source's score may be; beyond it squares would leave floating point's range.
inline constexpr float kScoreMax = 1e15F;

/// Of one item, for each source in their order. `score` is standardised over the list (mean 0, deviation 1). `place`
/// falls from 1, the best of the list, by the logarithm of how many are better. A source that knows nothing of the item
/// (score 0) says 0 in both.
struct Evidence {
  std::array<float, kSourcesMax> score{};
  std::array<float, kSourcesMax> place{};
  bool operator==(const Evidence&) const = default;
};

/// Asks each source about each of the items, once. What is not finite counts as 0.
std::vector<Evidence> gather(std::span<const Source* const> sources, std::span<const Seen> history, std::int64_t now_ms,
                             std::span<const ItemIndex> items);
/// The same for one source, whose scores are known, as number `source` of all.
void weigh(std::size_t source, std::span<const float> scores, std::span<Evidence> out);

}  // namespace ribalta::feed
