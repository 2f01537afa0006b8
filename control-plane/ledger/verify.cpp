#include "control-plane/ledger/verify.h"

#include <algorithm>
#include <cassert>
#include <deque>
#include <unordered_map>
#include <utility>

namespace ribalta::ledger {
namespace {

constexpr std::size_t kRowsAtOnce = 8'192;
constexpr std::size_t kAccountsAtOnce = 8'192;

/// Of a set of line numbers, whatever their order: splitmix64's finaliser, added up.
std::uint64_t mixed(std::int64_t sequence) {
  std::uint64_t x = static_cast<std::uint64_t>(sequence) + 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}
struct Lines {
  std::int64_t count = 0;
  std::uint64_t sum = 0;
  void add(std::int64_t sequence) {
    ++count;
    sum += mixed(sequence);
  }
  bool operator==(const Lines&) const = default;
};
/// The same as a table lists them: ascending.
struct Listed {
  Lines lines;
  std::int64_t last = 0;
  bool ascending = true;
  void add(std::int64_t sequence) {
    ascending = ascending && sequence > last;
    last = sequence;
    lines.add(sequence);
  }
};

std::unexpected<Error> wrong(std::string_view what, std::int64_t line) { return fail(Code::conflict, what, line); }

class Check {
 public:
  Check(Store& store, const std::optional<Noted>& noted)
      : store_(&store),
        noted_(noted),
        replay_([this](TransferId id, std::int64_t before) { return recall(id, before); },
                [this](std::int64_t sequence, const Step& step) {
                  told_.push_back({sequence, step, *replay_.book().transfer(step.id)});
                  return Result<void>{};
                }) {}

  /// @return false: there was nothing more to read.
  Result<bool> read_some() {
    const Result<std::vector<Row>> rows = store_->rows(replay_.sequence() + 1, kRowsAtOnce);
    if (!rows) return pass(rows);
    if (auto placed = check_places(*rows); !placed) return pass(placed);
    for (const Row& row : *rows) {
      expected_.push_back(row);
      if (auto taken = replay_.take(row.line, row.hash); !taken) return pass(taken);
      if (auto same = check_columns(row); !same) return pass(same);
      if (auto compared = compare_told(); !compared) return pass(compared);
      if (noted_ && noted_->sequence == row.sequence && noted_->hash != row.hash)
        return wrong("the hash that was noted down is another than that of line", row.sequence);
    }
    if (auto ended = check_ended(); !ended) return pass(ended);
    return !rows->empty();
  }

  /// After the last line, in the same snapshot.
  Result<Verified> finish() {
    if (auto finished = replay_.finish(); !finished) return pass(finished);
    if (auto compared = compare_told(); !compared) return pass(compared);
    if (!told_.empty()) return wrong("no row for line", told_.front().sequence);
    if (auto ended = check_ended(); !ended) return pass(ended);
    for (const Row& row : expected_) {
      if (row.transfer != TransferId{}) return wrong("nothing stands for the line", row.sequence);
    }
    if (noted_ && noted_->sequence > replay_.sequence())
      return wrong("the journal ends before the line that was noted down; it ends at line", replay_.sequence());
    if (auto typed = store_->check_types(); !typed) return pass(typed);
    if (auto accounts = check_accounts(); !accounts) return pass(accounts);
    if (auto counts = check_counts(); !counts) return pass(counts);
    return Verified{.end = {replay_.sequence(), replay_.time_ms(), replay_.hash()},
                    .accounts = static_cast<std::int64_t>(replay_.book().accounts().size()),
                    .transfers = transfers_,
                    .pending = static_cast<std::int64_t>(replay_.book().pending()),
                    .totals = replay_.book().totals()};
  }

  [[nodiscard]] std::int64_t sequence() const { return replay_.sequence(); }

 private:
  /// Each id stands at its own line: then none is there twice.
  Result<void> check_places(const std::vector<Row>& rows) {
    std::vector<TransferId> ids;
    for (const Row& row : rows) {
      if (row.transfer != TransferId{}) ids.push_back(row.transfer);
    }
    const Result<std::vector<TransferRow>> found = store_->transfer_rows(ids);
    if (!found) return pass(found);
    places_.clear();
    for (const TransferRow& row : *found) places_.emplace(row.id, row);
    return {};
  }

  /// Of the line that the replay has just taken: its place and its time; what opens or closes an account says no more.
  Result<void> check_columns(const Row& row) {
    const Row bare{.sequence = replay_.sequence(),
                   .time_ms = replay_.time_ms(),
                   .line = row.line,
                   .hash = row.hash,
                   .transfer = {},
                   .of = {},
                   .debit = {},
                   .credit = {},
                   .debit_after = {},
                   .credit_after = {}};
    const bool same =
        row.transfer == TransferId{} ? row == bare : row.sequence == bare.sequence && row.time_ms == bare.time_ms;
    if (!same) return wrong("a row's columns are not what its line says, at line", bare.sequence);
    return {};
  }

