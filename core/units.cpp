#include "core/units.h"

#include <array>
#include <cstdio>
#include <ctime>

namespace ribalta {

std::string to_rfc3339(WallTime time) {
  const std::int64_t ms = to_unix_ms(time);
  const auto seconds = static_cast<std::time_t>(ms >= 0 ? ms / 1000 : (ms - 999) / 1000);
  const auto rest = static_cast<int>(ms - static_cast<std::int64_t>(seconds) * 1000);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", parts.tm_year + 1900, parts.tm_mon + 1,
                parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, rest);
  return text.data();
}

}  // namespace ribalta
