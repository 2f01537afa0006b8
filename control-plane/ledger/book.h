// The ledger's rules, in memory: who has how much, what is pending, what was answered. Pure: no clock, no disk. The
// same requests in the same order at the same times make the same book, which is how a journal is checked.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "control-plane/ledger/terms.h"

namespace ribalta::ledger {

struct Account {
  AccountTerms terms;
  Balance balance;
  bool closed = false;
  bool operator==(const Account&) const = default;
};

/// A transfer that was answered. `asked` and `status` never change.
struct Recorded {
  Transfer asked;
  TransferStatus status = TransferStatus::created;
  State state = State::refused;
  AccountId debit;  ///< between whom it moves; of a reversal, the other way round than the original
  AccountId credit;
  std::int64_t minor = 0;     ///< moved, or pending
  std::int64_t reversed = 0;  ///< of it
  bool operator==(const Recorded&) const = default;
};

class Book {
 public:
  AccountStatus open_account(const AccountTerms& terms);
  /// From here on it takes part in nothing new; what is pending may still be voided or expire. @return false: unknown.
  bool close_account(AccountId id);

  /// Answers transfers that stand or fall together, 1 to kLinkedMax of them, at an instant that is not before the last.
  /// Ids that are known get their first answer again. Pending ones that have expired by `now_ms` are expired first.
  std::vector<TransferStatus> submit(std::span<const Transfer> linked, std::int64_t now_ms);
  /// What is pending and whose time has come is free again. @return which, in the order of their expiry and id.
  std::vector<TransferId> expire(std::int64_t now_ms);

  [[nodiscard]] const Account* account(AccountId id) const;
  [[nodiscard]] const Recorded* transfer(TransferId id) const;
  [[nodiscard]] const std::unordered_map<AccountId, Account>& accounts() const { return accounts_; }
  /// Both sides of all accounts of each currency: equal, always.
  struct Totals {
    Int128 debits = 0;
    Int128 credits = 0;
    bool operator==(const Totals&) const = default;
  };
  [[nodiscard]] const std::map<std::string, Totals, std::less<>>& totals() const { return totals_; }

  bool operator==(const Book& other) const;

 private:
  /// What a group has changed so far, as it was before.
  struct Undo {
    std::vector<std::pair<AccountId, Balance>> balances;
    std::vector<Recorded> transfers;
    std::vector<TransferId> added;
  };
  struct Move {
    AccountId debit;
    AccountId credit;
    std::int64_t minor = 0;
  };
  [[nodiscard]] std::optional<TransferStatus> answered(const Transfer& transfer) const;
  TransferStatus judge(const Transfer& transfer, std::int64_t now_ms, Move& move) const;
  TransferStatus judge_original(const Transfer& transfer, Move& move) const;
  TransferStatus judge_accounts(const Transfer& transfer, const Move& move) const;
  [[nodiscard]] bool has_funds(const Move& move) const;
  [[nodiscard]] bool has_room(const Transfer& transfer, const Move& move) const;
  void apply(const Transfer& transfer, const Move& move, Undo& undo);
  void roll_back(const Undo& undo);
  void shift(const Recorded& pending, std::int64_t moved, Undo* undo);
  void move(const Move& move, Undo& undo);
  Account& change(AccountId id, Undo* undo);
  void refuse(const Transfer& transfer, TransferStatus status);
  void check() const;

  std::unordered_map<AccountId, Account> accounts_;
  std::unordered_map<TransferId, Recorded> transfers_;
  std::set<std::pair<std::int64_t, TransferId>> expiries_;  ///< of what is pending and expires
  std::map<std::string, Totals, std::less<>> totals_;
  std::int64_t now_ms_ = 0;
};

}  // namespace ribalta::ledger
