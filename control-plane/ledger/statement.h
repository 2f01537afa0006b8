// What one account has seen: its lines in order, and its balance at an instant.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "control-plane/ledger/store.h"
#include "core/result.h"

namespace ribalta::ledger {

/// One of an account's lines.
struct StatementLine {
  Row row;
  Entry entry;
  Side side = Side::debit;  ///< on which the account stands in it
  Balance after;            ///< the account's
};

/// The last line at or before an instant; 0: there is none. Some thirty lookups, whatever the size of the journal.
Result<std::int64_t> sequence_at(Store& store, std::int64_t time_ms);

/// Up to `limit` lines of an account at or before line `last`, the latest first.
Result<std::vector<StatementLine>> statement(Store& store, AccountId account, std::int64_t last, std::size_t limit);

/// What an account had after the last line at or before an instant.
/// @error not_found: there is no such account (now).
Result<Balance> balance_at(Store& store, AccountId account, std::int64_t time_ms);

}  // namespace ribalta::ledger
