// What requests do to the ledger: brings into memory what they name, lets the book judge them, and lists what has to be
// written. What was handed over to be written stays in memory until it stands on disk, and others are judged meanwhile.
// No threads and no clock: the writer turns its handle.
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

/// Accounts that stay in memory once they stand on disk (about 500 bytes each); beyond, all of them are forgotten.
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
  static Result<Desk> load(Store& store, std::size_t accounts_kept_max = kAccountsKeptMax);

  /// What is pending and whose time has come: the first `most` of it. @return how many.
  Result<std::size_t> expire(Store& store, std::int64_t now_ms, std::size_t most = kPendingMax);
  /// Brings in what requests name and memory does not have.
  Result<void> prepare(Store& store, std::span<const Request* const> requests);
  /// Judges one that was prepared, at an instant by which all has expired that does.
  Answers take(const Request& request, std::int64_t now_ms);

  /// What was taken since the last `hand_over`, to be written now.
  [[nodiscard]] Changes hand_over();
  /// All that was handed over stands on disk: what need not stay in memory goes.
  void settle();

  /// Of the journal, once all that was handed over is written.
  [[nodiscard]] const End& end() const { return end_; }
  [[nodiscard]] const Book& book() const { return book_; }

 private:
  /// The numbers of an account's lines, as AccountRow has them.
  struct Lines {
    std::int64_t count = 0;
    std::vector<std::int64_t> recent;
  };
  [[nodiscard]] bool is_new(AccountId id) const { return id != AccountId{} && book_.account(id) == nullptr; }
  Result<void> bring_in(Store& store, const std::unordered_set<AccountId>& accounts);
  [[nodiscard]] bool may_stand(TransferId id) const {
    return id != TransferId{} && id <= newest_ && book_.transfer(id) == nullptr;
  }
  void write_steps(std::int64_t now_ms);
  void write(const Entry& entry, const Step& step);
  void add_line(AccountId account, std::int64_t sequence);
  [[nodiscard]] std::int64_t next_sequence() const {
    return end_.sequence + static_cast<std::int64_t>(changes_.rows.size()) + 1;
  }

  std::size_t accounts_kept_max_ = kAccountsKeptMax;
  Book book_;
  End end_;
  TransferId newest_;  ///< the greatest id that was handed over: none beyond has to be looked for
  std::unordered_map<AccountId, Lines> lines_;
  Changes changes_;
  std::size_t steps_written_ = 0;
  std::unordered_set<AccountId> accounts_changed_;
  std::unordered_map<TransferId, std::int64_t> transfers_changed_;  ///< as Changes has them
};

}  // namespace ribalta::ledger
