// A client of the ledger under load, for tests and benches: not for operators.
//
//   ribalta-ledger-load answers ADDRESS --seed 7 --first 1
//     asks for transfers of every kind, each made from its number alone, until it is killed; a line on standard output
//     for each answer, once it came: "ID STATUS". What was not answered is asked for again.
//   ribalta-ledger-load rate ADDRESS --seconds 5 [--hot] [--waiting 8192] [--per-second 10000]
//     one line of JSON: how many were on disk a second, and how long they took.
//   ribalta-ledger-load plain ADDRESS --seconds 5
//     the peer without a ledger: one client, one transaction for each transfer, in plain SQL.
//   ribalta-ledger-load fsync FOLDER --seconds 5
//     the disk's own rate of 4 KiB and fdatasync.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "control-plane/ledger/writer.h"

namespace ribalta::ledger {
namespace {

using Steady = std::chrono::steady_clock;

constexpr Currency kEuro{};
constexpr AccountId kBank{0, 1};

AccountId account(std::uint64_t number) { return {1, number}; }

[[noreturn]] void die(const Error& error) {
  std::fprintf(stderr, "ribalta-ledger-load: %s\n", error.message.c_str());
  std::exit(1);
}

std::unique_ptr<Writer> start(const std::string& address) {
  auto writer = Writer::start({.address = address, .wait = true});
  if (!writer) die(writer.error());
  return std::move(*writer);
}

/// Counts what was asked and not answered. Full, it has room again when a quarter is answered: whoever asks is not
/// woken for each answer.
class Window {
 public:
  explicit Window(std::size_t most) : most_(most) {}
  void enter(std::size_t transfers) {
    std::unique_lock lock{mutex_};
    if (waiting_ >= most_) changed_.wait(lock, [this] { return waiting_ <= room_below(); });
    waiting_ += transfers;
  }
  void leave(std::size_t transfers) {
    const std::lock_guard lock{mutex_};
    const bool was_above = waiting_ > room_below();
    waiting_ -= transfers;
    if (waiting_ == 0 || (was_above && waiting_ <= room_below())) changed_.notify_all();
  }
  void wait_until_empty() {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [this] { return waiting_ == 0; });
  }

 private:
  [[nodiscard]] std::size_t room_below() const { return most_ * 3 / 4; }

  std::size_t most_;
  std::size_t waiting_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
};

// --- answers
// ----------------------------------------------------------------------------------------------------------

constexpr std::uint64_t kPeople = 16;

/// The group with this number: the same one always. Its transfers have the numbers from 4 * number on.
Linked group_of(std::uint64_t seed, std::uint64_t number, std::int64_t now_ms) {
  std::mt19937_64 random{seed * 1'000'003 + number};
  const auto below = [&random](std::uint64_t limit) { return random() % limit; };
  Linked group(below(6) == 0 ? 2 + below(3) : 1);
  for (std::size_t i = 0; i < group.size(); ++i) {
    Transfer& transfer = group[i];
    transfer.id = {seed, 4 * number + i};
    const std::uint64_t kind = below(10);
    transfer.kind = kind < 5    ? Kind::direct
                    : kind < 7  ? Kind::pending
                    : kind == 7 ? Kind::post_pending
                    : kind == 8 ? Kind::void_pending
                                : Kind::reversal;
    transfer.amount = {static_cast<std::int64_t>(1 + below(40)), kEuro};
    transfer.reference = "load " + std::to_string(number);
    if (transfer.kind == Kind::direct || transfer.kind == Kind::pending) {
      transfer.debit = below(2) == 0 ? kBank : account(below(kPeople));
      transfer.credit = account(below(kPeople));
      // By the clock its time would differ when it is asked for again: it comes from the number, a millisecond each.
      if (transfer.kind == Kind::pending && below(3) == 0) transfer.expires_ms = now_ms + static_cast<int>(below(400));
    } else {
      if (transfer.kind == Kind::void_pending) transfer.amount.minor = 0;
      const std::uint64_t earlier = number - std::min<std::uint64_t>(number, 1 + below(30));
      transfer.of = {seed, 4 * earlier};
    }
  }
  return group;
}

/// Asks until it is answered: what is unavailable or full is asked for again a little later.
class Client {
 public:
  explicit Client(const std::string& address) : writer_(start(address)) {}

