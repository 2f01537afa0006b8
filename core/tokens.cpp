#include "core/tokens.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>
#include <memory>

#include "core/bytes.h"

namespace ribalta {
namespace {

constexpr std::size_t kTokenFields = 6;
constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kMacBytes = 32;
constexpr std::size_t kSignatureBytes = 64;
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

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct FreeDigest {
  void operator()(EVP_MD_CTX* digest) const { EVP_MD_CTX_free(digest); }
};
using Key = std::unique_ptr<EVP_PKEY, FreeKey>;
using Digest = std::unique_ptr<EVP_MD_CTX, FreeDigest>;

const unsigned char* raw(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

std::string ed25519_sign(std::string_view seed, std::string_view message) {
  const Key key{EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, raw(seed), seed.size())};
  const Digest digest{EVP_MD_CTX_new()};
  std::string signature(kSignatureBytes, '\0');
  std::size_t size = signature.size();
  const bool made = key && digest && EVP_DigestSignInit(digest.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
                    EVP_DigestSign(digest.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                                   raw(message), message.size()) == 1;
  assert(made && size == kSignatureBytes);  // it only fails for want of memory
  return signature;
}

bool ed25519_verifies(std::string_view public_key, std::string_view message, std::string_view signature) {
  const Key key{EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, raw(public_key), public_key.size())};
  const Digest digest{EVP_MD_CTX_new()};
  return key && digest && EVP_DigestVerifyInit(digest.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
         EVP_DigestVerify(digest.get(), raw(signature), signature.size(), raw(message), message.size()) == 1;
}

std::string_view version_of(TokenKeyKind kind) { return kind == TokenKeyKind::ed25519 ? "v2" : "v1"; }

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

std::string unsigned_token(TokenKeyKind kind, const std::string& key_id, const TokenClaims& claims) {
  assert(is_of(key_id, kKeyIdCharsMax, ""));
  assert(is_of(claims.audience, kAudienceCharsMax, "-"));
  assert(is_prefix(claims.path_prefix));
  assert(claims.expires_unix_s > 0);
  return std::string{version_of(kind)} + "." + key_id + "." + base36(claims.expires_unix_s) + "." + claims.audience +
         "." + to_base64url(as_bytes(claims.path_prefix));
}

/// Whether `signature`, as it came, is the key's over `message`. @error malformed: no signature of that kind.
Result<bool> is_signed(const TokenKey& key, std::string_view message, std::string_view signature) {
  const Result<Bytes> given = from_base64url(signature);
  const std::size_t wanted = key.kind == TokenKeyKind::ed25519 ? kSignatureBytes : kMacBytes;
  if (!given || given->size() != wanted) return fail(Code::malformed, "token: signature");
  if (key.kind == TokenKeyKind::ed25519) return ed25519_verifies(key.secret, message, as_text(*given));
  const Mac expected = hmac_sha256(key.secret, message);
  return equal_constant_time(as_text(*given), as_text(expected));
}

}  // namespace

TokenKey public_half(const SigningKey& key) {
  const Key whole{EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, raw(key.seed), key.seed.size())};
  TokenKey half{.id = key.id, .secret = std::string(kKeyBytes, '\0'), .kind = TokenKeyKind::ed25519};
  std::size_t size = half.secret.size();
  const bool made = whole && EVP_PKEY_get_raw_public_key(
                                 whole.get(), reinterpret_cast<unsigned char*>(half.secret.data()), &size) == 1;
  assert(made && size == kKeyBytes);
  return half;
}

std::string mint_token(const SigningKey& key, const TokenClaims& claims) {
  assert(key.seed.size() == kKeyBytes);
  std::string token = unsigned_token(TokenKeyKind::ed25519, key.id, claims);
  const std::string signature = ed25519_sign(key.seed, token);
  token += "." + to_base64url(as_bytes(signature));
  assert(token.size() <= kTokenCharsMax);
  return token;
}

std::string mint_token(const TokenKey& hmac_key, const TokenClaims& claims) {
  assert(hmac_key.kind == TokenKeyKind::hmac && hmac_key.secret.size() == kKeyBytes);
  std::string token = unsigned_token(TokenKeyKind::hmac, hmac_key.id, claims);
  const Mac mac = hmac_sha256(hmac_key.secret, token);
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
  const auto [version, key_id, expiry, audience, prefix, signature] = fields;
  if (version != version_of(TokenKeyKind::hmac) && version != version_of(TokenKeyKind::ed25519)) {
    return fail(Code::malformed, "token: version");
  }

  // The signature first: nothing else of a stranger's token is believed, nor told apart.
  const auto key = std::ranges::find(keys, key_id, &TokenKey::id);
  if (key == keys.end() || version_of(key->kind) != version) return fail(Code::unauthorized, "token: unknown key");
  const Result<bool> good = is_signed(*key, token.substr(0, token.size() - signature.size() - 1), signature);
  if (!good) return pass(good);
  if (!*good) return fail(Code::unauthorized, "token: signature");

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
