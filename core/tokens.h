// Playback tokens: who may fetch what until when, without asking anybody. Signed with HMAC-SHA256 (OpenSSL); the edge
// checks them with a key that only this role holds. No dependency but OpenSSL's libcrypto: the nginx module links this.
//
// Text form, URL-safe:  v1.{key id}.{expiry, unix s, base 36}.{audience}.{prefix, base64url}.{mac, base64url}
// The MAC is over everything before its dot. Expiry is rounded up by `mint`, so that one viewer gets the same URL for
// an hour.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace ribalta {

inline constexpr std::size_t kTokenCharsMax = 512;
inline constexpr std::size_t kTokenKeysMax = 8;  ///< keys accepted at once, while one is being replaced

struct TokenKey {
  std::string id;      ///< 1..8 of a-z 0-9
  std::string secret;  ///< 32 bytes
};

struct TokenClaims {
  std::string audience;     ///< whom it was made for: a user's public id, or "any"; 1..32 of a-z 0-9 '-'
  std::string path_prefix;  ///< what it opens: begins and ends with '/', for example `/v/{video}/`
  std::int64_t expires_unix_s = 0;
  bool operator==(const TokenClaims&) const = default;
};

std::string mint_token(const TokenKey& key, const TokenClaims& claims);
/// Expiry rounded up to the next full hour at least `lifetime` away.
std::int64_t rounded_expiry(std::int64_t now_unix_s, std::chrono::seconds lifetime);

/// @error malformed: not a token; unauthorized: unknown key, wrong MAC (compared in constant time) or expired.
Result<TokenClaims> verify_token(const std::vector<TokenKey>& keys, std::string_view token, std::int64_t now_unix_s);
/// True when `path` (as the client sent it, decoded once) lies under the prefix; "..", "//" and NUL never do.
bool token_allows(const TokenClaims& claims, std::string_view path);

/// HMAC-SHA256 over text, 32 bytes as lower-case hex; and a comparison that takes the same time wherever they differ.
std::string hmac_sha256_hex(std::string_view secret, std::string_view message);
bool equal_constant_time(std::string_view a, std::string_view b);

}  // namespace ribalta
