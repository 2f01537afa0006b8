// Where the ledger stands on disk: a database of its own (an SQLite file, or schema `ledger` of a PostgreSQL database),
// joined to nothing else. The journal is the truth; the other tables can be made again from it, and `verify` does.
//
//   journal    one row for each line: the line, its hash, and what a statement needs of it
//   transfers  id → its line, and where its amount is now
//   accounts   balances, how many lines concern it, and the latest of these lines
//   pages      the earlier ones, kPageLines at a time
//   writer     who may write: one row with the epoch
//
// The lists of an account's lines grow in pages, not row by row in an index: with an index each transfer would change
// two leaves anywhere in it, and be five times as slow at a million transfers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control-plane/ledger/book.h"
#include "control-plane/ledger/journal.h"
#include "core/result.h"
#include "core/sql/sql.h"

namespace ribalta::ledger {

/// Numbers of an account's lines that stand with it, before they become a page.
inline constexpr std::size_t kPageLines = 32;

/// The end of the journal.
struct End {
  std::int64_t sequence = 0;
  std::int64_t time_ms = 0;
  std::string hash{kChainBegin};
  bool operator==(const End&) const = default;
};

/// One line as it is kept. Ids are empty (zero) where it has none.
struct Row {
  std::int64_t sequence = 0;
  std::int64_t time_ms = 0;
  std::string line;
  std::string hash;
  TransferId transfer;
  TransferId of;
  AccountId debit;
  AccountId credit;
  std::int64_t minor = 0;  ///< moved, kept aside or freed
  Balance debit_after;
  Balance credit_after;
  bool operator==(const Row&) const = default;
};

/// An account and the numbers of its lines: `lines` in all, the last of them in `recent`, the others in pages.
struct AccountRow {
  Account account;
  std::int64_t lines = 0;
  std::vector<std::int64_t> recent;  ///< fewer than kPageLines
  bool operator==(const AccountRow&) const = default;
};

struct TransferRow {
  TransferId id;
  std::int64_t sequence = 0;
  State state = State::refused;
  std::int64_t reversed = 0;
  bool operator==(const TransferRow&) const = default;
};

/// kPageLines numbers of an account's lines, ascending.
struct Page {
  AccountId account;
  std::vector<std::int64_t> lines;
};

/// What one transaction writes.
struct Changes {
  End before;  ///< the rows go on from here
  std::vector<Row> rows;
  std::vector<AccountRow> accounts;
  std::vector<TransferRow> added;    ///< first written by these rows
  std::vector<TransferRow> changed;  ///< stand there already; without their place
  std::vector<Page> pages;
};

/// Statements on one connection. Whoever reads needs no epoch; `write` does.
class Store {
 public:
  /// Opens what is there; `make` makes tables that are missing.
  /// @error not_found: there is no ledger, and none is to be made; forbidden: there is one, and it can't be read;
  ///        conflict: one of a newer program, or PostgreSQL
  ///        without fsync.
  static Result<Store> open(const std::string& address, bool make);
  /// The connection alone, to a ledger or to where there is none yet: whoever makes or changes tables takes the fence
  /// first. @error conflict: PostgreSQL without fsync.
  static Result<Store> connect(const std::string& address);
  /// Makes what tables are missing. @error conflict: the ledger is of a newer program.
  Result<void> make();
  [[nodiscard]] sql::Engine engine() const { return database_->engine(); }
  [[nodiscard]] sql::Database& database() { return *database_; }
  /// The file of an SQLite ledger; empty on PostgreSQL.
  [[nodiscard]] const std::string& file() const { return file_; }

  /// Takes the ledger over: the epoch that every write names from now on.
  Result<Epoch> take_epoch(std::int64_t now_ms);
  Result<Epoch> epoch();
  /// One durable transaction.
  /// @error conflict: the epoch is another's; malformed: the journal does not end where the changes begin, or what is
  ///        new in them stands there already. Others: what the database says; where it is `unavailable` or `io`, the
  ///        changes may be there all the same.
  Result<void> write(const Changes& changes, Epoch epoch);
  /// Before the ledger is read: what can be read stands as a commit does. On SQLite what the log holds goes into the
  /// file and the log begins anew, since a sync that failed once tells nothing about the bytes before it (PostgreSQL
  /// ends itself in that case). On PostgreSQL one more commit waits for a synchronous standby, which those that an
  /// earlier server was ended in may not have.
  /// @error unavailable: SQLite's log is being read.
  Result<void> renew();

  /// All that `work` reads is of one instant.
  Result<void> snapshot(const std::function<Result<void>()>& work);
  Result<End> end();
  Result<Book::TotalsByCurrency> totals();
  /// The greatest id; zero where there is none.
  Result<TransferId> newest_transfer();
  Result<std::vector<Recorded>> pending();
  Result<std::vector<Recorded>> transfers(std::span<const TransferId> ids);
  Result<std::vector<AccountRow>> accounts(std::span<const AccountId> ids);
  /// Up to `limit` accounts with ids after `after`, in order.
  Result<std::vector<AccountRow>> accounts_after(AccountId after, std::size_t limit);
  /// Up to `limit` lines from `first` on, in order.
  Result<std::vector<Row>> rows(std::int64_t first, std::size_t limit);
  /// Those lines, in the order given. @error malformed: one is not there.
  Result<std::vector<Row>> rows(std::span<const std::int64_t> sequences);
  /// As they stand beside the journal, in no order.
  Result<std::vector<TransferRow>> transfer_rows(std::span<const TransferId> ids);
  Result<std::int64_t> count_lines();
  Result<std::int64_t> count_transfers();
  Result<std::int64_t> count_accounts();
  Result<std::int64_t> count_pages();
  /// Whether each value is of the type that its column was declared with, and ends where it is read to end: SQLite
  /// keeps what it is given, and 5.7 would be read as 5. @error conflict: which is not.
  Result<void> check_types();
  Result<std::int64_t> count_pending();
  /// Transfers whose `reversed` is not what their reversals add up to.
  Result<std::int64_t> count_wrongly_reversed();
  /// Moved back of a transfer by lines before `before`.
  Result<std::int64_t> reversed_before(TransferId of, std::int64_t before);
  /// Up to `limit` pages of an account, the latest first; only those that begin at `before` or earlier.
  Result<std::vector<Page>> pages(AccountId account, std::int64_t before, std::size_t limit);
  /// Up to `limit` pages of all accounts, ordered by account and first line, after that one.
  Result<std::vector<Page>> pages_after(AccountId account, std::int64_t first, std::size_t limit);

 private:
  Store(std::shared_ptr<sql::Database> database, std::string file)
      : database_(std::move(database)), file_(std::move(file)) {}
  template <class Work>
  auto look(Work work) {
    return session_ != nullptr ? work(*session_) : database_->read(std::move(work));
  }
  Result<std::int64_t> number(std::string_view name, std::string_view query, const sql::Values& values = {});
  Result<std::vector<Page>> pages_where(std::string_view name, const std::string& rest, const sql::Values& values);
  Result<std::vector<Row>> rows_where(std::string_view name, const std::string& rest, const sql::Values& values);
  Result<std::vector<AccountRow>> accounts_where(std::string_view name, const std::string& rest,
                                                 const sql::Values& values);
  Result<std::vector<Recorded>> recorded_where(std::string_view name, const std::string& rest,
                                               const sql::Values& values);

  std::shared_ptr<sql::Database> database_;
  std::string file_;
  sql::Session* session_ = nullptr;  ///< of the snapshot that is being looked at
};

}  // namespace ribalta::ledger
