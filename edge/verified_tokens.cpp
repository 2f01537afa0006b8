#include "edge/verified_tokens.h"

#include <algorithm>
#include <functional>

namespace ribalta::edge {

Result<TokenClaims> VerifiedTokens::verify(const std::vector<TokenKey>& keys, std::string_view token,
                                           std::int64_t now_unix_s) {
  const std::size_t hash = std::hash<std::string_view>{}(token);
  auto& set = sets_[hash % sets_.size()];
  for (Place& place : set) {
    if (place.asked == 0 || place.hash != hash || place.token != token) continue;
    if (now_unix_s >= place.claims.expires_unix_s) return fail(Code::unauthorized, "token: expired");
    place.asked = ++asked_;
    ++found_;
    return place.claims;
  }
  Result<TokenClaims> claims = verify_token(keys, token, now_unix_s);
  if (claims) *std::ranges::min_element(set, {}, &Place::asked) = {hash, ++asked_, std::string{token}, *claims};
  return claims;
}

}  // namespace ribalta::edge
