#include "edge/follower/follower.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <deque>

#include "core/http/server.h"
#include "core/testing/run.h"

namespace ribalta::edge {
namespace {

using ribalta::testing::run_on;
using ribalta::testing::TemporaryFolder;

const std::string kOne = "0123456789abcdef";
const std::string kTwo = "123456789abcdefg";

std::string video(const std::string& id, const std::string& access) {
  return R"({"kind":"video","id":")" + id + R"(","access":")" + access + "\"}";
}
std::string notices(const std::string& cursor, bool lost, const std::string& items = {}) {
  return R"({"cursor":")" + cursor + R"(","lost":)" + (lost ? "true" : "false") + R"(,"items":[)" + items + "]}";
}
std::string restricted(const std::string& items, const std::string& next = "null") {
  return R"({"items":[)" + items + R"(],"next":)" + next + "}";
}

/// As much of Redis as a follower needs; what was published is kept.
class FakeRedis : public redis::Client {
 public:
  Task<Result<redis::Reply>> command(std::vector<std::string> words) override {
    if (down) co_return fail(Code::unavailable, "not connected");
    redis::Reply reply{.kind = redis::Reply::Kind::nil};
    if (words[0] == "SET") {
      if (keys.contains(words[1])) reply = {.kind = redis::Reply::Kind::text, .text = keys[words[1]]};
      keys[words[1]] = words[2];
    } else if (words[0] == "PUBLISH") {
      published.push_back(words[2]);
    } else if (words[0] == "SCAN") {  // two pages
      redis::Reply found{.kind = redis::Reply::Kind::array};
      for (const auto& [key, value] : keys) {
        if (words[1] == "0") found.array.push_back({.kind = redis::Reply::Kind::text, .text = key});
      }
      redis::Reply next{.kind = redis::Reply::Kind::text, .text = words[1] == "0" ? "7" : "0"};
      reply = {.kind = redis::Reply::Kind::array, .array = {std::move(next), std::move(found)}};
    }
    co_return reply;
  }
  void on_connected(std::function<void()>) override {}
  [[nodiscard]] bool connected() const override { return !down; }
  void close() override {}

  std::map<std::string, std::string> keys;
  std::vector<std::string> published;
  bool down = false;
};

/// A first node that answers what the test says, one after the other.
struct Stage {
  Stage() {
    http::Address address{.unix_path = (folder.path() / "first.sock").string(), .host = {}};
    http::Handler handler = [this](http::Exchange& exchange) -> Task<void> {
      asked.push_back(exchange.head().target);
      http::Response response = http::Response::json(status, "{}");
      if (status == 200 && !answers.empty()) {
        response.body = answers.front();
        answers.pop_front();
      }
      co_await exchange.respond(std::move(response));
    };
    server = http::Server::listen(loops, address, std::move(handler)).value();
    loops.start();
    FollowerOptions options{.first = address, .version = "1", .now_ms = [this] { return now.load(); }};
    follower = std::make_unique<Follower>(loops.loop(0), redis, std::move(options));
  }
  ~Stage() {
    server->drain();
    loops.stop(std::chrono::seconds{5});
    server.reset();
  }
  Result<void> step(std::deque<std::string> says) {
    answers = std::move(says);
    asked.clear();
    return run_on(loops, follower->step());
  }
  std::string access(const std::string& id) { return redis->keys["video:" + id + ":access"]; }

