// Accounts over a socket: what openapi.json promises, and what is refused to those who try.
#include <algorithm>
#include <boost/json/object.hpp>

#include "control-plane/openapi.h"
#include "control-plane/testing.h"
#include "core/json.h"

namespace ribalta::control {
namespace {

using testing::Browser;
using testing::checked;
using testing::checked_at;
using testing::code_of;
using testing::draft;
using testing::has;
using testing::House;
using testing::HouseOptions;
using testing::kLogin;
using testing::lease;
using testing::must;
using testing::number_at;
using testing::publish_body;
using testing::ready;
using testing::store_upload;
using testing::text_at;
using testing::Uploaded;

}  // namespace

TEST_CASE("the server's routes and the document's paths are the same") {
  House house;
  std::vector<std::string> served;
  for (const auto& [method, pattern] : house.router.routes()) {
    if (pattern.starts_with("/api/v1")) served.push_back(method + " " + pattern.substr(7));
  }
  std::vector<std::string> written;
  const auto document = must(json_parse(openapi_document()));
  for (const auto& path : document.at("paths").get_object()) {
    for (const auto& operation : path.value().get_object()) {
      std::string method{operation.key()};
      std::ranges::transform(method, method.begin(), [](char c) { return static_cast<char>(c - 32); });
      written.push_back(method + " " + std::string{path.key()});
    }
  }
  std::ranges::sort(served);
  std::ranges::sort(written);
  CHECK(served == written);
}

TEST_CASE("the document is served, and says what the instance is") {
  House house;
  Browser anybody{house};
  CHECK(anybody.send("GET", "/openapi.json").body == openapi_document());
  const http::Response instance = checked(anybody, "GET", "/instance");
  CHECK(text_at(instance, "registration") == "open");
  CHECK(number_at(instance, "limits.user_bytes_max") == std::int64_t{1000} << 20);
}

TEST_CASE("signing up signs in; out is out, and in again works") {
  House house;
  Browser lucia{house};
  CHECK(checked(lucia, "POST", "/users", std::string{kLogin}).status == 201);
  CHECK(text_at(checked(lucia, "GET", "/session"), "user.name") == "lucia");
  const std::string before = lucia.cookie;
  CHECK(checked(lucia, "DELETE", "/session").status == 204);
  CHECK(lucia.cookie.empty());
  lucia.cookie = before;
  CHECK_FALSE(has(checked(lucia, "GET", "/session"), "user.name"));
  CHECK(checked(lucia, "POST", "/session", std::string{kLogin}).status == 200);
  CHECK(text_at(checked(lucia, "GET", "/session"), "user.name") == "lucia");
}

TEST_CASE("signing in gives another session, and the one that the browser came with is over") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  const std::string first = lucia.cookie;
  CHECK(checked(lucia, "POST", "/session", std::string{kLogin}).status == 200);
  CHECK(lucia.cookie != first);
  Browser old{house};
  old.cookie = first;
  CHECK_FALSE(has(old.send("GET", "/session"), "user.name"));
}

TEST_CASE("a session that somebody else chose is never used") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  Browser victim{house};
  victim.cookie = "rs_chosen0by0somebody0else00000000";
  CHECK(checked(victim, "POST", "/session", std::string{kLogin}).status == 200);
  CHECK(victim.cookie != "rs_chosen0by0somebody0else00000000");
  Browser attacker{house};
  attacker.cookie = "rs_chosen0by0somebody0else00000000";
  CHECK_FALSE(has(attacker.send("GET", "/session"), "user.name"));
}

TEST_CASE("the cookie is HttpOnly and Lax, and Secure where the site has TLS") {
  House house;
  Browser lucia{house};
  const http::Response response = lucia.send("POST", "/users", std::string{kLogin});
  const std::string cookie{response.fields.get("Set-Cookie")};
  CHECK(cookie.find("HttpOnly") != std::string::npos);
  CHECK(cookie.find("SameSite=Lax") != std::string::npos);
  CHECK(cookie.find("Secure") == std::string::npos);
  house.control->config.site_url = "https://example.org/";
  const http::Response secure = lucia.send("POST", "/session", std::string{kLogin});
  CHECK(secure.fields.get("Set-Cookie").find("; Secure") != std::string_view::npos);
}

