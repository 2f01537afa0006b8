#include "edge/cache_status.h"

namespace ribalta::edge {
namespace {

std::string ttl(const CacheFacts& facts) { return facts.ttl_s ? "; ttl=" + std::to_string(*facts.ttl_s) : ""; }

std::string forwarded(const CacheFacts& facts, std::string_view reason) {
  std::string out = "; fwd=";
  out += reason;
  if (facts.stored) out += "; stored";
  if (facts.stored) out += ttl(facts);
  if (facts.collapsed) out += "; collapsed";
  return out;
}

}  // namespace

std::string cache_status(const CacheFacts& facts) {
  std::string name = "ribalta-edge";
  switch (facts.use) {
    case CacheUse::none:
      return name + "; detail=edge-" + std::to_string(facts.status);
    case CacheUse::miss:
      return name + forwarded(facts, "miss");
    case CacheUse::bypass:
      return name + forwarded(facts, "bypass");
    case CacheUse::expired:
      return name + forwarded(facts, "stale");
    case CacheUse::revalidated:
      return name + "; fwd=stale; fwd-status=304; stored" + ttl(facts);
    case CacheUse::stale:
      // Asked and not answered: forwarded, although the body comes from the cache.
      if (facts.origin_asked) return name + "; fwd=stale; detail=origin-failed";
      return name + "; hit" + ttl(facts) + "; detail=stale";
    case CacheUse::updating:
      return name + "; hit" + ttl(facts) + "; detail=updating";
    case CacheUse::hit:
      // A waiter finds the answer that another request fetched meanwhile: for the origin it was one request.
      if (facts.collapsed) return name + "; fwd=miss; collapsed" + ttl(facts);
      return name + "; hit" + ttl(facts);
  }
  return name;
}

}  // namespace ribalta::edge
