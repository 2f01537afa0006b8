// The ledger with its disk and its thread, on both engines: what is answered is on disk, once, and nothing else is.
#include "control-plane/ledger/writer.h"

#include <doctest/doctest.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <future>
#include <thread>

#include "control-plane/ledger/fence.h"
#include "control-plane/ledger/ledger_testing.h"
#include "control-plane/ledger/verify.h"

using namespace ribalta;
using namespace ribalta::ledger;
using namespace ribalta::ledger::testing;

namespace {

using Tell = std::function<std::int64_t(const char*)>;
Tell session_at(const std::string& address) {
  return [database = sql::Database::open({.address = address, .connections = 1}).value()](const char* statement) {
    const auto told =
        database->read([statement](sql::Session& session) { return session.row<std::int64_t>("tell", statement); });
    return std::get<0>(told.value().value());
  };
}
/// Of this database, but the one that says so.
constexpr const char* kEndConnections =
    "SELECT COUNT(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE datname = current_database() AND pid "
    "<> pg_backend_pid()";

}  // namespace

TEST_CASE("writer: a connection that is lost while it had nothing to do costs an answer, and nothing else") {
  if (!ribalta::testing::PostgresCluster::installed()) return;
  const std::string address = fresh_address(sql::Engine::postgresql);
  Bench bench{address};
  bench.open_accounts();
  REQUIRE(bench.ask(direct(5, kBank, kAnna, 100)) == TransferStatus::created);
  const auto other = sql::Database::open({.address = address, .connections = 1}).value();
  const auto ended = other->read([](sql::Session& session) {
    return session.row<std::int64_t>(
        "end",
        "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> "
        "pg_backend_pid() AND pid NOT IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')");
  });
  REQUIRE(std::get<0>(**ended) == 1);
  CHECK(bench.ask(direct(6, kBank, kAnna, 100)) == TransferStatus::created);  // nothing to look up
  CHECK(bench.writer->ask(Linked{direct(4, kBank, kAnna, 100)}).outcome == Outcome::unavailable);
  CHECK(bench.insist(direct(4, kBank, kAnna, 100)) == TransferStatus::created);
  bench.check_whole(6);
}

TEST_CASE("fence: a connection to where nobody has the fence is not beside it") {
  if (!ribalta::testing::PostgresCluster::installed()) return;
  Store writes = Store::open(fresh_address(sql::Engine::postgresql), true).value();
  const std::unique_ptr<Fence> fence = Fence::take(writes, false).value();
  Store elsewhere = Store::open(fresh_address(sql::Engine::postgresql), true).value();
  CHECK(fence->is_beside(writes));
  CHECK(fence->is_beside(elsewhere).error().code == Code::unavailable);
  const std::unique_ptr<Fence> another = Fence::take(elsewhere, false).value();
  CHECK(fence->is_beside(elsewhere).error().code == Code::unavailable);
}

TEST_CASE("writer: as long as another has the fence it makes and changes no table") {
  on_each_engine([](const std::string& address) {
    Store another = Store::connect(address).value();
    const std::unique_ptr<Fence> fence = Fence::take(another, false).value();
    CHECK(Writer::start({.address = address}).error().code == Code::conflict);
    CHECK(Store::open(address, false).error().code == Code::not_found);
  });
}

TEST_CASE("writer: the greatest id is known after a start in a database of any language") {
  if (!ribalta::testing::PostgresCluster::installed()) return;
  const auto server = sql::Database::open({.address = durable_cluster().address("postgres"), .connections = 1}).value();
  // To Danes aa is å, which comes last.
  REQUIRE(server->read([](sql::Session& session) {
    return session.run("create",
                       "CREATE DATABASE danish TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'da' LOCALE 'C'");
  }));
  const std::string address = durable_cluster().address("danish");
  Transfer first = direct(1, kBank, kAnna, 100);
  first.id.high = 0xAA00000000000000;
  Transfer last = first;
  last.id.high = 0xF000000000000000;
  {
    Bench bench{address};
    bench.open_accounts();
    REQUIRE(bench.ask_linked({first, last}) == std::vector(2, TransferStatus::created));
  }
  Bench bench{address};
  CHECK(bench.ask(last) == TransferStatus::exists);
  CHECK(bench.ask(after(7, Kind::reversal, last, 100)) == TransferStatus::created);
  bench.check_whole(6);
}

