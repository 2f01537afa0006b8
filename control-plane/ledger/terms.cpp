#include "control-plane/ledger/terms.h"

#include <algorithm>
#include <array>
#include <boost/describe/enum_from_string.hpp>
#include <boost/describe/enum_to_string.hpp>
#include <cassert>
#include <charconv>

#include "core/bytes.h"

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

/// ISO 4217, list one (2025), without metals, funds and codes for testing. Never remove one, only add: a journal that
/// has it would be no journal any more.
constexpr auto kCurrencies = std::to_array<std::string_view>(
    {"AED", "AFN", "ALL", "AMD", "AOA", "ARS", "AUD", "AWG", "AZN", "BAM", "BBD", "BDT", "BGN", "BHD", "BIF", "BMD",
     "BND", "BOB", "BRL", "BSD", "BTN", "BWP", "BYN", "BZD", "CAD", "CDF", "CHF", "CLP", "CNY", "COP", "CRC", "CUP",
     "CVE", "CZK", "DJF", "DKK", "DOP", "DZD", "EGP", "ERN", "ETB", "EUR", "FJD", "FKP", "GBP", "GEL", "GHS", "GIP",
     "GMD", "GNF", "GTQ", "GYD", "HKD", "HNL", "HTG", "HUF", "IDR", "ILS", "INR", "IQD", "IRR", "ISK", "JMD", "JOD",
     "JPY", "KES", "KGS", "KHR", "KMF", "KPW", "KRW", "KWD", "KYD", "KZT", "LAK", "LBP", "LKR", "LRD", "LSL", "LYD",
     "MAD", "MDL", "MGA", "MKD", "MMK", "MNT", "MOP", "MRU", "MUR", "MVR", "MWK", "MXN", "MYR", "MZN", "NAD", "NGN",
     "NIO", "NOK", "NPR", "NZD", "OMR", "PAB", "PEN", "PGK", "PHP", "PKR", "PLN", "PYG", "QAR", "RON", "RSD", "RUB",
     "RWF", "SAR", "SBD", "SCR", "SDG", "SEK", "SGD", "SHP", "SLE", "SOS", "SRD", "SSP", "STN", "SVC", "SYP", "SZL",
     "THB", "TJS", "TMT", "TND", "TOP", "TRY", "TTD", "TWD", "TZS", "UAH", "UGX", "USD", "UYU", "UZS", "VED", "VES",
     "VND", "VUV", "WST", "XAF", "XCD", "XCG", "XCO", "XDI", "XOF", "XPF", "YER", "ZAR", "ZMW", "ZWG"});
static_assert(std::ranges::is_sorted(kCurrencies));

template <class Enum>
std::optional<Enum> read_enum(std::string_view text) {
  Enum value{};
  if (!boost::describe::enum_from_string(std::string{text}.c_str(), value)) return std::nullopt;
  return value;
}

}  // namespace

bool is_known(Currency currency) {
  return currency.code[3] == '\0' && std::ranges::binary_search(kCurrencies, currency.text());
}

Result<Currency> currency_of(std::string_view text) {
  const auto upper = [](char letter) { return letter >= 'A' && letter <= 'Z'; };
  if (text.size() != 3 || !std::ranges::all_of(text, upper)) return fail(Code::malformed, "not a currency's code");
  return Currency{{text[0], text[1], text[2], '\0'}};
}

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
    return fail(Code::malformed, "an id of the ledger is 32 digits of lower-case hex");
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
std::string_view to_string(Side side) { return boost::describe::enum_to_string(side, ""); }
std::string_view to_string(Kind kind) { return boost::describe::enum_to_string(kind, ""); }
std::string_view to_string(State state) { return boost::describe::enum_to_string(state, ""); }
std::optional<Side> side_of(std::string_view text) { return read_enum<Side>(text); }
std::optional<State> state_of(std::string_view text) { return read_enum<State>(text); }
std::string_view to_string(AccountStatus status) { return boost::describe::enum_to_string(status, ""); }

std::optional<TransferStatus> malformed(const Transfer& transfer) {
  assert(!to_string(transfer.kind).empty());  // only a cast makes another
  if (transfer.id == TransferId{}) return TransferStatus::id_missing;
  if (transfer.reference.size() > kReferenceBytesMax) return TransferStatus::reference_too_long;
  if (!is_utf8(transfer.reference) || transfer.reference.find('\0') != std::string::npos)
    return TransferStatus::reference_not_text;
  if (!is_known(transfer.amount.currency)) return TransferStatus::unknown_currency;
  return std::nullopt;
}

}  // namespace ribalta::ledger
