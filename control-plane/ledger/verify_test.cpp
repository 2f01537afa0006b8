// What is read of a ledger on disk: statements, balances as of any instant, and whether all of it is right.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <iterator>
#include <thread>
#include <vector>

#include "control-plane/ledger/ledger_testing.h"
#include "control-plane/ledger/report.h"
#include "control-plane/ledger/statement.h"
#include "control-plane/ledger/verify.h"

using namespace ribalta;
using namespace ribalta::ledger;
using namespace ribalta::ledger::testing;

namespace {

/// What `verify` says of a ledger in which this was done; afterwards it is undone.
Result<Verified> verified_after(Store& store, const char* change) {
  const auto plain = [&store](const char* statement) {
    return store.database().read([&](sql::Session& session) { return session.run("tamper", statement); });
  };
  REQUIRE(plain("BEGIN"));
  const Result<std::int64_t> changed = plain(change);
  REQUIRE(changed);
  CHECK_MESSAGE(*changed > 0, change);
  Result<Verified> verified = verify_within(store);
  REQUIRE(plain("ROLLBACK"));
  return verified;
}

}  // namespace

TEST_CASE("statement: an account's lines, latest first, through pages; balances as of any instant") {
  on_each_engine([](const std::string& address) {
    constexpr std::int64_t kGifts = 5 * static_cast<std::int64_t>(kPageLines) + 3;
    std::atomic<std::int64_t> now{kNow};
    Bench bench{address, [&now] { return now.load(); }};
    bench.open_accounts();
    for (std::int64_t i = 1; i <= kGifts; ++i) {
      now = kNow + 10 * i;
      REQUIRE(bench.ask(direct(static_cast<std::uint64_t>(i), kBank, i % 3 == 0 ? kBruno : kAnna, i)) ==
              TransferStatus::created);
    }
    Result<Store> store = Store::open(address, false);
    REQUIRE(store);
    std::int64_t annas = 0;
    for (std::int64_t i = 1; i <= kGifts; ++i) {
      annas += i % 3 == 0 ? 0 : i;
      if (i % 7 != 0 && i != kGifts) continue;
      CHECK(balance_at(*store, kAnna, kNow + 10 * i).value().credits == annas);
      CHECK(balance_at(*store, kAnna, kNow + 10 * i + 9).value().credits == annas);
    }
    CHECK(balance_at(*store, kAnna, kNow) == Balance{});
    CHECK(balance_at(*store, kAnna, 0) == Balance{});
    CHECK(balance_at(*store, {0, 77}, kNow).error().code == Code::not_found);
    const auto all = statement(*store, kBank, kNever, 1'000);
    REQUIRE(all);
    REQUIRE(all->size() == static_cast<std::size_t>(kGifts));
    for (std::size_t i = 0; i < all->size(); ++i) {
      CHECK((*all)[i].row.minor == kGifts - static_cast<std::int64_t>(i));
      CHECK((*all)[i].side == Side::debit);
    }
    CHECK(statement(*store, kBank, all->at(50).row.sequence, 10).value().front().row.minor == kGifts - 50);
    CHECK(statement(*store, kBank, kNever, 7)->size() == 7);
    bench.check_whole(kGifts + 3);
  });
}

TEST_CASE("statement: beside a writer at work it has each line once, and each follows from the one before") {
  on_each_engine([](const std::string& address) {
    Bench bench{address};
    bench.open_accounts();
    REQUIRE(bench.ask(direct(1, kBank, kAnna, 1)) == TransferStatus::created);
    std::atomic<bool> ends{false};
    std::atomic<bool> failed{false};
    Result<Store> store = Store::open(address, false);
    REQUIRE(store);
    std::thread giver{[&] {
      for (std::uint64_t i = 2; !ends && !failed; ++i)
        failed = bench.writer->ask(Linked{direct(i, kBank, kAnna, 1)}).outcome != Outcome::answered;
    }};
    std::string wrong;
    for (std::size_t longest = 0; longest < 20 * kPageLines && wrong.empty() && !failed;) {
      const auto lines = statement(*store, kAnna, kNever, 10'000);
      if (!lines) wrong = lines.error().message;
      for (std::size_t i = 0; lines && i < lines->size(); ++i) {
        const auto left = static_cast<std::int64_t>(lines->size() - i);
        if ((*lines)[i].after.credits != left) wrong = "another balance at " + std::to_string(left);
      }
      if (lines) longest = lines->size();
    }
    ends = true;
    giver.join();
    CHECK_FALSE(failed);
    CHECK(wrong == "");
  });
}

TEST_CASE("report: a row of CSV that tells of an expiry has the currency of what expired") {
  on_each_engine([](const std::string& address) {
    std::atomic<std::int64_t> now{kNow};
    Bench bench{address, [&now] { return now.load(); }};
    bench.open_accounts();
    REQUIRE(bench.ask(pending(1, kBank, kAnna, 80, kNow + 30)) == TransferStatus::created);
    now = kNow + 30;
    REQUIRE(bench.ask(direct(2, kBank, kAnna, 7)) == TransferStatus::created);
    Store store = Store::open(address, false).value();
    const std::string text = csv_rows(store, store.rows(1, 100).value()).value();
    CHECK(text.find(",expired,,,00000000000000010000000000000001,,00000000000000000000000000000001,"
                    "00000000000000000000000000000002,EUR,80,") != std::string::npos);
    CHECK(std::ranges::count(text, '\n') == 6);
  });
}

TEST_CASE("verify: whatever is changed in a table is found") {
  const char* const changes[] = {
      "UPDATE journal SET line = REPLACE(line, '\"minor\":300', '\"minor\":301') WHERE sequence = 5",
      "UPDATE journal SET hash = transfer || transfer WHERE sequence = 4",
      "UPDATE journal SET minor = minor + 1 WHERE sequence = 5",
      "UPDATE journal SET debit = credit WHERE sequence = 5",
      "UPDATE journal SET of_transfer = '' WHERE of_transfer <> ''",
      "UPDATE journal SET debit_debits = debit_debits + 1 WHERE sequence = 6",
      "UPDATE journal SET credit_credits_pending = 7 WHERE sequence = 6",
      "UPDATE journal SET time_ms = time_ms + 1 WHERE sequence = 5",
      "UPDATE journal SET time_ms = time_ms + 1000000 WHERE sequence = (SELECT MAX(sequence) FROM journal)",
      "UPDATE journal SET minor = 1 WHERE sequence = 1",
      "UPDATE journal SET of_transfer = '00000000000000010000000000000001', minor = -10 WHERE sequence = 1",
      "UPDATE journal SET debit = '00000000000000000000000000000001' WHERE sequence = 1",
      "INSERT INTO journal SELECT 0, 1, line, hash, '', '', '', '', 0, 0, 0, 0, 0, 0, 0, 0, 0 FROM journal LIMIT 1",
      "UPDATE accounts SET recent = REPLACE(recent, '59,60', '60,59')",
      "DELETE FROM journal WHERE sequence = 5",
      "DELETE FROM journal WHERE sequence = (SELECT MAX(sequence) FROM journal)",
      "UPDATE transfers SET sequence = sequence + 1 WHERE sequence = 5",
      "UPDATE transfers SET state = 'voided' WHERE state = 'posted'",
      "UPDATE transfers SET state = 'pending' WHERE state = 'posted'",
      "UPDATE transfers SET state = 'posted' WHERE state = 'pending'",
      "UPDATE transfers SET state = 'moved' WHERE state = 'refused'",
      "UPDATE transfers SET reversed = reversed - 1 WHERE reversed > 0",
      "UPDATE transfers SET reversed = 1 WHERE reversed = 0 AND state = 'moved'",
      "DELETE FROM transfers WHERE sequence = 5",
      "INSERT INTO transfers SELECT '00000000000000090000000000000001', 5, 'moved', 0",
      "UPDATE accounts SET debits = debits + 1, credits = credits + 1 WHERE normal = 'debit'",
      "UPDATE accounts SET closed = 1 WHERE normal = 'debit'",
      "UPDATE accounts SET may_go_negative = 1",
      "UPDATE accounts SET recent = REPLACE(recent, '4', '3')",
      "UPDATE accounts SET lines = lines + 1 WHERE normal = 'debit'",
      "DELETE FROM accounts WHERE normal = 'debit'",
      "DELETE FROM pages",
      "UPDATE pages SET lines = REPLACE(lines, '20,', '21,')",
      "INSERT INTO accounts SELECT '', currency, normal, 1, 0, 5, 5, 0, 0, 0, '' FROM accounts LIMIT 1",
      "INSERT INTO pages SELECT '', 0, lines FROM pages LIMIT 1",
      "INSERT INTO pages SELECT '', 5, lines FROM pages LIMIT 1",
  };
  // What another server would not take, and SQLite keeps; it is read as what was there before.
  const char* const sqlite_changes[] = {
      "UPDATE accounts SET credits = credits + 0.5",
      "UPDATE accounts SET closed = 0.5",
      "UPDATE accounts SET currency = CAST(currency AS BLOB)",
      "UPDATE journal SET minor = minor + 0.7 WHERE sequence = 5",
      "UPDATE journal SET line = line || char(0) || 'x' WHERE sequence = 5",
      "UPDATE journal SET debit_debits = debit_debits + 0.5 WHERE sequence = 6",
      "UPDATE transfers SET reversed = reversed + 0.5",
      "UPDATE transfers SET state = CAST(state AS BLOB) WHERE state = 'refused'",
      "UPDATE pages SET lines = lines || char(0)",
      "UPDATE writer SET epoch = epoch + 0.5",
  };
  on_each_engine([&](const std::string& address) {
    Bench bench{address};
    bench.open_accounts();
    const Transfer top_up = direct(1, kBank, kAnna, 100'000);
    const Transfer hold = pending(3, kAnna, kBruno, 40);
    bench.ask(top_up);
    bench.ask(direct(2, kAnna, kBruno, 300));
    bench.ask(hold);
    bench.ask(after(4, Kind::post_pending, hold, 30));
    bench.ask(pending(5, kAnna, kBruno, 7));
    bench.ask(after(6, Kind::reversal, top_up, 10));
    bench.ask(direct(7, kBruno, kAnna, 1'000'000));
    for (std::uint64_t i = 8; i < 60; ++i) bench.ask(direct(i, kBank, kAnna, 1));
    bench.check_whole(62);
    bench.writer.reset();
    Result<Store> store = Store::open(address, false);
    REQUIRE(store);
    std::vector<const char*> all{std::begin(changes), std::end(changes)};
    if (store->engine() == sql::Engine::sqlite)
      all.insert(all.end(), std::begin(sqlite_changes), std::end(sqlite_changes));
    for (const char* change : all) {
      const Result<Verified> undone = verified_after(*store, change);
      INFO(std::string{change});
      REQUIRE_FALSE(undone.has_value());
      CHECK((undone.error().code == Code::conflict || undone.error().code == Code::malformed));
    }
    CHECK(verify(*store));
    CHECK_FALSE(verify(*store, Noted{5, std::string(64, '0')}));
    CHECK_FALSE(verify(*store, Noted{63, std::string(64, '0')}));
    const std::string hash = store->rows(5, 1).value().front().hash;
    CHECK(verify(*store, Noted{5, hash}));
  });
}