TEST_CASE("names, passwords and bodies that do not fit are refused in words") {
  House house;
  Browser anybody{house};
  for (const char* name : {"ab", "Lucia", "l u", "", "averyveryverylongname1234", "admin", "lucia!"}) {
    CAPTURE(name);
    CHECK(code_of(checked(anybody, "POST", "/users",
                          R"({"name":")" + std::string{name} + R"(","password":"correct horse"})")) == "bad_name");
  }
  CHECK(code_of(checked(anybody, "POST", "/users", R"({"name":"lucia","password":"1234567"})")) == "bad_password");
  CHECK(code_of(checked(anybody, "POST", "/users", R"({"name":"lucia"})")) == "malformed");
  CHECK(code_of(checked(anybody, "POST", "/users", R"({"name":"lucia","password":"correct horse","admin":true})")) ==
        "malformed");
  CHECK(code_of(checked(anybody, "POST", "/users", "{")) == "malformed");
  CHECK(code_of(checked(anybody, "POST", "/users", std::string(70'000, ' '))) == "too_large");
  CHECK(checked(anybody, "POST", "/users", R"({"name":"abc","password":"12345678"})").status == 201);
  CHECK(code_of(checked(anybody, "POST", "/users", R"({"name":"abc","password":"12345678"})")) == "name_taken");
}

TEST_CASE("a form of another site can't call: not JSON, or from elsewhere") {
  House house;
  http::Request form{.method = "POST",
                     .target = "/api/v1/session",
                     .fields = {{"Content-Type", "text/plain"}},
                     .body = std::string{kLogin}};
  CHECK(house.call(form).status == 415);
  form.fields.set("Content-Type", "application/json");
  form.fields.set("Sec-Fetch-Site", "cross-site");
  const http::Response elsewhere = house.call(form);
  CHECK(elsewhere.status != 200);
}

TEST_CASE("registration that is closed stays closed") {
  House house{HouseOptions{.registration = "closed"}};
  Browser anybody{house};
  CHECK(code_of(checked(anybody, "POST", "/users", std::string{kLogin})) == "registration_closed");
  CHECK(text_at(checked(anybody, "GET", "/instance"), "registration") == "closed");
}

TEST_CASE("calls that change something need the session's own token") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  const std::string own = lucia.csrf;
  Browser marco{house};
  marco.sign_up("marco");
  for (const std::string& wrong : {std::string{}, std::string{"x"}, marco.csrf}) {
    lucia.csrf = wrong;
    CHECK(code_of(checked(lucia, "POST", "/me/stream-key/rotate", "{}")) == "csrf");
    CHECK(code_of(checked(lucia, "DELETE", "/session")) == "csrf");
  }
  lucia.csrf = own;
  CHECK(checked(lucia, "POST", "/me/stream-key/rotate", "{}").status == 200);
}

TEST_CASE("wrong passwords: counted by name and address, with a time to come back, and others still get in") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  Browser guesser{house};
  guesser.address = "198.51.100.7";
  for (int i = 0; i < kSignInTriesPair; ++i) {
    CHECK(code_of(checked(guesser, "POST", "/session", R"({"name":"lucia","password":"wrong one"})")) ==
          "wrong_password");
  }
  const http::Response limited = checked(guesser, "POST", "/session", std::string{kLogin});
  CHECK(code_of(limited) == "rate_limited");
  CHECK_FALSE(limited.fields.get("Retry-After").empty());
  CHECK(checked(lucia, "POST", "/session", std::string{kLogin}).status == 200);
  house.pass_ms(std::chrono::milliseconds{kSignInWindow}.count());
  CHECK(checked(guesser, "POST", "/session", std::string{kLogin}).status == 200);
}

TEST_CASE("nobody of that name is answered as a wrong password is") {
  House house;
  Browser anybody{house};
  CHECK(code_of(checked(anybody, "POST", "/session", R"({"name":"nobody","password":"correct horse"})")) ==
        "wrong_password");
}

TEST_CASE("the set-up link makes one administrator, once") {
  House house{HouseOptions{.registration = "closed"}};
  Browser anna{house};
  CHECK(has(checked(anna, "GET", "/instance"), "setup_needed"));
  const std::string token = house.secret("setup_token");
  REQUIRE_FALSE(token.empty());
  CHECK(code_of(checked(anna, "POST", "/setup", R"({"token":"guess","name":"anna","password":"correct horse"})")) ==
        "setup_token");
  CHECK(checked(anna, "POST", "/setup", R"({"token":")" + token + R"(","name":"anna","password":"correct horse"})")
            .status == 201);
  CHECK(text_at(checked(anna, "GET", "/session"), "user.name") == "anna");
  CHECK(checked(anna, "GET", "/admin/status").status == 200);
  CHECK(house.secret("setup_token").empty());
  Browser late{house};
  CHECK(code_of(checked(late, "POST", "/setup",
                        R"({"token":")" + token + R"(","name":"eve","password":"correct horse"})")) == "setup_done");
}

TEST_CASE("the admin token makes the first creator, and belongs to nobody") {
  House house{HouseOptions{.registration = "closed"}};
  Browser scripts{house};
  scripts.bearer = house.secret("admin_token");
  const http::Response made = checked(scripts, "POST", "/admin/users", R"({"name":"creator"})");
  CHECK(made.status == 201);
  const std::string key = text_at(made, "stream_key");
  CHECK(text_at(checked_at(scripts, "GET", "/admin/users/{name}", "/admin/users/creator"), "stream_key") == key);
  CHECK(code_of(checked(scripts, "POST", "/admin/users", R"({"name":"creator"})")) == "name_taken");
  CHECK(code_of(checked(scripts, "GET", "/me/videos")) == "no_user");
  CHECK(house.internal("POST", "/publish", publish_body(key)).status == 200);
  Browser creator{house};
  CHECK(code_of(checked(creator, "POST", "/session", R"({"name":"creator","password":""})")) == "wrong_password");
  const http::Response token =
      checked_at(scripts, "POST", "/admin/users/{name}/tokens", "/admin/users/creator/tokens", R"({"label":"upload"})");
  creator.bearer = text_at(token, "token");
  CHECK(checked(creator, "GET", "/me/videos").status == 200);
}

TEST_CASE("tokens: they need no CSRF, are listed without secret, and open nothing once revoked or over") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  const http::Response made = checked(lucia, "POST", "/me/tokens", R"({"label":"laptop","lifetime_s":60})");
  CHECK(made.status == 201);
  Browser cli{house};
  cli.bearer = text_at(made, "token");
  CHECK(checked(cli, "POST", "/me/stream-key/rotate", "{}").status == 200);
  const http::Response list = checked(lucia, "GET", "/me/tokens");
  CHECK(list.body.find(cli.bearer) == std::string::npos);
  house.pass_ms(60'000);
  CHECK(code_of(checked(cli, "GET", "/me/videos")) == "not_signed_in");
  const http::Response lasting = checked(lucia, "POST", "/me/tokens", R"({"label":"laptop"})");
  cli.bearer = text_at(lasting, "token");
  CHECK(checked(cli, "GET", "/me/videos").status == 200);
  Browser marco{house};
  marco.sign_up("marco");
  const std::string path = "/me/tokens/" + text_at(lasting, "id");
  CHECK(checked_at(marco, "DELETE", "/me/tokens/{id}", path).status == 404);
  CHECK(checked_at(lucia, "DELETE", "/me/tokens/{id}", path).status == 204);
  CHECK(code_of(checked(cli, "GET", "/me/videos")) == "not_signed_in");
  cli.bearer = "rt_00000000000000000000000000000000";
  CHECK(code_of(cli.send("GET", "/feed")) == "not_signed_in");
}

TEST_CASE("an administrator's token administers, and makes no token that could outlive it") {
  House house;
  Browser anna{house};
  checked(anna, "POST", "/setup",
          R"({"token":")" + house.secret("setup_token") + R"(","name":"anna","password":"correct horse"})");
  Browser script{house};
  script.bearer = text_at(checked(anna, "POST", "/me/tokens", R"({"label":"nightly","lifetime_s":60})"), "token");
  CHECK(checked(script, "GET", "/admin/status").status == 200);
  const auto make_token = [](Browser& browser) {
    return checked_at(browser, "POST", "/admin/users/{name}/tokens", "/admin/users/anna/tokens", R"({"label":"more"})");
  };
  CHECK(code_of(make_token(script)) == "forbidden");
  CHECK(make_token(anna).status == 201);
}

TEST_CASE("administration is for administrators") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  CHECK(code_of(checked(lucia, "GET", "/admin/status")) == "forbidden");
  CHECK(code_of(checked(lucia, "POST", "/admin/users", R"({"name":"other"})")) == "forbidden");
  CHECK(code_of(checked_at(lucia, "PATCH", "/admin/users/{name}", "/admin/users/lucia", R"({"admin":true})")) ==
        "forbidden");
  Browser anybody{house};
  CHECK(code_of(checked(anybody, "GET", "/admin/status")) == "not_signed_in");
  anybody.bearer = "ra_guess";
  CHECK(code_of(checked(anybody, "GET", "/admin/status")) == "not_signed_in");
}

TEST_CASE("status tells of daemons, jobs, lives and errands that fail") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  house.packager->status = 503;
  const Uploaded uploaded = draft(house, lucia);
  store_upload(house, uploaded);
  house.errands();
  Browser admin{house};
  admin.bearer = house.secret("admin_token");
  const http::Response status = checked(admin, "GET", "/admin/status");
  CHECK(number_at(status, "jobs.vod.queued") == 1);
  CHECK(number_at(status, "videos.processing") == 1);
  CHECK(text_at(status, "errands.0.kind") == "video_access");
}

