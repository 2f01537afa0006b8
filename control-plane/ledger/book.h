// The ledger's rules, in memory: who has how much, what is pending, what was answered. Pure: no clock, no disk. The
// same requests in the same order at the same times make the same book, which is how a journal is checked.
#pragma once

#include <cstdint>
#include <functional>
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

/// One thing that the book took up: a transfer's first answer, or the expiry of a pending one.
struct Step {
  TransferId id;
  bool expired = false;
  TransferStatus status = TransferStatus::created;
  AccountId debit;  ///< of a refusal: none
  AccountId credit;
  Balance debit_after;  ///< right after this step
  Balance credit_after;
  bool operator==(const Step&) const = default;
};

/// Keeps all that it has answered, until `settle` says that it stands elsewhere. What was forgotten and is asked for
/// again has to be recalled before: accounts and transfers that a request names (`id`, `of`, and the accounts of that).
class Book {
 public:
  AccountStatus open_account(const AccountTerms& terms);
  /// From here on it takes part in nothing new; what is pending may still be voided or expire. @return false: unknown.
  bool close_account(AccountId id);

  /// Answers transfers that stand or fall together, 1 to kLinkedMax of them, at an instant that is not before the last.
  /// Ids that are known get their first answer again. Where one is no request at all, nothing new is answered for good.
  /// Pending ones that have expired by `now_ms` are expired first.
  std::vector<TransferStatus> submit(std::span<const Transfer> linked, std::int64_t now_ms);
  /// What is pending and whose time has come is free again: `most` of it, in the order of expiry and id. @return which.
  std::vector<TransferId> expire(std::int64_t now_ms, std::size_t most = kPendingMax);

  /// What was taken up since `settle`, in order.
  [[nodiscard]] const std::vector<Step>& steps() const { return steps_; }
  /// Forgets steps, and every transfer that is not pending, but those that `keep` wants.
  void settle(const std::function<bool(TransferId)>& keep = {});
  /// Forgets accounts, but those that `keep` wants.
  void forget_accounts(const std::function<bool(AccountId)>& keep);
  /// Takes up again what was forgotten, or was answered by an earlier process. What is known stays as it is.
  void recall(const Account& account);
  void recall(const Recorded& transfer);
  /// When the next of what is pending expires; none does: kNever.
  [[nodiscard]] std::int64_t next_expiry_ms() const;
  [[nodiscard]] std::size_t pending() const { return pending_.size(); }
  /// What is pending and expires by `now_ms`: the first `most` of it.
  void each_due(std::int64_t now_ms, std::size_t most, const std::function<void(const Recorded&)>& see) const;

  [[nodiscard]] const Account* account(AccountId id) const;
  [[nodiscard]] const Recorded* transfer(TransferId id) const;
  [[nodiscard]] const std::unordered_map<AccountId, Account>& accounts() const { return accounts_; }
  /// Both sides of all accounts of each currency: equal, always.
  struct Totals {
    Int128 debits = 0;
    Int128 credits = 0;
    bool operator==(const Totals&) const = default;
  };
  using TotalsByCurrency = std::map<std::string, Totals, std::less<>>;
  [[nodiscard]] const TotalsByCurrency& totals() const { return totals_; }
  /// Those of all accounts there are, where accounts are recalled one by one.
  void recall_totals(TotalsByCurrency totals) { totals_ = std::move(totals); }

  bool operator==(const Book& other) const;

 private:
  /// What a group has changed so far, as it was before.
  struct Undo {
    std::vector<std::pair<AccountId, Balance>> balances;
    std::vector<Recorded> transfers;
    std::vector<TransferId> added;
    std::size_t steps = 0;  ///< there were before it
  };
  struct Move {
    AccountId debit;
    AccountId credit;
    std::int64_t minor = 0;
  };
  [[nodiscard]] std::optional<TransferStatus> answered(const Transfer& transfer) const;
  [[nodiscard]] std::vector<TransferStatus> refused_as_malformed(std::span<const Transfer> linked) const;
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
  void note(TransferId id, bool expired, AccountId debit, AccountId credit);
  void check(std::size_t steps_before) const;

  std::unordered_map<AccountId, Account> accounts_;
  std::unordered_map<TransferId, Recorded> transfers_;
  std::vector<TransferId> passing_;  ///< of them, all that are not pending; and some that are or are gone
  std::set<std::pair<std::int64_t, TransferId>> pending_;  ///< when each expires, or kNever
  TotalsByCurrency totals_;
  std::vector<Step> steps_;
  std::int64_t now_ms_ = 0;
};

}  // namespace ribalta::ledger
