// Playback tokens: who may fetch what until when, without asking anybody. The control plane signs them with Ed25519
// (RFC 8032); edges hold the public half, which checks and can make nothing: an edge on another machine that is taken
// over signs no link. No dependency but OpenSSL's libcrypto: the nginx module links this.
//
// Text form, URL-safe:  v2.{key id}.{expiry, unix s, base 36}.{audience}.{prefix, base64url}.{signature, base64url}
// The signature is over everything before its dot. Expiry is rounded up by `mint`, so that one viewer gets the same URL
// for an hour. `v1` is the same with an HMAC-SHA256 and a key that both sides share: for links made by other programs
// of the same machine, and by releases before v2.
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

/// What checks tokens of one kind.
enum class TokenKeyKind : std::uint8_t { hmac, ed25519 };

struct TokenKey {
  std::string id;      ///< 1..8 of a-z 0-9
  std::string secret;  ///< 32 bytes; of ed25519 the public key, which is no secret
  TokenKeyKind kind = TokenKeyKind::hmac;
};

/// What signs tokens; only the control plane has it.
struct SigningKey {
  std::string id;
  std::string seed;  ///< 32 bytes: the private key as RFC 8032 has it
};
/// The half that edges get.
TokenKey public_half(const SigningKey& key);

struct TokenClaims {
  std::string audience;     ///< whom it was made for: a user's public id, or "any"; 1..32 of a-z 0-9 '-'
  std::string path_prefix;  ///< what it opens: begins and ends with '/', for example `/v/{video}/`
  std::int64_t expires_unix_s = 0;
  bool operator==(const TokenClaims&) const = default;
};

std::string mint_token(const SigningKey& key, const TokenClaims& claims);
std::string mint_token(const TokenKey& hmac_key, const TokenClaims& claims);
/// Expiry rounded up to the next full hour at least `lifetime` away.
std::int64_t rounded_expiry(std::int64_t now_unix_s, std::chrono::seconds lifetime);

/// @error malformed: not a token; unauthorized: unknown key, wrong
/// signature (a MAC is compared in constant time) or expired.
Result<TokenClaims> verify_token(const std::vector<TokenKey>& keys, std::string_view token, std::int64_t now_unix_s);
/// True when `path` (as the client sent it, decoded once) lies under the prefix; "..", "//" and NUL never do.
bool token_allows(const TokenClaims& claims, std::string_view path);

/// HMAC-SHA256 over text, 32 bytes as lower-case hex; and a comparison that takes the same time wherever they differ.
std::string hmac_sha256_hex(std::string_view secret, std::string_view message);
bool equal_constant_time(std::string_view a, std::string_view b);

}  // namespace ribalta
