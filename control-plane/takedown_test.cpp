// Taking down: an account with all that it made, a broadcast, a video that a worker still writes; and what is owed to
// edges while Redis is away.
#include <algorithm>

#include "control-plane/testing_stage.h"

namespace ribalta::control {
namespace {

using testing::Browser;
using testing::checked;
using testing::checked_at;
using testing::code_of;
using testing::has;
using testing::House;
using testing::HouseOptions;
using testing::kLogin;
using testing::must;
using testing::number_at;
using testing::publish_body;
using testing::source_720;
using testing::text_at;
using testing::Uploaded;

constexpr std::string_view kPassword = R"({"password":"correct horse"})";

/// A broadcast that is on: its stream.
std::string go_live(House& house, Browser& browser) {
  const std::string key = text_at(checked(browser, "GET", "/me/stream-key"), "key");
  const http::Response publish = house.internal("POST", "/publish", publish_body(key));
  REQUIRE_MESSAGE(publish.status == 200, publish.body);
  const std::string stream = text_at(publish, "stream");
  house.internal("POST", "/streams/" + stream + "/source", json_write(source_720()));
  return stream;
}

/// Every word that people wrote or that leads to them, in all tables: `videos.title=beach` lines, sorted.
std::vector<std::string> words_in_sql(House& house) {
  constexpr std::string_view kColumns[][2] = {
      {"users", "name"},       {"users", "password"},   {"users", "live_title"},   {"sessions", "hash"},
      {"api_tokens", "label"}, {"stream_keys", "hash"}, {"stream_keys", "sealed"}, {"videos", "title"},
      {"uploads", "filename"}, {"streams", "title"},    {"streams", "node"},       {"streams", "health"},
      {"streams", "source"},   {"streams", "plan"},     {"jobs", "failure_reason"}};
  std::vector<std::string> words;
  for (const auto& [table, column] : kColumns) {
    const std::string name = std::string{table} + "." + std::string{column};
    const std::string query = "SELECT " + std::string{column} + " FROM " + std::string{table};
    const auto rows = must(
        house.control->database->read([&](sql::Session& session) { return session.rows<std::string>(name, query); }));
    for (const auto& [text] : rows) {
      if (!text.empty()) words.push_back(name + "=" + text);
    }
  }
  std::ranges::sort(words);
  return words;
}

bool told(const std::vector<std::string>& lines, const std::string& line) {
  return std::ranges::find(lines, line) != lines.end();
}

}  // namespace

TEST_CASE("take-down: a removed account leaves nothing that opens, plays or names it") {
  for (const sql::Engine engine : ribalta::testing::engines()) {
    CAPTURE(static_cast<int>(engine));
    House house{HouseOptions{.database = ribalta::testing::fresh_database(engine)}};
    Browser marco{house};
    marco.sign_up("marco");
    const std::string kept = testing::ready(house, marco);
    const std::vector<std::string> others = words_in_sql(house);
    Browser lucia{house};
    lucia.sign_up("lucia");
    const std::string video = testing::ready(house, lucia);
    const Uploaded draft = testing::draft(house, lucia);
    must(house.node.store->put_durable("uploads/" + draft.upload, as_bytes("file")));
    const std::string key = text_at(checked(lucia, "GET", "/me/stream-key"), "key");
    const std::string stream = go_live(house, lucia);
    Browser script{house};
    script.bearer = text_at(checked(lucia, "POST", "/me/tokens", R"({"label":"my laptop"})"), "token");
    Browser phone{house};
    REQUIRE(checked(phone, "POST", "/session", std::string{kLogin}).status == 200);
    house.errands();
    house.packager->heard();
    house.redis->heard();

    // Neither an open browser nor a token that leaked removes an account: its password does.
    CHECK(code_of(checked(lucia, "POST", "/me/remove", R"({"password":"wrong one"})")) == "wrong_password");
    CHECK(code_of(checked(script, "POST", "/me/remove", R"({"password":"a guess"})")) == "wrong_password");
    Browser forged{house};
    forged.cookie = lucia.cookie;  // and not the session's own token
    CHECK(code_of(checked(forged, "POST", "/me/remove", std::string{kPassword})) == "csrf");
    CHECK(checked_at(marco, "GET", "/videos/{id}", "/videos/" + video).status == 200);

    Browser copied{house};
    copied.cookie = lucia.cookie;
    copied.csrf = lucia.csrf;
    REQUIRE(checked(lucia, "POST", "/me/remove", std::string{kPassword}).status == 204);
    CHECK(lucia.cookie.empty());
    for (Browser* other : {&script, &phone, &copied})
      CHECK(code_of(checked(*other, "GET", "/me/videos")) == "not_signed_in");
    Browser again{house};
    CHECK(code_of(checked(again, "POST", "/session", std::string{kLogin})) == "wrong_password");
    CHECK(code_of(house.internal("POST", "/publish", publish_body(key))) == "wrong_key");
    const std::string beat = R"({"epoch":1,"state":"publishing","health":{},"stream_user":"","start_unix_ms":0})";
    CHECK(text_at(house.internal("POST", "/streams/" + stream + "/heartbeat", beat), "action") == "end");

    CHECK(checked_at(marco, "GET", "/users/{name}", "/users/lucia").status == 404);
    CHECK(checked_at(marco, "GET", "/videos/{id}", "/videos/" + video).status == 404);
    CHECK(checked_at(marco, "GET", "/lives/{stream}", "/lives/" + stream).status == 404);
    CHECK_FALSE(has(checked(marco, "GET", "/lives"), "items.0"));
    CHECK(text_at(checked(marco, "GET", "/feed"), "items.0.id") == kept);
    CHECK_FALSE(has(checked(marco, "GET", "/feed"), "items.1"));

    house.errands();
    const std::vector<std::string> packager = house.packager->heard();
    for (const std::string& id : {video, draft.video}) CHECK(told(packager, "DELETE /videos/" + id));
    CHECK(told(packager, "POST /streams/" + stream + "/end"));
    CHECK(told(packager, "DELETE /streams/" + stream));
    CHECK_FALSE(told(packager, "DELETE /videos/" + kept));
    const std::vector<std::string> edges = house.redis->heard();
    CHECK(told(edges, "SET video:" + video + ":access gone"));
    CHECK(told(edges, "PUBLISH purge video:" + video));
    CHECK(told(edges, "PUBLISH purge stream:" + stream));
    CHECK(must(house.node.store->list("uploads/")).empty());
    // Bytes that were still on their way when it happened.
    must(house.node.store->put_durable("uploads/" + draft.upload, as_bytes("file")));
    testing::store_upload(house, draft);
    house.errands();
    CHECK(must(house.node.store->list("uploads/")).empty());

    std::vector<std::string> left = words_in_sql(house);
    std::erase_if(left, [&others](const std::string& word) { return std::ranges::find(others, word) != others.end(); });
    REQUIRE(left.size() == 1);  // a row that deleted videos point at
    CHECK(left[0].starts_with("users.name=removed:"));
    // The name is free again, and brings nothing of the old account's back.
    Browser other{house};
    other.sign_up("lucia");
    CHECK_FALSE(has(checked(other, "GET", "/me/videos"), "items.0"));
    CHECK(number_at(checked(other, "GET", "/me/videos"), "bytes_used") == 0);
    CHECK(text_at(checked(other, "GET", "/me/stream-key"), "key") != key);
  }
}

TEST_CASE("take-down: an administrator removes an account; the last one stays, and nobody else may") {
  House house;
  Browser admin{house};
  admin.bearer = house.secret("admin_token");
  Browser boss{house};
  boss.sign_up("boss_1");
  REQUIRE(checked_at(admin, "PATCH", "/admin/users/{name}", "/admin/users/boss_1", R"({"admin":true})").status == 200);
  Browser lucia{house};
  lucia.sign_up("lucia");
  const auto remove = [](Browser& by, const std::string& name) {
    return checked_at(by, "DELETE", "/admin/users/{name}", "/admin/users/" + name);
  };
  CHECK(code_of(remove(lucia, "boss_1")) == "forbidden");
  CHECK(code_of(remove(lucia, "lucia")) == "forbidden");
  Browser anybody{house};
  CHECK(code_of(remove(anybody, "lucia")) == "not_signed_in");
  CHECK(code_of(remove(admin, "boss_1")) == "last_admin");
  CHECK(code_of(checked(boss, "POST", "/me/remove", std::string{kPassword})) == "last_admin");
  CHECK(code_of(remove(admin, "nobody_here")) == "not_found");
  CHECK(remove(boss, "lucia").status == 204);
  CHECK(code_of(remove(boss, "lucia")) == "not_found");
  CHECK(code_of(checked(lucia, "GET", "/me/videos")) == "not_signed_in");
  CHECK(number_at(checked(admin, "GET", "/admin/status"), "users") == 1);
}

TEST_CASE("take-down: a broadcast goes at once, while it is on or kept, by its owner or an administrator") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  Browser eve{house};
  eve.sign_up("eve_x");
  Browser anybody{house};
  const auto remove = [](Browser& by, const std::string& stream) {
    return checked_at(by, "DELETE", "/lives/{stream}", "/lives/" + stream);
  };
  const std::string stream = go_live(house, lucia);
  house.errands();
  house.packager->heard();
  house.redis->heard();
  CHECK(code_of(remove(eve, stream)) == "not_found");
  CHECK(code_of(remove(anybody, stream)) == "not_signed_in");
  CHECK(remove(lucia, stream).status == 204);
  house.errands();
  const std::vector<std::string> packager = house.packager->heard();
  CHECK(told(packager, "POST /streams/" + stream + "/end"));
  CHECK(told(packager, "DELETE /streams/" + stream));
  CHECK(told(house.redis->heard(), "PUBLISH purge stream:" + stream));
  CHECK(checked_at(anybody, "GET", "/lives/{stream}", "/lives/" + stream).status == 404);
  CHECK(code_of(remove(lucia, stream)) == "not_found");
  // Encoders come back by themselves: the key rests.
  const std::string key = text_at(checked(lucia, "GET", "/me/stream-key"), "key");
  CHECK(code_of(house.internal("POST", "/publish", publish_body(key))) == "busy");

