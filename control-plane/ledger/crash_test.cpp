// kill -9 at random points under load, a disk that fails or is full meanwhile, PostgreSQL restarted and failed over:
// afterwards every acknowledged transfer is there once and as it was acknowledged, and the ledger is whole.
// RIBALTA_LEDGER_CRASHES: how often on each engine (20).
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <thread>

#include "control-plane/ledger/ledger_testing.h"

using namespace ribalta;
using namespace ribalta::ledger;
using namespace ribalta::ledger::testing;
using namespace std::chrono_literals;
using ribalta::testing::PostgresCluster;

namespace {

constexpr std::uint64_t kSeed = 7;
/// Groups that are asked for again by the next process, more than can be waiting for an answer in one.
constexpr std::uint64_t kAskedAgain = 1'800;

/// tests/faults/disk_faults.c, and its control file.
class Disk {
 public:
  explicit Disk(const std::filesystem::path& below) {
    const int file = open(control_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    REQUIRE(file >= 0);
    REQUIRE(fchmod(file, 0666) == 0);  // PostgreSQL runs as another user
    REQUIRE(ftruncate(file, sizeof(Numbers)) == 0);
    void* const mapped = mmap(nullptr, sizeof(Numbers), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    REQUIRE(mapped != MAP_FAILED);
    close(file);
    numbers_ = static_cast<Numbers*>(mapped);
    // A copy: that user may not look into the folder where it was built.
    chmod(folder_.path().c_str(), 0755);
    const std::string library = (folder_.path() / "disk_faults.so").string();
    std::filesystem::copy_file(RIBALTA_DISK_FAULTS, library);
    chmod(library.c_str(), 0755);
    environment_ = {"LD_PRELOAD=" + library, "RIBALTA_FAULTS_CONTROL=" + control_,
                    "RIBALTA_FAULTS_BELOW=" + below.string()};
  }
  ~Disk() { munmap(numbers_, sizeof(Numbers)); }
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;

  void fill() {
    numbers_->full_per_mille = 1'000;
    numbers_->full = 1;
  }
  void break_some(std::uint32_t per_mille) { numbers_->broken_per_mille = per_mille; }
  void mend() {
    numbers_->full = 0;
    numbers_->broken_per_mille = 0;
  }
  [[nodiscard]] std::uint32_t failures() const { return numbers_->no_space + numbers_->broken; }
  /// That were done.
  [[nodiscard]] std::uint32_t syncs() const { return numbers_->syncs; }
  [[nodiscard]] const std::vector<std::string>& environment() const { return environment_; }

 private:
  struct Numbers {
    std::atomic<std::uint32_t> full, full_per_mille, broken_per_mille, seed, no_space, broken, cut, syncs;
  };
  ribalta::testing::Folder folder_;
  std::string control_ = (folder_.path() / "control").string();
  Numbers* numbers_ = nullptr;
  std::vector<std::string> environment_;
};

/// `ribalta-ledger-load` as a process of its own. @return the end from which it is read what it says.
int start_load(std::vector<std::string> words, const std::vector<std::string>& environment, pid_t& child) {
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  words.insert(words.begin(), "ribalta-ledger-load");
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(ends[1], STDOUT_FILENO);
    for (const std::string& one : environment) putenv(const_cast<char*>(one.c_str()));
    execv(RIBALTA_LEDGER_LOAD, arguments.data());
    _exit(127);
  }
  close(ends[1]);
  return ends[0];
}

/// `ribalta-ledger-load answers`, and what it says.
class LoadProcess {
 public:
  /// `begin_ms`: from when on expiries are counted. The same for all processes of a test: a number is the same
  /// transfer.
  LoadProcess(const std::string& address, std::uint64_t first, std::int64_t begin_ms,
              const std::vector<std::string>& environment = {})
      : out_(start_load({"answers", address, "--seed", std::to_string(kSeed), "--first", std::to_string(first),
                         "--begin-ms", std::to_string(begin_ms)},
                        environment, child_)) {}
  ~LoadProcess() {
    kill();
    close(out_);
  }
  LoadProcess(const LoadProcess&) = delete;
  LoadProcess& operator=(const LoadProcess&) = delete;

