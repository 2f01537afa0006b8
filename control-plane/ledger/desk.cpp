#include "control-plane/ledger/desk.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace ribalta::ledger {
namespace {

template <class K>
std::vector<K> listed(const std::unordered_set<K>& set) {
  return {set.begin(), set.end()};
}

}  // namespace

Result<Desk> Desk::load(Store& store, std::size_t accounts_kept_max) {
  Desk desk;
  desk.accounts_kept_max_ = accounts_kept_max;
  Result<End> end = store.end();
  if (!end) return pass(end);
  desk.end_ = std::move(*end);
  const Result<TransferId> newest = store.newest_transfer();
  if (!newest) return pass(newest);
  desk.newest_ = *newest;
  Result<Book::TotalsByCurrency> totals = store.totals();
  if (!totals) return pass(totals);
  desk.book_.recall_totals(std::move(*totals));
  const Result<std::vector<Recorded>> pending = store.pending();
  if (!pending) return pass(pending);
  for (const Recorded& transfer : *pending) desk.book_.recall(transfer);
  return desk;
}

Result<void> Desk::prepare(Store& store, std::span<const Request* const> requests) {
  std::unordered_set<TransferId> transfers;
  std::unordered_set<AccountId> accounts;
  const auto want = [&](AccountId id) {
    if (is_new(id)) accounts.insert(id);
  };
  for (const Request* request : requests) {
    if (const auto* const linked = std::get_if<Linked>(request)) {
      for (const Transfer& transfer : *linked) {
        for (const TransferId id : {transfer.id, transfer.of}) {
          if (may_stand(id)) transfers.insert(id);
        }
        want(transfer.debit);
        want(transfer.credit);
      }
    } else if (const auto* const open = std::get_if<OpenAccount>(request)) {
      want(open->terms.id);
    } else {
      want(std::get<CloseAccount>(*request).id);
    }
  }
  const Result<std::vector<Recorded>> recalled = store.transfers(listed(transfers));
  if (!recalled) return pass(recalled);
  for (const Recorded& transfer : *recalled) book_.recall(transfer);
  for (const Request* request : requests) {
    const auto* const linked = std::get_if<Linked>(request);
    if (linked == nullptr) continue;
    for (const Transfer& transfer : *linked) {
      const Recorded* const original = book_.transfer(transfer.of);
      if (original == nullptr) continue;
      want(original->debit);
      want(original->credit);
    }
  }
  return bring_in(store, accounts);
}

Result<void> Desk::bring_in(Store& store, const std::unordered_set<AccountId>& accounts) {
  const Result<std::vector<AccountRow>> found = store.accounts(listed(accounts));
  if (!found) return pass(found);
  for (const AccountRow& row : *found) {
    book_.recall(row.account);
    lines_[row.account.terms.id] = {row.lines, row.recent};
  }
  return {};
}

Answers Desk::take(const Request& request, std::int64_t now_ms) {
  assert(book_.next_expiry_ms() > now_ms);
  if (const auto* const linked = std::get_if<Linked>(&request)) {
    std::vector<TransferStatus> answers = book_.submit(*linked, now_ms);
    write_steps(now_ms);
    return answers;
  }
  if (const auto* const open = std::get_if<OpenAccount>(&request)) {
    const AccountStatus status = book_.open_account(open->terms);
    if (status == AccountStatus::created) {
      accounts_changed_.insert(open->terms.id);
      write({next_sequence(), now_ms, AccountOpened{open->terms}}, {});
    }
    return status;
  }
  const AccountId id = std::get<CloseAccount>(request).id;
  const Account* const account = book_.account(id);
  const bool was_open = account != nullptr && !account->closed;
  const bool known = book_.close_account(id);
  if (was_open) {
    accounts_changed_.insert(id);
    write({next_sequence(), now_ms, AccountClosed{id}}, {});
  }
  return known;
}

