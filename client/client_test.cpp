// The command against a site that we wrote: one that forgets, refuses, and dies in the middle of a body.
#include <doctest/doctest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <mutex>

#include "client/tus.h"
#include "client/verbs.h"
#include "core/http/server.h"
#include "core/testing/run.h"

using namespace ribalta;
using namespace ribalta::client;
using namespace std::chrono_literals;
using ribalta::testing::TemporaryFolder;
namespace fs = std::filesystem;

namespace {

constexpr const char* kVideo = "7m3k0vq2c9x4t8ja";

struct Site {
  TemporaryFolder folder;
  LoopPool loops{1};
  std::mutex mutex;
  std::string received;
  std::string metadata;
  std::string location = "/files/7m3k0vq2c9x4t8jb";
  int created = 0;
  int patches = 0;
  int tokens = 0;
  std::size_t die_after = 0;  ///< cut the connection once so many bytes of a body came; 0: never
  int deaths_left = 0;
  bool forgotten = false;      ///< the upload expired
  unsigned refuse_create = 0;  ///< answer POST with this status
  std::vector<std::string> states{R"({"state":"ready","video":{"hls":"/v/h.m3u8","dash":"/v/d.mpd"}})"};
  std::string good_token = "rt_good";
  std::unique_ptr<http::Server> server;
  std::unique_ptr<http::Server> local;  ///< the instance's own socket, which endpoints.json need not name

  Site() {
    http::Router router;
    const auto add = [&](const char* method, const char* path, Task<void> (Site::*answer)(http::Exchange&)) {
      router.add(method, path, [this, answer](http::Exchange& exchange, const http::Router::Parameters&) {
        return (this->*answer)(exchange);
      });
    };
    add("POST", "/files/", &Site::create);
    add("HEAD", "/files/{upload}", &Site::head);
    add("PATCH", "/files/{upload}", &Site::patch);
    add("GET", "/api/v1/me/videos/{video}", &Site::video);
    add("POST", "/api/v1/admin/users/{name}/tokens", &Site::token);
    add("GET", "/api/v1/admin/users/{name}", &Site::user);
    add("GET", "/api/v1/admin/status", &Site::status);
    server = http::Server::listen(loops, {.host = "127.0.0.1", .port = 0}, router.handler()).value();
    local = http::Server::listen(loops, {.unix_path = folder.path() / "site.sock"}, router.handler()).value();
    loops.start();
    write_endpoints("admin");
    ::setenv("XDG_STATE_HOME", (folder.path() / "state").c_str(), 1);
    ::unsetenv("RIBALTA_TOKEN");
  }
  ~Site() {
    server->drain();
    local->drain();
    loops.stop(5s);
  }
  Site(const Site&) = delete;
  Site& operator=(const Site&) = delete;

