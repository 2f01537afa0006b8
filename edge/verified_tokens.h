// Tokens whose signature was checked already. A player fetches with one token for hours, and checking an Ed25519
// signature takes 0.1 ms: more than all the rest of a cached answer. One table a worker, of fixed size; a token that
// falls onto another's place takes it. Only what held is kept, under its whole text: nothing is believed by its hash.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/tokens.h"

namespace ribalta::edge {

inline constexpr std::size_t kVerifiedTokensMax = 2'048;  ///< of up to 512 characters each: 2 MB a worker when full

class VerifiedTokens {
 public:
  explicit VerifiedTokens(std::size_t places = kVerifiedTokensMax) : places_(places) {}

  /// The same as verify_token, with the same keys each time.
  Result<TokenClaims> verify(const std::vector<TokenKey>& keys, std::string_view token, std::int64_t now_unix_s);
  [[nodiscard]] std::uint64_t found() const { return found_; }

 private:
  struct Place {
    std::string token;
    TokenClaims claims;
  };
  std::vector<Place> places_;
  std::uint64_t found_ = 0;
};

}  // namespace ribalta::edge