  void open_accounts() {
    std::vector<AccountTerms> terms{{kBank, kEuro, Side::debit, true}};
    for (std::uint64_t i = 0; i < kPeople; ++i) terms.push_back({account(i), kEuro, Side::credit, false});
    for (const AccountTerms& one : terms) {
      while (writer_->ask(OpenAccount{one}).outcome != Outcome::answered) std::this_thread::sleep_for(kPause);
    }
  }
  void ask(Linked group) {
    window_.enter(group.size());
    again(std::move(group));
  }
  /// Asks again for what was not answered. Ends the program when another writer has taken over.
  void retry() {
    std::deque<Linked> retries;
    {
      const std::lock_guard lock{mutex_};
      retries.swap(retries_);
    }
    if (!retries.empty()) std::this_thread::sleep_for(kPause);
    for (Linked& group : retries) again(std::move(group));
  }
  void finish() {
    window_.wait_until_empty();
    writer_->stop();
  }

 private:
  static constexpr std::chrono::milliseconds kPause{20};

  void again(Linked group) {
    Linked asked = group;
    writer_->ask(std::move(asked), [this, group = std::move(group)](const Reply& reply) {
      if (reply.outcome == Outcome::taken_over) std::_Exit(3);
      if (reply.outcome != Outcome::answered) {
        const std::lock_guard lock{mutex_};
        retries_.push_back(group);
        return;
      }
      const auto& statuses = std::get<std::vector<TransferStatus>>(reply.answers);
      std::string lines;
      for (std::size_t i = 0; i < group.size(); ++i)
        ((lines += to_text(group[i].id) + ' ') += to_string(statuses[i])) += '\n';
      if (::write(STDOUT_FILENO, lines.data(), lines.size()) != static_cast<ssize_t>(lines.size())) std::_Exit(4);
      window_.leave(group.size());
    });
  }

  Window window_{1'500};  ///< enough for one batch to be judged while another is written
  std::mutex mutex_;
  std::deque<Linked> retries_;
  std::unique_ptr<Writer> writer_;
};

int answers(const std::string& address, std::uint64_t seed, std::uint64_t first, std::int64_t begin_ms) {
  Client client{address};
  client.open_accounts();
  std::jthread retrier{[&client](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      client.retry();
      std::this_thread::sleep_for(std::chrono::milliseconds{5});
    }
  }};
  for (std::uint64_t number = first;; ++number) {
    Linked group = group_of(seed, number, begin_ms + static_cast<std::int64_t>(number));
    if (number % 5 == 0) client.ask(group);  // twice, one behind the other: both answers are for what is on disk
    client.ask(std::move(group));
  }
}

// --- rate
// -------------------------------------------------------------------------------------------------------------

/// Ids that begin with the time, as callers should make them.
TransferId next_id(std::mt19937_64& random) {
  static std::uint64_t count = 0;
  const auto now = std::chrono::system_clock::now().time_since_epoch() / std::chrono::milliseconds{1};
  return {(static_cast<std::uint64_t>(now) << 20) | (++count & 0xFFFFF), random()};
}

struct Load {
  double seconds = 5;
  bool hot = false;
  std::size_t waiting = 8'192;
  double per_second = 0;  ///< 0: as fast as it goes
  std::uint64_t accounts = 10'000;
  std::int64_t transfers = 0;  ///< 0: until `seconds` have passed
};

class Rate {
 public:
  Rate(const std::string& address, const Load& load) : load_(load), window_(load.waiting), writer_(start(address)) {}

  void open_accounts() {
    std::vector<AccountTerms> terms{{kBank, kEuro, Side::debit, true}};
    for (std::uint64_t i = 0; i < load_.accounts; ++i) terms.push_back({account(i), kEuro, Side::credit, true});
    for (const AccountTerms& one : terms) {
      window_.enter(1);
      writer_->ask(OpenAccount{one}, [this](const Reply&) { window_.leave(1); });
    }
    window_.wait_until_empty();
  }

