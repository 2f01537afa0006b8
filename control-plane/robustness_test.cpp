// What is done by itself goes on after an exception; suspension; and who may still sign in when many try to prevent it.
#include <algorithm>
#include <future>

#include "control-plane/testing_stage.h"

namespace ribalta::control {
namespace {

using testing::Browser;
using testing::code_of;
using testing::House;
using testing::source_720;
using testing::text_at;

constexpr std::string_view kWrongPassword = R"({"name":"lucia","password":"wrong one"})";

http::Response guess_from(House& house, const std::string& address, std::string_view body = kWrongPassword) {
  Browser guesser{house};
  guesser.address = address;
  return guesser.send("POST", "/session", std::string{body});
}
std::string address_number(int i) { return "10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1); }

}  // namespace

TEST_CASE("background: after an exception the loop is begun again, and does what is owed") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  house.run_background();
  house.clock_throws = 2;
  REQUIRE(house.wait_clock_thrown());
  const testing::Uploaded uploaded = testing::draft(house, lucia);
  testing::store_upload(house, uploaded);
  CHECK(house.packager->wait_for("PUT /videos/" + uploaded.video + R"(/access {"access":"public"})"));
}

TEST_CASE("background: an errand that ends by an exception is still owed, and done later") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  const std::string video = testing::ready(house, lucia);
  house.errands();
  house.redis->throws = 1;  // nothing but that errand speaks to Redis
  house.run_background();
  lucia.send("PATCH", "/videos/" + video, R"({"visibility":"private"})");
  CHECK(house.packager->wait_for("PUT /videos/" + video + R"(/access {"access":"token"})"));
  CHECK(house.redis->throws == 0);
}

TEST_CASE("background: a Redis that comes back while telling it threw is told all the same") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  const std::string hidden = testing::ready(house, lucia);
  lucia.send("PATCH", "/videos/" + hidden, R"({"visibility":"private"})");
  house.errands();
  house.redis->heard();
  house.run_background();
  house.redis->throws = 1;
  house.redis->reconnect();
  CHECK(house.redis->wait_for("SET video:" + hidden + ":access token"));
}

TEST_CASE("suspension: a live ends and its media goes at once, and a video that becomes ready is not public") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  const testing::Uploaded uploaded = testing::draft(house, lucia);
  const std::string key = text_at(lucia.send("GET", "/me/stream-key"), "key");
  const auto publish = house.internal("POST", "/publish", testing::publish_body(key));
  REQUIRE(publish.status == 200);
  const std::string stream = text_at(publish, "stream");
  const std::string user = text_at(publish, "user");
  house.internal("POST", "/streams/" + stream + "/source", json_write(source_720()));
  house.errands();
  house.packager->heard();
  house.redis->heard();

  Browser admin{house};
  admin.bearer = house.secret("admin_token");
  REQUIRE(admin.send("PATCH", "/admin/users/lucia", R"({"suspended":true})").status == 200);
  house.errands();
  const std::vector<std::string> told = house.packager->heard();
  CHECK(std::ranges::count(told, "POST /streams/" + stream + "/end") == 1);
  CHECK(std::ranges::count(told, "DELETE /streams/" + stream) == 1);
  CHECK(house.redis->wait_for("PUBLISH purge stream:" + stream));
  const std::string beat = R"({"epoch":1,"state":"publishing","health":{},"stream_user":")" + user +
                           R"(","start_unix_ms":)" + std::to_string(house.now()) + "}";
  CHECK(text_at(house.internal("POST", "/streams/" + stream + "/heartbeat", beat), "action") == "end");
  CHECK(code_of(house.internal("POST", "/publish", testing::publish_body(key))) == "suspended");

  // Its last bytes were on their way: they are kept, and nobody gets to see them.
  testing::store_upload(house, uploaded);
  house.errands();
  const std::vector<std::string> later = house.packager->heard();
  CHECK(std::ranges::count(later, "PUT /videos/" + uploaded.video + R"(/access {"access":"token"})") == 1);
}

TEST_CASE("suspension: what is left of a broadcast that ended just before goes too") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  const std::string key = text_at(lucia.send("GET", "/me/stream-key"), "key");
  const std::string stream = text_at(house.internal("POST", "/publish", testing::publish_body(key)), "stream");
  REQUIRE(lucia.send("POST", "/me/live/end", "{}").status < 300);
  house.errands();
  CHECK(std::ranges::count(house.packager->heard(), "DELETE /streams/" + stream) == 0);
  Browser admin{house};
  admin.bearer = house.secret("admin_token");
  REQUIRE(admin.send("PATCH", "/admin/users/lucia", R"({"suspended":true})").status == 200);
  house.errands();
  CHECK(std::ranges::count(house.packager->heard(), "DELETE /streams/" + stream) == 1);
}

