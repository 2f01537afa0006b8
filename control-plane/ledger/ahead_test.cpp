// What the writer judges while it writes: answered behind that, in order, or dropped with it.
#include <doctest/doctest.h>

#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <thread>

#include "control-plane/ledger/ledger_testing.h"
#include "control-plane/ledger/verify.h"
#include "control-plane/ledger/writer.h"

using namespace ribalta;
using namespace ribalta::ledger;
using namespace ribalta::ledger::testing;

namespace {

/// Nobody tells of a count: it is looked at, for half a minute.
template <class Condition>
void wait_until(Condition condition) {
  for (int i = 0; i < 15'000 && !condition(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds{2});
  REQUIRE(condition());
}

/// Keeps a writer from writing: a transaction of another session, that ends when it is let go.
class Obstacle {
 public:
  /// `change`: what it has changed, once it is let go.
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
  ~Obstacle() {
    if (done_.valid()) let_go_.set_value();  // a test that failed meanwhile ends, too
  }
  Obstacle(const Obstacle&) = delete;
  Obstacle& operator=(const Obstacle&) = delete;
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
    wait_until([&] { return writer.counts().begun > begun; });
    ask_from(1, transfers.size(), writer);
    wait_until([&] { return writer.counts().ahead >= static_cast<std::int64_t>(kJudgeAheadMin); });
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
    Asked asked;  // outlives the writer, who answers to the end
    Bench bench{address, [&now] { return now.load(); }};
    bench.open_accounts();
    REQUIRE(bench.ask(direct(1, kBank, kAnna, 100)) == TransferStatus::created);
    const Transfer held = pending(2, kAnna, kBruno, 40, kNow + 10);
    REQUIRE(bench.ask(held) == TransferStatus::created);
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
    Asked asked;  // outlives the writer, who answers to the end
    Bench bench{address};
    bench.open_accounts();
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
    Asked asked;  // outlives the writer, who answers to the end
    Bench bench{address};
    bench.open_accounts();
    const Transfer before = direct(1, kBank, kAnna, 100);
    REQUIRE(bench.ask(before) == TransferStatus::created);
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
    wait_until([&] { return bench.writer->counts().failures > 0; });
    obstacle.let_go();
    asked.wait();
    for (const auto& [number, reply] : asked.replies) {
      if (number < kJudgeAheadMin) CHECK(reply.outcome == Outcome::unavailable);
    }
    CHECK(bench.insist(before) == TransferStatus::exists);
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