TEST_CASE("writer: what was answered is on disk; the next writer goes on from there, and retries are known to it") {
  on_each_engine([](const std::string& address) {
    const Transfer top_up = direct(1, kBank, kAnna, 1'000);
    const Transfer refused = direct(2, kAnna, kBruno, 5'000);
    const Transfer hold = pending(3, kAnna, kBruno, 400);
    {
      Bench bench{address};
      bench.open_accounts();
      CHECK(bench.ask(top_up) == TransferStatus::created);
      CHECK(bench.ask(refused) == TransferStatus::insufficient_funds);
      CHECK(bench.ask(hold) == TransferStatus::created);
      bench.check_whole(6);
    }
    Bench bench{address};
    CHECK(bench.ask(top_up) == TransferStatus::exists);
    CHECK(bench.ask(refused) == TransferStatus::insufficient_funds);
    Transfer other = top_up;
    other.amount.minor = 1;
    CHECK(bench.ask(other) == TransferStatus::exists_with_different_terms);
    CHECK(bench.ask(after(4, Kind::post_pending, hold, 150)) == TransferStatus::created);
    CHECK(bench.ask(after(5, Kind::post_pending, hold, 150)) == TransferStatus::pending_already_posted);
    CHECK(bench.ask(after(6, Kind::reversal, top_up, 700)) == TransferStatus::created);
    CHECK(bench.ask(after(7, Kind::reversal, top_up, 301)) == TransferStatus::amount_over_original);
    CHECK(bench.posted_of(kAnna) == 150);
    CHECK(bench.posted_of(kBruno) == 150);
    bench.check_whole(10);
  });
}

TEST_CASE("writer: a group, one of whose transfers fails, leaves refusals and nothing else") {
  on_each_engine([](const std::string& address) {
    Bench bench{address};
    bench.open_accounts();
    REQUIRE(bench.ask(direct(1, kBank, kAnna, 100)) == TransferStatus::created);
    const Linked group{direct(2, kAnna, kBruno, 60), direct(3, kAnna, kBruno, 60)};
    const auto failed = bench.ask_linked(group);
    CHECK(failed == std::vector{TransferStatus::linked_transfer_failed, TransferStatus::insufficient_funds});
    CHECK(bench.ask_linked(group) == failed);
    CHECK(bench.ask_linked({direct(4, kAnna, kBruno, 60), direct(5, kBruno, kBank, 30)}) ==
          std::vector{TransferStatus::created, TransferStatus::created});
    bench.check_whole(8);
  });
}

TEST_CASE("writer: accounts are opened once, closed for good, and only in a currency that there is") {
  on_each_engine([](const std::string& address) {
    Bench bench{address};
    bench.open_accounts();
    const AccountTerms terms{kAnna, kEuro, Side::credit, false};
    CHECK(bench.open(terms) == AccountStatus::exists);
    CHECK(bench.open({kAnna, kEuro, Side::debit, false}) == AccountStatus::exists_with_different_terms);
    CHECK(bench.open({{0, 9}, Currency{{'X', 'X', 'X', '\0'}}, Side::debit, false}) == AccountStatus::unknown_currency);
    CHECK(bench.close(kAnna));
    CHECK(bench.close(kAnna));
    CHECK_FALSE(bench.close({0, 99}));
    CHECK(bench.ask(direct(1, kBank, kAnna, 1)) == TransferStatus::account_closed);
    bench.check_whole(5);
  });
}

TEST_CASE("writer: what is pending expires by itself, without anybody asking") {
  on_each_engine([](const std::string& address) {
    std::atomic<std::int64_t> now{kNow};
    Bench bench{address, [&now] { return now.load(); }};
    bench.open_accounts();
    REQUIRE(bench.ask(direct(1, kBank, kAnna, 100)) == TransferStatus::created);
    REQUIRE(bench.ask(pending(2, kAnna, kBruno, 80, kNow + 30)) == TransferStatus::created);
    CHECK(bench.ask(direct(3, kAnna, kBruno, 80)) == TransferStatus::insufficient_funds);
    now = kNow + 30;
    CHECK(bench.lines_reach(7));
    CHECK(bench.ask(direct(4, kAnna, kBruno, 80)) == TransferStatus::created);
    CHECK(bench.ask(after(5, Kind::post_pending, pending(2, kAnna, kBruno, 80), 80)) ==
          TransferStatus::pending_expired);
    bench.check_whole(9);
  });
}

TEST_CASE("writer: whatever number expires at one instant, no commit is larger than any other") {
  on_each_engine([](const std::string& address) {
    constexpr std::int64_t kHeld = 2 * kBatchTransfersMax + 100;
    std::atomic<std::int64_t> now{kNow};
    Bench bench{address, [&now] { return now.load(); }};
    bench.open_accounts();
    REQUIRE(bench.ask(direct(1, kBank, kAnna, kHeld)) == TransferStatus::created);
    for (std::int64_t i = 0; i < kHeld; i += kLinkedMax) {
      Linked group;
      for (std::int64_t k = i; k < std::min<std::int64_t>(i + kLinkedMax, kHeld); ++k)
        group.push_back(pending(static_cast<std::uint64_t>(10 + k), kAnna, kBruno, 1, kNow + 5'000));
      const std::vector all(group.size(), TransferStatus::created);
      REQUIRE(bench.ask_linked(std::move(group)) == all);
    }
    CHECK(bench.ask(direct(2, kAnna, kBruno, 1)) == TransferStatus::insufficient_funds);
    const std::int64_t before = bench.writer->counts().commits;
    now = kNow + 5'000;
    // What is asked now is judged when all of it has expired.
    CHECK(bench.ask(direct(3, kAnna, kBruno, kHeld)) == TransferStatus::created);
    CHECK(bench.writer->counts().commits - before == 3);
    bench.check_whole(2 * kHeld + 6);
  });
}

TEST_CASE(
    "desk: a ledger that ends in the middle of an instant at which much expires is whole, and goes on from there") {
  on_each_engine([](const std::string& address) {
    {
      Bench bench{address, [] { return kNow; }};
      bench.open_accounts();
      REQUIRE(bench.ask(direct(1, kBank, kAnna, 100)) == TransferStatus::created);
      for (std::uint64_t i = 2; i < 12; ++i)
        REQUIRE(bench.ask(pending(i, kAnna, kBruno, 5, kNow + 1 + static_cast<std::int64_t>(i / 8))) ==
                TransferStatus::created);
    }
    {
      Store store = Store::open(address, false).value();
      const Epoch epoch = store.take_epoch(kNow).value();
      Desk desk = Desk::load(store).value();
      CHECK(desk.expire(store, kNow + 9, 4) == 4);
      const Changes changes = desk.hand_over();
      CHECK(desk.expire(store, kNow + 9, 3) == 3);  // judged, and never written
      REQUIRE(store.write(changes, epoch));
      const Result<Verified> verified = verify(store);
      REQUIRE_MESSAGE(verified, (verified ? "" : verified.error().message));
      CHECK(verified->end.sequence == 18);
    }
    Bench bench{address, [] { return kNow; }};
    CHECK(bench.ask(direct(20, kAnna, kBruno, 100)) == TransferStatus::created);
    bench.check_whole(25);
  });
}

TEST_CASE("writer: a clock that goes back does not take the journal with it") {
  on_each_engine([](const std::string& address) {
    std::atomic<std::int64_t> now{kNow};
    const auto clock = [&now] { return now.load(); };
    {
      Bench bench{address, clock};
      bench.open_accounts();
      REQUIRE(bench.ask(direct(1, kBank, kAnna, 100)) == TransferStatus::created);
      now = kNow - 1'000'000;
      CHECK(bench.ask(direct(2, kBank, kAnna, 100)) == TransferStatus::created);
    }
    Bench bench{address, clock};
    CHECK(bench.ask(direct(3, kBank, kAnna, 100)) == TransferStatus::created);
    bench.check_whole(6);
  });
}

TEST_CASE("writer: what is no request is refused at the door, and its id stays free") {
  on_each_engine([](const std::string& address) {
    Bench bench{address};
    bench.open_accounts();
    Transfer asked = direct(1, kBank, kAnna, 100);
    asked.reference = "\xff";
    CHECK(bench.ask(asked) == TransferStatus::reference_not_text);
    asked.reference = "fattura n. 7 {\"à\",\\}";
    CHECK(bench.ask(asked) == TransferStatus::created);
    Transfer nameless = asked;
    nameless.id = {};
    CHECK(bench.ask(nameless) == TransferStatus::id_missing);
    CHECK(bench.open({{}, kEuro, Side::credit, false}) == AccountStatus::id_missing);
    CHECK(bench.writer->ask(Linked{}).outcome == Outcome::not_a_group);
    CHECK(bench.writer->ask(Linked(kLinkedMax + 1, asked)).outcome == Outcome::not_a_group);
    bench.check_whole(4);
  });
}

TEST_CASE("writer: what was answered before is answered alike beside what is no request, also after a restart") {
  on_each_engine([](const std::string& address) {
    const Transfer gift = direct(5, kBank, kAnna, 100);
    const Transfer dear = direct(4, kAnna, kBruno, 5'000);
    const Transfer fresh = direct(3, kAnna, kBruno, 10);
    Transfer bad = direct(6, kBank, kAnna, 100);
    bad.reference = std::string(1'000'000, 'x');
    const Linked mixed{gift, bad, dear, fresh};
    const std::vector answers{TransferStatus::exists, TransferStatus::reference_too_long,
                              TransferStatus::insufficient_funds, TransferStatus::linked_transfer_failed};
    {
      Bench bench{address};
      bench.open_accounts();
      CHECK(bench.ask_linked(mixed) ==
            std::vector{TransferStatus::linked_transfer_failed, TransferStatus::reference_too_long,
                        TransferStatus::linked_transfer_failed, TransferStatus::linked_transfer_failed});
      REQUIRE(bench.ask(gift) == TransferStatus::created);
      REQUIRE(bench.ask(dear) == TransferStatus::insufficient_funds);
      CHECK(bench.ask_linked(mixed) == answers);
    }
    Bench bench{address};
    CHECK(bench.ask_linked(mixed) == answers);
    CHECK(bench.ask_linked({bad, bad}) == std::vector(2, TransferStatus::reference_too_long));
    CHECK(bench.ask(fresh) == TransferStatus::created);
    CHECK(bench.posted_of(kAnna) == 90);
    bench.check_whole(6);
  });
}

TEST_CASE("writer: many at once get each their own answer; a full queue refuses, and takes nothing of that") {
  on_each_engine([](const std::string& address) {
    constexpr std::uint64_t kAsked = 3'000;
    Bench bench{address, {}, 1'000};
    bench.open_accounts();
    std::atomic<std::uint64_t> created{0};
    std::atomic<std::uint64_t> full{0};
    std::atomic<std::uint64_t> answered{0};
    std::promise<void> all;
    for (std::uint64_t i = 1; i <= kAsked; ++i) {
      bench.writer->ask(Linked{direct(i, kBank, kAnna, 1)}, [&](const Reply& reply) {
        if (reply.outcome == Outcome::queue_full) ++full;
        if (reply.outcome == Outcome::answered) ++created;
        if (++answered == kAsked) all.set_value();
      });
    }
    all.get_future().wait();
    CHECK(created + full == kAsked);
    CHECK(created >= 1'000);
    CHECK(bench.posted_of(kAnna) == static_cast<std::int64_t>(created));
    CHECK(bench.writer->counts().commits < static_cast<std::int64_t>(created));  // they shared commits
    bench.check_whole(static_cast<std::int64_t>(created) + 3);
  });
}

TEST_CASE("writer: a second one is refused while the first lives; who takes over ends the first, and nothing is lost") {
  on_each_engine([](const std::string& address) {
    Bench first{address};
    first.open_accounts();
    REQUIRE(first.ask(direct(1, kBank, kAnna, 100)) == TransferStatus::created);
    const auto refused = Writer::start({.address = address});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::conflict);
    // A writer that slept through its own replacement: its epoch is an old one.
    Result<Store> other = Store::open(address, false);
    REQUIRE(other);
    REQUIRE(other->take_epoch(kNow));
    CHECK(first.writer->ask(Linked{direct(2, kBank, kAnna, 100)}).outcome == Outcome::taken_over);
    CHECK(first.writer->ask(Linked{direct(3, kBank, kAnna, 100)}).outcome == Outcome::taken_over);
    CHECK(first.writer->taken_over());
    first.writer.reset();
    Bench second{address};
    CHECK(second.ask(direct(1, kBank, kAnna, 100)) == TransferStatus::exists);
    CHECK(second.ask(direct(2, kBank, kAnna, 100)) == TransferStatus::created);
    CHECK(second.posted_of(kAnna) == 200);
    second.check_whole(5);
  });
}

TEST_CASE("writer: a journal that does not end where it was left ends the writer: nothing is written on top of it") {
  on_each_engine([](const std::string& address) {
    Bench bench{address};
    bench.open_accounts();
    REQUIRE(bench.ask(direct(1, kBank, kAnna, 100)) == TransferStatus::created);
    Result<Store> other = Store::open(address, false);
    REQUIRE(other);
    const auto change = [&other](const char* statement) {
      REQUIRE(other->database().write("change", [statement](sql::Session& session) -> Result<void> {
        const auto done = session.run("change", statement);
        return done ? Result<void>{} : pass(done);
      }));
    };
    change("DELETE FROM journal WHERE sequence = (SELECT MAX(sequence) FROM journal)");
    const Linked gift{direct(2, kBank, kAnna, 100)};
    for (int i = 0; i < 2; ++i) CHECK(bench.writer->ask(gift).outcome == Outcome::damaged);
    CHECK_FALSE(bench.writer->taken_over());
    CHECK(other->count_lines().value() == 3);  // the accounts
  });
}

TEST_CASE("writer: a database that comes back without what was acknowledged ends the writer") {
  if (!ribalta::testing::PostgresCluster::installed()) return;
  const std::string address = fresh_address(sql::Engine::postgresql);
  Bench bench{address};
  bench.open_accounts();
  REQUIRE(bench.ask(direct(1, kBank, kAnna, 100)) == TransferStatus::created);
  const Tell tell = session_at(address);
  tell("WITH gone AS (DELETE FROM ledger.journal WHERE sequence = 4 RETURNING sequence) SELECT COUNT(*) FROM gone");
  REQUIRE(tell(kEndConnections) >= 2);
  const Linked gift{direct(2, kBank, kAnna, 100)};
  for (int i = 0; i < 1'000 && bench.writer->ask(gift).outcome == Outcome::unavailable; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
  CHECK(bench.writer->ask(gift).outcome == Outcome::damaged);
}

TEST_CASE(
    "writer: its own old connection, not ended by PostgreSQL yet, is no other writer: it goes on once that is gone") {
  if (!ribalta::testing::PostgresCluster::installed()) return;
  const std::string address = fresh_address(sql::Engine::postgresql);
  Bench bench{address};
  bench.open_accounts();
  const auto other = sql::Database::open({.address = address, .connections = 1});
  REQUIRE(other);
  const auto tell = [&other](const char* statement) {
    return (*other)->read([statement](sql::Session& session) { return session.row<bool>("tell", statement); });
  };
  // Ended, while another session waits in line for its lock, and then has it for as long as a dead connection might.
  auto waiting = std::async(std::launch::async, [&tell] {
    return tell("SELECT 1 FROM (SELECT pg_advisory_lock(8245913047710442355)) held");
  });
  const auto watch = sql::Database::open({.address = address, .connections = 1});
  REQUIRE(watch);
  const auto look = [&watch](const char* statement) {
    return (*watch)->read([statement](sql::Session& session) { return session.row<std::int64_t>("look", statement); });
  };
  constexpr const char* kWaits = "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
  while (std::get<0>(*look(kWaits).value()) == 0) std::this_thread::sleep_for(std::chrono::milliseconds{5});
  REQUIRE(look("SELECT COUNT(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND granted"));
  REQUIRE(waiting.get());
  const Linked gift{direct(1, kBank, kAnna, 100)};
  CHECK(bench.writer->ask(gift).outcome == Outcome::unavailable);
  CHECK(bench.writer->ask(gift).outcome == Outcome::unavailable);
  CHECK_FALSE(bench.writer->taken_over());
  REQUIRE(tell("SELECT 1 FROM (SELECT pg_advisory_unlock_all()) freed"));
  CHECK(bench.insist(gift.front()) == TransferStatus::created);
  bench.check_whole(4);
}

TEST_CASE(
    "writer: a server that must not be used as it is set up is unavailable until that is mended; what is pending "
    "expires then, without anybody asking") {
  if (!ribalta::testing::PostgresCluster::installed()) return;
  const std::string address = fresh_address(sql::Engine::postgresql);
  std::atomic<std::int64_t> now{kNow};
  Bench bench{address, [&now] { return now.load(); }};
  bench.open_accounts();
  REQUIRE(bench.ask(direct(1, kBank, kAnna, 100)) == TransferStatus::created);
  REQUIRE(bench.ask(pending(2, kAnna, kBruno, 80, kNow + 30)) == TransferStatus::created);
  const Tell tell = session_at(address);
  const auto set_up = [&](const std::string& value) {
    const auto server = sql::Database::open({.address = address, .connections = 1}).value();
    REQUIRE(server->read(
        [&](sql::Session& session) { return session.run("set", "ALTER SYSTEM SET full_page_writes = " + value); }));
    tell("SELECT CAST(CAST(pg_reload_conf() AS INTEGER) AS BIGINT)");
    for (std::string shown; shown != value; std::this_thread::sleep_for(std::chrono::milliseconds{5})) {
      const auto another = sql::Database::open({.address = address, .connections = 1}).value();
      const auto row = another->read([](sql::Session& session) {
        return session.row<std::string>("show", "SELECT current_setting('full_page_writes')");
      });
      shown = std::get<0>(row.value().value());
    }
  };
  const Linked gift{direct(3, kBank, kAnna, 100)};
  set_up("off");
  REQUIRE(tell(kEndConnections) >= 2);
  for (int i = 0; i < 3; ++i) {
    CHECK(bench.writer->ask(gift).outcome == Outcome::unavailable);
    std::this_thread::sleep_for(std::chrono::milliseconds{kReopenPauseMs});
  }
  CHECK_FALSE(bench.writer->taken_over());
  now = kNow + 30;
  set_up("on");
  CHECK(bench.lines_reach(6));
  CHECK(bench.insist(gift.front()) == TransferStatus::created);
  bench.check_whole(7);
}

TEST_CASE("writer: after a write that failed, SQLite's log begins anew before anything is answered from the file") {
  const std::string address = fresh_address(sql::Engine::sqlite);
  Bench bench{address};
  bench.open_accounts();
  const Transfer before = direct(1, kBank, kAnna, 100);
  REQUIRE(bench.ask(before) == TransferStatus::created);
  // As long as another has the file open, nobody's last connection empties the log.
  const auto other = sql::Database::open({.address = address, .connections = 1}).value();
  const auto tell = [&other](const char* statement) {
    REQUIRE(other->read([statement](sql::Session& session) { return session.run("tell", statement); }));
  };
  tell("CREATE TRIGGER fails BEFORE INSERT ON journal WHEN NEW.minor = 666 BEGIN SELECT RAISE(ABORT, 'no'); END");
  const std::filesystem::path log = address.substr(std::string_view{"sqlite:"}.size()) + "-wal";
  REQUIRE(std::filesystem::file_size(log) > 0);
  CHECK(bench.writer->ask(Linked{direct(2, kBank, kAnna, 666)}).outcome == Outcome::unavailable);
  CHECK(bench.insist(before) == TransferStatus::exists);
  CHECK(std::filesystem::file_size(log) == 0);
  tell("DROP TRIGGER fails");
  CHECK(bench.insist(direct(2, kBank, kAnna, 666)) == TransferStatus::created);
  bench.check_whole(5);
}

TEST_CASE("writer: one that waits takes over as soon as the other is gone") {
  on_each_engine([](const std::string& address) {
    auto first = std::make_unique<Bench>(address);
    first->open_accounts();
    auto waiting =
        std::async(std::launch::async, [&address] { return Writer::start({.address = address, .wait = true}); });
    CHECK(first->ask(direct(1, kBank, kAnna, 100)) == TransferStatus::created);
    first.reset();
    auto second = waiting.get();
    REQUIRE(second);
    const Reply reply = (*second)->ask(Linked{direct(1, kBank, kAnna, 100)});
    CHECK(std::get<0>(reply.answers) == std::vector{TransferStatus::exists});
  });
}

TEST_CASE("writer: an id that is asked for again and again has one effect") {
  on_each_engine([](const std::string& address) {
    Bench bench{address};
    bench.open_accounts();
    const Transfer gift = direct(1, kBank, kAnna, 5);
    const std::size_t replays = operations("RIBALTA_LEDGER_REPLAYS", 5'000);
    std::atomic<std::size_t> created{0};
    std::atomic<std::size_t> exists{0};
    std::vector<std::thread> clients;
    for (int client = 0; client < 2; ++client) {
      clients.emplace_back([&] {
        for (std::size_t i = 0; i < replays / 2;) {  // in bunches, as far as the queue takes them
          const std::size_t bunch = std::min<std::size_t>(1'000, replays / 2 - i);
          std::promise<void> done;
          std::atomic<std::size_t> left{bunch};
          for (std::size_t k = 0; k < bunch; ++k) {
            bench.writer->ask(Linked{gift}, [&](const Reply& reply) {
              const TransferStatus status = std::get<0>(reply.answers).front();
              if (status == TransferStatus::created) ++created;
              if (status == TransferStatus::exists) ++exists;
              if (--left == 0) done.set_value();
            });
          }
          done.get_future().wait();
          i += bunch;
        }
      });
    }
    for (std::thread& client : clients) client.join();
    CHECK(created == 1);
    CHECK(exists == replays / 2 * 2 - 1);
    CHECK(bench.posted_of(kAnna) == 5);
    bench.check_whole(4);
  });
}
