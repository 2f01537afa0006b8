// The ledger with its disk and its thread, on both engines: what is answered is on disk, once, and nothing else is.
#include "control-plane/ledger/writer.h"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <future>
#include <mutex>
#include <random>
#include <thread>

#include "control-plane/ledger/fence.h"
#include "control-plane/ledger/ledger_testing.h"
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

/// Keeps a writer from writing: a transaction of another session, that ends when it is let go.
class Obstacle {
 public:
  /// `change`: what it does at its end.
  explicit Obstacle(const std::string& address, const char* change = "UPDATE writer SET since_ms = since_ms")
      : database_(Store::open(address, false).value()) {
    std::promise<void> held;
    std::future<void> is_held = held.get_future();
    done_ = std::async(std::launch::async, [this, change, held = std::move(held)]() mutable {
      return database_.database().write("hold", [&](sql::Session& session) -> Result<void> {
        const auto changed = session.run("hold", change);
        held.set_value();
        let_go_.get_future().wait();
        return changed ? Result<void>{} : pass(changed);
      });
    });
    is_held.wait();
  }
  void let_go() {
    let_go_.set_value();
    REQUIRE(done_.get());
  }

 private:
  Store database_;
  std::promise<void> let_go_;
  std::future<Result<void>> done_;
};

/// Requests that are asked while others are being written, and their answers in the order in which they came.
struct Asked {
  std::vector<Transfer> transfers;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::pair<std::size_t, Reply>> replies;

  void ask_all(Writer& writer) { ask_from(0, transfers.size(), writer); }
  /// The others when the first is being written.
  void ask_behind_the_first(Writer& writer) {
    const std::int64_t begun = writer.counts().begun;
    ask_from(0, 1, writer);
    while (writer.counts().begun == begun) std::this_thread::sleep_for(std::chrono::milliseconds{2});
    ask_from(1, transfers.size(), writer);
    while (writer.counts().ahead < static_cast<std::int64_t>(kJudgeAheadMin))
      std::this_thread::sleep_for(std::chrono::milliseconds{2});
  }
  void ask_from(std::size_t first, std::size_t end, Writer& writer) {
    for (std::size_t i = first; i < end; ++i) {
      writer.ask(Linked{transfers[i]}, [this, i](const Reply& reply) {
        const std::lock_guard lock{mutex};
        replies.emplace_back(i, reply);
        changed.notify_one();
      });
    }
  }
  void wait() {
    std::unique_lock lock{mutex};
    changed.wait(lock, [this] { return replies.size() == transfers.size(); });
  }
};