TEST_CASE("changing a password ends the other sessions") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  Browser phone{house};
  phone.send("POST", "/session", std::string{kLogin});
  CHECK(code_of(checked(lucia, "PUT", "/me/password", R"({"old":"wrong","new":"battery staple"})")) ==
        "wrong_password");
  CHECK(code_of(checked(lucia, "PUT", "/me/password", R"({"old":"correct horse","new":"short"})")) == "bad_password");
  CHECK(checked(lucia, "PUT", "/me/password", R"({"old":"correct horse","new":"battery staple"})").status == 200);
  CHECK(checked(lucia, "GET", "/me/videos").status == 200);
  CHECK_FALSE(has(phone.send("GET", "/session"), "user.name"));
  CHECK(code_of(checked(phone, "POST", "/session", std::string{kLogin})) == "wrong_password");
}

TEST_CASE("suspending ends sessions and the broadcast and hides the videos; restoring brings them back") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  const std::string video = ready(house, lucia);
  const std::string key = text_at(checked(lucia, "GET", "/me/stream-key"), "key");
  CHECK(house.internal("POST", "/publish", publish_body(key)).status == 200);
  house.errands();
  house.packager->heard();
  Browser admin{house};
  admin.bearer = house.secret("admin_token");
  const auto change = [&](std::string body) {
    return checked_at(admin, "PATCH", "/admin/users/{name}", "/admin/users/lucia", std::move(body));
  };
  CHECK(change(R"({"suspended":true})").status == 200);
  CHECK(code_of(checked(lucia, "GET", "/me/videos")) == "not_signed_in");
  CHECK(code_of(checked(lucia, "POST", "/session", std::string{kLogin})) == "suspended");
  CHECK(code_of(house.internal("POST", "/publish", publish_body(key))) == "suspended");
  CHECK_FALSE(has(checked(admin, "GET", "/feed"), "items.0"));
  CHECK_FALSE(has(checked(admin, "GET", "/lives"), "items.0"));
  house.errands();
  const auto heard = house.packager->heard();
  CHECK(std::ranges::find(heard, "PUT /videos/" + video + R"(/access {"access":"token"})") != heard.end());
  CHECK(change(R"({"suspended":false})").status == 200);
  CHECK(has(checked(admin, "GET", "/feed"), "items.0"));
  CHECK(checked(lucia, "POST", "/session", std::string{kLogin}).status == 200);
}