  house.pass_ms(kRestAfterEndMs);
  const std::string second = go_live(house, lucia);
  CHECK(second != stream);
  REQUIRE(checked(lucia, "POST", "/me/live/end", "{}").status == 204);
  house.errands();
  CHECK_FALSE(told(house.packager->heard(), "DELETE /streams/" + second));  // kept, to be watched for a while
  Browser admin{house};
  admin.bearer = house.secret("admin_token");
  CHECK(remove(admin, second).status == 204);
  house.errands();
  CHECK(told(house.packager->heard(), "DELETE /streams/" + second));
}

TEST_CASE("take-down: the instance's own token deletes a video, which belongs to somebody else") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  const std::string video = testing::ready(house, lucia);
  Browser admin{house};
  admin.bearer = house.secret("admin_token");
  CHECK(checked_at(admin, "DELETE", "/videos/{id}", "/videos/" + video).status == 204);
  CHECK(checked_at(lucia, "GET", "/videos/{id}", "/videos/" + video).status == 404);
}

TEST_CASE("take-down: what a worker wrote of a video after it was deleted goes too") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  const Uploaded uploaded = testing::draft(house, lucia);
  testing::store_upload(house, uploaded);
  REQUIRE(testing::lease(house).status == 200);  // and its worker is never heard of again
  REQUIRE(checked_at(lucia, "DELETE", "/videos/{id}", "/videos/" + uploaded.video).status == 204);
  house.errands();
  CHECK(told(house.packager->heard(), "DELETE /videos/" + uploaded.video));
  house.errands();
  CHECK(house.packager->heard().empty());
  house.pass_ms(kTidyDeletedMs);
  house.errands();
  CHECK(told(house.packager->heard(), "DELETE /videos/" + uploaded.video));
}