  void write_endpoints(const std::string& admin_token) const {
    std::ofstream{folder.path() / "endpoints.json"}
        << R"({"site":"http://127.0.0.1:)" << server->port() << R"(/","rtmp":"rtmp://127.0.0.1:1/live","admin_token":")"
        << admin_token << R"(","stream_key":"k","ports":{"site":1},"logs":"/x"})";
  }
  [[nodiscard]] fs::path file(const std::string& name, std::size_t bytes) const {
    std::string content(bytes, '\0');
    for (std::size_t i = 0; i < bytes; ++i) content[i] = static_cast<char>('a' + i / 1000 % 26);
    std::ofstream{folder.path() / name, std::ios::binary} << content;
    return folder.path() / name;
  }
  [[nodiscard]] Instance instance() const { return Instance::open(folder.path()).value(); }
  [[nodiscard]] std::size_t states_kept() const {
    std::size_t count = 0;
    for (const auto& entry : fs::directory_iterator(folder.path() / "state/ribalta")) {
      count += entry.path().filename().string().starts_with("upload-") ? 1U : 0U;
    }
    return count;
  }

  static bool allowed(const http::Exchange& exchange, const std::string& token) {
    return exchange.head().fields.get("Authorization") == "Bearer " + token;
  }
  Task<void> create(http::Exchange& exchange) {
    http::Response response = http::Response::text(201, "");
    {
      const std::scoped_lock lock{mutex};
      if (!allowed(exchange, good_token)) {
        response = http::Response::error(401, "not_signed_in", "Who are you?");
      } else if (refuse_create != 0) {
        response = http::Response::error(refuse_create, "quota", "10 GB of 10 GB are used.");
      } else {
        ++created;
        received.clear();
        forgotten = false;
        metadata = exchange.head().fields.get("Upload-Metadata");
        response.fields.set("Location", location);
        response.fields.set("Ribalta-Video", kVideo);
      }
    }
    co_await exchange.respond(std::move(response));
  }
  Task<void> head(http::Exchange& exchange) {
    http::Response response = http::Response::text(forgotten ? 404 : 200, "");
    response.fields.set("Upload-Offset", std::to_string(received.size()));
    co_await exchange.respond(std::move(response));
  }
  Task<void> patch(http::Exchange& exchange) {
    ++patches;
    const std::string at = std::to_string(received.size());
    if (exchange.head().fields.get("Upload-Offset") != at) {
      co_await exchange.respond(http::Response::error(409, "offset", "The upload stands at " + at + "."));
      co_return;
    }
    while (true) {
      const Result<ByteSpan> piece = co_await exchange.read_some();
      if (!piece) co_return exchange.cut();
      if (piece->empty()) break;
      received += as_text(*piece);
      if (deaths_left > 0 && received.size() >= die_after) {
        --deaths_left;
        co_return exchange.cut();
      }
    }
    http::Response response = http::Response::text(204, "");
    response.fields.set("Upload-Offset", std::to_string(received.size()));
    co_await exchange.respond(std::move(response));
  }
  Task<void> video(http::Exchange& exchange) {
    std::string body = states.front();
    if (states.size() > 1) states.erase(states.begin());
    http::Response response = http::Response::json(200, std::move(body));
    co_await exchange.respond(std::move(response));
  }
  Task<void> token(http::Exchange& exchange) {
    ++tokens;
    http::Response response = allowed(exchange, "admin")
                                  ? http::Response::json(201, R"({"id":"x","token":")" + good_token + "\"}")
                                  : http::Response::error(401, "not_signed_in", "Not you.");
    co_await exchange.respond(std::move(response));
  }
  Task<void> user(http::Exchange& exchange) {
    http::Response response = exchange.head().path.ends_with("/creator")
                                  ? http::Response::json(200, R"({"user":{"id":"x"},"stream_key":"rk_secret"})")
                                  : http::Response::error(404, "not_found", "There is nothing here.");
    co_await exchange.respond(std::move(response));
  }
  Task<void> status(http::Exchange& exchange) {
    co_await exchange.respond(http::Response::json(
        200, R"({"version":"0.1.0","daemons":[{"name":"ingest","healthy":false,"message":"the disk is full"}],)"
             R"("jobs":{"live":{"queued":0,"leased":1,"done":2,"failed":3,"cancelled":0},)"
             R"("vod":{"queued":4,"leased":5,"done":6,"failed":7,"cancelled":0}},"lives":[],"users":2,)"
             R"("videos":{"draft":0,"processing":1,"ready":2,"failed":3},)"
             R"("nodes":[{"name":"milan","state":"silent","healthy":false,"message":"not heard of for 12 s"}]})"));
  }
};

UploadSettings quick() {
  UploadSettings settings;
  settings.retry_first = 1ms;
  settings.retry_max = 5ms;
  return settings;
}

struct Ran {
  int code = -1;
  std::string output;  ///< both streams
};
/// The program itself, as scripts/ribalta calls it.
Ran run(const Site& site, const std::string& arguments) {
  const std::string command = std::string{RIBALTA_CLIENT_PROGRAM} + " --data " + site.folder.path().string() + " " +
                              arguments + " 2>&1 </dev/null";
  std::FILE* pipe = ::popen(command.c_str(), "r");
  Ran ran;
  std::array<char, 4096> piece{};
  for (std::size_t n = 0; (n = std::fread(piece.data(), 1, piece.size(), pipe)) > 0;)
    ran.output.append(piece.data(), n);
  const int status = ::pclose(pipe);
  ran.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return ran;
}

}  // namespace

