#include "core/media/cmaf_boxes.h"

namespace ribalta::media {
namespace {
constexpr std::int64_t kNtpToUnixSeconds = 2'208'988'800;  // 1900-01-01 to 1970-01-01, RFC 5905 figure 4
}

std::uint64_t to_ntp(WallTime time) {
  const std::int64_t ms = to_unix_ms(time);
  const std::int64_t seconds = ms >= 0 ? ms / 1000 : (ms - 999) / 1000;
  const auto rest = static_cast<std::uint64_t>(ms - seconds * 1000);
  // Seconds wrap in 2036 (era 1), as the 32 bits on the wire do.
  const auto ntp_seconds = static_cast<std::uint32_t>(seconds + kNtpToUnixSeconds);
  const std::uint64_t fraction = ((rest << 32) + 500) / 1000;
  return (std::uint64_t{ntp_seconds} << 32) + fraction;
}

WallTime from_ntp(std::uint64_t ntp) {
  auto seconds = static_cast<std::int64_t>(ntp >> 32);
  if (seconds < kNtpToUnixSeconds) seconds += std::int64_t{1} << 32;  // era 1: 2036 and later
  const std::uint64_t ms = ((ntp & 0xFFFFFFFF) * 1000 + (std::uint64_t{1} << 31)) >> 32;
  return from_unix_ms((seconds - kNtpToUnixSeconds) * 1000 + static_cast<std::int64_t>(ms));
}

}  // namespace ribalta::media