  /// What the rules made of a line, and the transfer as it was then.
  struct Told {
    std::int64_t sequence = 0;
    Step step;
    Recorded recorded;
  };

  /// Rows and what the replay told of them, as far as there are both: a group is told after its last row.
  Result<void> compare_told() {
    while (!told_.empty() && !expected_.empty()) {
      const Row row = std::move(expected_.front());
      expected_.pop_front();
      if (row.transfer == TransferId{}) continue;  // opens or closes an account
      const Told told = std::move(told_.front());
      told_.pop_front();
      if (auto compared = compare(row, told); !compared) return compared;
    }
    return {};
  }

  Result<void> compare(const Row& row, const Told& told) {
    const auto& [sequence, step, recorded] = told;
    const TransferId of = step.expired ? TransferId{} : recorded.asked.of;
    if (row.sequence != sequence || row.transfer != step.id || row.of != of || row.debit != step.debit ||
        row.credit != step.credit || row.minor != recorded.minor)
      return wrong("a row's columns are not what its line says, at line", sequence);
    if (row.debit_after != step.debit_after || row.credit_after != step.credit_after)
      return wrong("a balance is not what the lines before add up to, at line", sequence);

    for (const AccountId account : {step.debit, step.credit}) {
      if (account != AccountId{}) lines_[account].add(sequence);
    }
    if (step.expired) {
      ended_.emplace_back(step.id, State::expired);
      return {};
    }
    ++transfers_;
    return compare_place(sequence, step, recorded);
  }

  Result<void> compare_place(std::int64_t sequence, const Step& step, const Recorded& recorded) {
    const auto place = places_.find(step.id);
    // A group may have begun among the rows before these.
    if (place == places_.end()) {
      const Result<std::vector<TransferRow>> found = store_->transfer_rows({&step.id, 1});
      if (!found) return pass(found);
      for (const TransferRow& row : *found) places_.emplace(row.id, row);
      if (found->empty()) return wrong("the table of transfers does not know that of line", sequence);
    }
    const TransferRow& row = places_.at(step.id);
    if (row.sequence != sequence) return wrong("the table of transfers has another place for that of line", sequence);
    if (recorded.state != State::pending && recorded.state != row.state)
      return wrong("the table of transfers has another state for that of line", sequence);
    if (recorded.state == State::pending && (row.state == State::moved || row.state == State::refused))
      return wrong("the table of transfers has another state for that of line", sequence);
    const bool ended = step.status == TransferStatus::created;
    if (ended && recorded.asked.kind == Kind::post_pending) ended_.emplace_back(recorded.asked.of, State::posted);
    if (ended && recorded.asked.kind == Kind::void_pending) ended_.emplace_back(recorded.asked.of, State::voided);
    return {};
  }
  /// What ended stays so: the table says it too.
  Result<void> check_ended() {
    std::vector<TransferId> ids;
    ids.reserve(ended_.size());
    for (const auto& [id, state] : ended_) ids.push_back(id);
    const Result<std::vector<TransferRow>> found = store_->transfer_rows(ids);
    if (!found) return pass(found);
    std::unordered_map<TransferId, State> states;
    for (const TransferRow& row : *found) states.emplace(row.id, row.state);
    for (const auto& [id, state] : ended_) {
      const auto there = states.find(id);
      if (there == states.end() || there->second != state)
        return fail(Code::conflict, "the table of transfers has another state for", to_text(id));
    }
    ended_.clear();
    return {};
  }

  /// Of lines that were checked already. What is pending the replay still has.
  Result<std::optional<Recorded>> recall(TransferId id, std::int64_t before) {
    const Result<std::vector<TransferRow>> place = store_->transfer_rows({&id, 1});
    if (!place) return pass(place);
    if (place->empty() || place->front().sequence >= before) return std::optional<Recorded>{};
    Result<std::vector<Recorded>> found = store_->transfers({&id, 1});
    if (!found) return pass(found);
    if (found->empty()) return wrong("no line for a transfer of the table, needed at", before);
    Recorded recorded = std::move(found->front());
    if (recorded.state == State::pending) return wrong("what has ended is pending in the table, needed at", before);
    if (recorded.state == State::moved) {
      const Result<std::int64_t> reversed = store_->reversed_before(id, before);
      if (!reversed) return pass(reversed);
      recorded.reversed = *reversed;
    }
    return recorded;
  }