  int run() {
    const Steady::time_point begin = Steady::now();
    const Steady::time_point end =
        begin + std::chrono::duration_cast<Steady::duration>(std::chrono::duration<double>{load_.seconds});
    for (std::int64_t asked = 0; load_.transfers == 0 ? Steady::now() < end : asked < load_.transfers; ++asked) {
      Steady::time_point due = Steady::now();
      if (load_.per_second > 0) {
        due = begin + std::chrono::duration_cast<Steady::duration>(
                          std::chrono::duration<double>{static_cast<double>(asked) / load_.per_second});
        std::this_thread::sleep_until(due);
      }
      ask(due);
    }
    window_.wait_until_empty();
    const double took = std::chrono::duration<double>(Steady::now() - begin).count();
    writer_->stop();
    std::ranges::sort(took_us_);
    const auto quantile = [this](double q) {
      return took_us_.empty() ? 0 : took_us_[static_cast<std::size_t>(q * static_cast<double>(took_us_.size() - 1))];
    };
    std::printf(
        "{\"transfers\":%zu,\"per_second\":%.1f,\"p50_us\":%lld,\"p99_us\":%lld,\"commits\":%lld,\"refused\":%lld}\n",
        took_us_.size(), static_cast<double>(took_us_.size()) / took, static_cast<long long>(quantile(0.5)),
        static_cast<long long>(quantile(0.99)), static_cast<long long>(writer_->counts().commits),
        static_cast<long long>(refused_));
    return refused_ == 0 ? 0 : 1;
  }

 private:
  void ask(Steady::time_point due) {
    Transfer transfer{.id = next_id(random_),
                      .debit = account(random_() % load_.accounts),
                      .credit = load_.hot ? kBank : account(random_() % load_.accounts),
                      .amount = {static_cast<std::int64_t>(1 + random_() % 100), kEuro},
                      .of = {},
                      .reference = "gift 0123456789"};
    if (transfer.debit == transfer.credit) transfer.credit = kBank;
    window_.enter(1);
    writer_->ask(Linked{std::move(transfer)}, [this, due](const Reply& reply) {
      const bool created = reply.outcome == Outcome::answered &&
                           std::get<std::vector<TransferStatus>>(reply.answers).front() == TransferStatus::created;
      refused_ += created ? 0 : 1;
      if (created) took_us_.push_back((Steady::now() - due) / std::chrono::microseconds{1});
      window_.leave(1);
    });
  }

