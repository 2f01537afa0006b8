// Checks a ledger whole: the chain from the first line to the last, each answer against the rules, every balance beside
// it, and the tables that stand beside the journal.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "control-plane/ledger/store.h"
#include "core/result.h"

namespace ribalta::ledger {

struct Verified {
  End end;
  std::int64_t accounts = 0;
  std::int64_t transfers = 0;  ///< with those that were refused
  std::int64_t pending = 0;
  Book::TotalsByCurrency totals;
};

/// The hash of a line, as it was noted down elsewhere: against whoever rewrites all of a journal.
struct Noted {
  std::int64_t sequence = 0;
  std::string hash;
};

/// Reads the journal once, from its beginning; memory grows with accounts and with what is pending, not with lines.
/// A writer may go on meanwhile: the last lines and the tables are looked at as of one instant.
/// @param on_progress  lines read, lines there were at the beginning.
/// @error conflict, malformed: what is wrong, and where; else what the database says.
Result<Verified> verify(Store& store, const std::optional<Noted>& noted = {},
                        const std::function<void(std::int64_t, std::int64_t)>& on_progress = {});

/// The same, in the transaction that the store's connection is in.
Result<Verified> verify_within(Store& store, const std::optional<Noted>& noted = {});

}  // namespace ribalta::ledger
