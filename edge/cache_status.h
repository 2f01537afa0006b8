// The Cache-Status field (RFC 9211) of a media answer, from what nginx's cache did.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ribalta::edge {

enum class CacheUse : std::uint8_t {
  none,         ///< the cache was not looked at: refused or answered by the edge itself
  miss,         ///< not there, asked the origin
  bypass,       ///< asked the origin without looking
  expired,      ///< there and too old, the origin's answer was used
  revalidated,  ///< there and too old, the origin said that it still holds
  stale,        ///< there and too old, used because the origin failed, or while it is asked in the background
  updating,     ///< there and too old, used while somebody else asks
  hit,
};
inline constexpr std::size_t kCacheUses = 8;

struct CacheFacts {
  CacheUse use = CacheUse::none;
  bool stored = false;                ///< the origin's answer is kept
  bool collapsed = false;             ///< waited for another request for the same thing
  bool origin_asked = false;          ///< this request tried the origin
  std::optional<std::int64_t> ttl_s;  ///< seconds of freshness left, negative when stale
  unsigned status = 0;                ///< of the answer; in the detail where the edge refused
};

std::string cache_status(const CacheFacts& facts);

}  // namespace ribalta::edge
