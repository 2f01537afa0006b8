// What one batch of requests does to the ledger: brings into memory what they name, lets the book judge them, and lists
// what has to be written. No threads and no clock: the writer turns its handle.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include "control-plane/ledger/book.h"
#include "control-plane/ledger/store.h"

namespace ribalta::ledger {

/// Accounts that stay in memory from one batch to the next (about 500 bytes each); beyond, those that the last batch
/// did not touch are forgotten.
inline constexpr std::size_t kAccountsKeptMax = 250'000;

struct OpenAccount {
  AccountTerms terms;
};
struct CloseAccount {
  AccountId id;
};
using Linked = std::vector<Transfer>;
using Request = std::variant<Linked, OpenAccount, CloseAccount>;

/// Closing: true where there is such an account.
using Answers = std::variant<std::vector<TransferStatus>, AccountStatus, bool>;

class Desk {
 public:
  /// As the store's ledger stands.
  static Result<Desk> load(Store& store);

  /// Brings in what a batch names and memory does not have, and what expires by `now_ms`.
  Result<void> prepare(Store& store, std::span<const Request* const> batch, std::int64_t now_ms);
  /// Judges one of a batch that was prepared. Groups are well formed.
  Answers take(const Request& request, std::int64_t now_ms);
  /// What is pending and whose time has come.
  void expire(std::int64_t now_ms);

  /// What was taken since `settle`, to be written after `end`.
  [[nodiscard]] const Changes& changes();
  /// The changes stand on disk: the end moves on, and what need not stay in memory goes.
  void settle();

  [[nodiscard]] const End& end() const { return end_; }
  [[nodiscard]] const Book& book() const { return book_; }

 private:
  /// The numbers of an account's lines, as AccountRow has them.
  struct Lines {
    std::int64_t count = 0;
    std::vector<std::int64_t> recent;
  };
  void write_steps(std::int64_t now_ms);
  void write(Entry entry, const Step& step);
  void add_line(AccountId account, std::int64_t sequence);
  [[nodiscard]] std::int64_t next_sequence() const {
    return end_.sequence + static_cast<std::int64_t>(changes_.rows.size()) + 1;
  }

  Book book_;
  End end_;
  std::unordered_map<AccountId, Lines> lines_;
  Changes changes_;
  std::size_t steps_written_ = 0;
  std::unordered_set<AccountId> accounts_changed_;
  std::unordered_map<TransferId, std::int64_t> transfers_changed_;  ///< sequence of the line; 0: stands there already
};

}  // namespace ribalta::ledger