TEST_CASE("upload: a file arrives whole, with its name and title, and nothing of it is remembered") {
  Site site;
  const fs::path file = site.file("clip one.mp4", 3'000'000);
  UploadSettings settings = quick();
  settings.title = "Tìtle";
  std::int64_t furthest = 0;
  auto uploaded = upload_file(
      site.instance(), "rt_good", file, settings,
      [&furthest](std::int64_t bytes, std::int64_t, const std::string&) { furthest = std::max(furthest, bytes); });
  REQUIRE(uploaded.has_value());
  CHECK(uploaded->video() == kVideo);
  CHECK(site.received.size() == 3'000'000);
  CHECK(site.received[2'999'999] == static_cast<char>('a' + 2999 % 26));
  CHECK(furthest == 3'000'000);
  CHECK(site.metadata == "filename " + to_base64(as_bytes("clip one.mp4")) + ",title " + to_base64(as_bytes("Tìtle")));
  CHECK(site.states_kept() == 1);  // until the outcome is known
  uploaded->forget();
  CHECK(site.states_kept() == 0);
}

TEST_CASE("upload: a server that dies in the middle, again and again, is gone on with where it stood") {
  Site site;
  site.die_after = 100'000;
  site.deaths_left = 5;
  const fs::path file = site.file("a.mp4", 2'000'000);
  auto uploaded = upload_file(site.instance(), "rt_good", file, quick(), {});
  REQUIRE(uploaded.has_value());
  CHECK(site.received.size() == 2'000'000);
  CHECK(site.created == 1);
  CHECK(site.patches == 6);
}