Result<std::size_t> Desk::expire(Store& store, std::int64_t now_ms, std::size_t most) {
  std::unordered_set<AccountId> accounts;
  book_.each_due(now_ms, most, [&](const Recorded& due) {
    for (const AccountId id : {due.debit, due.credit}) {
      if (is_new(id)) accounts.insert(id);
    }
  });
  if (auto brought = bring_in(store, accounts); !brought) return pass(brought);
  const std::size_t expired = book_.expire(now_ms, most).size();
  write_steps(now_ms);
  return expired;
}

/// Lines of the steps that have none yet. Those of one group stand together, behind what expired before it.
void Desk::write_steps(std::int64_t now_ms) {
  const std::span<const Step> steps = std::span{book_.steps()}.subspan(steps_written_);
  std::int64_t group = 0;
  for (const Step& step : steps) {
    const std::int64_t sequence = next_sequence();
    if (step.expired) {
      transfers_changed_.try_emplace(step.id, 0);
      write({sequence, now_ms, Expired{step.id}}, step);
      continue;
    }
    if (group == 0) group = sequence;
    const Recorded& recorded = *book_.transfer(step.id);
    transfers_changed_.emplace(step.id, sequence);
    if (recorded.asked.of != TransferId{} && step.status == TransferStatus::created)
      transfers_changed_.try_emplace(recorded.asked.of, 0);
    write({sequence, now_ms, Answered{recorded.asked, step.status, group}}, step);
  }
  steps_written_ = book_.steps().size();
}

void Desk::write(const Entry& entry, const Step& step) {
  const std::string_view before = changes_.rows.empty() ? end_.hash : std::string_view{changes_.rows.back().hash};
  Row row{.sequence = entry.sequence,
          .time_ms = entry.time_ms,
          .line = to_line(entry),
          .hash = {},
          .transfer = step.id,
          .of = {},
          .debit = step.debit,
          .credit = step.credit,
          .debit_after = step.debit_after,
          .credit_after = step.credit_after};
  row.hash = chain(before, row.line);
  if (step.id != TransferId{}) {
    const Recorded& recorded = *book_.transfer(step.id);
    row.minor = recorded.minor;
    if (!step.expired) row.of = recorded.asked.of;
  }
  for (const AccountId account : {step.debit, step.credit}) {
    if (account != AccountId{}) add_line(account, row.sequence);
  }
  changes_.rows.push_back(std::move(row));
}

void Desk::add_line(AccountId account, std::int64_t sequence) {
  accounts_changed_.insert(account);
  Lines& lines = lines_[account];
  ++lines.count;
  lines.recent.push_back(sequence);
  if (lines.recent.size() < kPageLines) return;
  changes_.pages.push_back({account, std::exchange(lines.recent, {})});
}

Changes Desk::hand_over() {
  Changes changes = std::exchange(changes_, {});
  changes.before = end_;
  for (const AccountId id : accounts_changed_) {
    const Lines& lines = lines_[id];
    changes.accounts.push_back({*book_.account(id), lines.count, lines.recent});
  }
  for (const auto& [id, sequence] : transfers_changed_) {
    const Recorded& recorded = *book_.transfer(id);
    (sequence == 0 ? changes.changed : changes.added).push_back({id, sequence, recorded.state, recorded.reversed});
    newest_ = std::max(newest_, id);
  }
  std::ranges::sort(changes.accounts, {}, [](const AccountRow& row) { return row.account.terms.id; });
  std::ranges::sort(changes.added, {}, &TransferRow::id);
  std::ranges::sort(changes.changed, {}, &TransferRow::id);
  std::ranges::sort(changes.pages, {}, &Page::account);
  accounts_changed_.clear();
  transfers_changed_.clear();
  if (!changes.rows.empty()) {
    const Row& last = changes.rows.back();
    end_ = {last.sequence, last.time_ms, last.hash};
  }
  return changes;
}

void Desk::settle() {
  if (book_.accounts().size() > accounts_kept_max_) {
    book_.forget_accounts([this](AccountId id) { return accounts_changed_.contains(id); });
    std::erase_if(lines_, [this](const auto& one) { return !accounts_changed_.contains(one.first); });
  }
  book_.settle([this](TransferId id) { return transfers_changed_.contains(id); });
  steps_written_ = 0;
}

}  // namespace ribalta::ledger