  Result<void> check_accounts() {
    std::unordered_map<AccountId, Listed> kept;  // pages come in order, and what is recent behind them
    std::int64_t pages_listed = 0;
    for (Page last;;) {
      const std::int64_t first = last.lines.empty() ? 0 : last.lines.front();
      Result<std::vector<Page>> pages = store_->pages_after(last.account, first, kAccountsAtOnce);
      if (!pages) return pass(pages);
      for (const Page& page : *pages) {
        for (const std::int64_t line : page.lines) kept[page.account].add(line);
      }
      pages_listed += static_cast<std::int64_t>(pages->size());
      if (pages->size() < kAccountsAtOnce) break;
      last = std::move(pages->back());
    }
    std::size_t count = 0;
    for (AccountId after;;) {
      const Result<std::vector<AccountRow>> rows = store_->accounts_after(after, kAccountsAtOnce);
      if (!rows) return pass(rows);
      for (const AccountRow& row : *rows) {
        for (const std::int64_t line : row.recent) kept[row.account.terms.id].add(line);
        if (auto same = check_account(row, kept[row.account.terms.id]); !same) return same;
      }
      count += rows->size();
      if (rows->size() < kAccountsAtOnce) break;
      after = rows->back().account.terms.id;
    }
    if (count != replay_.book().accounts().size() || kept.size() != count)
      return fail(Code::conflict, "the table of accounts has more or fewer than the journal opened:", count);
    return check_all_listed(static_cast<std::int64_t>(count), pages_listed);
  }

  /// A row whose key is that of nobody comes in no list, and counts in every sum.
  Result<void> check_all_listed(std::int64_t accounts, std::int64_t pages) {
    const Result<std::int64_t> all_accounts = store_->count_accounts();
    if (!all_accounts) return pass(all_accounts);
    if (*all_accounts != accounts) return wrong("the table of accounts has rows that are none:", *all_accounts);
    const Result<std::int64_t> all_pages = store_->count_pages();
    if (!all_pages) return pass(all_pages);
    if (*all_pages != pages) return wrong("the table of pages has rows that are none:", *all_pages);
    return {};
  }

  Result<void> check_account(const AccountRow& row, const Listed& kept) {
    const AccountId id = row.account.terms.id;
    const Account* const account = replay_.book().account(id);
    if (account == nullptr || *account != row.account)
      return fail(Code::conflict, "another account or balance than the journal leads to:", to_text(id));
    const Lines& lines = lines_[id];
    if (lines != kept.lines || !kept.ascending || row.lines != lines.count)
      return fail(Code::conflict, "the lines listed for an account are not those that concern it:", to_text(id));
    return {};
  }

  Result<void> check_counts() {
    const Result<std::int64_t> lines = store_->count_lines();
    if (!lines) return pass(lines);
    if (*lines != replay_.sequence()) return wrong("the journal has rows that are no lines of it:", *lines);
    const Result<std::int64_t> transfers = store_->count_transfers();
    if (!transfers) return pass(transfers);
    if (*transfers != transfers_) return wrong("the table of transfers has more than the journal:", *transfers);
    const Result<std::int64_t> pending = store_->count_pending();
    if (!pending) return pass(pending);
    if (*pending != static_cast<std::int64_t>(replay_.book().pending()))
      return wrong("another number is pending in the table of transfers:", *pending);
    const Result<std::int64_t> reversed = store_->count_wrongly_reversed();
    if (!reversed) return pass(reversed);
    if (*reversed != 0) return wrong("reversals do not add up to what the table of transfers has, of", *reversed);
    return {};
  }

  Store* store_;
  std::optional<Noted> noted_;
  Replay replay_;
  std::deque<Row> expected_;  ///< that nothing was told of yet
  std::deque<Told> told_;     ///< whose row is still to come
  std::unordered_map<TransferId, TransferRow> places_;
  std::vector<std::pair<TransferId, State>> ended_;
  std::unordered_map<AccountId, Lines> lines_;
  std::int64_t transfers_ = 0;
};

}  // namespace

Result<Verified> verify_within(Store& store, const std::optional<Noted>& noted) {
  Check check{store, noted};
  while (true) {
    const Result<bool> more = check.read_some();
    if (!more) return pass(more);
    if (!*more) return check.finish();
  }
}

Result<Verified> verify(Store& store, const std::optional<Noted>& noted,
                        const std::function<void(std::int64_t, std::int64_t)>& on_progress) {
  const Result<End> end = store.end();
  if (!end) return pass(end);
  Check check{store, noted};
  const auto told = [&] {
    if (on_progress) on_progress(check.sequence(), end->sequence);
  };
  while (check.sequence() < end->sequence) {
    const Result<bool> more = check.read_some();
    if (!more) return pass(more);
    told();
    if (!*more) return wrong("lines have gone from the end of the journal, after", check.sequence());
  }
  std::optional<Verified> verified;
  const Result<void> done = store.snapshot([&]() -> Result<void> {
    for (bool more = true; more; told()) {
      const Result<bool> some = check.read_some();
      if (!some) return pass(some);
      more = *some;
    }
    Result<Verified> finished = check.finish();
    if (!finished) return pass(finished);
    verified = std::move(*finished);
    return {};
  });
  if (!done) return pass(done);
  return std::move(*verified);
}

}  // namespace ribalta::ledger
