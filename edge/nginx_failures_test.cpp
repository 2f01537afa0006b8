// The edge while what it stands on hangs, talks nonsense, is killed, is full, or begins anew.
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/testing/false_redis.h"
#include "edge/testing/machine.h"

namespace ribalta::edge {
namespace {

using http::Response;
using testing::cache_status;
using testing::is_hit;
using testing::Machine;
using testing::new_id;
using testing::Origin;
using testing::until;

/// Who has ended counts as gone also while nobody has asked how: in a container the first process may never do so.
bool runs(pid_t pid) {
  std::ifstream file{"/proc/" + std::to_string(pid) + "/stat"};
  std::string stat;
  std::getline(file, stat);
  const std::size_t state = stat.rfind(") ");
  return state != std::string::npos && stat.at(state + 2) != 'Z' && stat.at(state + 2) != 'X';
}

TEST_CASE(
    "edge: Redis killed, what is known goes on playing and nothing answers 5xx; started again, it is found again") {
  Machine machine;
  const std::string stream = new_id();
  const std::string hidden = new_id();
  machine.set("stream:" + stream + ":origin", machine.other->address());
  machine.set("video:" + hidden + ":access", "token");
  const std::string cached = "/live/" + stream + "/v720/1-1.m4s";
  CHECK(machine.get(cached).status == 200);
  CHECK(machine.get("/v/" + hidden + "/1/index.m3u8").status == 403);

  machine.redis->kill_and_wait(SIGKILL);
  REQUIRE(until([&] { return machine.metric("ribalta_edge_redis_connected ") == 0; }));
  for (int i = 2; i < 200; ++i) {
    const Response response = machine.get("/live/" + stream + "/v720/1-" + std::to_string(i) + ".m4s");
    REQUIRE(response.status == 200);
    CHECK(response.body.starts_with("other "));  // the origin as it was last known
  }
  CHECK(is_hit(machine.get(cached)));
  CHECK(machine.get("/v/" + hidden + "/1/index.m3u8").status == 403);
  CHECK(machine.get("/v/" + new_id() + "/1/index.m3u8").status == 200);  // never heard of: the origin decides

  machine.start_redis();
  machine.wait_for_redis();
  const std::string later = new_id();
  machine.set("stream:" + later + ":origin", machine.other->address());
  CHECK(machine.get("/live/" + later + "/v720.m3u8").body.starts_with("other "));
}

TEST_CASE("edge: a Redis that hangs costs a request a moment, not an answer, and a viewer may leave meanwhile") {
  Machine machine;
  const std::vector<pid_t> workers = machine.nginx->children();
  machine.redis->signal(SIGSTOP);

  // Leaves while the edge waits for Redis.
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  machine.path("run/site.sock").copy(to.sun_path, sizeof to.sun_path - 1);
  const std::string request = "GET /v/" + new_id() + "/1/index.m3u8 HTTP/1.1\r\nHost: x\r\n\r\n";
  for (int i = 0; i < 20; ++i) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    REQUIRE(fd >= 0);
    REQUIRE(::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
    REQUIRE(::send(fd, request.data(), request.size(), 0) == static_cast<ssize_t>(request.size()));
    ::close(fd);
  }
  const std::string video = new_id();
  for (const Response& response : machine.get_many(std::vector<std::string>(10, "/v/" + video + "/1/index.m3u8"))) {
    CHECK(response.status == 200);
  }
  machine.redis->signal(SIGCONT);
  machine.wait_for_redis();
  CHECK(machine.nginx->children() == workers);
  CHECK(machine.log("edge-error.log").find("[alert]") == std::string::npos);
}

TEST_CASE("edge: a Redis that talks nonsense, asked or not, costs its connections, no worker and no answer") {
  Machine machine;
  const std::vector<pid_t> workers = machine.nginx->children();
  machine.redis.reset();
  for (const char* bytes :
       {"*1\r\n$7\r\nmessage\r\n", "*0\r\n", "+OK\r\n", "$-1\r\n", "*3\r\n$-1\r\n$5\r\npurge\r\n$1\r\nx\r\n",
        "*3\r\n$11\r\nunsubscribe\r\n$5\r\npurge\r\n$1\r\n0\r\n", "*2147483647\r\n", "-ERR no\r\n", "HTTP/1.1"}) {
    CAPTURE(bytes);
    ::unlink(machine.path("run/redis.sock").c_str());
    ribalta::testing::FalseRedis nonsense{machine.path("run"), bytes, true};
    nonsense.came.wait_for(6);  // two workers and the listener to purges, and all of them again
    CHECK(machine.get("/v/" + new_id() + "/1/index.m3u8").status == 200);
  }
  ::unlink(machine.path("run/redis.sock").c_str());
  machine.start_redis();
  machine.wait_for_redis();
  CHECK(machine.nginx->children() == workers);
  CHECK(machine.log("edge-error.log").find("[alert]") == std::string::npos);
}

TEST_CASE("edge: with the origin down, stale playlists and cached segments go on, and say so") {
  Machine machine;
  const std::string stream = new_id();
  const std::string playlist = "/live/" + stream + "/short.m3u8";
  const std::string segment = "/live/" + stream + "/v720/1-1.m4s";
  CHECK(machine.get(playlist).status == 200);
  CHECK(machine.get(segment).status == 200);
  machine.packager.reset();
  // Fresh for its second, stale after it.
  Response stale;
  REQUIRE(until([&] {
    stale = machine.get(playlist);
    return !is_hit(stale);
  }));
  CHECK(stale.status == 200);
  CHECK(stale.body == "packager " + playlist);
  CHECK(cache_status(stale) == "ribalta-edge; fwd=stale; detail=origin-failed");
  CHECK(is_hit(machine.get(segment)));
  machine.packager = std::make_unique<Origin>(machine.loops, machine.path("run/packager.sock"), "back");
  CHECK(machine.get(playlist).body == "back " + playlist);
}

TEST_CASE(
    "edge: with the cache's disk nearly full, media pass through whole and unstored, and what is cached still serves") {
  Machine machine;
  const std::string before = "/v/" + new_id() + "/1/v720/1.m4s";
  machine.get(before);
  machine.configure("ribalta_cache_disk " + machine.path("") + "/cache/edge 256m;",
                    "ribalta_cache_disk " + machine.path("") + "/cache/edge 8000000g;");
  machine.nginx->signal(SIGHUP);
  REQUIRE(until([&] { return machine.metric("ribalta_edge_cache_disk_low ") == 1; }));
  const std::string segment = "/v/" + new_id() + "/1/v720/1.m4s";
  for (int i = 0; i < 2; ++i) {
    const Response response = machine.get(segment);
    CHECK(response.body == "packager " + segment);
    CHECK(cache_status(response) == "ribalta-edge; fwd=miss");
  }
  CHECK(is_hit(machine.get(before)));
}

TEST_CASE("edge: reloads under load lose no request, keep what is known, and leave no alert") {
  Machine machine;
  const std::string stream = new_id();
  machine.set("stream:" + stream + ":origin", machine.other->address());
  std::atomic<bool> stop = false;
  std::atomic<std::size_t> answered = 0;
  std::atomic<std::size_t> failed = 0;
  std::vector<std::thread> viewers;
  viewers.reserve(4);
  for (int viewer = 0; viewer < 4; ++viewer) {
    viewers.emplace_back([&, viewer] {
      for (int i = 0; !stop; ++i) {
        std::string segment = "/live/" + stream + "/v720/";
        segment.append(std::to_string(viewer)).append("-").append(std::to_string(i)).append(".m4s");
        const bool good = machine.get(std::move(segment)).status == 200;
        ++(good ? answered : failed);
      }
    });
  }
  const auto first_worker = [&] { return machine.nginx->children(); };
  for (int reload = 0; reload < 3; ++reload) {
    const std::vector<pid_t> before = first_worker();
    const std::size_t answered_before = answered;
    machine.nginx->signal(SIGHUP);
    REQUIRE(until([&] {
      const std::vector<pid_t> now = first_worker();
      const bool old_left =
          std::ranges::none_of(before, [&](pid_t pid) { return std::ranges::find(now, pid) != now.end(); });
      return old_left && answered > answered_before + 100;
    }));
  }
  const std::uint64_t kept = machine.metric("ribalta_edge_lookups_kept ");
  stop = true;
  for (std::thread& viewer : viewers) viewer.join();
  CHECK(failed == 0);
  CHECK(kept == 1);
  CHECK_MESSAGE(machine.log("edge-error.log").find("[alert]") == std::string::npos, machine.log("edge-error.log"));
  machine.wait_for_redis();
}

TEST_CASE("edge: a reload reads the token keys again") {
  Machine machine;
  const std::string video = new_id();
  const std::string target = "/t/" + machine.token("/v/" + video + "/") + "/v/" + video + "/1/index.m3u8";
  CHECK(machine.get(target).status == 200);
  REQUIRE(std::rename(machine.path("keys").c_str(), machine.path("keys.old").c_str()) == 0);
  std::ofstream{machine.path("keys")} << "# none\n";
  machine.nginx->signal(SIGHUP);
  CHECK(until([&] { return machine.get(target).status == 403; }));
}

TEST_CASE("edge: a worker killed is back, and the listener to purges with it") {
  Machine machine;
  const std::string stream = new_id();
  machine.set("stream:" + stream + ":origin", machine.other->address());
  for (int round = 0; round < 2; ++round) {
    const std::vector<pid_t> before = machine.nginx->children();
    for (const pid_t pid : before) ::kill(pid, SIGKILL);
    REQUIRE(until([&] { return machine.get("/live/" + stream + "/v720.m3u8").status == 200; }));
    machine.insist_on_purge("stream:" + stream);
    CHECK(machine.get("/live/" + stream + "/v720.m3u8").body.starts_with("other "));
  }
}

TEST_CASE("edge: a master killed takes its workers along, so that a new one can start on the same port") {
  Machine machine;
  const std::vector<pid_t> workers = machine.nginx->children();
  machine.nginx->kill_and_wait(SIGKILL);
  CHECK(until([&] { return std::ranges::none_of(workers, runs); }));
  machine.start_nginx();
  machine.wait_for_redis();
  CHECK(machine.get("/v/" + new_id() + "/1/index.m3u8").status == 200);
}

}  // namespace
}  // namespace ribalta::edge
