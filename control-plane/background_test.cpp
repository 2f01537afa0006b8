// Errands, sweeps and calls between daemons, over sockets.
#include "control-plane/testing_stage.h"
#include "core/internal_auth.h"

namespace ribalta::control {
namespace {

using testing::Browser;
using testing::has;
using testing::House;
using testing::must;
using testing::source_720;
using testing::text_at;

}  // namespace

TEST_CASE("internal calls without a node's signature, with another secret, or for another target are refused") {
  House house;
  const auto try_with = [&](std::string secret, std::string target, WallTime when) {
    http::Request request{.method = "POST", .target = "/internal/v1/jobs/lease", .fields = {}, .body = "{}"};
    if (!secret.empty()) request.fields.set(kNodeField, sign_internal(secret, NodeId::random(), "POST", target, when));
    return house.call(std::move(request)).status;
  };
  const std::string target = "/internal/v1/jobs/lease";
  CHECK(try_with("", target, wall_now()) == 401);
  CHECK(try_with("another secret", target, wall_now()) == 401);
  CHECK(try_with(house.node.node_secret, "/internal/v1/publish", wall_now()) == 401);
  CHECK(try_with(house.node.node_secret, target, wall_now() - std::chrono::minutes{2}) == 401);
  CHECK(try_with(house.node.node_secret, target, wall_now()) == 400);  // signed well; its body is what is wrong
}

TEST_CASE("wrong keys from one address are limited, others are not") {
  House house;
  const auto guess = [&](const std::string& address) {
    return house.internal("POST", "/publish",
                          R"({"key":"rk_guess","proposed_stream":"","address":")" + address + R"("})");
  };
  for (int i = 0; i < kWrongKeysAddress; ++i)
    CHECK(text_at(guess("198.51.100.1"), "error.message").starts_with("This stream key"));
  CHECK(text_at(guess("198.51.100.1"), "error.message").starts_with("Too many"));
  CHECK(text_at(guess("198.51.100.2"), "error.message").starts_with("This stream key"));
}

TEST_CASE("an errand that fails keeps its place and its reason, and is done when the other side is back") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  const std::string key = text_at(lucia.send("GET", "/me/stream-key"), "key");
  const auto publish =
      house.internal("POST", "/publish", R"({"key":")" + key + R"(","proposed_stream":"","address":""})");
  const std::string stream = text_at(publish, "stream");
  house.internal("POST", "/streams/" + stream + "/source", json_write(source_720()));
  house.packager->status = 503;
  house.errands();
  const auto failing =
      must(house.control->database->read([](sql::Session& session) { return ErrandsStore{session}.failing(10); }));
  REQUIRE(failing.size() == 1);
  CHECK(failing[0].reason == "packager: answered with status 503");
  CHECK(text_at(lucia.send("GET", "/me/live"), "live.state") == "starting");
  house.packager->status = 200;
  house.pass_ms(kErrandWaitMaxMs);
  house.errands();
  CHECK(text_at(lucia.send("GET", "/me/live"), "live.state") == "live");
}

TEST_CASE("a start gives everybody the grace period before anything is swept") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  const std::string key = text_at(lucia.send("GET", "/me/stream-key"), "key");
  const auto publish =
      house.internal("POST", "/publish", R"({"key":")" + key + R"(","proposed_stream":"","address":""})");
  REQUIRE(publish.status == 200);
  house.pass_ms(kGraceMs - 1);
  house.sweep();
  CHECK(text_at(lucia.send("GET", "/me/live"), "live.state") == "starting");
  house.pass_ms(1);
  house.sweep();
  CHECK_FALSE(testing::has(lucia.send("GET", "/me/live"), "live.state"));
}

TEST_CASE("who may play a video is told to Redis first, and a deleted one is purged also when the packager is away") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  const std::string video = testing::ready(house, lucia);
  house.errands();
  CHECK(house.redis->heard() == std::vector<std::string>{"SET video:" + video + ":access public"});
  house.packager->status = 503;
  CHECK(lucia.send("DELETE", "/videos/" + video).status == 204);
  house.errands();
  CHECK(house.redis->heard() ==
        std::vector<std::string>{"SET video:" + video + ":access gone", "PUBLISH purge video:" + video});
  house.packager->heard();
  house.packager->status = 200;
  house.pass_ms(kErrandWaitMaxMs);
  house.errands();
  CHECK(house.packager->heard() == std::vector<std::string>{"DELETE /videos/" + video});
}

TEST_CASE("a Redis that is away keeps the errand until it is back") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  house.redis->down = true;
  const std::string video = testing::ready(house, lucia);
  house.errands();
  CHECK(house.packager->heard().size() == 1);  // who keeps it durably knows all the same
  house.redis->down = false;
  house.pass_ms(kErrandWaitMaxMs);
  house.errands();
  CHECK(house.redis->heard() == std::vector<std::string>{"SET video:" + video + ":access public"});
}

TEST_CASE("the running loop rings the bell, does errands as they come, and tells a Redis that forgot") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  const std::string hidden = testing::ready(house, lucia);
  lucia.send("PATCH", "/videos/" + hidden, R"({"visibility":"private"})");
  house.run_background();
  const testing::Uploaded uploaded = testing::draft(house, lucia);
  testing::store_upload(house, uploaded);
  CHECK(house.redis->wait_for("PUBLISH bell:jobs vod"));
  CHECK(house.redis->wait_for("SET video:" + hidden + ":access token"));
  CHECK(house.packager->wait_for("PUT /videos/" + uploaded.video + R"(/access {"access":"public"})"));
  house.redis->heard();
  house.redis->reconnect();
  CHECK(house.redis->wait_for("SET video:" + hidden + ":access token"));
}

}  // namespace ribalta::control