TEST_CASE("wrong passwords from everywhere lock nobody out, and slow down to a few from each address") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  for (int i = 0; i < kSignInTriesName; ++i) {
    REQUIRE(code_of(guess_from(house, address_number(i))) == "wrong_password");
  }
  // The name is under attack: a new address has two tries for it, not ten.
  for (int i = 0; i < kSignInTriesSiteAttacked; ++i) {
    CHECK(code_of(guess_from(house, "198.51.100.9")) == "wrong_password");
    CHECK(code_of(guess_from(house, "2001:db8:1:" + std::to_string(i) + "::1")) == "wrong_password");
  }
  CHECK(code_of(guess_from(house, "2001:db8:1:ffff::1")) == "rate_limited");  // a whole /48 is one attacker
  const http::Response limited = guess_from(house, "198.51.100.9", testing::kLogin);
  CHECK(code_of(limited) == "rate_limited");
  CHECK_FALSE(limited.fields.get("Retry-After").empty());
  // The owner, elsewhere, gets in, as often as they like; and a slip of theirs changes nothing.
  for (int i = 0; i < 5; ++i) CHECK(guess_from(house, "203.0.113.5", testing::kLogin).status == 200);
  CHECK(code_of(guess_from(house, "203.0.113.5")) == "wrong_password");
  CHECK(guess_from(house, "203.0.113.5", testing::kLogin).status == 200);
}

TEST_CASE("an IPv6 client is counted by its /64: passwords, accounts and stream keys") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  const auto host = [](std::int64_t i) { return "2001:db8:1:2::" + std::to_string(i + 1); };
  for (int i = 0; i < kSignInTriesPair; ++i) CHECK(code_of(guess_from(house, host(i))) == "wrong_password");
  CHECK(code_of(guess_from(house, host(kSignInTriesPair))) == "rate_limited");
  CHECK(code_of(guess_from(house, "2001:db8:1:3::1")) == "wrong_password");

  const auto publish_from = [&](const std::string& address) {
    return house.internal("POST", "/publish",
                          R"({"key":"rk_guess","proposed_stream":"","address":")" + address + R"("})");
  };
  for (int i = 0; i < kWrongKeysAddress; ++i) publish_from(host(i));
  CHECK(text_at(publish_from(host(kWrongKeysAddress)), "error.message").starts_with("Too many"));
  CHECK(text_at(publish_from("2001:db8:1:3::1"), "error.message").starts_with("This stream key"));

  for (int i = 0; i < kSignUpsAddress; ++i) {
    Browser one{house};
    one.address = host(i);
    REQUIRE(one.send("POST", "/users", R"({"name":"user_)" + std::to_string(i) + R"(","password":"correct horse"})")
                .status == 201);
  }
  Browser beyond{house};
  beyond.address = host(kSignUpsAddress);
  CHECK(code_of(beyond.send("POST", "/users", R"({"name":"one_more","password":"correct horse"})")) == "rate_limited");
}

TEST_CASE("hashes: one client has a share of the line, all together have the line, and places are given back") {
  Passwords passwords{{.passes = 1, .memory_bytes = 8192}};
  LoopPool loops{1};
  const auto begin = [&](const std::string& client) {
    return asio::co_spawn(loops.loop(0), passwords.hash("correct horse", client), asio::use_future);
  };
  // All of them begin before the loop can hear of the first hash that is done.
  std::vector<std::future<Result<std::string>>> greedy;
  for (std::size_t i = 0; i <= kHashesWaitingClientMax; ++i) greedy.push_back(begin("192.0.2.1"));
  std::vector<std::future<Result<std::string>>> others;
  for (std::size_t i = kHashesWaitingClientMax; i <= kHashesWaitingMax; ++i) {
    others.push_back(begin(address_number(static_cast<int>(i))));
  }
  loops.start();
  for (std::size_t i = 0; i < kHashesWaitingClientMax; ++i) CHECK(greedy[i].get().has_value());
  CHECK(greedy.back().get().error().code == Code::limit);
  for (std::size_t i = 0; i + 1 < others.size(); ++i) CHECK(others[i].get().has_value());
  CHECK(others.back().get().error().code == Code::unavailable);
  CHECK(begin("192.0.2.1").get().has_value());
  loops.stop(std::chrono::seconds{5});
}

}  // namespace ribalta::control
