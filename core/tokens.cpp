#include "core/tokens.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>

#include "core/bytes.h"

namespace ribalta {
namespace {

constexpr std::string_view kVersion{"v1"};
constexpr std::size_t kTokenFields = 6;
constexpr std::size_t kMacBytes = 32;
constexpr std::size_t kKeyIdCharsMax = 8;
constexpr std::size_t kAudienceCharsMax = 32;
constexpr std::int64_t kHour = 3600;

using Mac = std::array<std::byte, kMacBytes>;

Mac hmac_sha256(std::string_view secret, std::string_view message) {
  Mac mac{};
  unsigned int size = 0;
  const unsigned char* made = HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
                                   reinterpret_cast<const unsigned char*>(message.data()), message.size(),
                                   reinterpret_cast<unsigned char*>(mac.data()), &size);
  assert(made != nullptr && size == kMacBytes);  // it only fails for want of memory
  return mac;
}

bool is_of(std::string_view text, std::size_t max, std::string_view more) {
  return !text.empty() && text.size() <= max && std::ranges::all_of(text, [more](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || more.find(c) != std::string_view::npos;
  });
}

/// A path, decoded, that stays where it says: absolute, no empty or dot segments, no NUL.
bool is_plain_path(std::string_view path) {
  if (!path.starts_with('/') || path.find('\0') != std::string_view::npos) return false;
  for (std::size_t at = 1; at <= path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view segment = path.substr(at, end - at);
    const bool last = end == path.size();
    if (segment == "." || segment == ".." || (segment.empty() && !last)) return false;
    at = end + 1;
  }
  return true;
}

bool is_prefix(std::string_view prefix) { return prefix.ends_with('/') && is_plain_path(prefix); }

std::string base36(std::int64_t number) {
  std::array<char, 16> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number, 36);
  return {text.data(), end.ptr};
}

}  // namespace

std::string mint_token(const TokenKey& key, const TokenClaims& claims) {
  assert(is_of(key.id, kKeyIdCharsMax, "") && key.secret.size() == kMacBytes);
  assert(is_of(claims.audience, kAudienceCharsMax, "-"));
  assert(is_prefix(claims.path_prefix));
  assert(claims.expires_unix_s > 0);
  std::string token = std::string{kVersion} + "." + key.id + "." + base36(claims.expires_unix_s) + "." +
                      claims.audience + "." + to_base64url(as_bytes(claims.path_prefix));
  const Mac mac = hmac_sha256(key.secret, token);
  token += "." + to_base64url(mac);
  assert(token.size() <= kTokenCharsMax);
  return token;
}

std::int64_t rounded_expiry(std::int64_t now_unix_s, std::chrono::seconds lifetime) {
  const std::int64_t least = now_unix_s + lifetime.count();
  return (least + kHour - 1) / kHour * kHour;
}

Result<TokenClaims> verify_token(const std::vector<TokenKey>& keys, std::string_view token, std::int64_t now_unix_s) {
  if (token.size() > kTokenCharsMax) return fail(Code::malformed, "token: too long");
  std::array<std::string_view, kTokenFields> fields;
  std::size_t at = 0;
  for (std::size_t i = 0; i < kTokenFields; ++i) {
    const std::size_t dot = std::min(token.find('.', at), token.size());
    if ((dot == token.size()) != (i + 1 == kTokenFields)) return fail(Code::malformed, "token: not six fields");
    fields[i] = token.substr(at, dot - at);
    at = dot + 1;
  }
  const auto [version, key_id, expiry, audience, prefix, mac] = fields;
  if (version != kVersion) return fail(Code::malformed, "token: version");

  // The MAC first: nothing else of a stranger's token is believed, nor told apart.
  const Result<Bytes> given = from_base64url(mac);
  if (!given || given->size() != kMacBytes) return fail(Code::malformed, "token: signature");
  const auto key = std::ranges::find(keys, key_id, &TokenKey::id);
  if (key == keys.end()) return fail(Code::unauthorized, "token: unknown key");
  const Mac expected = hmac_sha256(key->secret, token.substr(0, token.size() - mac.size() - 1));
  if (!equal_constant_time(as_text(*given), as_text(expected))) return fail(Code::unauthorized, "token: signature");

  TokenClaims claims;
  const auto [end, error] = std::from_chars(expiry.data(), expiry.data() + expiry.size(), claims.expires_unix_s, 36);
  const Result<Bytes> decoded = from_base64url(prefix);
  if (error != std::errc{} || end != expiry.data() + expiry.size()) return fail(Code::malformed, "token: expiry");
  if (!decoded || !is_prefix(as_text(*decoded))) return fail(Code::malformed, "token: path");
  if (!is_of(audience, kAudienceCharsMax, "-")) return fail(Code::malformed, "token: audience");
  if (now_unix_s >= claims.expires_unix_s) return fail(Code::unauthorized, "token: expired");
  claims.audience = audience;
  claims.path_prefix = as_text(*decoded);
  return claims;
}

bool token_allows(const TokenClaims& claims, std::string_view path) {
  return is_plain_path(path) && is_prefix(claims.path_prefix) && path.starts_with(claims.path_prefix);
}

std::string hmac_sha256_hex(std::string_view secret, std::string_view message) {
  const Mac mac = hmac_sha256(secret, message);
  return to_hex(mac);
}

bool equal_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace ribalta