  /// Reads until `time` has passed. @return false: the process has ended by itself.
  bool read_for(std::chrono::milliseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    while (true) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
      pollfd ready{out_, POLLIN, 0};
      if (left.count() <= 0 || poll(&ready, 1, static_cast<int>(left.count())) <= 0) return true;
      if (!read_some()) return false;
    }
  }
  /// Reads until so it is. @return false: that did not come, within half a minute.
  template <class Condition>
  bool read_until(Condition condition) {
    for (int i = 0; i < 3'000 && !condition(); ++i) {
      if (!read_for(10ms)) return false;
    }
    return condition();
  }
  /// Reads until so many more answers have come.
  bool read_answers(std::size_t more) {
    return read_until([this, wanted = answers_.size() + more] { return answers_.size() >= wanted; });
  }
  /// SIGKILL; what it had said by then is read.
  void kill() {
    if (child_ <= 0) return;
    ::kill(child_, SIGKILL);
    while (read_some()) {
    }
    waitpid(child_, nullptr, 0);
    child_ = -1;
  }
  [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& answers() const { return answers_; }

 private:
  bool read_some() {
    char bytes[16'384];
    const ssize_t got = ::read(out_, bytes, sizeof bytes);
    if (got <= 0) return false;
    text_.append(bytes, static_cast<std::size_t>(got));
    std::size_t at = 0;
    for (std::size_t end = 0; (end = text_.find('\n', at)) != std::string::npos; at = end + 1) {
      const std::size_t space = text_.find(' ', at);
      answers_.emplace_back(text_.substr(at, space - at), text_.substr(space + 1, end - space - 1));
    }
    text_.erase(0, at);
    return true;
  }

  pid_t child_ = -1;
  int out_ = -1;
  std::string text_;  ///< a line whose end has not come
  std::vector<std::pair<std::string, std::string>> answers_;
};

/// All that was ever acknowledged, beside the ledger.
class Acknowledged {
 public:
  void take(const LoadProcess& process) {
    for (const auto& [id, status] : process.answers()) {
      const std::string first = status == "exists" ? "created" : status;
      const auto [known, added] = by_id_.emplace(id, first);
      CHECK_MESSAGE(known->second == first, id);
      if (status == "created" && !added) FAIL("created twice: " << id);
      latest_ = std::max<std::uint64_t>(latest_, std::stoull(id.substr(16), nullptr, 16) / 4);
    }
  }
  [[nodiscard]] std::size_t size() const { return by_id_.size(); }
  /// When it began, by the clock that the processes go by: what they keep aside expires under kills.
  [[nodiscard]] std::int64_t begin_ms() const { return begin_ms_; }
  /// Where the next process begins.
  [[nodiscard]] std::uint64_t next() const { return latest_ > kAskedAgain ? latest_ - kAskedAgain : 1; }

  void check(const std::string& address) const {
    Result<Store> store = Store::open(address, false);
    REQUIRE_MESSAGE(store, (store ? "" : store.error().message));
    const Result<Verified> verified = verify(*store);
    REQUIRE_MESSAGE(verified, (verified ? "" : verified.error().message));
    CHECK(verified->transfers >= static_cast<std::int64_t>(by_id_.size()));
    std::vector<TransferId> ids;
    for (const auto& [id, status] : by_id_) ids.push_back(key_of<TransferKind>(id).value());
    const Result<std::vector<Recorded>> kept = store->transfers(ids);
    REQUIRE(kept);
    CHECK(kept->size() == by_id_.size());
    for (const Recorded& one : *kept) {
      if (by_id_.at(to_text(one.asked.id)) != to_string(one.status)) FAIL("another answer: " << to_text(one.asked.id));
    }
  }

 private:
  std::int64_t begin_ms_ = to_unix_ms(wall_now()) + 2'000;  // the first process takes its time to begin
  std::map<std::string, std::string> by_id_;
  std::uint64_t latest_ = 0;
};

std::int64_t count(const std::string& address, const std::string& transfers) {
  Store store = Store::open(address, false).value();
  const auto found = store.database().read([&](sql::Session& session) {
    return session.row<std::int64_t>("count", "SELECT COUNT(*) FROM transfers WHERE " + transfers);
  });
  return std::get<0>(found.value().value());
}

std::filesystem::path folder_of(const std::string& address) {
  return std::filesystem::path{address.substr(std::string{"sqlite:"}.size())}.parent_path();
}

}  // namespace

TEST_CASE("crash: kill -9 at random points under load loses nothing that was acknowledged, and halves nothing") {
  on_each_engine([](const std::string& address) {
    std::mt19937_64 random{11};
    Acknowledged acknowledged;
    const std::size_t rounds = operations("RIBALTA_LEDGER_CRASHES", 20);
    const auto expired = [&address] { return count(address, "state = 'expired'"); };
    for (std::size_t round = 0; round < rounds || (expired() == 0 && round < 10 * rounds); ++round) {
      LoadProcess process{address, acknowledged.next(), acknowledged.begin_ms()};
      REQUIRE(process.read_answers(1 + random() % 100));
      REQUIRE(process.read_for(std::chrono::milliseconds{random() % 50}));
      process.kill();
      acknowledged.take(process);
      acknowledged.check(address);
    }
    CHECK(acknowledged.size() > 100);
    CHECK(expired() > 0);
  });
}

TEST_CASE("crash: kill -9 while the disk fails or is full: the same holds, and it goes on once the disk is mended") {
  std::mt19937_64 random{12};
  const std::string address = fresh_address(sql::Engine::sqlite);
  Disk disk{folder_of(address)};
  Acknowledged acknowledged;
  const std::size_t rounds = operations("RIBALTA_LEDGER_CRASHES", 20) / 2;
  for (std::size_t round = 0; round < rounds; ++round) {
    disk.mend();
    LoadProcess process{address, acknowledged.next(), acknowledged.begin_ms(), disk.environment()};
    REQUIRE(process.read_answers(50));
    const std::uint32_t failures = disk.failures();
    if (round % 2 == 0) {
      disk.break_some(20 + static_cast<std::uint32_t>(random() % 300));
    } else {
      disk.fill();
    }
    REQUIRE(process.read_until([&] { return disk.failures() > failures; }));
    REQUIRE(process.read_for(std::chrono::milliseconds{random() % 500}));
    if (round % 4 < 2) {
      disk.mend();
      REQUIRE(process.read_answers(1'000));
    }
    process.kill();
    disk.mend();
    acknowledged.take(process);
    acknowledged.check(address);
  }
  CHECK(disk.failures() >= rounds);
}

TEST_CASE("crash: each commit is a sync, which no kill -9 shows: what was written is still with the kernel") {
  const std::string address = fresh_address(sql::Engine::sqlite);
  Store store = Store::open(address, true).value();
  const auto level = store.database().read(
      [](sql::Session& session) { return session.row<std::int64_t>("level", "PRAGMA synchronous"); });
  CHECK(std::get<0>(level.value().value()) == 2);  // FULL
  const Disk disk{folder_of(address)};
  pid_t child = -1;
  const int out = start_load({"rate", address, "--transfers", "2000", "--waiting", "64"}, disk.environment(), child);
  std::string said(4'096, '\0');
  said.resize(static_cast<std::size_t>(std::max<ssize_t>(0, ::read(out, said.data(), said.size()))));
  close(out);
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
  const std::string_view before = "\"commits\":";
  const std::size_t at = said.find(before);
  REQUIRE(at != std::string::npos);
  const std::uint64_t commits = std::stoull(said.substr(at + before.size()));
  CHECK(commits >= 2'000 / 64);
  CHECK(disk.syncs() >= commits);
}

TEST_CASE("crash: PostgreSQL killed, restarted, out of disk and broken under load loses nothing") {
  if (!PostgresCluster::installed()) return;
  const std::filesystem::path everything = std::filesystem::temp_directory_path();
  Disk disk{everything};
  PostgresCluster cluster{PostgresCluster::Commits::durable, disk.environment()};
  REQUIRE(cluster.running());
  const std::string address = cluster.address("postgres");
  std::mt19937_64 random{13};
  Acknowledged acknowledged;
  const std::size_t rounds = std::max<std::size_t>(4, operations("RIBALTA_LEDGER_CRASHES", 20) / 4);
  LoadProcess process{address, 1, acknowledged.begin_ms()};
  REQUIRE(process.read_answers(500));
  for (std::size_t round = 0; round < rounds; ++round) {
    CAPTURE(round);
    REQUIRE(process.read_for(std::chrono::milliseconds{random() % 200}));
    if (round % 4 == 0) {
      cluster.kill();
    } else if (round % 4 == 1) {
      cluster.stop();
    } else {
      if (round % 4 == 2) disk.break_some(300);
      if (round % 4 == 3) disk.fill();
      REQUIRE(process.read_for(std::chrono::milliseconds{300 + random() % 300}));
      disk.mend();
      cluster.kill();  // it may have ended itself already: PostgreSQL does when a sync fails
    }
    REQUIRE(cluster.start());
    REQUIRE(process.read_answers(500));
  }
  process.kill();
  acknowledged.take(process);
  acknowledged.check(address);
  CHECK(disk.failures() > 0);
}

/// A writer on a primary whose standby has just died: commits wait for it.
struct LostStandby {
  LostStandby() {
    REQUIRE(primary.running());
    REQUIRE(standby->running());
    bench.emplace(primary.address("postgres"));
    bench->open_accounts();
    standby->kill();
  }
  PostgresCluster primary{PostgresCluster::Commits::durable};
  std::unique_ptr<PostgresCluster> standby = PostgresCluster::standby_of(primary);
  std::optional<Bench> bench;
};

TEST_CASE("crash: what only a primary has that was ended meanwhile is not answered before a standby has it too") {
  if (!PostgresCluster::installed()) return;
  LostStandby lost;
  auto asked = std::async(std::launch::async, [&lost] { return lost.bench->insist(direct(1, kBank, kAnna, 100)); });
  CHECK(asked.wait_for(1s) == std::future_status::timeout);
  lost.primary.stop();  // what waited for the standby stands, here alone
  REQUIRE(lost.primary.start());
  CHECK(asked.wait_for(3s) == std::future_status::timeout);
  REQUIRE(lost.standby->start());
  CHECK(asked.get() == TransferStatus::exists);
}

TEST_CASE("crash: a commit whose wait for the standby somebody cancels is not answered before the standby has it") {
  if (!PostgresCluster::installed()) return;
  LostStandby lost;
  const auto other = sql::Database::open({.address = lost.primary.address("postgres"), .connections = 1}).value();
  const auto cancel = [&other] {
    for (int i = 0; i < 3'000; ++i) {
      const auto waiting = other->read([](sql::Session& session) {
        return session.row<std::int64_t>(
            "cancel", "SELECT COUNT(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
      });
      if (std::get<0>(waiting.value().value()) == 1) return true;
      std::this_thread::sleep_for(10ms);  // nobody tells that a backend waits
    }
    return false;
  };
  const Linked gift{direct(1, kBank, kAnna, 100)};
  auto asked = std::async(std::launch::async, [&] { return lost.bench->writer->ask(gift).outcome; });
  REQUIRE(cancel());
  CHECK(asked.get() == Outcome::unavailable);
  // What is read then waits for the standby as well, and is no more believed when that is cancelled.
  auto again = std::async(std::launch::async, [&] { return lost.bench->insist(gift.front()); });
  CHECK(again.wait_for(1s) == std::future_status::timeout);
  REQUIRE(cancel());
  CHECK(again.wait_for(1s) == std::future_status::timeout);
  REQUIRE(lost.standby->start());
  CHECK(again.get() == TransferStatus::exists);
  lost.bench->check_whole(4);
}

TEST_CASE("crash: PostgreSQL fails over to its standby under load, and what was acknowledged is there") {
  if (!PostgresCluster::installed()) return;
  PostgresCluster primary{PostgresCluster::Commits::durable};
  REQUIRE(primary.running());
  const auto standby = PostgresCluster::standby_of(primary);
  REQUIRE(standby->running());
  // libpq goes through both, and stays with the one that takes writes.
  const std::string address = "postgresql:host=" + primary.folder().string() + "," + standby->folder().string() +
                              " user=ribalta dbname=postgres target_session_attrs=read-write";
  Acknowledged acknowledged;
  LoadProcess process{address, 1, acknowledged.begin_ms()};
  REQUIRE(process.read_answers(2'000));
  primary.kill();
  REQUIRE(standby->promote());
  REQUIRE(process.read_answers(2'000));
  process.kill();
  acknowledged.take(process);
  acknowledged.check(standby->address("postgres"));
}
