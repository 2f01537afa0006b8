// What people and programs read of the ledger.
#include "control-plane/ledger/report.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace ribalta;
using namespace ribalta::ledger;

namespace {

constexpr AccountId kBank{0, 1};
constexpr AccountId kAnna{0, 2};

Row row_of(const Entry& entry) {
  const std::string line = to_line(entry);
  return {.sequence = entry.sequence,
          .time_ms = entry.time_ms,
          .line = line,
          .hash = chain(kChainBegin, line),
          .transfer = {1, 7},
          .of = {},
          .debit = kBank,
          .credit = kAnna,
          .minor = 250,
          .debit_after = {.debits = 250, .credits = 0, .debits_pending = 0, .credits_pending = 0},
          .credit_after = {.debits = 0, .credits = 250, .debits_pending = 0, .credits_pending = 0}};
}

Row gift(const std::string& reference) {
  const Transfer transfer{.id = {1, 7}, .debit = kBank, .credit = kAnna, .amount = {250, {}}, .reference = reference};
  return row_of({1, 1'800'000'000'120, Answered{transfer, TransferStatus::created, 1}});
}

std::string csv_of(const Row& row) { return csv_row(row, from_line(row.line).value()); }

}  // namespace

TEST_CASE("report: times are written and read; a day is meant to its end, a second too") {
  CHECK(time_text(1'800'000'000'120) == "2027-01-15T08:00:00.120Z");
  CHECK(time_of("2027-01-15T08:00:00.120Z").value() == 1'800'000'000'120);
  CHECK(time_of("2027-01-15T08:00:00Z").value() == 1'800'000'000'999);
  CHECK(time_of("2027-01-15").value() == time_of("2027-01-15T23:59:59.999Z").value());
  for (const char* bad : {"", "yesterday", "2027-13-01", "2027-01-15 08:00:00", "2027-01-15T08:00:00",
                          "2027-01-15T08:00Z", "2027-01-15T08:00:00.1Z", "2027-01-15T08:00:00.-12Z",
                          "2027-01-15T08:00:00Zx", "2026-11-31", "2027-02-29", "2027-02-29T08:00:00Z", "2027-01-00",
                          "2027-01-15T24:00:00Z", "2027-01-15T08:00:60Z", "27-01-15", " 2027-01-15", "02027-01-15"}) {
    const Result<std::int64_t> time = time_of(bad);
    REQUIRE_MESSAGE(!time, bad);
    CHECK_MESSAGE(time.error().code == Code::malformed, bad);
  }
  CHECK(time_of("2028-02-29"));
}

TEST_CASE(
    "report: a cell of CSV is quoted where it needs it, and no spreadsheet takes a stranger's text for a formula") {
  CHECK(csv_cell("gift 7") == "gift 7");
  CHECK(csv_cell("a,b") == "\"a,b\"");
  CHECK(csv_cell("say \"hi\"\n") == "\"say \"\"hi\"\"\n\"");
  for (const char* formula : {"=1+1", "+1", "-1", "@SUM(A1)", "\t=1"}) CHECK(csv_cell(formula).starts_with("\"'"));
  CHECK(csv_cell("gift;=cmd|'/C calc'!A1") == "\"gift;'=cmd|'/C calc'!A1\"");
  CHECK(csv_cell("a;\t+1\n-1\r@SUM(A1);b") == "\"a;'\t'+1\n'-1\r'@SUM(A1);b\"");
  CHECK(csv_cell("a; =1+1") == "\"a;' =1+1\"");
  CHECK(csv_cell(";\"=1+1") == "\";'\"\"=1+1\"");
  CHECK(csv_cell("a-b = c; d") == "\"a-b = c; d\"");
  const std::string row = csv_of(gift("=HYPERLINK(\"http://x\")"));
  CHECK(row.find(",\"'=HYPERLINK(\"\"http://x\"\")\",") != std::string::npos);
  const auto commas = [](std::string_view text) { return std::ranges::count(text, ','); };
  CHECK(commas(csv_of(gift("plain"))) == commas(csv_header()));
  CHECK(commas(csv_of(row_of({1, 5, AccountOpened{{kBank, {}, Side::debit, true}}}))) == commas(csv_header()));
}

TEST_CASE("report: a JSON line holds the bytes that were hashed") {
  const Row row = gift("l'età \"7\"");
  const std::string line = json_row(row);
  const std::size_t begin = line.find("\"line\":") + 7;
  CHECK(chain(kChainBegin, line.substr(begin, line.size() - begin - 1)) == row.hash);
}

TEST_CASE("report: a statement counts on the side on which the account grows, and hides what a terminal would obey") {
  const Row row = gift("\x1b[2J");
  const StatementLine annas{row, from_line(row.line).value(), Side::credit, row.credit_after};
  const StatementLine banks{row, from_line(row.line).value(), Side::debit, row.debit_after};
  const Account anna{{kAnna, {}, Side::credit, false}, row.credit_after, false};
  const Account bank{{kBank, {}, Side::debit, true}, row.debit_after, false};
  CHECK(statement_json(anna, {annas}).find("\"change_minor\":250,\"posted_minor\":250,") != std::string::npos);
  CHECK(statement_json(bank, {banks}).find("\"change_minor\":250,\"posted_minor\":250,") != std::string::npos);
  CHECK(statement_text(anna, {annas}).find('\x1b') == std::string::npos);
  const Row odd = gift("a\u0080\u009f\u202a\u202e\u2066\u2069\u007fb\u00a0\u2029\u202f\u2065\u206aè漢");
  CHECK(statement_text(anna, {{odd, from_line(odd.line).value(), Side::credit, odd.credit_after}})
            .ends_with("  a       b\u00a0\u2029\u202f\u2065\u206aè漢\n"));
  CHECK(statement_csv(anna, {annas}).find(",250,250,250,0,") != std::string::npos);
}
