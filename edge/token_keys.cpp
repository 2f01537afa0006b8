#include "edge/token_keys.h"

#include <algorithm>

namespace ribalta::edge {
namespace {

constexpr std::size_t kIdCharsMax = 8;
constexpr std::size_t kSecretHexChars = 64;
constexpr std::string_view kPublic{"ed25519 "};

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_key_id(std::string_view text) {
  return !text.empty() && text.size() <= kIdCharsMax &&
         std::ranges::all_of(text, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); });
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlank{" \t\r"};
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

Result<TokenKey> read_key(std::string_view line, std::size_t number) {
  const std::size_t blank = line.find_first_of(" \t");
  const std::string_view id = line.substr(0, blank);
  std::string_view hex = blank == std::string_view::npos ? std::string_view{} : trim(line.substr(blank));
  const bool is_public = hex.starts_with(kPublic);
  if (is_public) hex = trim(hex.substr(kPublic.size()));
  if (!is_key_id(id)) return fail(Code::malformed, "token keys: id in line", number);
  if (hex.size() != kSecretHexChars) return fail(Code::malformed, "token keys: 64 hex digits wanted in line", number);
  TokenKey key{.id = std::string{id}, .secret = {}, .kind = is_public ? TokenKeyKind::ed25519 : TokenKeyKind::hmac};
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const int high = hex_value(hex[i]);
    const int low = hex_value(hex[i + 1]);
    if (high < 0 || low < 0) return fail(Code::malformed, "token keys: 64 hex digits wanted in line", number);
    key.secret += static_cast<char>(high * 16 + low);
  }
  return key;
}

}  // namespace

Result<std::vector<TokenKey>> parse_token_keys(std::string_view text) {
  if (text.size() > kTokenKeyFileBytesMax) return fail(Code::limit, "token keys: bytes", text.size());
  std::vector<TokenKey> keys;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    line = trim(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    Result<TokenKey> key = read_key(line, number);
    if (!key) return pass(key);
    if (std::ranges::find(keys, key->id, &TokenKey::id) != keys.end()) {
      return fail(Code::malformed, "token keys: id again in line", number);
    }
    if (keys.size() == kTokenKeysMax) return fail(Code::limit, "token keys: more than", kTokenKeysMax);
    keys.push_back(std::move(*key));
  }
  return keys;
}

}  // namespace ribalta::edge