TEST_CASE("the last administrator stays one") {
  House house{HouseOptions{.registration = "closed"}};
  Browser anna{house};
  anna.send("POST", "/setup",
            R"({"token":")" + house.secret("setup_token") + R"(","name":"anna","password":"correct horse"})");
  CHECK(code_of(checked_at(anna, "PATCH", "/admin/users/{name}", "/admin/users/anna", R"({"admin":false})")) ==
        "last_admin");
  CHECK(code_of(checked_at(anna, "PATCH", "/admin/users/{name}", "/admin/users/anna", R"({"suspended":true})")) ==
        "last_admin");
  CHECK(checked(anna, "POST", "/admin/users", R"({"name":"bruno","admin":true,"password":"correct horse"})").status ==
        201);
  CHECK(checked_at(anna, "PATCH", "/admin/users/{name}", "/admin/users/anna", R"({"admin":false})").status == 200);
}

TEST_CASE("what survives a restart: accounts, sessions, keys, and what is owed") {
  const std::string database = ribalta::testing::fresh_database(sql::Engine::sqlite);
  std::string cookie;
  {
    House house{HouseOptions{.database = database}};
    Browser lucia{house};
    lucia.sign_up("lucia");
    cookie = lucia.cookie;
    const Uploaded uploaded = draft(house, lucia);
    store_upload(house, uploaded);
  }
  House house{HouseOptions{.database = database}};
  // Its secrets are another instance's: the database alone opens nothing.
  Browser lucia{house};
  lucia.cookie = cookie;
  CHECK_FALSE(has(lucia.send("GET", "/session"), "user.name"));
  CHECK(lucia.send("POST", "/session", std::string{kLogin}).status == 200);
  CHECK(text_at(checked(lucia, "GET", "/me/videos"), "items.0.state") == "processing");
  CHECK(lease(house).status == 200);
  house.errands();
  CHECK(house.packager->heard().size() == 1);
}

}  // namespace ribalta::control
