// The scorer's inside: for score*.cpp alone.
#pragma once

#include <array>
#include <cassert>
#include <cstdint>
#include <span>

#include "control-plane/feed/score.h"

namespace ribalta::feed {

/// Slots at the start of the table that hashed features never fall into.
inline constexpr std::uint32_t kDenseSlots = 256;
static_assert(kDenseSlots < (1U << kSlotsLog2Min) / 2);

/// What a slot's sums may be, while learning and in a snapshot: far beyond what honest events add up to, and a float
/// still counts there.
inline constexpr float kGradientsMax = 1e6F;
inline constexpr float kSquaresMax = 1e7F;

/// Behind the sources, each a group of its own.
enum Group : std::uint32_t {
  kGroupAgreement,
  kGroupItem,
  kGroupAuthor,
  kGroupTopic,
  kGroupYourAuthor,
  kGroupYourTopic,
  kGroupDuration,
  kGroupAge,
  kGroupHour,
  kGroupBias,
  kGroups,
};

/// Bias, item, two of the author, two of each topic, duration, age, hour; three of each source and the pairs of them.
inline constexpr std::size_t kFeaturesMax = 7 + 2 * kTopicsMax + 3 * kSourcesMax + kSourcesMax * (kSourcesMax - 1) / 2;

struct Scorer::Features {
  std::array<Feature, kFeaturesMax> list;
  std::size_t count = 0;

  void add(std::uint32_t slot, std::uint32_t group, float value) {
    assert(count < kFeaturesMax);
    list[count++] = {slot, group, value};
  }
  [[nodiscard]] std::span<const Feature> all() const { return {list.data(), count}; }
};

}  // namespace ribalta::feed