TEST_CASE("upload: a command that gave up, or was killed, goes on in its next run") {
  Site site;
  site.die_after = 500'000;
  site.deaths_left = 1;
  const fs::path file = site.file("a.mp4", 2'000'000);
  UploadSettings once = quick();
  once.tries_max = 1;
  const auto first = upload_file(site.instance(), "rt_good", file, once, {});
  REQUIRE_FALSE(first.has_value());
  CHECK(first.error().refusal.code == "unreachable");
  CHECK(first.error().video == kVideo);
  const std::size_t stood = site.received.size();
  CHECK(stood >= 500'000);
  REQUIRE(upload_file(site.instance(), "rt_good", file, quick(), {}).has_value());
  CHECK(site.received.size() == 2'000'000);
  CHECK(site.created == 1);
}

TEST_CASE("upload: one whose outcome is still open is not sent a second time") {
  Site site;
  const fs::path file = site.file("a.mp4", 1000);
  REQUIRE(upload_file(site.instance(), "rt_good", file, quick(), {}).has_value());
  auto again = upload_file(site.instance(), "rt_good", file, quick(), {});
  REQUIRE(again.has_value());
  CHECK(site.created == 1);
  again->forget();
  REQUIRE(upload_file(site.instance(), "rt_good", file, quick(), {}).has_value());
  CHECK(site.created == 2);
}

TEST_CASE("upload: one that has expired at the server begins anew, as does a file that changed") {
  Site site;
  site.die_after = 1000;
  site.deaths_left = 1;
  fs::path file = site.file("a.mp4", 300'000);
  UploadSettings once = quick();
  once.tries_max = 1;
  REQUIRE_FALSE(upload_file(site.instance(), "rt_good", file, once, {}).has_value());
  site.forgotten = true;
  auto uploaded = upload_file(site.instance(), "rt_good", file, quick(), {});
  REQUIRE(uploaded.has_value());
  CHECK(site.created == 2);
  file = site.file("a.mp4", 300'001);
  REQUIRE(upload_file(site.instance(), "rt_good", file, quick(), {}).has_value());
  CHECK(site.created == 3);
  CHECK(site.received.size() == 300'001);
}

TEST_CASE("upload: a refusal is told with its code and sentence, and is not tried again") {
  Site site;
  site.refuse_create = 413;
  const auto refused = upload_file(site.instance(), "rt_good", site.file("a.mp4", 10), quick(), {});
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().refusal.code == "quota");
  CHECK(refused.error().refusal.message == "10 GB of 10 GB are used.");
}

TEST_CASE("upload: an empty file is created and has no body") {
  Site site;
  REQUIRE(upload_file(site.instance(), "rt_good", site.file("empty.mp4", 0), quick(), {}).has_value());
  CHECK(site.created == 1);
  CHECK(site.patches == 0);
}

TEST_CASE("upload: what is no file, and what is not there, are refused before anything is sent") {
  Site site;
  CHECK(upload_file(site.instance(), "rt_good", site.folder.path(), quick(), {}).error().refusal.code == "unreadable");
  CHECK(upload_file(site.instance(), "rt_good", "/none", quick(), {}).error().refusal.code == "unreadable");
  CHECK(site.created == 0);
}

TEST_CASE("upload: the token is sent to no other site than the instance's own") {
  Site site;
  for (const char* elsewhere : {"http://example.org/files/x", "//example.org/files/x", ""}) {
    site.location = elsewhere;
    const auto refused = upload_file(site.instance(), "rt_good", site.file("a.mp4", 10), quick(), {});
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().refusal.code == "protocol");
  }
  CHECK(site.patches == 0);
}

TEST_CASE("ribalta upload --wait --json: one object a file, and the exit code tells whether all are good") {
  Site site;
  site.states = {R"({"state":"processing","work":{"state":"processing","stage":"encode","progress":0.5,"attempt":1}})",
                 R"({"state":"ready","video":{"hls":"/v/h.m3u8","dash":"/v/d.mpd","title":"t"}})"};
  const std::string file = site.file("a.mp4", 1000).string();
  const Ran good = run(site, "upload --wait --json " + file);
  CHECK(good.code == 0);
  const std::string expected =
      "{\"file\":\"" + file + "\",\"video\":\"" + kVideo + R"(","state":"ready","kind":null,"reason":null,"seconds":)";
  CHECK(good.output.starts_with(expected));
  const std::string base = "http://127.0.0.1:" + std::to_string(site.server->port());
  CHECK(good.output.ends_with("\"hls\":\"" + base + "/v/h.m3u8\",\"dash\":\"" + base + "/v/d.mpd\"}\n"));
  CHECK(site.states_kept() == 0);

  site.states = {
      R"({"state":"failed","work":{"state":"failed","progress":0,"failure":{"kind":"truncated","reason":"It is cut.","retryable":false}}})"};
  const Ran bad = run(site, "upload --wait --json " + file);
  CHECK(bad.code == 1);
  CHECK(bad.output.find(R"("state":"failed","kind":"truncated","reason":"It is cut.")") != std::string::npos);
  CHECK(site.tokens == 1);  // the token was kept
}

TEST_CASE("ribalta upload: people get a link, or the reason") {
  Site site;
  const std::string file = site.file("a.mp4", 1000).string();
  CHECK(run(site, "upload --wait " + file).output ==
        file + ": ready http://127.0.0.1:" + std::to_string(site.server->port()) + "/watch/" + kVideo + "\n");
  site.refuse_create = 413;
  const Ran refused = run(site, "upload " + file);
  CHECK(refused.code == 1);
  CHECK(refused.output == file + ": failed: 10 GB of 10 GB are used. (quota)\n");
}

TEST_CASE("ribalta upload: a kept token that was revoked is replaced") {
  Site site;
  const std::string file = site.file("a.mp4", 1000).string();
  CHECK(run(site, "upload " + file).code == 0);
  site.good_token = "rt_newer";
  CHECK(run(site, "upload " + file).code == 0);
  CHECK(site.tokens == 2);
}

TEST_CASE("ribalta stream-key: the key alone, and a sentence where there is no such account") {
  Site site;
  CHECK(run(site, "stream-key").output == "rk_secret\n");
  const Ran none = run(site, "stream-key nobody");
  CHECK(none.code == 1);
  CHECK(none.output == "There is no account nobody. Make it with: ribalta user add nobody\n");
}

TEST_CASE("ribalta status: says what is wrong, and so does its exit code") {
  Site site;
  const Ran ran = run(site, "status");
  CHECK(ran.code == 1);
  CHECK(ran.output.find("ingest     the disk is full") != std::string::npos);
  CHECK(ran.output.find("5 running, 4 waiting, 6 done, 7 failed") != std::string::npos);
  CHECK(ran.output.find("milan        not heard of for 12 s") != std::string::npos);
}

TEST_CASE("ribalta: without an instance, and with one that is not running, it says so in a sentence") {
  Site site;
  site.server->drain();
  const Ran stopped = run(site, "status");
  CHECK(stopped.code == 1);
  CHECK(stopped.output.find("does not answer (") != std::string::npos);
  CHECK(stopped.output.find("Start it with: scripts/up --data " + site.folder.path().string()) != std::string::npos);
  fs::remove(site.folder.path() / "endpoints.json");
  CHECK(run(site, "status").output.find("No instance has run in") != std::string::npos);
  CHECK(run(site, "nonsense").code == 2);
  CHECK(run(site, "config check").code == 1);
}

TEST_CASE("ribalta: goes over the instance's own socket, wherever the site's name leads") {
  Site site;
  std::ofstream{site.folder.path() / "endpoints.json"}
      << R"({"site":"https://videos.example.invalid/","rtmp":"rtmp://x/live","admin_token":"admin","socket":")"
      << (site.folder.path() / "site.sock").string() << R"("})";
  const std::string file = site.file("a.mp4", 1000).string();
  CHECK(run(site, "upload --wait " + file).output ==
        file + ": ready https://videos.example.invalid/watch/" + kVideo + "\n");
  CHECK(run(site, "stream-key").output == "rk_secret\n");
}

