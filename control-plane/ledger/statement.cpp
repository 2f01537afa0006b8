#include "control-plane/ledger/statement.h"

#include <algorithm>
#include <ranges>
#include <utility>

namespace ribalta::ledger {
namespace {

constexpr std::size_t kPagesAtOnce = 64;

/// Numbers of an account's lines at or before `last`, the latest first, up to `limit`.
Result<std::vector<std::int64_t>> lines_of(Store& store, AccountId account, std::int64_t last, std::size_t limit) {
  const Result<std::vector<AccountRow>> found = store.accounts({&account, 1});
  if (!found) return pass(found);
  if (found->empty()) return fail(Code::not_found, "there is no account", to_text(account));
  std::vector<std::int64_t> lines;
  const auto add = [&](const std::vector<std::int64_t>& numbers) {
    for (const std::int64_t line : std::views::reverse(numbers)) {
      if (line <= last && lines.size() < limit) lines.push_back(line);
    }
  };
  const std::vector<std::int64_t>& recent = found->front().recent;
  add(recent);
  // Before those: a writer may have made a page of them meanwhile.
  for (std::int64_t before = recent.empty() ? last : std::min(last, recent.front() - 1); lines.size() < limit;) {
    const Result<std::vector<Page>> pages = store.pages(account, before, kPagesAtOnce);
    if (!pages) return pass(pages);
    for (const Page& page : *pages) add(page.lines);
    if (pages->size() < kPagesAtOnce) break;
    before = pages->back().lines.front() - 1;
  }
  return lines;
}

}  // namespace

Result<std::int64_t> sequence_at(Store& store, std::int64_t time_ms) {
  const Result<End> end = store.end();
  if (!end) return pass(end);
  std::int64_t low = 0;  // that line is early enough, or the one before the first
  std::int64_t high = end->sequence;
  while (low < high) {
    const std::int64_t middle = low + (high - low + 1) / 2;
    const Result<std::vector<Row>> row = store.rows(middle, 1);
    if (!row) return pass(row);
    if (row->empty() || row->front().time_ms > time_ms) {
      high = middle - 1;
    } else {
      low = middle;
    }
  }
  return low;
}

Result<std::vector<StatementLine>> statement(Store& store, AccountId account, std::int64_t last, std::size_t limit) {
  const Result<std::vector<std::int64_t>> lines = lines_of(store, account, last, limit);
  if (!lines) return pass(lines);
  Result<std::vector<Row>> rows = store.rows(*lines);
  if (!rows) return pass(rows);
  std::vector<StatementLine> statement;
  for (Row& row : *rows) {
    Result<Entry> entry = from_line(row.line);
    if (!entry) return pass(entry);
    const bool on_debit = row.debit == account;
    if (!on_debit && row.credit != account)
      return fail(Code::malformed, "an account is said to stand in a line where it does not:", row.sequence);
    const Balance after = on_debit ? row.debit_after : row.credit_after;
    statement.push_back({std::move(row), std::move(*entry), on_debit ? Side::debit : Side::credit, after});
  }
  return statement;
}

Result<Balance> balance_at(Store& store, AccountId account, std::int64_t time_ms) {
  const Result<std::int64_t> last = sequence_at(store, time_ms);
  if (!last) return pass(last);
  const Result<std::vector<StatementLine>> line = statement(store, account, *last, 1);
  if (!line) return pass(line);
  return line->empty() ? Balance{} : line->front().after;
}

}  // namespace ribalta::ledger
