#include "core/bytes.h"

#include <array>

namespace ribalta {
namespace {

constexpr std::string_view kBase64{"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"};
constexpr std::string_view kBase64Url{"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"};

std::string encode_base64(ByteSpan bytes, std::string_view alphabet, bool padded) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      group = (group << 8) | (k < count ? std::to_integer<std::uint32_t>(bytes[i + k]) : 0U);
    }
    for (std::size_t k = 0; k < count + 1; ++k) out.push_back(alphabet[(group >> (18 - 6 * k)) & 63]);
    if (padded) out.append(3 - count, '=');
  }
  return out;
}

Result<Bytes> decode_base64(std::string_view text, std::string_view alphabet, bool padded) {
  if (padded) {
    if (text.size() % 4 != 0) return fail(Code::malformed, "base64: characters", text.size());
    for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  }
  if (text.size() % 4 == 1) return fail(Code::malformed, "base64: characters", text.size());
  Bytes out;
  out.reserve(text.size() * 3 / 4);
  std::uint32_t group = 0;
  int bits = 0;
  for (const char c : text) {
    const std::size_t value = alphabet.find(c);
    if (value == std::string_view::npos) return fail(Code::malformed, "base64: not of its alphabet");
    group = (group << 6) | static_cast<std::uint32_t>(value);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out.push_back(static_cast<std::byte>(group >> bits));
    }
  }
  // What is left over must be zero, so that one value has one spelling.
  if ((group & ((1U << bits) - 1)) != 0) return fail(Code::malformed, "base64: bits after the end");
  return out;
}

}  // namespace

bool is_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const auto first = static_cast<unsigned char>(text[at++]);
    if (first < 0x80) continue;
    const std::size_t more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
    if (first < 0xC2 || first > 0xF4 || text.size() - at < more) return false;
    // The second byte's range is where overlong forms, surrogates and what is too large differ from the rest.
    const auto second = static_cast<unsigned char>(text[at]);
    const unsigned char least = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    const unsigned char most = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (second < least || second > most) return false;
    for (std::size_t i = 1; i < more; ++i) {
      if ((static_cast<unsigned char>(text[at + i]) & 0xC0) != 0x80) return false;
    }
    at += more;
  }
  return true;
}

std::string to_hex(ByteSpan bytes) {
  constexpr std::string_view digits{"0123456789abcdef"};
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const std::byte byte : bytes) {
    out.push_back(digits[std::to_integer<std::size_t>(byte) >> 4]);
    out.push_back(digits[std::to_integer<std::size_t>(byte) & 15]);
  }
  return out;
}

Result<Bytes> from_hex(std::string_view text) {
  Bytes out;
  int high = -1;
  for (const char c : text) {
    if (c == ' ' || c == '\n' || c == '\t' || c == '\r') continue;
    int digit = -1;
    if (c >= '0' && c <= '9') digit = c - '0';
    if (c >= 'a' && c <= 'f') digit = c - 'a' + 10;
    if (c >= 'A' && c <= 'F') digit = c - 'A' + 10;
    if (digit < 0) return fail(Code::malformed, "hex: not a digit");
    if (high < 0) {
      high = digit;
    } else {
      out.push_back(static_cast<std::byte>(high * 16 + digit));
      high = -1;
    }
  }
  if (high >= 0) return fail(Code::malformed, "hex: odd count of digits");
  return out;
}

std::string to_base64url(ByteSpan bytes) { return encode_base64(bytes, kBase64Url, false); }
Result<Bytes> from_base64url(std::string_view text) { return decode_base64(text, kBase64Url, false); }
std::string to_base64(ByteSpan bytes) { return encode_base64(bytes, kBase64, true); }
Result<Bytes> from_base64(std::string_view text) { return decode_base64(text, kBase64, true); }

}  // namespace ribalta
