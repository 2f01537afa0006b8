#include "control-plane/ledger/book.h"

#include <algorithm>
#include <cassert>
#include <ranges>

namespace ribalta::ledger {
namespace {

constexpr bool has_original(Kind kind) {
  return kind == Kind::post_pending || kind == Kind::void_pending || kind == Kind::reversal;
}

/// A field that the kind has no use for would be a misunderstanding that nobody notices.
bool fields_fit(const Transfer& transfer) {
  const bool has_accounts = transfer.debit != AccountId{} || transfer.credit != AccountId{};
  const bool has_of = transfer.of != TransferId{};
  if (has_original(transfer.kind) == has_accounts || has_original(transfer.kind) != has_of) return false;
  if (transfer.kind != Kind::pending && transfer.expires_ms != 0) return false;
  return transfer.kind != Kind::void_pending || transfer.amount.minor == 0;
}

std::pair<std::int64_t, TransferId> place(const Recorded& pending) {
  return {pending.asked.expires_ms == 0 ? kNever : pending.asked.expires_ms, pending.asked.id};
}

bool is_overdrawn(const Account& account) {
  return !account.terms.may_go_negative && available(account.balance, account.terms.normal) < 0;
}

}  // namespace

AccountStatus Book::open_account(const AccountTerms& terms) {
  assert(!to_string(terms.normal).empty());  // only a cast makes another
  if (terms.id == AccountId{}) return AccountStatus::id_missing;
  if (!is_known(terms.currency)) return AccountStatus::unknown_currency;
  const auto [at, opened] = accounts_.try_emplace(terms.id, Account{.terms = terms, .balance = {}, .closed = false});
  if (opened) return AccountStatus::created;
  return at->second.terms == terms ? AccountStatus::exists : AccountStatus::exists_with_different_terms;
}

bool Book::close_account(AccountId id) {
  const auto found = accounts_.find(id);
  if (found == accounts_.end()) return false;
  found->second.closed = true;
  return true;
}

const Account* Book::account(AccountId id) const {
  const auto found = accounts_.find(id);
  return found == accounts_.end() ? nullptr : &found->second;
}

const Recorded* Book::transfer(TransferId id) const {
  const auto found = transfers_.find(id);
  return found == transfers_.end() ? nullptr : &found->second;
}

bool Book::operator==(const Book& other) const {
  return accounts_ == other.accounts_ && transfers_ == other.transfers_ && pending_ == other.pending_ &&
         totals_ == other.totals_;
}

std::vector<TransferStatus> Book::submit(std::span<const Transfer> linked, std::int64_t now_ms) {
  assert(!linked.empty() && linked.size() <= kLinkedMax);
  expire(now_ms);
  if (std::ranges::any_of(linked, [](const Transfer& transfer) { return malformed(transfer).has_value(); }))
    return refused_as_malformed(linked);
  std::vector<TransferStatus> answers(linked.size(), TransferStatus::linked_transfer_failed);
  Undo undo{.balances = {}, .transfers = {}, .added = {}, .steps = steps_.size()};
  for (std::size_t i = 0; i < linked.size(); ++i) {
    const Transfer& transfer = linked[i];
    if (const std::optional<TransferStatus> before = answered(transfer)) {
      answers[i] = *before;
    } else {
      Move move;
      answers[i] = judge(transfer, now_ms, move);
      if (answers[i] == TransferStatus::created) apply(transfer, move, undo);
    }
    if (is_success(answers[i])) continue;

    // One that failed takes the others with it: those before are undone, and each gets an answer that stays. Where an
    // earlier answer is what failed, nothing new is answered for good: the earlier one says it all.
    const bool new_here = !answered(transfer);
    roll_back(undo);
    const TransferStatus failed = answers[i];
    for (std::size_t other = 0; other < linked.size(); ++other) {
      const TransferStatus status = other == i ? failed : TransferStatus::linked_transfer_failed;
      const std::optional<TransferStatus> before = answered(linked[other]);
      answers[other] = before.value_or(status);
      if (!before && new_here) refuse(linked[other], status);
    }
    break;
  }
  check(undo.steps);
  return answers;
}

std::vector<TransferStatus> Book::refused_as_malformed(std::span<const Transfer> linked) const {
  std::vector<TransferStatus> answers;
  for (const Transfer& transfer : linked) {
    const std::optional<TransferStatus> status = malformed(transfer);
    answers.push_back(status ? *status : answered(transfer).value_or(TransferStatus::linked_transfer_failed));
  }
  return answers;
}

/// What the same request was answered before; for another body under its id, that.
std::optional<TransferStatus> Book::answered(const Transfer& transfer) const {
  const Recorded* const earlier = this->transfer(transfer.id);
  if (earlier == nullptr) return std::nullopt;
  if (earlier->asked != transfer) return TransferStatus::exists_with_different_terms;
  return earlier->status == TransferStatus::created ? TransferStatus::exists : earlier->status;
}

void Book::refuse(const Transfer& transfer, TransferStatus status) {
  transfers_.emplace(transfer.id,
                     Recorded{.asked = transfer, .status = status, .state = State::refused, .debit = {}, .credit = {}});
  passing_.push_back(transfer.id);
  steps_.push_back(
      {.id = transfer.id, .status = status, .debit = {}, .credit = {}, .debit_after = {}, .credit_after = {}});
}

void Book::note(TransferId id, bool expired, AccountId debit, AccountId credit) {
  steps_.push_back({.id = id,
                    .expired = expired,
                    .debit = debit,
                    .credit = credit,
                    .debit_after = accounts_.at(debit).balance,
                    .credit_after = accounts_.at(credit).balance});
}

TransferStatus Book::judge(const Transfer& transfer, std::int64_t now_ms, Move& move) const {
  if (!fields_fit(transfer)) return TransferStatus::fields_of_another_kind;
  if (transfer.kind != Kind::void_pending && transfer.amount.minor <= 0) return TransferStatus::amount_must_be_positive;
  if (transfer.amount.minor > kAmountMax) return TransferStatus::amount_over_limit;
  move = {transfer.debit, transfer.credit, transfer.amount.minor};
  if (has_original(transfer.kind)) {
    const TransferStatus original = judge_original(transfer, move);
    if (original != TransferStatus::created) return original;
  }
  const TransferStatus accounts = judge_accounts(transfer, move);
  if (accounts != TransferStatus::created) return accounts;
  if (transfer.expires_ms != 0 && transfer.expires_ms <= now_ms) return TransferStatus::expiry_in_the_past;
  if (has_original(transfer.kind) && transfer.kind != Kind::void_pending) {
    const Recorded& original = transfers_.at(transfer.of);
    if (move.minor > original.minor - original.reversed) return TransferStatus::amount_over_original;
  }
  const bool takes_funds = transfer.kind != Kind::post_pending && transfer.kind != Kind::void_pending;
  if (takes_funds && !has_funds(move)) return TransferStatus::insufficient_funds;
  if (!has_room(transfer, move)) return TransferStatus::balance_over_limit;
  if (transfer.kind == Kind::pending && pending_.size() >= kPendingMax) return TransferStatus::too_many_pending;
  return TransferStatus::created;
}

TransferStatus Book::judge_original(const Transfer& transfer, Move& move) const {
  const Recorded* const original = this->transfer(transfer.of);
  if (original == nullptr) return TransferStatus::original_not_found;
  if (transfer.kind == Kind::reversal) {
    if (original->state != State::moved) return TransferStatus::original_of_another_kind;
    move.debit = original->credit;
    move.credit = original->debit;
    return TransferStatus::created;
  }
  if (original->asked.kind != Kind::pending) return TransferStatus::original_of_another_kind;
  move.debit = original->debit;
  move.credit = original->credit;
  switch (original->state) {
    case State::pending:
      return TransferStatus::created;
    case State::posted:
      return TransferStatus::pending_already_posted;
    case State::voided:
      return TransferStatus::pending_already_voided;
    case State::expired:
      return TransferStatus::pending_expired;
    case State::refused:
    case State::moved:
      break;
  }
  return TransferStatus::original_of_another_kind;
}

TransferStatus Book::judge_accounts(const Transfer& transfer, const Move& move) const {
  if (move.debit == move.credit) return TransferStatus::accounts_must_differ;
  const Account* const debit = account(move.debit);
  const Account* const credit = account(move.credit);
  if (debit == nullptr || credit == nullptr) return TransferStatus::account_not_found;
  if (transfer.kind == Kind::void_pending) return TransferStatus::created;  // frees what a closed account has, too
  if (debit->closed || credit->closed) return TransferStatus::account_closed;
  if (debit->terms.currency != credit->terms.currency || debit->terms.currency != transfer.amount.currency)
    return TransferStatus::currency_mismatch;
  return TransferStatus::created;
}

bool Book::has_funds(const Move& move) const {
  const Account& debit = accounts_.at(move.debit);
  const Account& credit = accounts_.at(move.credit);
  const bool debit_falls = debit.terms.normal == Side::credit && !debit.terms.may_go_negative;
  const bool credit_falls = credit.terms.normal == Side::debit && !credit.terms.may_go_negative;
  if (debit_falls && available(debit.balance, Side::credit) < move.minor) return false;
  return !credit_falls || available(credit.balance, Side::debit) >= move.minor;
}

/// Each side's sum of moved and pending stays within kTotalMax; what was pending already is within it.
bool Book::has_room(const Transfer& transfer, const Move& move) const {
  if (transfer.kind == Kind::post_pending || transfer.kind == Kind::void_pending) return true;
  const Balance& debit = accounts_.at(move.debit).balance;
  const Balance& credit = accounts_.at(move.credit).balance;
  return debit.debits + debit.debits_pending <= kTotalMax - move.minor &&
         credit.credits + credit.credits_pending <= kTotalMax - move.minor;
}

Account& Book::change(AccountId id, Undo* undo) {
  Account& account = accounts_.at(id);
  if (undo != nullptr) undo->balances.emplace_back(id, account.balance);
  return account;
}

void Book::move(const Move& move, Undo& undo) {
  Account& debit = change(move.debit, &undo);
  debit.balance.debits += move.minor;
  change(move.credit, &undo).balance.credits += move.minor;
  Totals& totals = totals_[std::string{debit.terms.currency.text()}];
  totals.debits += move.minor;
  totals.credits += move.minor;
}

/// Ends what is pending: `moved` of it moves.
void Book::shift(const Recorded& pending, std::int64_t moved, Undo* undo) {
  Account& debit = change(pending.debit, undo);
  debit.balance.debits_pending -= pending.minor;
  debit.balance.debits += moved;
  Account& credit = change(pending.credit, undo);
  credit.balance.credits_pending -= pending.minor;
  credit.balance.credits += moved;
  Totals& totals = totals_[std::string{debit.terms.currency.text()}];
  totals.debits += moved;
  totals.credits += moved;
}

/// Nothing here can fail: both sides change, or neither.
void Book::apply(const Transfer& transfer, const Move& moved, Undo& undo) {
  Recorded recorded{
      .asked = transfer, .state = State::moved, .debit = moved.debit, .credit = moved.credit, .minor = moved.minor};
  Recorded* const original = has_original(transfer.kind) ? &transfers_.at(transfer.of) : nullptr;
  if (original != nullptr) undo.transfers.push_back(*original);
  switch (transfer.kind) {
    case Kind::direct:
      move(moved, undo);
      break;
    case Kind::pending:
      recorded.state = State::pending;
      change(moved.debit, &undo).balance.debits_pending += moved.minor;
      change(moved.credit, &undo).balance.credits_pending += moved.minor;
      pending_.insert(place(recorded));
      break;
    case Kind::post_pending:
      shift(*original, moved.minor, &undo);
      original->state = State::posted;
      passing_.push_back(transfer.of);
      pending_.erase(place(*original));
      break;
    case Kind::void_pending:
      recorded.minor = 0;
      recorded.state = State::voided;
      shift(*original, 0, &undo);
      original->state = State::voided;
      passing_.push_back(transfer.of);
      pending_.erase(place(*original));
      break;
    case Kind::reversal:
      original->reversed += moved.minor;
      move(moved, undo);
      break;
  }
  undo.added.push_back(transfer.id);
  passing_.push_back(transfer.id);
  transfers_.emplace(transfer.id, std::move(recorded));
  note(transfer.id, false, moved.debit, moved.credit);
}

void Book::roll_back(const Undo& undo) {
  for (const auto& [id, balance] : std::views::reverse(undo.balances)) {
    Account& account = accounts_.at(id);
    Totals& totals = totals_[std::string{account.terms.currency.text()}];
    totals.debits -= account.balance.debits - balance.debits;
    totals.credits -= account.balance.credits - balance.credits;
    account.balance = balance;
  }
  for (const TransferId id : undo.added) {
    const auto found = transfers_.find(id);
    if (found->second.state == State::pending) pending_.erase(place(found->second));
    transfers_.erase(found);
  }
  for (const Recorded& before : std::views::reverse(undo.transfers)) {
    const auto found = transfers_.find(before.asked.id);
    if (found == transfers_.end()) continue;  // added by the same group
    if (before.state == State::pending) pending_.insert(place(before));
    found->second = before;
  }
  steps_.resize(undo.steps);
}

std::vector<TransferId> Book::expire(std::int64_t now_ms, std::size_t most) {
  assert(now_ms >= now_ms_);
  now_ms_ = now_ms;
  std::vector<TransferId> expired;
  while (expired.size() < most && !pending_.empty() && pending_.begin()->first <= now_ms) {
    const TransferId id = pending_.begin()->second;
    pending_.erase(pending_.begin());
    Recorded& pending = transfers_.at(id);
    shift(pending, 0, nullptr);
    pending.state = State::expired;
    passing_.push_back(id);
    note(id, true, pending.debit, pending.credit);
    expired.push_back(id);
  }
  return expired;
}

std::int64_t Book::next_expiry_ms() const { return pending_.empty() ? kNever : pending_.begin()->first; }

void Book::each_due(std::int64_t now_ms, std::size_t most, const std::function<void(const Recorded&)>& see) const {
  for (auto due = pending_.begin(); most > 0 && due != pending_.end() && due->first <= now_ms; ++due, --most)
    see(transfers_.at(due->second));
}

void Book::settle(const std::function<bool(TransferId)>& keep) {
  steps_.clear();
  std::erase_if(passing_, [&](TransferId id) {
    const auto found = transfers_.find(id);
    if (found == transfers_.end() || found->second.state == State::pending) return true;
    if (keep && keep(id)) return false;
    transfers_.erase(found);
    return true;
  });
}

void Book::forget_accounts(const std::function<bool(AccountId)>& keep) {
  std::erase_if(accounts_, [&keep](const auto& one) { return !keep(one.first); });
}

void Book::recall(const Account& account) { accounts_.try_emplace(account.terms.id, account); }

void Book::recall(const Recorded& transfer) {
  const auto [at, added] = transfers_.try_emplace(transfer.asked.id, transfer);
  if (!added) return;
  if (transfer.state == State::pending) {
    pending_.insert(place(transfer));
  } else {
    passing_.push_back(transfer.asked.id);
  }
}

void Book::check(std::size_t steps_before) const {
  for (const auto& [currency, totals] : totals_) assert(totals.debits == totals.credits);
  for (const Step& step : std::span{steps_}.subspan(steps_before)) {
    if (step.debit == AccountId{}) continue;
    assert(!is_overdrawn(accounts_.at(step.debit)));
    assert(!is_overdrawn(accounts_.at(step.credit)));
  }
}

}  // namespace ribalta::ledger
