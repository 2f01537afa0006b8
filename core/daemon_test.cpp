// The life of a daemon, as the supervisor sees it: a small role of its own runs as a child process.
#include "core/daemon.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "core/http/client.h"
#include "core/testing/run.h"

using namespace ribalta;
using namespace std::chrono_literals;
using ribalta::testing::run_on;
using ribalta::testing::TemporaryFolder;

namespace {

struct Daemon {
  TemporaryFolder folder;
  LoopPool loops{1};
  pid_t process = -1;
  int ready = -1;
  http::Address address{.unix_path = folder.path() / "run/probe.sock"};

  Daemon() {
    loops.start();
    std::filesystem::create_directories(folder.path() / "secrets");
    std::ofstream{folder.path() / "secrets/node"} << std::string(64, 'a');
    write_config("");
  }
  ~Daemon() {
    if (process > 0) {
      ::kill(process, SIGKILL);
      ::waitpid(process, nullptr, 0);
    }
    if (ready >= 0) ::close(ready);
  }
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  void write_config(const std::string& more) {
    std::ofstream{folder.path() / "ribalta.toml"} << "[node]\ndata = \"" << folder.path().string() << "\"\n" << more;
  }
  [[nodiscard]] std::string text(const std::string& name) const {
    std::ifstream file{folder.path() / name};
    return {std::istreambuf_iterator<char>{file}, {}};
  }
  [[nodiscard]] std::string errors() const { return text("errors"); }

