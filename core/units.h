// Times, money and counters as types, so that a second is never taken for a tick nor a cent for a coin.
#pragma once

#include <cassert>
#include <chrono>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace ribalta {

__extension__ using Int128 = __int128;

/// A time on a track's own clock: `ticks` counted in `timescale` ticks a second.
struct MediaTime {
  std::int64_t ticks = 0;
  std::uint32_t timescale = 1;
  bool operator==(const MediaTime&) const = default;
};

/// Video on the media bus always counts at 90 kHz; audio at its sample rate.
inline constexpr std::uint32_t kVideoTimescale = 90'000;

/// The same instant on another clock, rounded down: a segment never claims time it does not hold.
/// Times from outside are checked where they enter (under 2^32 s, timescale at most 10^9), so the result fits:
/// the assertions here can only be broken by us, never by a file.
/// The product needs 128 bits: a decode time counted from 1970 at 10 MHz (1.7e16) times 90 000
/// overflows 64. No floating point: a double loses ticks past 2^53 and audio drifts from video.
constexpr MediaTime rescale_floor(MediaTime time, std::uint32_t timescale) {
  assert(time.timescale > 0);
  const Int128 product = Int128{time.ticks} * timescale;
  const Int128 quotient = product / time.timescale;
  const bool rounded_up = product < 0 && product % time.timescale != 0;  // C++ division truncates
  const Int128 floor = quotient - (rounded_up ? 1 : 0);
  const auto ticks = static_cast<std::int64_t>(floor);
  assert(ticks == floor);
  return {ticks, timescale};
}

/// The same, rounded to the nearest tick: for timestamps, where a systematic floor would shift a track.
constexpr MediaTime rescale_nearest(MediaTime time, std::uint32_t timescale) {
  assert(time.timescale > 0);
  const Int128 product = Int128{time.ticks} * timescale * 2 + time.timescale;
  const Int128 divisor = Int128{time.timescale} * 2;
  const Int128 quotient = product / divisor;
  const Int128 floor = quotient - ((product < 0 && product % divisor != 0) ? 1 : 0);
  const auto ticks = static_cast<std::int64_t>(floor);
  assert(ticks == floor);
  return {ticks, timescale};
}

/// Orders two instants that may count on different clocks.
constexpr std::strong_ordering compare(MediaTime a, MediaTime b) {
  return Int128{a.ticks} * b.timescale <=> Int128{b.ticks} * a.timescale;
}

/// For playlists and log lines only; arithmetic stays in ticks.
constexpr double to_seconds(MediaTime time) { return static_cast<double>(time.ticks) / time.timescale; }
constexpr std::chrono::milliseconds to_milliseconds(MediaTime time) {
  return std::chrono::milliseconds{rescale_nearest(time, 1000).ticks};
}

/// A number that counts the holders of a lease: a writer with a lower one is refused. 0 is nobody.
struct Epoch {
  std::int64_t value = 0;
  auto operator<=>(const Epoch&) const = default;
};

/// ISO 4217 for real money; `XCO` are gift coins, `XDI` diamonds (codes that begin with X belong to no country).
struct Currency {
  char code[4] = {'E', 'U', 'R', '\0'};
  bool operator==(const Currency&) const = default;
  [[nodiscard]] constexpr std::string_view text() const { return {code, 3}; }
};

/// Money in the currency's minor unit (cents, yen, gift coins). Never a double.
struct Money {
  std::int64_t minor = 0;
  Currency currency{};
  bool operator==(const Money&) const = default;
};

using WallClock = std::chrono::system_clock;
using WallTime = std::chrono::time_point<WallClock, std::chrono::milliseconds>;
inline WallTime wall_now() { return std::chrono::time_point_cast<std::chrono::milliseconds>(WallClock::now()); }
/// Milliseconds since 1970-01-01T00:00:00Z, as SQL and JSON hold it.
constexpr std::int64_t to_unix_ms(WallTime time) { return time.time_since_epoch().count(); }
constexpr WallTime from_unix_ms(std::int64_t ms) { return WallTime{std::chrono::milliseconds{ms}}; }
/// `2026-11-23T21:28:03.123Z` (RFC 3339), as playlists, logs and the API write instants.
std::string to_rfc3339(WallTime time);

}  // namespace ribalta
