// Tokens whose signature was checked already. A player fetches with one token for hours, and checking an Ed25519
// signature takes 0.1 ms: more than all the rest of a cached answer. One table a worker, of fixed size: a token has a
// few places, by its hash, and takes that of the one there that was not asked for the longest. Only what held is kept,
// under its whole text: nothing is believed by its hash.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/tokens.h"

namespace ribalta::edge {

/// 1 MB a worker; 2 MB full of usual ones, 6 MB of the longest.
inline constexpr std::size_t kVerifiedTokensMax = 8'192;
/// With one place each, of 200 tokens every tenth would share it with another, and both be checked each time.
inline constexpr std::size_t kTokenPlaces = 8;

class VerifiedTokens {
 public:
  explicit VerifiedTokens(std::size_t sets = kVerifiedTokensMax / kTokenPlaces) : sets_(sets) {}

  /// The same as verify_token, with the same keys each time.
  Result<TokenClaims> verify(const std::vector<TokenKey>& keys, std::string_view token, std::int64_t now_unix_s);
  [[nodiscard]] std::uint64_t found() const { return found_; }

 private:
  struct Place {
    std::size_t hash = 0;
    std::uint64_t asked = 0;  ///< the larger, the later; 0: nobody is here
    std::string token;
    TokenClaims claims;
  };
  std::vector<std::array<Place, kTokenPlaces>> sets_;
  std::uint64_t asked_ = 0;
  std::uint64_t found_ = 0;
};

}  // namespace ribalta::edge