TEST_CASE("take-down: a broadcast that goes while Redis is away is still owed to the edges") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  const std::string stream = go_live(house, lucia);
  house.errands();
  house.packager->heard();
  house.redis->heard();
  house.redis->down = true;
  REQUIRE(checked_at(lucia, "DELETE", "/lives/{stream}", "/lives/" + stream).status == 204);
  house.errands();
  CHECK(told(house.packager->heard(), "DELETE /streams/" + stream));  // the origin has nothing any more
  CHECK(house.redis->heard().empty());
  Browser admin{house};
  admin.bearer = house.secret("admin_token");
  CHECK(text_at(checked(admin, "GET", "/admin/status"), "errands.0.kind") == "stream_remove");

  house.redis->down = false;
  house.run_background();  // its clock stands: without the connection the next turn would not come
  house.redis->reconnect();
  CHECK(house.redis->wait_for("PUBLISH purge stream:" + stream));
  CHECK(house.packager->wait_for("DELETE /streams/" + stream));
}

TEST_CASE("take-down: a Redis that forgot is told which broadcasts are gone, for longer than edges keep media") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  const std::string old = go_live(house, lucia);
  REQUIRE(checked_at(lucia, "DELETE", "/lives/{stream}", "/lives/" + old).status == 204);
  house.errands();
  house.pass_ms(kGoneTellMs + std::int64_t{3'600'000});
  const std::string stream = go_live(house, lucia);
  REQUIRE(checked_at(lucia, "DELETE", "/lives/{stream}", "/lives/" + stream).status == 204);
  house.errands();
  house.redis->heard();
  house.run_background();
  house.redis->reconnect();
  CHECK(house.redis->wait_for("SET stream:" + stream + ":origin gone EX " + std::to_string(kGoneTellMs / 1000)));
  CHECK_FALSE(
      told(house.redis->heard(), "SET stream:" + old + ":origin gone EX " + std::to_string(kGoneTellMs / 1000)));
}

TEST_CASE("take-down: a video made public again while Redis is being told that it is hidden is public in the end") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  const std::string video = testing::ready(house, lucia);
  REQUIRE(lucia.send("PATCH", "/videos/" + video, R"({"visibility":"private"})").status == 200);
  house.errands();
  house.redis->heard();
  house.run_background();
  house.redis->hold("SET video:" + video + ":access token");
  house.redis->reconnect();
  REQUIRE(house.redis->wait_held());  // read as hidden, not yet said
  REQUIRE(lucia.send("PATCH", "/videos/" + video, R"({"visibility":"public"})").status == 200);
  REQUIRE(house.redis->wait_for("SET video:" + video + ":access public"));
  house.redis->heard();
  house.redis->release();
  REQUIRE(house.redis->wait_for("SET video:" + video + ":access token"));
  CHECK(house.redis->wait_for("SET video:" + video + ":access public"));
}

}  // namespace ribalta::control
