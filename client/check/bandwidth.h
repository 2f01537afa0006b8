// Bit rates as RFC 8216 §4.3.4.2 counts them.
#pragma once

#include <cstdint>
#include <span>

namespace ribalta::check {

struct Sized {
  std::int64_t duration_us = 0;
  std::uint64_t bytes = 0;
};

/// Peak segment bit rate, bits/s: the largest over all runs of segments that last 0.5 to 1.5 targets together; over
/// everything, where no run is so long.
std::int64_t peak_bandwidth(std::span<const Sized> segments, std::int64_t target_duration_s);
/// Bits/s over everything; 0 for nothing.
std::int64_t average_bandwidth(std::span<const Sized> segments);

}  // namespace ribalta::check
