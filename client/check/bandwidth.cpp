#include "client/check/bandwidth.h"

#include <algorithm>

#include "core/units.h"

namespace ribalta::check {
namespace {

std::int64_t rate(std::uint64_t bytes, std::int64_t duration_us) {
  if (duration_us <= 0) return 0;
  return static_cast<std::int64_t>(Int128{static_cast<std::int64_t>(bytes)} * 8 * 1'000'000 / duration_us);
}

}  // namespace

std::int64_t average_bandwidth(std::span<const Sized> segments) {
  std::int64_t us = 0;
  std::uint64_t bytes = 0;
  for (const Sized& segment : segments) {
    us += segment.duration_us;
    bytes += segment.bytes;
  }
  return rate(bytes, us);
}

std::int64_t peak_bandwidth(std::span<const Sized> segments, std::int64_t target_duration_s) {
  const std::int64_t shortest_us = target_duration_s * 500'000;
  const std::int64_t longest_us = target_duration_s * 1'500'000;
  std::int64_t peak = 0;
  bool some = false;
  for (std::size_t begin = 0; begin < segments.size(); ++begin) {
    std::int64_t us = 0;
    std::uint64_t bytes = 0;
    for (std::size_t end = begin; end < segments.size(); ++end) {
      us += segments[end].duration_us;
      bytes += segments[end].bytes;
      if (us > longest_us) break;
      if (us < shortest_us) continue;
      peak = std::max(peak, rate(bytes, us));
      some = true;
    }
  }
  return some ? peak : average_bandwidth(segments);
}

}  // namespace ribalta::check