  /// `output`: name of the file that standard output goes to; empty: ours.
  void start(std::vector<std::string> more = {}, const std::string& output = {}) {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    if (ready >= 0) ::close(ready);
    ready = ends[0];
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 3);
    const std::string log = folder.path() / "errors";
    posix_spawn_file_actions_addopen(&actions, 2, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const std::string printed = folder.path() / output;
    if (!output.empty()) {
      posix_spawn_file_actions_addopen(&actions, 1, printed.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    }
    std::vector<std::string> words{RIBALTA_PROBE_PROGRAM, "--config", folder.path() / "ribalta.toml"};
    words.insert(words.end(), more.begin(), more.end());
    std::vector<char*> arguments;
    arguments.reserve(words.size() + 1);
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    std::string descriptor = "RIBALTA_READY_FD=3";
    std::string path = "PATH=/usr/bin:/bin";
    char* environment[] = {descriptor.data(), path.data(), nullptr};
    REQUIRE(::posix_spawn(&process, RIBALTA_PROBE_PROGRAM, &actions, nullptr, arguments.data(), environment) == 0);
    posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
  }
  /// What the supervisor reads: a newline, or nothing when the daemon ended before it was ready.
  std::string wait_ready() {
    std::string got;
    char c = 0;
    while (::read(ready, &c, 1) == 1) got.push_back(c);
    return got;
  }
  int wait_end() {
    int status = 0;
    ::waitpid(std::exchange(process, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  http::Response get(std::string target) {
    http::Request request{.target = std::move(target)};
    return run_on(loops, http::call(address, std::move(request))).value();
  }
};

}  // namespace

TEST_CASE("daemon: says when it is ready, answers, and stops as asked") {
  Daemon daemon;
  daemon.start();
  CHECK(daemon.wait_ready() == "\n");
  CHECK(daemon.get("/healthz").status == 200);
  CHECK(daemon.get("/hello").body == "hello");
  const std::string metrics = daemon.get("/metrics").body;
  CHECK(metrics.find("ribalta_loop_late_total{loop=\"0\"}") != std::string::npos);
  CHECK(metrics.find("ribalta_http_connections") != std::string::npos);
  ::kill(daemon.process, SIGTERM);
  CHECK(daemon.wait_end() == 0);
  CHECK(daemon.errors().find("drained") != std::string::npos);
}

TEST_CASE("daemon: a role that is not well answers 503 with its reason") {
  Daemon daemon;
  daemon.start();
  REQUIRE(daemon.wait_ready() == "\n");
  CHECK(daemon.get("/fall-ill").status == 200);
  const http::Response health = daemon.get("/healthz");
  CHECK(health.status == 503);
  CHECK(health.body == "ill\n");
}

TEST_CASE("daemon: what it can't do without keeps throwing: it says so, drains, and ends for its supervisor") {
  Daemon daemon;
  daemon.start();
  REQUIRE(daemon.wait_ready() == "\n");
  const std::string metrics = daemon.get("/metrics").body;
  CHECK(metrics.find("ribalta_coroutines_begun_again_total 0") != std::string::npos);
  CHECK(metrics.find("ribalta_blocking_waiting{pool=\"requests\"} 0") != std::string::npos);
  CHECK(metrics.find("ribalta_blocking_refused_total{pool=\"background\"} 0") != std::string::npos);
  CHECK(daemon.get("/break").status == 200);
  CHECK(daemon.wait_end() == kExitFailed);
  CHECK(daemon.errors().find("the probe's heart keeps failing: restarting") != std::string::npos);
  CHECK(daemon.errors().find("drained") != std::string::npos);
}

TEST_CASE("daemon: a held request is answered when it stops") {
  Daemon daemon;
  daemon.start();
  REQUIRE(daemon.wait_ready() == "\n");
  http::Request request{.target = "/held"};
  auto held = asio::co_spawn(daemon.loops.loop(0), http::call(daemon.address, request), asio::use_future);
  while (daemon.get("/holding").body != "1") {
  }
  ::kill(daemon.process, SIGINT);
  CHECK(held.get().value().body == "stopping");
  CHECK(daemon.wait_end() == 0);
}

TEST_CASE("daemon: --check reads the configuration and says what is wrong with it") {
  Daemon daemon;
  daemon.start({"--check"});
  CHECK(daemon.wait_end() == 0);
  daemon.write_config("[probe]\ncolour = 1\n[log]\nlevel = 7\n");
  daemon.start({"--check"});
  CHECK(daemon.wait_end() == 1);
  CHECK(daemon.errors().find("ribalta.toml:4: probe.colour: not a text in quotes") != std::string::npos);
  CHECK(daemon.errors().find("ribalta.toml:6: log.level: not a text in quotes") != std::string::npos);
}

TEST_CASE("daemon: --check and a start refuse the same, all of it, before anything is made") {
  Daemon daemon;
  daemon.write_config(
      "run = \"other\"\n[probe]\ncolour = 'invisible'\n[log]\nlevel = 'loud'\n[redis]\naddress = 'x'\n");
  std::filesystem::remove(daemon.folder.path() / "secrets/node");
  daemon.start({"--check"});
  CHECK(daemon.wait_end() == 1);
  const std::string checked = daemon.errors();
  for (const char* complaint : {"ribalta.toml:5: probe.colour: can't be seen",
                                "ribalta.toml:7: log.level: debug, info, warning or error, not loud",
                                "ribalta.toml:9: redis.address: ", "ribalta.toml: node.secret_file: can't be read"}) {
    CHECK_MESSAGE(checked.find(complaint) != std::string::npos, checked);
  }
  daemon.start();
  CHECK(daemon.wait_ready().empty());
  CHECK(daemon.wait_end() == 1);
  CHECK(daemon.errors() == checked);
  CHECK_FALSE(std::filesystem::exists(daemon.folder.path() / "other"));
}

TEST_CASE("daemon: --value prints the values that hold, and --help what else the program does") {
  Daemon daemon;
  daemon.write_config("[probe]\ncolour = 'red'\n");
  daemon.start({"--value", "probe.colour", "--value", "node.data"}, "printed");
  CHECK(daemon.wait_end() == 0);
  CHECK(daemon.text("printed") == "red\n" + daemon.folder.path().string() + "\n");
  daemon.start({"--value", "probe.size"});
  CHECK(daemon.wait_end() == 2);
  CHECK(daemon.errors().find("no key probe.size") != std::string::npos);
  daemon.start({"--help"}, "printed");
  CHECK(daemon.wait_end() == 0);
  CHECK(daemon.text("printed").find("It probes.") != std::string::npos);
}

TEST_CASE("daemon: without its secret it does not start, and says why") {
  Daemon daemon;
  std::filesystem::remove(daemon.folder.path() / "secrets/node");
  daemon.start();
  CHECK(daemon.wait_ready().empty());
  CHECK(daemon.wait_end() == 1);
  CHECK(daemon.errors().find("secrets/node") != std::string::npos);
}

TEST_CASE("daemon: wrong flags are usage errors, a missing configuration is not a crash") {
  Daemon daemon;
  daemon.start({"--no-such-flag"});
  CHECK(daemon.wait_end() == 2);
  std::filesystem::remove(daemon.folder.path() / "ribalta.toml");
  daemon.start();
  CHECK(daemon.wait_end() == 1);
  CHECK(daemon.errors().find("no such file") != std::string::npos);
}
