// Numbers that follow from a seed and from nothing else: bits are the same on every machine, `normal` wherever libm is.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

namespace ribalta::feed {

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
class Random {
 public:
  explicit constexpr Random(std::uint64_t seed, std::uint64_t stream = 0)
      : state_(mixed(seed) ^ mixed(stream + 0x632be59bd9b4e019)) {}

  constexpr std::uint64_t bits() { return mixed(state_ += 0x9e3779b97f4a7c15); }
  /// 0 included, 1 not.
  constexpr double uniform() { return static_cast<double>(bits() >> 11) * 0x1p-53; }
  /// Below `count`, which is over 0.
  constexpr std::uint64_t below(std::uint64_t count) { return bits() % count; }
  double normal() {
    const double radius = std::sqrt(-2 * std::log(1 - uniform()));
    return radius * std::cos(2 * std::numbers::pi * uniform());
  }

 private:
  static constexpr std::uint64_t mixed(std::uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
  }
  std::uint64_t state_;
};

}  // namespace ribalta::feed