  Load load_;
  Window window_;
  std::mt19937_64 random_{1};
  std::vector<std::int64_t> took_us_;  ///< the writer's threads, one after the other
  std::int64_t refused_ = 0;
  std::unique_ptr<Writer> writer_;
};

// --- peers
// ------------------------------------------------------------------------------------------------------------

Result<std::int64_t> plain_transfer(sql::Database& database, std::mt19937_64& random) {
  const auto debit = static_cast<std::int64_t>(random() % 10'000);
  const auto credit = static_cast<std::int64_t>(random() % 10'000);
  const TransferId id = next_id(random);
  return database.write("transfer", [&](sql::Session& session) -> Result<std::int64_t> {
    auto noted = session.run("transfer.note", "INSERT INTO transfers (id, debit, credit, minor) VALUES (:1, :2, :3, 1)",
                             {to_text(id), debit, credit});
    if (!noted) return noted;
    auto paid = session.run("transfer.debit",
                            "UPDATE accounts SET balance = balance - 1 WHERE id = :1 AND balance >= 1", {debit});
    if (!paid) return paid;
    return session.run("transfer.credit", "UPDATE accounts SET balance = balance + 1 WHERE id = :1", {credit});
  });
}

int plain(const std::string& address, double seconds) {
  auto database = sql::Database::open({.address = address, .connections = 1, .synchronous_full = true});
  if (!database) die(database.error());
  const auto made = (*database)->write("make", [](sql::Session& session) -> Result<void> {
    for (const char* statement : {"CREATE TABLE accounts (id BIGINT PRIMARY KEY, balance BIGINT NOT NULL)",
                                  "CREATE TABLE transfers (id TEXT PRIMARY KEY, debit BIGINT NOT NULL, credit BIGINT "
                                  "NOT NULL, minor BIGINT NOT "
                                  "NULL)"}) {
      if (auto done = session.run("make", statement); !done) return pass(done);
    }
    sql::Values cells;
    for (std::int64_t i = 0; i < 10'000; ++i) cells.insert(cells.end(), {i, std::int64_t{1'000'000}});
    constexpr sql::Field kFields[] = {{"id"}, {"balance"}};
    return session.insert("make", "accounts", kFields, cells);
  });
  if (!made) die(made.error());
  std::mt19937_64 random{1};
  std::int64_t count = 0;
  const Steady::time_point begin = Steady::now();
  double took = 0;
  for (; took < seconds; ++count) {
    if (const auto moved = plain_transfer(**database, random); !moved) die(moved.error());
    took = std::chrono::duration<double>(Steady::now() - begin).count();
  }
  std::printf("{\"transfers\":%lld,\"per_second\":%.1f}\n", static_cast<long long>(count),
              static_cast<double>(count) / took);
  return 0;
}

int sync_rate(const std::string& folder, double seconds) {
  const std::string name = folder + "/fsync";
  const int file = open(name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) die(fail_errno("open", name).error());
  const std::array<char, 4096> block{};
  std::int64_t count = 0;
  const Steady::time_point begin = Steady::now();
  double took = 0;
  for (; took < seconds; ++count) {
    if (write(file, block.data(), block.size()) != static_cast<ssize_t>(block.size()) || fdatasync(file) != 0)
      die(fail_errno("write", name).error());
    took = std::chrono::duration<double>(Steady::now() - begin).count();
  }
  close(file);
  unlink(name.c_str());
  std::printf("{\"transfers\":%lld,\"per_second\":%.1f}\n", static_cast<long long>(count),
              static_cast<double>(count) / took);
  return 0;
}

}  // namespace
}  // namespace ribalta::ledger

int main(int argc, char** argv) {
  using namespace ribalta::ledger;
  CLI::App app{"A client of the ledger under load, for tests and benches."};
  app.require_subcommand(1);
  std::string address;
  std::uint64_t seed = 1;
  std::uint64_t first = 1;
  std::int64_t begin_ms = 0;
  Load load;
  CLI::App* const answering = app.add_subcommand("answers", "transfers of every kind until killed, a line an answer");
  answering->add_option("address", address)->required();
  answering->add_option("--seed", seed);
  answering->add_option("--first", first);
  answering->add_option("--begin-ms", begin_ms, "expiries are counted from here");
  CLI::App* const rating = app.add_subcommand("rate", "as many as the disk takes, or so many a second");
  rating->add_option("address", address)->required();
  rating->add_option("--seconds", load.seconds);
  rating->add_option("--transfers", load.transfers);
  rating->add_flag("--hot", load.hot);
  rating->add_option("--waiting", load.waiting);
  rating->add_option("--per-second", load.per_second);
  CLI::App* const plainly = app.add_subcommand("plain", "one client, one SQL transaction for each transfer");
  plainly->add_option("address", address)->required();
  plainly->add_option("--seconds", load.seconds);
  CLI::App* const syncing = app.add_subcommand("fsync", "4 KiB and fdatasync, again and again");
  syncing->add_option("folder", address)->required();
  syncing->add_option("--seconds", load.seconds);
  CLI11_PARSE(app, argc, argv);
  if (answering->parsed()) return answers(address, seed, first, begin_ms);
  if (plainly->parsed()) return plain(address, load.seconds);
  if (syncing->parsed()) return sync_rate(address, load.seconds);
  Rate rate{address, load};
  rate.open_accounts();
  return rate.run();
}