  TemporaryFolder folder;
  LoopPool loops{1};
  std::atomic<std::int64_t> now{1'000'000};
  std::atomic<unsigned> status{200};
  std::deque<std::string> answers;
  std::vector<std::string> asked;
  std::shared_ptr<FakeRedis> redis = std::make_shared<FakeRedis>();
  std::unique_ptr<http::Server> server;
  std::unique_ptr<Follower> follower;
};

TEST_CASE("follower: reads all that is restricted, page by page, then goes on from the cursor it got before") {
  Stage stage;
  stage.redis->keys["video:" + kTwo + ":access"] = "token";  // of an earlier time; public by now
  stage.redis->keys["video:zzzzzzzzzzzzzzzz:access"] = "gone";
  REQUIRE(stage.step(
      {notices("c-1", true), restricted(R"({"kind":"stream","id":"abcdefghjkmnpqrs","access":"gone"})", R"("video:")"),
       restricted(video(kOne, "token"), "\"video:" + kOne + '"'), restricted(video("zzzzzzzzzzzzzzzz", "gone"))}));
  CHECK(stage.asked ==
        std::vector<std::string>{"/node/v1/notices?version=1&after=", "/node/v1/restricted?after=",
                                 "/node/v1/restricted?after=video:", "/node/v1/restricted?after=video:" + kOne});
  CHECK(stage.redis->keys["stream:abcdefghjkmnpqrs:origin"] == "gone");
  CHECK(stage.access(kOne) == "token");
  CHECK(stage.access(kTwo) == "public");
  CHECK(stage.redis->published == std::vector<std::string>{"stream:abcdefghjkmnpqrs", "video:" + kOne});  // news only

  REQUIRE(stage.step({notices("c-2", false, video(kTwo, "gone"))}));
  CHECK(stage.asked == std::vector<std::string>{"/node/v1/notices?version=1&after=c-1"});
  CHECK(stage.access(kTwo) == "gone");
  CHECK(stage.redis->published.back() == "video:" + kTwo);
  REQUIRE(stage.step({notices("c-3", false, video(kTwo, "public"))}));
  CHECK(stage.access(kTwo) == "public");
  CHECK(stage.redis->published.size() == 3);
}

TEST_CASE("follower: what did not get into Redis was not heard: all is read anew") {
  Stage stage;
  REQUIRE(stage.step({notices("c-1", true), restricted("")}));
  stage.redis->down = true;
  CHECK_FALSE(stage.step({notices("c-2", false, video(kOne, "gone"))}));
  stage.redis->down = false;
  REQUIRE(stage.step({notices("c-2", true), restricted(video(kOne, "gone"))}));
  CHECK(stage.asked.front() == "/node/v1/notices?version=1&after=");
  CHECK(stage.access(kOne) == "gone");
  stage.redis->keys.clear();
  stage.follower->redis_forgot();
  REQUIRE(stage.step({notices("c-2", true), restricted(video(kOne, "gone"))}));
  CHECK(stage.access(kOne) == "gone");
}

TEST_CASE("follower: an answer that is none of ours puts nothing into Redis") {
  for (const std::string& bad : {video("x", "gone"), video(kOne, "open"), video(kOne + "\\r\\nSET", "gone"),
                                 R"({"kind":"user","id":")" + kOne + R"(","access":"gone"})",
                                 R"({"kind":"stream","id":")" + kOne + R"(","access":"public"})", std::string{"7"}}) {
    Stage stage;
    CHECK_FALSE(stage.step({notices("c-1", false, bad), restricted("")}));
    CHECK_FALSE(stage.step({notices("c-1", true), restricted(bad)}));
    CHECK_MESSAGE(stage.redis->keys.empty(), bad);
    CHECK(stage.redis->published.empty());
  }
  for (const std::string& next : {"video:" + kOne, std::string{"stream:"}, std::string{"video:x"}, kTwo,
                                  "video:" + kTwo + "&after=", std::string{}}) {
    Stage lost;
    CHECK_FALSE(lost.step({notices("c-1", true), restricted(video(kOne, "gone"), "\"video:" + kOne + '"'),
                           restricted(video(kOne, "gone"), '"' + next + '"'), restricted("")}));
  }
}

TEST_CASE("follower: health says in words that the first node is away, or does not know us; and is well again") {
  Stage stage;
  const auto says = [&](const std::string& words) { return stage.follower->health().find(words) != std::string::npos; };
  const auto follow_once = [&](unsigned status) {
    stage.status = status;
    stage.answers = {notices("c-1", true), restricted("")};
    return run_on(stage.loops, stage.follower->look());
  };
  CHECK(stage.follower->health().empty());
  follow_once(502);
  CHECK(stage.follower->health().empty());
  stage.now += kFirstNodeSilenceMs;
  CHECK(says("plays on"));
  CHECK(says("no connection to the first node"));
  follow_once(200);
  CHECK(stage.follower->health().empty());
  follow_once(403);
  CHECK(says("does not know this node"));
}

}  // namespace
}  // namespace ribalta::edge