TEST_CASE("ribalta --help: each verb says its own text, which names all that may be typed") {
  Site site;
  Verbs verbs;
  CLI::App app{"", "ribalta"};
  describe(app, verbs, "/");
  std::size_t options = 0;
  const std::function<void(const CLI::App&, const std::string&)> check = [&](const CLI::App& of,
                                                                             const std::string& verb) {
    const std::string text = usage_of(verb);
    CHECK_MESSAGE(text.starts_with("usage: ribalta "), verb);
    CHECK(run(site, verb + " --help").output == text);
    for (const CLI::Option* option : of.get_options()) {
      if (option->get_lnames().empty() || option->get_name() == "--help") continue;
      ++options;
      CHECK_MESSAGE(text.find(option->get_name()) != std::string::npos, verb, ": ", option->get_name());
    }
    for (const CLI::App* below : of.get_subcommands([](const CLI::App*) { return true; })) {
      CHECK_MESSAGE(text.find(below->get_name()) != std::string::npos, verb, ": ", below->get_name());
      check(*below, verb.empty() ? below->get_name() : verb + " " + below->get_name());
    }
  };
  check(app, "");
  CHECK(options >= 10);
  CHECK(usage_of("nonsense").empty());
}

TEST_CASE("ribalta: wrong usage is exit code 2 and says what was wrong") {
  Site site;
  for (const char* words :
       {"", "upload", "upload --title t a b", "user", "user add", "user add --nonsense x", "config"}) {
    const Ran ran = run(site, words);
    CHECK_MESSAGE(ran.code == 2, words);
    CHECK_MESSAGE(!ran.output.empty(), words);
  }
  CHECK(run(site, "upload").output.starts_with("FILE is required"));
  CHECK(run(site, "nonsense").output.starts_with("ribalta does not know nonsense here."));
  CHECK(run(site, "config nonsense").output.starts_with("ribalta does not know nonsense here."));
}