/// A gift, and then what stands on it: retries and reversals.
void fill(Asked& asked, const Transfer& gift) {
  asked.transfers = {gift};
  for (std::uint64_t i = 0; i < 2 * kJudgeAheadMin; ++i) {
    asked.transfers.push_back(i % 2 == 0 ? gift : after(1'000 + i, Kind::reversal, gift, 1));
  }
}

constexpr auto kReversals = static_cast<std::int64_t>(kJudgeAheadMin);

}  // namespace

TEST_CASE("writer: what is judged while a batch is being written is answered behind it, in order") {
  on_each_engine([](const std::string& address) {
    std::atomic<std::int64_t> now{kNow};
    Bench bench{address, [&now] { return now.load(); }};
    bench.open_accounts();
    REQUIRE(bench.ask(direct(1, kBank, kAnna, 100)) == TransferStatus::created);
    const Transfer held = pending(2, kAnna, kBruno, 40, kNow + 10);
    REQUIRE(bench.ask(held) == TransferStatus::created);
    Asked asked;
    fill(asked, direct(3, kBank, kBruno, 5'000));
    Obstacle obstacle{address};
    asked.ask_behind_the_first(*bench.writer);
    CHECK(asked.replies.empty());
    now = kNow + 10;  // expires while the other batch is being written
    asked.transfers.push_back(after(90, Kind::post_pending, held, 40));
    asked.ask_from(asked.transfers.size() - 1, asked.transfers.size(), *bench.writer);
    obstacle.let_go();
    asked.wait();
    for (std::size_t i = 0; i < asked.replies.size(); ++i) {
      const auto& [number, reply] = asked.replies[i];
      REQUIRE(number == i);
      const bool is_retry = i > 0 && asked.transfers[i].id == asked.transfers[0].id;
      const TransferStatus expected = i + 1 == asked.replies.size() ? TransferStatus::pending_expired
                                      : is_retry                    ? TransferStatus::exists
                                                                    : TransferStatus::created;
      CHECK(std::get<0>(reply.answers).front() == expected);
    }
    CHECK(bench.posted_of(kBruno) == 5'000 - kReversals);
    CHECK(bench.ask(asked.transfers[0]) == TransferStatus::exists);
    Store store = Store::open(address, false).value();
    CHECK(verify(store));
  });
}

TEST_CASE("writer: taken over while it writes, it answers nobody, not those either whom it has judged meanwhile") {
  on_each_engine([](const std::string& address) {
    Bench bench{address};
    bench.open_accounts();
    Asked asked;
    fill(asked, direct(3, kBank, kBruno, 5'000));
    Obstacle obstacle{address, "UPDATE writer SET epoch = epoch + 1"};
    asked.ask_behind_the_first(*bench.writer);
    obstacle.let_go();
    asked.wait();
    for (const auto& [number, reply] : asked.replies) CHECK(reply.outcome == Outcome::taken_over);
    bench.check_whole(3);
  });
}

TEST_CASE(
    "writer: where a batch can't be written, what was judged meanwhile is dropped with it, and asked again once") {
  on_each_engine([](const std::string& address) {
    Bench bench{address};
    bench.open_accounts();
    const Transfer before = direct(1, kBank, kAnna, 100);
    REQUIRE(bench.ask(before) == TransferStatus::created);
    Asked asked;
    fill(asked, direct(3, kBank, kBruno, 5'000));
    Obstacle obstacle{address};
    asked.ask_behind_the_first(*bench.writer);
    if (address.starts_with("postgresql")) {  // SQLite waits for five seconds
      const auto other = sql::Database::open({.address = address, .connections = 1}).value();
      REQUIRE(other->read([](sql::Session& session) {
        return session.row<std::int64_t>(
            "end", "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory'");
      }));
    }
    while (bench.writer->counts().failures == 0) std::this_thread::sleep_for(std::chrono::milliseconds{5});
    obstacle.let_go();
    asked.wait();
    for (const auto& [number, reply] : asked.replies) {
      if (number < kJudgeAheadMin) CHECK(reply.outcome == Outcome::unavailable);
    }
    for (Reply reply{Outcome::unavailable, {}}; reply.outcome == Outcome::unavailable;
         std::this_thread::sleep_for(std::chrono::milliseconds{20}))
      reply = bench.writer->ask(Linked{before});
    asked.replies.clear();
    asked.ask_all(*bench.writer);
    asked.wait();
    std::int64_t reversed = 0;  // refused for good, where they came before the gift did
    for (const auto& [number, reply] : asked.replies) {
      REQUIRE(reply.outcome == Outcome::answered);
      const bool is_reversal = asked.transfers[number].kind == Kind::reversal;
      reversed += is_reversal && is_success(std::get<0>(reply.answers).front()) ? 1 : 0;
    }
    CHECK(bench.posted_of(kBruno) == 5'000 - reversed);
    bench.check_whole(3 + 1 + 1 + kReversals);
  });
}

TEST_CASE("writer: a connection that is lost while it had nothing to do costs one answer, and nothing else") {
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
  CHECK(bench.ask(direct(4, kBank, kAnna, 100)) == TransferStatus::created);
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
  Reply reply{Outcome::unavailable, {}};
  while (reply.outcome == Outcome::unavailable) {
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
    reply = bench.writer->ask(gift);
  }
  CHECK(reply.outcome == Outcome::answered);
  bench.check_whole(4);
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
    for (const char* change : changes) {
      const Result<Verified> undone = verified_after(*store, change);
      INFO(std::string{change});
      CHECK_FALSE(undone.has_value());
      CHECK((undone.error().code == Code::conflict || undone.error().code == Code::malformed));
    }
    CHECK(verify(*store));
    CHECK_FALSE(verify(*store, Noted{5, std::string(64, '0')}));
    CHECK_FALSE(verify(*store, Noted{63, std::string(64, '0')}));
    const std::string hash = store->rows(5, 1).value().front().hash;
    CHECK(verify(*store, Noted{5, hash}));
  });
}
