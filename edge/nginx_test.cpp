// The module inside nginx, with the configuration that scripts/up fills in, a Redis and origins that come and go.
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <future>
#include <string>
#include <thread>

#include "core/ids.h"
#include "core/testing/false_redis.h"
#include "edge/testing/machine.h"

namespace ribalta::edge {
namespace {

/// Who has ended counts as gone also while nobody has asked how: in a container the first process may never do so.
bool runs(pid_t pid) {
  std::ifstream file{"/proc/" + std::to_string(pid) + "/stat"};
  std::string stat;
  std::getline(file, stat);
  const std::size_t state = stat.rfind(") ");
  return state != std::string::npos && stat.at(state + 2) != 'Z' && stat.at(state + 2) != 'X';
}

using namespace std::chrono_literals;
using http::Response;
using testing::Machine;
using testing::Origin;
using testing::until;

std::string new_id() {
  const auto id = random_id();
  return {id.data(), id.size()};
}

std::string cache_status(const Response& response) { return std::string{response.fields.get("Cache-Status")}; }
bool is_hit(const Response& response) { return cache_status(response).starts_with("ribalta-edge; hit"); }

/// `token` with the last character of its expiry field changed: one that says it lives longer.
std::string altered(std::string token) {
  const std::size_t dot = token.find('.', token.find('.', token.find('.') + 1) + 1);
  token[dot - 1] = token[dot - 1] == 'z' ? 'y' : 'z';
  return token;
}

TEST_CASE("module: exports what nginx looks for and nothing else") {
  std::string symbols;
  std::FILE* pipe = ::popen("nm -D --defined-only " RIBALTA_EDGE_MODULE " | sed 's/.* //' | sort | tr '\\n' ' '", "r");
  REQUIRE(pipe != nullptr);
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) symbols += static_cast<char>(c);
  ::pclose(pipe);
  CHECK(symbols == "ngx_http_ribalta_module ngx_module_names ngx_module_order ngx_modules ");
}

TEST_CASE("edge: public media come from the origin once, then from the cache, whatever the query says") {
  Machine machine;
  const std::string segment = "/v/" + new_id() + "/1/v720/3.m4s";
  const Response first = machine.get(segment);
  CHECK(first.status == 200);
  CHECK(first.body == "packager " + segment);
  CHECK(cache_status(first).starts_with("ribalta-edge; fwd=miss; stored"));
  const Response second = machine.get(segment + "?CMCD=bl&session=7");
  CHECK(is_hit(second));
  CHECK(second.fields.has("Age"));
  CHECK(second.fields.get("Access-Control-Allow-Origin") == "*");
  CHECK(!second.fields.has("Ribalta-Tag"));
  CHECK(machine.packager->requests().size() == 1);
}

TEST_CASE("edge: ranges are cut from the cache and from the first answer") {
  Machine machine;
  const std::string segment = "/v/" + new_id() + "/1/v720/3.m4s";
  for (int i = 0; i < 2; ++i) {
    const Response part = machine.get(segment, {{"Range", "bytes=2-5"}});
    CHECK(part.status == 206);
    CHECK(part.body == "ckag");
  }
  CHECK(machine.packager->requests().size() == 1);
}

TEST_CASE("edge: tokens open what they name, and reach neither origin, cache key nor logs") {
  Machine machine;
  const std::string video = new_id();
  const std::string path = "/v/" + video + "/1/index.m3u8";
  machine.set("video:" + video + ":access", "token");
  CHECK(machine.get(path).status == 403);

  const std::string token = machine.token("/v/" + video + "/");
  const Response opened = machine.get("/t/" + token + path, {{"Cookie", "session=1"}});
  CHECK(opened.status == 200);
  CHECK(opened.body == "packager " + path);
  const http::RequestHead seen = machine.packager->last();
  CHECK(seen.target == path);
  CHECK(seen.fields.get("Ribalta-Authorised") == "1");
  CHECK(!seen.fields.has("Cookie"));

  const std::string second = machine.token("/v/" + video + "/", 7'200);
  REQUIRE(second != token);
  CHECK(is_hit(machine.get("/t/" + second + path)));
  CHECK(is_hit(machine.get("/t/" + machine.shared_token("/v/" + video + "/") + path)));

  const std::string others = machine.token("/v/" + new_id() + "/");
  const std::string expired = machine.token("/v/" + video + "/", -1);
  for (const std::string& bad :
       {altered(token), expired, others, token.substr(0, token.size() - 1), std::string{"x"}}) {
    const Response refused = machine.get(std::string{"/t/"}.append(bad).append(path));
    CHECK(refused.status == 403);
    CHECK(refused.body.find("\"forbidden\"") != std::string::npos);
    CHECK(refused.fields.get("Cache-Control") == "no-store");
  }
  CHECK(machine.packager->requests().size() == 1);

  machine.packager.reset();  // so that the error log quotes a request, too
  CHECK(machine.get("/t/" + token + "/v/" + video + "/1/other.m3u8").status == 502);
  machine.nginx->kill_and_wait(SIGQUIT);
  const std::string logs = machine.log("edge-access.log") + machine.log("edge-error.log");
  CHECK(logs.find("/v/" + video + "/1/other.m3u8") != std::string::npos);
  CHECK(logs.find(token) == std::string::npos);
  CHECK(logs.find("v2.s1") == std::string::npos);
}

TEST_CASE("edge: what a token opened is never an answer for those without") {
  Machine machine;
  const std::string video = new_id();
  const std::string path = "/v/" + video + "/1/v720/1.m4s";
  CHECK(machine.get("/t/" + machine.token("/v/" + video + "/") + path).status == 200);  // access is not known yet
  const Response without = machine.get(path);
  CHECK(cache_status(without).find("fwd=miss") != std::string::npos);
  CHECK(!machine.packager->last().fields.has("Ribalta-Authorised"));
}

TEST_CASE("edge: what clients say in our own fields does not reach the origin or the API") {
  Machine machine;
  const http::Fields lies{{"Ribalta-Authorised", "1"},
                          {"Ribalta-Node", "x"},
                          {"X-Forwarded-For", "6.6.6.6"},
                          {"Forwarded", "for=6.6.6.6"},
                          {"X-Forwarded-Proto", "https"}};
  machine.get("/v/" + new_id() + "/1/index.m3u8", lies);
  CHECK(!machine.packager->last().fields.has("Ribalta-Authorised"));
  machine.get("/api/v1/feed?x=1", lies);
  const http::RequestHead seen = machine.api->last();
  CHECK(seen.target == "/api/v1/feed?x=1");
  for (const char* field : {"Ribalta-Authorised", "Ribalta-Node", "Forwarded"}) CHECK(!seen.fields.has(field));
  CHECK(seen.fields.get("X-Forwarded-For").find("6.6.6.6") == std::string_view::npos);
  CHECK(seen.fields.get("X-Forwarded-Proto") == "http");
}

TEST_CASE("edge: a stream comes from the origin that Redis names, and from the default one when it names none") {
  Machine machine;
  const std::string stream = new_id();
  const std::string unknown = new_id();
  const std::string malformed = new_id();
  machine.set("stream:" + stream + ":origin", machine.other->address());
  machine.set("stream:" + malformed + ":origin", "http://example.com/");
  CHECK(machine.get("/live/" + stream + "/v720.m3u8").body.starts_with("other "));
  CHECK(machine.get("/live/" + unknown + "/v720.m3u8").body.starts_with("packager "));
  CHECK(machine.get("/live/" + malformed + "/v720.m3u8").body.starts_with("packager "));
}

TEST_CASE("edge: delivery directives reach the origin in one spelling; broken ones are refused") {
  Machine machine;
  const std::string playlist = "/live/" + new_id() + "/v720.m3u8";
  machine.get(playlist + "?_HLS_part=1&x=y&_HLS_msn=07");
  CHECK(machine.packager->last().target == playlist + "?_HLS_msn=7&_HLS_part=1");
  CHECK(is_hit(machine.get(playlist + "?_HLS_msn=7&_HLS_part=1")));
  CHECK(machine.get(playlist + "?_HLS_msn=x").status == 400);
}

TEST_CASE("edge: every answer for media says what the cache did, refusals and failures too") {
  Machine machine;
  const std::string video = new_id();
  const std::string hidden = new_id();
  const std::string gone = new_id();
  machine.set("video:" + hidden + ":access", "token");
  machine.set("video:" + gone + ":access", "gone");
  const auto check = [](const Response& response, unsigned status, std::string_view start) {
    CHECK(response.status == status);
    CHECK_MESSAGE(cache_status(response).starts_with(start), cache_status(response));
    CHECK(response.fields.get("Access-Control-Allow-Origin") == "*");
  };
  check(machine.get("/v/" + video + "/1/none.m4s"), 200, "ribalta-edge; fwd=miss");
  check(machine.get("/v/" + video + "/1/missing.m4s"), 404, "ribalta-edge; fwd=miss; stored");
  check(machine.get("/v/" + hidden + "/1/index.m3u8"), 403, "ribalta-edge; detail=edge-403");
  check(machine.get("/v/" + gone + "/1/index.m3u8"), 410, "ribalta-edge; detail=edge-410");
  check(machine.get("/v/" + video + "/1/%2e%2e"), 404, "ribalta-edge; detail=edge-404");
  check(machine.get("/live/" + video + "/a.m3u8?_HLS_part=1"), 400, "ribalta-edge; detail=edge-400");
  check(machine.ask("POST", "/v/" + video + "/1/index.m3u8", {}, "x"), 405, "ribalta-edge; detail=edge-405");
  check(machine.ask("GET", "/v/" + video + "/1/index.m3u8", {}, "x"), 400, "ribalta-edge; detail");
  const Response preflight = machine.ask("OPTIONS", "/v/" + video + "/1/index.m3u8");
  check(preflight, 204, "ribalta-edge; detail=edge-204");
  CHECK(preflight.fields.get("Access-Control-Allow-Methods") == "GET, HEAD, OPTIONS");
  machine.packager.reset();
  check(machine.get("/v/" + video + "/1/new.m4s"), 502, "ribalta-edge; fwd=miss");
}

TEST_CASE("edge: requests for the same thing at once are one request to the origin") {
  Machine machine;
  const std::string segment = "/live/" + new_id() + "/v720/1-slow.m4s";
  const std::vector<Response> responses = machine.get_many(std::vector<std::string>(20, segment));
  std::size_t collapsed = 0;
  for (const Response& response : responses) {
    CHECK(response.body == "packager " + segment);
    if (cache_status(response).find("collapsed") != std::string::npos) ++collapsed;
  }
  CHECK(machine.packager->count("slow") == 1);
  CHECK(collapsed == responses.size() - 1);
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

TEST_CASE("edge: a video that is gone stops at once by a purge, and within seconds without") {
  Machine machine;
  const std::string purged = new_id();
  const std::string expired = new_id();
  const std::string one = "/v/" + purged + "/1/v720/1.m4s";
  const std::string two = "/v/" + expired + "/1/v720/1.m4s";
  machine.set("video:" + purged + ":access", "public");
  machine.set("video:" + expired + ":access", "public");
  CHECK(machine.get(one).status == 200);
  CHECK(machine.get(two).status == 200);
  machine.set("video:" + purged + ":access", "gone");
  machine.set("video:" + expired + ":access", "gone");
  machine.publish_purge("video:" + purged);
  CHECK(machine.get(one).status == 410);
  CHECK(until([&] { return machine.get(two).status == 410; }));
}

TEST_CASE("edge: after a purge, cached media of the tag are asked for again, those of others are not") {
  Machine machine;
  const std::string purged = "/live/" + new_id() + "/v720/1-1.m4s";
  const std::string kept = "/live/" + new_id() + "/v720/1-1.m4s";
  machine.get(purged);
  machine.get(kept);
  machine.publish("rubbish");
  machine.publish_purge("stream:" + purged.substr(6, 16));
  CHECK(cache_status(machine.get(purged)).find("fwd=miss") != std::string::npos);
  CHECK(is_hit(machine.get(kept)));
}

TEST_CASE("edge: purged media leave the cache's disk, those of others stay, and nginx goes on counting right") {
  Machine machine;
  const std::string video = new_id();
  const std::string stream = new_id();
  const std::string kept = "/v/" + new_id() + "/1/v720/1.m4s";
  machine.get(kept);
  for (int i = 1; i <= 20; ++i) machine.get("/v/" + video + "/1/v720/" + std::to_string(i) + ".m4s");
  machine.get("/t/" + machine.token("/v/" + video + "/") + "/v/" + video + "/1/index.m3u8");
  machine.get("/live/" + stream + "/v720/1-1.m4s");
  const auto files = [&machine](const std::string& of) {
    std::size_t found = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(machine.path("cache/edge/media"))) {
      if (!entry.is_regular_file()) continue;
      std::ifstream file{entry.path(), std::ios::binary};
      const std::string text{std::istreambuf_iterator<char>{file}, {}};
      if (text.find(of) != std::string::npos) ++found;
    }
    return found;
  };
  REQUIRE(files(video) == 21);
  REQUIRE(files(stream) == 1);
  machine.publish_purge("video:" + video);
  CHECK(until([&] { return files(video) == 0; }));
  CHECK(until([&] { return machine.metric("ribalta_edge_purged_files_total ") == 21; }));
  CHECK(files(stream) == 1);
  CHECK(is_hit(machine.get(kept)));
  machine.publish_purge("stream:" + stream);
  CHECK(until([&] { return files(stream) == 0; }));
  // What is asked for again is stored again, and found.
  const std::string again = "/v/" + video + "/1/v720/1.m4s";
  CHECK(cache_status(machine.get(again)).find("fwd=miss; stored") != std::string::npos);
  CHECK(is_hit(machine.get(again)));
  machine.nginx->signal(SIGHUP);  // the thread ends with its worker, and the next one has its own
  REQUIRE(until([&] { return machine.metric("ribalta_edge_redis_connected ") == 2; }));
  machine.wait_for_redis();
  machine.publish_purge("video:" + video);
  CHECK(until([&] { return files(video) == 0; }));
  CHECK(is_hit(machine.get(kept)));
  for (const char* word : {"[alert]", "[crit]", "[emerg]"}) {
    CHECK(machine.log("edge-error.log").find(word) == std::string::npos);
  }
}

TEST_CASE("edge: a broadcast that is gone is refused before the cache, behind a token and after a restart too") {
  Machine machine;
  const std::string stream = new_id();
  const std::string segment = "/live/" + stream + "/v720/1-1.m4s";
  const std::string playlist = "/live/" + stream + "/v720.m3u8";
  const std::string opened = "/t/" + machine.token("/live/" + stream + "/") + segment;
  for (const std::string& target : {segment, playlist, opened}) REQUIRE(machine.get(target).status == 200);
  CHECK(is_hit(machine.get(segment)));
  machine.set("stream:" + stream + ":origin", "gone");
  machine.publish_purge("stream:" + stream);
  for (const std::string& target : {segment, playlist, opened}) CHECK(machine.get(target).status == 410);
  CHECK(machine.get("/live/" + new_id() + "/v720/1-1.m4s").status == 200);
  // The purge is forgotten with the shared memory, and the media are still on the disk.
  machine.nginx->kill_and_wait(SIGTERM);
  machine.start_nginx();
  machine.wait_for_redis();
  for (const std::string& target : {segment, playlist, opened}) CHECK(machine.get(target).status == 410);
}

TEST_CASE(
    "edge: with Redis away, what was taken down meanwhile plays from the cache until Redis is back, and no longer") {
  Machine machine;
  const std::string video = new_id();
  const std::string cached = "/v/" + video + "/1/v720/1.m4s";
  machine.set("video:" + video + ":access", "public");
  CHECK(machine.get(cached).status == 200);
  machine.redis.reset();
  REQUIRE(until([&] { return machine.metric("ribalta_edge_redis_connected ") == 0; }));
  CHECK(is_hit(machine.get(cached)));                 // docs/redis.md: the last answer counts
  machine.start_redis();                              // empty
  machine.set("video:" + video + ":access", "gone");  // as the control plane says at each connection
  machine.wait_for_redis();
  CHECK(until([&] { return machine.get(cached).status == 410; }));
}

TEST_CASE("edge: a video that was hidden comes back as it was, from the cache") {
  Machine machine;
  const std::string video = new_id();
  const std::string segment = "/v/" + video + "/1/v720/1.m4s";
  machine.set("video:" + video + ":access", "public");
  CHECK(machine.get(segment).status == 200);
  machine.set("video:" + video + ":access", "token");
  machine.publish_purge("video:" + video);
  CHECK(machine.get(segment).status == 403);
  CHECK(machine.get("/t/" + machine.token("/v/" + video + "/") + segment).status == 200);
  machine.set("video:" + video + ":access", "public");  // without a purge
  CHECK(until([&] { return machine.get(segment).status == 200; }));
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

TEST_CASE("site: pages, hashed assets, the API and its failures, and doors that stay shut") {
  Machine machine;
  const Response page = machine.get("/watch/anything");
  CHECK(page.status == 200);
  CHECK(page.body.find("Ribalta") != std::string::npos);
  CHECK(page.fields.get("Cache-Control") == "no-cache");
  CHECK(page.fields.get("Content-Security-Policy").find("frame-ancestors 'none'") != std::string_view::npos);
  CHECK(page.fields.get("X-Content-Type-Options") == "nosniff");
  CHECK(page.fields.get("Server") == "nginx");
  CHECK(machine.get("/assets/app-0123.js").fields.get("Cache-Control") == "public, max-age=31536000, immutable");
  CHECK(machine.get("/assets/none.js").status == 404);
  for (const char* shut :
       {"/internal/v1/publish", "/internal", "/api/../internal/v1/publish", "/api/%2e%2e/internal/v1/x"}) {
    CHECK_MESSAGE(machine.get(shut).status == 404, shut);
  }
  CHECK(machine.api->requests().empty());
  CHECK(machine.get("/metrics").body.find("ribalta_edge") == std::string::npos);

  CHECK(machine.get("/api/v1/feed").body == "api /api/v1/feed");
  CHECK(machine.ask("POST", "/api/v1/x", {}, std::string(1'048'577, 'x')).status == 413);
  machine.api.reset();
  const Response down = machine.get("/api/v1/feed");
  CHECK(down.status == 503);
  CHECK(down.fields.get("Content-Type") == "application/json");
}

/// A first machine with its node port open, and an edge that joined it as `milan`.
struct TwoMachines {
  TwoMachines() {
    first.open_node_port();
    first.nginx->kill_and_wait(SIGTERM);
    first.start_nginx();
    first.wait_for_redis();
    edge = std::make_unique<Machine>(&first);
    first.list_node("milan", edge->path("secrets/node_cert.pem"));
    REQUIRE(until([&] { return first.ask_node_port("/v/" + new_id() + "/1/x.m4s", own()).starts_with("200"); }));
  }
  [[nodiscard]] std::string own() const { return edge->path("secrets/node"); }
  Machine first;
  std::unique_ptr<Machine> edge;
};

TEST_CASE("node port: an edge serves what the first has, once; with tokens that the first checks itself") {
  TwoMachines two;
  const std::string public_path = "/v/" + new_id() + "/1/v720/3.m4s";
  CHECK(two.edge->get(public_path).body == "packager " + public_path);
  CHECK(is_hit(two.edge->get(public_path)));
  CHECK(two.first.packager->count(public_path) == 1);

  const std::string video = new_id();
  const std::string path = "/v/" + video + "/1/index.m3u8";
  two.first.set("video:" + video + ":access", "token");
  CHECK(two.edge->get(path).status == 403);  // the edge has not heard of it: the first refuses
  two.edge->set("video:" + video + ":access", "token");
  const std::string token = two.edge->token("/v/" + video + "/");
  CHECK(two.edge->get("/t/" + token + path).body == "packager " + path);
  CHECK(two.first.packager->last().fields.get("Ribalta-Authorised") == "1");
  CHECK(is_hit(two.edge->get("/t/" + token + path)));
  CHECK(two.edge->get("/t/" + altered(token) + path).status == 403);
  CHECK(two.edge->get("/t/" + two.first.shared_token("/v/" + video + "/") + path).status == 403);  // not its to check

  // An edge that is taken over says that it checked: nobody believes it.
  const std::string other = "/v/" + video + "/1/other.m3u8";
  CHECK(
      two.first.ask_node_port(other, two.own(), "-H 'Ribalta-Authorised: 1' -H 'Ribalta-Node: x'").starts_with("403"));
  CHECK(two.first.packager->count(other) == 0);
  const std::string logs = two.first.log("edge-access.log") + two.first.log("edge-error.log") +
                           two.edge->log("edge-access.log") + two.edge->log("edge-error.log");
  CHECK(logs.find(token) == std::string::npos);
}

TEST_CASE("node port: strangers get nothing, nor do the removed from then on") {
  TwoMachines two;
  const std::string segment = "/v/" + new_id() + "/1/v720/3.m4s";
  Machine::make_certificate(two.first.path("secrets"), "stranger");
  const std::size_t before = two.first.packager->requests().size();
  const std::size_t calls = two.first.api->requests().size();
  for (const std::string& certificate : {std::string{}, two.first.path("secrets/stranger")}) {
    for (const std::string target : {segment.c_str(), "/", "/index.html", "/api/v1/feed", "/node/v1/notices",
                                     "/node/v1/restricted", "/internal/v1/publish", "/node/v1/../../api/v1/feed"}) {
      const std::string answer = two.first.ask_node_port(target, certificate, "-H 'Ribalta-Edge: milan'");
      CHECK_MESSAGE(answer.starts_with("403"), target);
      CHECK(answer.find("packager") == std::string::npos);
    }
  }
  CHECK(two.first.packager->requests().size() == before);
  CHECK(two.first.api->requests().size() == calls);
  // The one door for who is no node yet: the control plane hears whose certificate it is, whatever the caller says.
  two.first.ask_node_port("/node/v1/join", two.first.path("secrets/stranger"),
                          "-d x -H 'Ribalta-Certificate: lie' -H 'Ribalta-Edge: milan'");
  CHECK(two.first.api->last().fields.get("Ribalta-Certificate").size() == 64);
  CHECK(!two.first.api->last().fields.has("Ribalta-Edge"));

  CHECK(two.first.ask_node_port("/node/v1/notices", two.own(), "-H 'Ribalta-Edge: rome'").starts_with("200"));
  CHECK(two.first.api->last().fields.get("Ribalta-Edge") == "milan");
  CHECK(two.first.ask_node_port("/index.html", two.own()).starts_with("403"));  // its own site is its own
  two.first.list_node("", "");
  CHECK(two.first.ask_node_port(segment, two.own()).starts_with("403"));
  CHECK(two.edge->get("/v/" + new_id() + "/1/v720/3.m4s").status == 403);
  std::ofstream{two.first.path("run/nodes")} << "no list\n";  // makes no sense: nobody
  CHECK(two.first.ask_node_port(segment, two.own()).starts_with("403"));
}

TEST_CASE("node port: the API hears of the viewer behind an edge, and of no public lies about nodes") {
  TwoMachines two;
  two.edge->get("/api/v1/feed?x=1",
                {{"X-Real-IP", "192.0.2.7"}, {"Ribalta-Edge", "milan"}, {"Ribalta-Certificate", "x"}});
  const http::RequestHead seen = two.first.api->last();
  CHECK(seen.target == "/api/v1/feed?x=1");
  CHECK(seen.fields.get("X-Real-IP") == "192.0.2.7");
  for (const char* field : {"Ribalta-Edge", "Ribalta-Certificate"}) CHECK(!seen.fields.has(field));
  CHECK(two.edge->get("/node/v1/notices").body.find("api ") == std::string::npos);  // a page of the site
}

TEST_CASE(
    "node port: while the first is away, the edge's cache plays on and the rest says so; then all is well again") {
  TwoMachines two;
  const std::string video = new_id();
  const std::string kept = "/v/" + video + "/1/v720/3.m4s";
  const std::string playlist = "/v/" + video + "/1/short.m3u8";
  CHECK(two.edge->get(kept).status == 200);
  CHECK(two.edge->get(playlist).status == 200);
  two.first.nginx->kill_and_wait(SIGKILL);
  CHECK(is_hit(two.edge->get(kept)));
  CHECK(until([&] { return cache_status(two.edge->get(playlist)).find("fwd=stale") != std::string::npos; }));
  CHECK(two.edge->get(playlist).status == 200);
  CHECK(two.edge->get("/v/" + new_id() + "/1/v720/3.m4s").status == 502);
  const Response api = two.edge->get("/api/v1/feed");
  CHECK(api.status == 503);
  CHECK(api.fields.get("Content-Type") == "application/json");
  CHECK(two.edge->get("/watch").status == 200);
  two.first.start_nginx();
  CHECK(until([&] { return two.edge->get("/v/" + new_id() + "/1/v720/3.m4s").status == 200; }));
  CHECK(two.edge->get("/api/v1/feed").status == 200);
}

TEST_CASE("node port: an edge speaks to the machine of its join line only") {
  TwoMachines two;
  two.first.open_node_port();  // another key under the same name
  two.first.nginx->kill_and_wait(SIGTERM);
  two.first.start_nginx();
  CHECK(two.edge->get("/v/" + new_id() + "/1/v720/3.m4s").status == 502);
  CHECK(two.edge->get("/api/v1/feed").status == 503);
}

TEST_CASE("edge.sock: health, metrics and the version that is running") {
  Machine machine;
  CHECK(machine.status("healthz") == "ok\n");
  CHECK(machine.status("ribalta-edge-status").find("\"version\":\"" RIBALTA_VERSION "\"") != std::string::npos);
  machine.get("/v/" + new_id() + "/1/index.m3u8");
  CHECK(machine.metric("ribalta_edge_requests_total ") == 1);
  CHECK(until(
      [&] { return machine.metric("ribalta_edge_cache_total{use=\"miss\"} ") == 1; }));  // counted as it is logged
}

}  // namespace
}  // namespace ribalta::edge
