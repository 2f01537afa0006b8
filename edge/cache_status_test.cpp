#include "edge/cache_status.h"

#include <doctest/doctest.h>

namespace ribalta::edge {
namespace {

TEST_CASE("Cache-Status: each thing that the cache does has its own words (RFC 9211)") {
  using enum CacheUse;
  CHECK(cache_status({.use = hit, .ttl_s = 7}) == "ribalta-edge; hit; ttl=7");
  CHECK(cache_status({.use = hit, .collapsed = true, .ttl_s = 7}) == "ribalta-edge; fwd=miss; collapsed; ttl=7");
  CHECK(cache_status({.use = miss, .stored = true, .ttl_s = 7}) == "ribalta-edge; fwd=miss; stored; ttl=7");
  CHECK(cache_status({.use = miss, .ttl_s = -7}) == "ribalta-edge; fwd=miss");
  CHECK(cache_status({.use = expired, .stored = true}) == "ribalta-edge; fwd=stale; stored");
  CHECK(cache_status({.use = stale, .origin_asked = true, .ttl_s = -3}) ==
        "ribalta-edge; fwd=stale; detail=origin-failed");
  CHECK(cache_status({.use = stale, .ttl_s = -3}) == "ribalta-edge; hit; ttl=-3; detail=stale");
  CHECK(cache_status({.use = updating, .ttl_s = -3}) == "ribalta-edge; hit; ttl=-3; detail=updating");
  CHECK(cache_status({.use = revalidated, .ttl_s = 2}) == "ribalta-edge; fwd=stale; fwd-status=304; stored; ttl=2");
  CHECK(cache_status({.use = bypass}) == "ribalta-edge; fwd=bypass");
  CHECK(cache_status({.use = none, .status = 403}) == "ribalta-edge; detail=edge-403");
}

}  // namespace
}  // namespace ribalta::edge
