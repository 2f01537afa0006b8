// What the ledger is asked, and what it answers. It knows accounts, transfers between two of them, and nothing of why.
#pragma once

#include <boost/describe/enum.hpp>
#include <compare>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"
#include "core/units.h"

namespace ribalta::ledger {

/// 128 bits that whoever asks has chosen: the same id again is the same request again. 32 hex digits as text. All zero
/// is none.
template <class Kind>
struct Key {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  auto operator<=>(const Key&) const = default;
};
using AccountId = Key<struct AccountKind>;
using TransferId = Key<struct TransferKind>;

/// 32 hex digits, lower case.
std::string key_text(std::uint64_t high, std::uint64_t low);
template <class Kind>
std::string to_text(const Key<Kind>& key) {
  return key_text(key.high, key.low);
}
/// @error malformed: not 32 lower-case hex digits.
Result<void> parse_key(std::string_view text, std::uint64_t& high, std::uint64_t& low);
template <class Kind>
Result<Key<Kind>> key_of(std::string_view text) {
  Key<Kind> key;
  if (const Result<void> read = parse_key(text, key.high, key.low); !read) return pass(read);
  return key;
}

/// More than any account or transfer may ever hold, in minor units: sums of four such still fit 64 bits.
inline constexpr std::int64_t kTotalMax = std::int64_t{1} << 61;
/// One transfer: ten million million euros in cents.
inline constexpr std::int64_t kAmountMax = 1'000'000'000'000'000;
/// Transfers that stand or fall together.
inline constexpr std::size_t kLinkedMax = 64;
inline constexpr std::size_t kReferenceBytesMax = 64;
/// What is pending at one time, in all: the writer holds these in memory (about 400 bytes each).
inline constexpr std::size_t kPendingMax = 250'000;
/// As an expiry: it never comes.
inline constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

/// The side on which an account grows: assets and costs on debit, liabilities, capital and income on credit.
enum class Side : std::uint8_t { debit, credit };
BOOST_DESCRIBE_ENUM(Side, debit, credit)
std::string_view to_string(Side side);
std::optional<Side> side_of(std::string_view text);

struct AccountTerms {
  AccountId id;
  Currency currency{};
  Side normal = Side::credit;
  bool may_go_negative = false;
  bool operator==(const AccountTerms&) const = default;
};

/// What has moved and what is pending, on each side, in minor units.
struct Balance {
  std::int64_t debits = 0;
  std::int64_t credits = 0;
  std::int64_t debits_pending = 0;
  std::int64_t credits_pending = 0;
  bool operator==(const Balance&) const = default;
};
/// On the account's normal side; negative where it may be.
std::int64_t posted(const Balance& balance, Side normal);
/// What can still leave: posted, less what is pending on its way out. What is pending on its way in does not count yet.
std::int64_t available(const Balance& balance, Side normal);

enum class Kind : std::uint8_t {
  direct,        ///< moves at once
  pending,       ///< keeps the amount aside until it is posted or voided, or expires
  post_pending,  ///< moves what `of` keeps aside, or less of it: the rest is free again
  void_pending,  ///< all that `of` keeps aside is free again
  reversal,      ///< moves back what `of` moved, or a part of it
};

BOOST_DESCRIBE_ENUM(Kind, direct, pending, post_pending, void_pending, reversal)
std::string_view to_string(Kind kind);

/// As it was asked. `debit` and `credit` are of direct and pending alone; the others take them from `of`.
struct Transfer {
  TransferId id;
  Kind kind = Kind::direct;
  AccountId debit;
  AccountId credit;
  Money amount;                 ///< void_pending: zero
  TransferId of;                ///< post_pending, void_pending, reversal
  std::int64_t expires_ms = 0;  ///< pending: Unix time; 0: never
  std::string reference;        ///< the caller's own text, at most kReferenceBytesMax; the ledger never looks into it
  bool operator==(const Transfer&) const = default;
};

/// Each reason is a value of its own, in the order in which it is checked. `created` and `exists` are success.
enum class TransferStatus : std::uint8_t {
  created,
  exists,      ///< a retry of what was created
  id_missing,  ///< all zero; this and the next three are no request at all: nothing of it is kept
  reference_too_long,
  reference_not_text,  ///< not UTF-8, or a NUL in it
  unknown_currency,
  exists_with_different_terms,  ///< the id is taken by another body
  linked_transfer_failed,       ///< this one was good; another that it is linked to was not
  fields_of_another_kind,       ///< accounts, `of` or an expiry where the kind has none, or none where it has one
  amount_must_be_positive,
  amount_over_limit,
  original_not_found,
  original_of_another_kind,  ///< posts or voids what was never pending, reverses what moved nothing
  pending_already_posted,
  pending_already_voided,
  pending_expired,
  accounts_must_differ,
  account_not_found,
  account_closed,
  currency_mismatch,
  expiry_in_the_past,
  amount_over_original,  ///< more than is pending, or than is left to reverse
  insufficient_funds,
  balance_over_limit,
  too_many_pending,
};
BOOST_DESCRIBE_ENUM(TransferStatus, created, exists, id_missing, reference_too_long, reference_not_text,
                    unknown_currency, exists_with_different_terms, linked_transfer_failed, fields_of_another_kind,
                    amount_must_be_positive, amount_over_limit, original_not_found, original_of_another_kind,
                    pending_already_posted, pending_already_voided, pending_expired, accounts_must_differ,
                    account_not_found, account_closed, currency_mismatch, expiry_in_the_past, amount_over_original,
                    insufficient_funds, balance_over_limit, too_many_pending)
std::string_view to_string(TransferStatus status);
/// Why this is no request at all, whatever the ledger holds; nothing: it may be asked.
std::optional<TransferStatus> malformed(const Transfer& transfer);
/// What was created, now or before.
constexpr bool is_success(TransferStatus status) {
  return status == TransferStatus::created || status == TransferStatus::exists;
}

enum class AccountStatus : std::uint8_t { created, exists, id_missing, exists_with_different_terms, unknown_currency };
BOOST_DESCRIBE_ENUM(AccountStatus, created, exists, id_missing, exists_with_different_terms, unknown_currency)
std::string_view to_string(AccountStatus status);
/// One of ISO 4217's that people pay with, `XCO` (coins) or `XDI` (diamonds).
bool is_known(Currency currency);
/// @error malformed: not three capital letters.
Result<Currency> currency_of(std::string_view text);

/// Where a transfer's amount is now.
enum class State : std::uint8_t { refused, moved, pending, posted, voided, expired };
BOOST_DESCRIBE_ENUM(State, refused, moved, pending, posted, voided, expired)
std::string_view to_string(State state);
std::optional<State> state_of(std::string_view text);

}  // namespace ribalta::ledger

template <class Kind>
struct std::hash<ribalta::ledger::Key<Kind>> {
  std::size_t operator()(const ribalta::ledger::Key<Kind>& key) const noexcept {
    return std::hash<std::uint64_t>{}(key.high ^ (key.low * 0x9e3779b97f4a7c15));
  }
};
