#include "control-plane/ledger/terms.h"

#include <boost/describe/enum_to_string.hpp>
#include <charconv>

namespace ribalta::ledger {
namespace {

constexpr std::size_t kHalfDigits = 16;

bool read_half(std::string_view text, std::uint64_t& half) {
  for (const char digit : text) {
    if (!((digit >= '0' && digit <= '9') || (digit >= 'a' && digit <= 'f'))) return false;
  }
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), half, 16);
  return error == std::errc{} && end == text.data() + text.size();
}

}  // namespace

std::string key_text(std::uint64_t high, std::uint64_t low) {
  std::string text(2 * kHalfDigits, '0');
  std::size_t at = 2 * kHalfDigits;
  for (std::uint64_t half : {low, high}) {
    for (std::size_t i = 0; i < kHalfDigits; ++i, half >>= 4) text[--at] = "0123456789abcdef"[half & 15];
  }
  return text;
}

Result<void> parse_key(std::string_view text, std::uint64_t& high, std::uint64_t& low) {
  if (text.size() != 2 * kHalfDigits || !read_half(text.substr(0, kHalfDigits), high) ||
      !read_half(text.substr(kHalfDigits), low)) {
    return fail(Code::malformed, "not an id of the ledger: 32 lower-case hex digits are");
  }
  return {};
}

std::int64_t posted(const Balance& balance, Side normal) {
  const std::int64_t on_debit = balance.debits - balance.credits;
  return normal == Side::debit ? on_debit : -on_debit;
}

std::int64_t available(const Balance& balance, Side normal) {
  return posted(balance, normal) - (normal == Side::debit ? balance.credits_pending : balance.debits_pending);
}

std::string_view to_string(TransferStatus status) { return boost::describe::enum_to_string(status, ""); }

}  // namespace ribalta::ledger
