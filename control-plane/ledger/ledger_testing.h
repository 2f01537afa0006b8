// What tests of a ledger on disk share.
#pragma once

#include <doctest/doctest.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "control-plane/ledger/verify.h"
#include "control-plane/ledger/writer.h"
#include "core/testing/postgres.h"

namespace ribalta::ledger::testing {

inline constexpr Currency kEuro{};
inline constexpr AccountId kBank{0, 1};
inline constexpr AccountId kAnna{0, 2};
inline constexpr AccountId kBruno{0, 3};
inline constexpr std::int64_t kNow = 1'800'000'000'000;

inline Transfer direct(std::uint64_t id, AccountId debit, AccountId credit, std::int64_t minor) {
  return {.id = {1, id}, .debit = debit, .credit = credit, .amount = {minor, kEuro}, .of = {}, .reference = {}};
}
inline Transfer pending(std::uint64_t id, AccountId debit, AccountId credit, std::int64_t minor,
                        std::int64_t expires_ms = 0) {
  Transfer transfer = direct(id, debit, credit, minor);
  transfer.kind = Kind::pending;
  transfer.expires_ms = expires_ms;
  return transfer;
}
inline Transfer after(std::uint64_t id, Kind kind, const Transfer& original, std::int64_t minor) {
  return {.id = {1, id},
          .kind = kind,
          .debit = {},
          .credit = {},
          .amount = {minor, kEuro},
          .of = original.id,
          .reference = {}};
}

/// From the environment, for the long runs.
inline std::size_t operations(const char* name, std::size_t usual) {
  const char* const wanted = std::getenv(name);
  return wanted == nullptr ? usual : std::strtoull(wanted, nullptr, 10);
}

/// A PostgreSQL that keeps what it has committed; one for the whole test program.
inline ribalta::testing::PostgresCluster& durable_cluster() {
  static ribalta::testing::PostgresCluster cluster{ribalta::testing::PostgresCluster::Commits::durable};
  REQUIRE(cluster.running());
  return cluster;
}

/// An address without a ledger.
inline std::string fresh_address(sql::Engine engine) {
  static int count = 0;
  const std::string name = "ledger" + std::to_string(++count);
  if (engine == sql::Engine::sqlite) {
    static const ribalta::testing::Folder folder;
    return "sqlite:" + (folder.path() / (name + ".sqlite")).string();
  }
  auto server = sql::Database::open({.address = durable_cluster().address("postgres"), .connections = 1});
  REQUIRE(server);
  REQUIRE((*server)->read([&](sql::Session& session) { return session.run("create", "CREATE DATABASE " + name); }));
  return durable_cluster().address(name);
}

template <class Test>
void on_each_engine(Test test) {
  for (const sql::Engine engine : {sql::Engine::sqlite, sql::Engine::postgresql}) {
    if (engine == sql::Engine::postgresql && !ribalta::testing::PostgresCluster::installed()) {
      MESSAGE("PostgreSQL is left out: no initdb under /usr/lib/postgresql");
      continue;
    }
    const std::string address = fresh_address(engine);
    CAPTURE(address);
    test(address);
  }
}

struct Bench {
  std::string address;
  std::unique_ptr<Writer> writer;

  explicit Bench(std::string where, std::function<std::int64_t()> clock = {},
                 std::size_t queue_max = kQueueTransfersMax)
      : address(std::move(where)) {
    auto started = Writer::start({.address = address, .now_ms = std::move(clock), .queue_max = queue_max});
    REQUIRE_MESSAGE(started, (started ? "" : started.error().message));
    writer = std::move(*started);
  }

  AccountStatus open(const AccountTerms& terms) const {
    return std::get<AccountStatus>(writer->ask(OpenAccount{terms}).answers);
  }
  bool close(AccountId id) const { return std::get<bool>(writer->ask(CloseAccount{id}).answers); }
  void open_accounts() const {
    REQUIRE(open({kBank, kEuro, Side::debit, true}) == AccountStatus::created);
    for (const AccountId id : {kAnna, kBruno})
      REQUIRE(open({id, kEuro, Side::credit, false}) == AccountStatus::created);
  }
  std::vector<TransferStatus> ask_linked(Linked linked) const {
    const Reply reply = writer->ask(std::move(linked));
    REQUIRE(reply.outcome == Outcome::answered);
    return std::get<std::vector<TransferStatus>>(reply.answers);
  }
  TransferStatus ask(const Transfer& transfer) const { return ask_linked({transfer}).front(); }
  /// Asks again, as a client does, for as long as the ledger is not available.
  TransferStatus insist(const Transfer& transfer) const {
    Reply reply = writer->ask(Linked{transfer});
    while (reply.outcome == Outcome::unavailable) {
      std::this_thread::sleep_for(std::chrono::milliseconds{20});
      reply = writer->ask(Linked{transfer});
    }
    REQUIRE(reply.outcome == Outcome::answered);
    return std::get<std::vector<TransferStatus>>(reply.answers).front();
  }

  [[nodiscard]] std::int64_t posted_of(AccountId id) const {
    Result<Store> store = Store::open(address, false);
    REQUIRE(store);
    const auto rows = store->accounts({&id, 1});
    REQUIRE(rows);
    const Account& account = rows->front().account;
    return posted(account.balance, account.terms.normal);
  }
  /// Verifies the whole ledger, and that it has so many lines.
  void check_whole(std::int64_t lines) const {
    Result<Store> store = Store::open(address, false);
    REQUIRE(store);
    const Result<Verified> verified = verify(*store);
    REQUIRE_MESSAGE(verified, (verified ? "" : verified.error().message));
    CHECK(verified->end.sequence == lines);
  }
  /// Waits until the journal has so many lines.
  [[nodiscard]] bool lines_reach(std::int64_t lines) const {
    Result<Store> store = Store::open(address, false);
    REQUIRE(store);
    for (int i = 0; i < 1'000; ++i) {  // nobody tells of what expires by itself
      if (store->end().value().sequence >= lines) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds{10});
    }
    return false;
  }
};

}  // namespace ribalta::ledger::testing
