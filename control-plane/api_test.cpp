// The public API over a socket: what it promises in openapi.json, and what it refuses to those who try.
#include <algorithm>
#include <boost/json/object.hpp>

#include "control-plane/openapi.h"
#include "control-plane/testing.h"
#include "core/json.h"
#include "core/tokens.h"

namespace ribalta::control {
namespace {

using testing::Browser;
using testing::code_of;
using testing::has;
using testing::House;
using testing::HouseOptions;
using testing::must;
using testing::number_at;
using testing::schema_complaint;
using testing::text_at;

constexpr std::string_view kLogin = R"({"name":"lucia","password":"correct horse"})";

/// Sends a call and holds its answer against the document.
http::Response checked_at(Browser& browser, std::string_view method, std::string_view pattern, const std::string& path, std::string body = {}) {
  http::Response response = browser.send(method, path, std::move(body));
  const std::string complaint = schema_complaint(method, pattern, response);
  const std::string where = std::string{method} + " " + path + ": " + complaint + ": " + response.body;
  CHECK_MESSAGE(complaint.empty(), where);
  return response;
}
http::Response checked(Browser& browser, std::string_view method, const std::string& path, std::string body = {}) {
  return checked_at(browser, method, path.substr(0, path.find('?')), path, std::move(body));
}

std::string authorise(const Browser& browser, std::int64_t bytes, std::string_view replaces = "") {
  return R"({"cookie":"ribalta_session=)" + browser.cookie + R"(","csrf":")" + browser.csrf + R"(","authorization":"","bytes":)" +
         std::to_string(bytes) + R"(,"filename":"beach.mp4","title":"","replaces":")" + std::string{replaces} + R"("})";
}

struct Uploaded {
  std::string video;
  std::string upload;
};
Uploaded draft(House& house, const Browser& browser, std::string_view replaces = "") {
  const http::Response ticket = house.internal("POST", "/uploads/authorise", authorise(browser, 1000, replaces));
  REQUIRE_MESSAGE(ticket.status == 200, ticket.body);
  return {text_at(ticket, "video"), text_at(ticket, "upload")};
}
void store(House& house, const Uploaded& uploaded) {
  const http::Response done = house.internal("POST", "/uploads/finished",
                                             R"({"upload":")" + uploaded.upload + R"(","video":")" + uploaded.video + R"(","key":"uploads/)" +
                                                 uploaded.upload + R"(","bytes":1000,"filename":"beach.mp4"})");
  REQUIRE_MESSAGE(done.status == 200, done.body);
}
http::Response lease(House& house, std::string_view kinds = R"(["live","vod"])") {
  return house.internal("POST", "/jobs/lease", R"({"worker":"w1","kinds":)" + std::string{kinds} + R"(,"encoders":["x264"]})");
}
std::string result(const http::Response& job) {
  return R"({"epoch":)" + std::to_string(number_at(job, "epoch")) + R"(,"result":{"version":")" + text_at(job, "version") +
         R"(","duration_ms":5000,"width":720,"height":1280,"tracks":[{"track":"v720"}],"poster":true}})";
}
/// A video that plays.
std::string ready(House& house, const Browser& browser) {
  const Uploaded uploaded = draft(house, browser);
  store(house, uploaded);
  const http::Response job = lease(house);
  REQUIRE(job.status == 200);
  const http::Response done = house.internal("POST", "/jobs/" + text_at(job, "job") + "/complete", result(job));
  REQUIRE_MESSAGE(done.status == 200, done.body);
  return uploaded.video;
}

std::string publish_body(const std::string& key) { return R"({"key":")" + key + R"(","proposed_stream":"","address":"192.0.2.9"})"; }

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
    CHECK(code_of(checked(anybody, "POST", "/users", R"({"name":")" + std::string{name} + R"(","password":"correct horse"})")) == "bad_name");
  }
  CHECK(code_of(checked(anybody, "POST", "/users", R"({"name":"lucia","password":"1234567"})")) == "bad_password");
  CHECK(code_of(checked(anybody, "POST", "/users", R"({"name":"lucia"})")) == "malformed");
  CHECK(code_of(checked(anybody, "POST", "/users", R"({"name":"lucia","password":"correct horse","admin":true})")) == "malformed");
  CHECK(code_of(checked(anybody, "POST", "/users", "{")) == "malformed");
  CHECK(code_of(checked(anybody, "POST", "/users", std::string(70'000, ' '))) == "too_large");
  CHECK(checked(anybody, "POST", "/users", R"({"name":"abc","password":"12345678"})").status == 201);
  CHECK(code_of(checked(anybody, "POST", "/users", R"({"name":"abc","password":"12345678"})")) == "name_taken");
}

TEST_CASE("a form of another site can't call: not JSON, or from elsewhere") {
  House house;
  http::Request form{.method = "POST", .target = "/api/v1/session", .fields = {{"Content-Type", "text/plain"}}, .body = std::string{kLogin}};
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
    CHECK(code_of(checked(guesser, "POST", "/session", R"({"name":"lucia","password":"wrong one"})")) == "wrong_password");
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
  CHECK(code_of(checked(anybody, "POST", "/session", R"({"name":"nobody","password":"correct horse"})")) == "wrong_password");
}

TEST_CASE("the set-up link makes one administrator, once") {
  House house{HouseOptions{.registration = "closed"}};
  Browser anna{house};
  CHECK(has(checked(anna, "GET", "/instance"), "setup_needed"));
  const std::string token = house.secret("setup_token");
  REQUIRE_FALSE(token.empty());
  CHECK(code_of(checked(anna, "POST", "/setup", R"({"token":"guess","name":"anna","password":"correct horse"})")) == "setup_token");
  CHECK(checked(anna, "POST", "/setup", R"({"token":")" + token + R"(","name":"anna","password":"correct horse"})").status == 201);
  CHECK(text_at(checked(anna, "GET", "/session"), "user.name") == "anna");
  CHECK(checked(anna, "GET", "/admin/status").status == 200);
  CHECK(house.secret("setup_token").empty());
  Browser late{house};
  CHECK(code_of(checked(late, "POST", "/setup", R"({"token":")" + token + R"(","name":"eve","password":"correct horse"})")) == "setup_done");
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
  const http::Response token = checked_at(scripts, "POST", "/admin/users/{name}/tokens", "/admin/users/creator/tokens", R"({"label":"upload"})");
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

TEST_CASE("administration is for administrators") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  CHECK(code_of(checked(lucia, "GET", "/admin/status")) == "forbidden");
  CHECK(code_of(checked(lucia, "POST", "/admin/users", R"({"name":"other"})")) == "forbidden");
  CHECK(code_of(checked_at(lucia, "PATCH", "/admin/users/{name}", "/admin/users/lucia", R"({"admin":true})")) == "forbidden");
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
  store(house, uploaded);
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
  CHECK(code_of(checked(lucia, "PUT", "/me/password", R"({"old":"wrong","new":"battery staple"})")) == "wrong_password");
  CHECK(code_of(checked(lucia, "PUT", "/me/password", R"({"old":"correct horse","new":"short"})")) == "bad_password");
  CHECK(checked(lucia, "PUT", "/me/password", R"({"old":"correct horse","new":"battery staple"})").status == 200);
  CHECK(checked(lucia, "GET", "/me/videos").status == 200);
  CHECK_FALSE(has(phone.send("GET", "/session"), "user.name"));
  CHECK(code_of(checked(phone, "POST", "/session", std::string{kLogin})) == "wrong_password");
}

TEST_CASE("an upload becomes a draft, a job, and a video in the feed") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  const Uploaded uploaded = draft(house, lucia);
  const std::string path = "/me/videos/" + uploaded.video;
  CHECK(text_at(checked_at(lucia, "GET", "/me/videos/{id}", path), "state") == "draft");
  CHECK(text_at(checked_at(lucia, "GET", "/me/videos/{id}", path), "title") == "beach");
  store(house, uploaded);
  store(house, uploaded);  // ingest repeats itself
  CHECK(text_at(checked_at(lucia, "GET", "/me/videos/{id}", path), "work.stage") == "queued");
  const http::Response job = lease(house);
  REQUIRE(job.status == 200);
  CHECK(text_at(job, "input") == "uploads/" + uploaded.upload);
  CHECK(lease(house).status == 204);
  const std::string job_path = "/jobs/" + text_at(job, "job");
  CHECK(text_at(house.internal("POST", job_path + "/heartbeat", R"({"epoch":1,"progress":0.5,"stage":"encode"})"), "action") == "go");
  const http::Response working = checked_at(lucia, "GET", "/me/videos/{id}", path);
  CHECK(text_at(working, "work.stage") == "encode");
  CHECK(text_at(working, "state") == "processing");
  CHECK(house.internal("POST", job_path + "/complete", result(job)).status == 200);
  CHECK(house.internal("POST", job_path + "/complete", result(job)).status == 200);
  const http::Response feed = checked(lucia, "GET", "/feed");
  CHECK(text_at(feed, "items.0.hls") == "/v/" + uploaded.video + "/1/index.m3u8");
  CHECK(text_at(feed, "items.0.poster") == "/v/" + uploaded.video + "/1/poster.jpg");
  CHECK_FALSE(has(feed, "items.1"));
  CHECK_FALSE(has(checked_at(lucia, "GET", "/me/videos/{id}", path), "work"));
  CHECK(checked_at(lucia, "GET", "/videos/{id}", "/videos/" + uploaded.video).status == 200);
  CHECK(has(checked_at(lucia, "GET", "/users/{name}", "/users/lucia"), "items.0"));
  house.errands();
  const auto heard = house.packager->heard();
  CHECK(std::ranges::find(heard, "PUT /videos/" + uploaded.video + R"(/access {"access":"public"})") != heard.end());
}

TEST_CASE("a private video plays for its owner through a token, and for nobody else") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  const std::string video = ready(house, lucia);
  house.errands();
  house.packager->heard();
  CHECK(checked_at(lucia, "PATCH", "/videos/{id}", "/videos/" + video, R"({"visibility":"private","title":"Ours"})").status == 200);
  house.errands();
  CHECK(house.packager->heard() == std::vector<std::string>{"PUT /videos/" + video + R"(/access {"access":"token"})"});
  const http::Response own = checked_at(lucia, "GET", "/videos/{id}", "/videos/" + video);
  const std::string hls = text_at(own, "hls");
  REQUIRE(hls.starts_with("/t/"));
  const std::size_t after = hls.find('/', 3);
  const auto claims = verify_token({house.control->secrets.playback()}, hls.substr(3, after - 3), house.now() / 1000);
  REQUIRE(claims);
  CHECK(token_allows(*claims, hls.substr(after)));
  CHECK(claims->path_prefix == "/v/" + video + "/");
  Browser marco{house};
  marco.sign_up("marco");
  CHECK(checked_at(marco, "GET", "/videos/{id}", "/videos/" + video).status == 404);
  CHECK_FALSE(has(checked(marco, "GET", "/feed"), "items.0"));
  CHECK_FALSE(has(checked_at(marco, "GET", "/users/{name}", "/users/lucia"), "items.0"));
}

TEST_CASE("another's video can't be seen in the making, changed, retried, replaced or deleted") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  Browser eve{house};
  eve.sign_up("eve_x");
  const std::string video = ready(house, lucia);
  const std::string path = "/videos/" + video;
  CHECK(checked_at(eve, "GET", "/me/videos/{id}", "/me" + path).status == 404);
  CHECK(checked_at(eve, "PATCH", "/videos/{id}", path, R"({"title":"mine"})").status == 404);
  CHECK(checked_at(eve, "POST", "/videos/{id}/retry", path + "/retry", "{}").status == 404);
  CHECK(checked_at(eve, "DELETE", "/videos/{id}", path).status == 404);
  CHECK(house.internal("POST", "/uploads/authorise", authorise(eve, 10, video)).status == 404);
  CHECK(text_at(checked_at(lucia, "GET", "/videos/{id}", path), "title") == "beach");
  Browser anybody{house};
  CHECK(code_of(checked_at(anybody, "DELETE", "/videos/{id}", path)) == "not_signed_in");
}

TEST_CASE("deleting a video tells the packager, removes the upload and gives the quota back") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  const Uploaded uploaded = draft(house, lucia);
  must(house.node.store->put_durable("uploads/" + uploaded.upload, as_bytes("file")));
  store(house, uploaded);
  CHECK(number_at(checked(lucia, "GET", "/me/videos"), "bytes_used") == 1000);
  const http::Response job = lease(house);
  CHECK(checked_at(lucia, "DELETE", "/videos/{id}", "/videos/" + uploaded.video).status == 204);
  const std::string job_path = "/jobs/" + text_at(job, "job");
  CHECK(text_at(house.internal("POST", job_path + "/heartbeat", R"({"epoch":1,"progress":0.5,"stage":"encode"})"), "action") == "cancel");
  CHECK(house.internal("POST", job_path + "/complete", result(job)).status == 409);
  CHECK(number_at(checked(lucia, "GET", "/me/videos"), "bytes_used") == 0);
  house.errands();
  const auto heard = house.packager->heard();
  CHECK(std::ranges::find(heard, "DELETE /videos/" + uploaded.video) != heard.end());
  CHECK(must(house.node.store->list("uploads/")).empty());
}

TEST_CASE("a failed video says why, and a retry makes it again") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  const Uploaded uploaded = draft(house, lucia);
  store(house, uploaded);
  const http::Response job = lease(house);
  const std::string job_path = "/jobs/" + text_at(job, "job");
  CHECK(house.internal("POST", job_path + "/fail", R"({"epoch":1,"kind":"truncated","reason":"The file ends too early.","retry":false})").status == 200);
  const http::Response failed = checked_at(lucia, "GET", "/me/videos/{id}", "/me/videos/" + uploaded.video);
  CHECK(text_at(failed, "state") == "failed");
  CHECK(text_at(failed, "work.failure.kind") == "truncated");
  CHECK(text_at(failed, "work.failure.reason") == "The file ends too early.");
  CHECK(checked_at(lucia, "GET", "/videos/{id}", "/videos/" + uploaded.video).status == 404);
  const std::string retry = "/videos/" + uploaded.video + "/retry";
  CHECK(text_at(checked_at(lucia, "POST", "/videos/{id}/retry", retry, "{}"), "state") == "processing");
  CHECK(code_of(checked_at(lucia, "POST", "/videos/{id}/retry", retry, "{}")) == "not_retryable");
  const http::Response again = lease(house);
  CHECK(text_at(again, "version") == "2");
  CHECK(house.internal("POST", "/jobs/" + text_at(again, "job") + "/complete", result(again)).status == 200);
  CHECK(text_at(checked_at(lucia, "GET", "/me/videos/{id}", "/me/videos/" + uploaded.video), "state") == "ready");
}

TEST_CASE("replacing keeps what plays until the new file is ready") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  const std::string video = ready(house, lucia);
  const std::string path = "/me/videos/" + video;
  const Uploaded uploaded = draft(house, lucia, video);
  CHECK(uploaded.video == video);
  CHECK(house.internal("POST", "/uploads/authorise", authorise(lucia, 10, video)).status == 409);
  const http::Response during = checked_at(lucia, "GET", "/me/videos/{id}", path);
  CHECK(text_at(during, "state") == "ready");
  CHECK(text_at(during, "work.state") == "draft");
  store(house, uploaded);
  const http::Response job = lease(house);
  CHECK(house.internal("POST", "/jobs/" + text_at(job, "job") + "/complete", result(job)).status == 200);
  const http::Response after = checked_at(lucia, "GET", "/me/videos/{id}", path);
  CHECK(text_at(after, "video.hls") == "/v/" + video + "/2/index.m3u8");
  CHECK(number_at(checked(lucia, "GET", "/me/videos"), "bytes_used") == 1000);
}

TEST_CASE("versions that nothing plays are removed, an hour after they were replaced") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  const std::string video = ready(house, lucia);
  for (const char* version : {"1", "2"}) {
    must(house.node.store->put_durable("vod/" + video + "/" + version + "/video.json", as_bytes("{}")));
  }
  must(house.node.store->put_durable("vod/" + video + "/access.json", as_bytes("{}")));
  const Uploaded uploaded = draft(house, lucia, video);
  store(house, uploaded);
  const http::Response job = lease(house);
  CHECK(house.internal("POST", "/jobs/" + text_at(job, "job") + "/complete", result(job)).status == 200);
  house.errands();
  CHECK(must(house.node.store->list("vod/" + video + "/")).size() == 3);
  house.pass_ms(3'600'000);
  house.errands();
  const auto left = must(house.node.store->list("vod/" + video + "/"));
  REQUIRE(left.size() == 2);
  CHECK(left[0].key == "vod/" + video + "/2/video.json");
}

TEST_CASE("pages of one's videos follow each other to the end") {
  House house{HouseOptions{.drafts_max = 10}};
  Browser lucia{house};
  lucia.sign_up("lucia");
  for (int i = 0; i < 5; ++i) draft(house, lucia);
  const http::Response first = checked(lucia, "GET", "/me/videos?limit=3");
  CHECK(has(first, "items.2"));
  const http::Response second = checked(lucia, "GET", "/me/videos?limit=3&cursor=" + text_at(first, "next"));
  CHECK(has(second, "items.1"));
  CHECK_FALSE(has(second, "items.2"));
  CHECK_FALSE(has(second, "next"));
  CHECK(code_of(checked(lucia, "GET", "/me/videos?cursor=x")) == "bad_cursor");
  for (const char* limit : {"0", "51", "x", "-1"}) CHECK(code_of(checked(lucia, "GET", std::string{"/feed?limit="} + limit)) == "malformed");
}

TEST_CASE("a broadcast from key to end, as its owner and viewers see it") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  CHECK(checked(lucia, "PATCH", "/me/live", R"({"title":"Evening"})").status == 200);
  const std::string key = text_at(checked(lucia, "GET", "/me/stream-key"), "key");
  const http::Response publish = house.internal("POST", "/publish", publish_body(key));
  REQUIRE(publish.status == 200);
  const std::string stream = text_at(publish, "stream");
  CHECK(text_at(checked(lucia, "GET", "/me/live"), "live.state") == "starting");
  lease(house);  // a worker is there
  const std::string source =
      R"({"epoch":1,"video":{"codecs":"avc1.64001f","width":1280,"height":720,"fps":30.0,"bitrate":2500000,"keyframe_interval_ms":2000,)"
      R"("passthrough":true,"passthrough_reason":""},"audio":{"codecs":"mp4a.40.2","sample_rate":48000,"channels":2,"bitrate":160000}})";
  const http::Response plan = house.internal("POST", "/streams/" + stream + "/source", source);
  REQUIRE_MESSAGE(plan.status == 200, plan.body);
  CHECK(text_at(plan, "video.0.track") == "src-v");
  CHECK(has(plan, "video.1"));
  CHECK(house.internal("POST", "/streams/" + stream + "/source", source).body == plan.body);
  house.errands();
  const auto heard = house.packager->heard();
  REQUIRE(heard.size() == 1);
  CHECK(heard[0] == "PUT /streams/" + stream + "/plan " + plan.body);
  const std::string beat = R"({"epoch":1,"state":"publishing","health":{"bitrate":2400000,"fps":29.9,"keyframe_interval_ms":2000,)"
                           R"("warnings":["Key frames come too rarely."]},"stream_user":"","start_unix_ms":0})";
  CHECK(text_at(house.internal("POST", "/streams/" + stream + "/heartbeat", beat), "action") == "go");
  const http::Response mine = checked(lucia, "GET", "/me/live");
  CHECK(text_at(mine, "live.state") == "live");
  CHECK(text_at(mine, "live.title") == "Evening");
  CHECK(number_at(mine, "health.bitrate") == 2400000);
  CHECK(text_at(mine, "warnings.0") == "Key frames come too rarely.");
  CHECK(has(mine, "rungs.1"));
  Browser anybody{house};
  CHECK(text_at(checked(anybody, "GET", "/lives"), "items.0.stream") == stream);
  CHECK(has(checked_at(anybody, "GET", "/users/{name}", "/users/lucia"), "live.hls"));
  const http::Response job = lease(house);
  CHECK(text_at(job, "kind") == "live");
  CHECK(text_at(job, "plan.stream") == stream);
  CHECK(checked(lucia, "POST", "/me/live/end", "{}").status == 204);
  CHECK(text_at(house.internal("POST", "/streams/" + stream + "/heartbeat", beat), "action") == "end");
  CHECK(text_at(checked_at(anybody, "GET", "/lives/{stream}", "/lives/" + stream), "state") == "ended");
  CHECK_FALSE(has(checked(anybody, "GET", "/lives"), "items.0"));
  CHECK(code_of(checked(lucia, "POST", "/me/live/end", "{}")) == "not_live");
  CHECK(code_of(house.internal("POST", "/publish", publish_body(key))) == "busy");
  house.errands();
  CHECK(house.packager->heard() == std::vector<std::string>{"POST /streams/" + stream + "/end"});
  house.pass_ms(kRestAfterEndMs);
  CHECK(house.internal("POST", "/publish", publish_body(key)).status == 200);
  house.pass_ms(24 * 3'600'000);
  house.errands();
  CHECK(house.packager->heard() == std::vector<std::string>{"DELETE /streams/" + stream});
  CHECK(checked_at(anybody, "GET", "/lives/{stream}", "/lives/" + stream).status == 404);
}

TEST_CASE("a rotated key is refused, and the new one publishes") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  const std::string first = text_at(checked(lucia, "GET", "/me/stream-key"), "key");
  CHECK(text_at(checked(lucia, "GET", "/me/stream-key"), "key") == first);
  const std::string second = text_at(checked(lucia, "POST", "/me/stream-key/rotate", "{}"), "key");
  CHECK(second != first);
  CHECK(code_of(house.internal("POST", "/publish", publish_body(first))) == "wrong_key");
  CHECK(house.internal("POST", "/publish", publish_body(second)).status == 200);
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
  const auto change = [&](std::string body) { return checked_at(admin, "PATCH", "/admin/users/{name}", "/admin/users/lucia", std::move(body)); };
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
  anna.send("POST", "/setup", R"({"token":")" + house.secret("setup_token") + R"(","name":"anna","password":"correct horse"})");
  CHECK(code_of(checked_at(anna, "PATCH", "/admin/users/{name}", "/admin/users/anna", R"({"admin":false})")) == "last_admin");
  CHECK(code_of(checked_at(anna, "PATCH", "/admin/users/{name}", "/admin/users/anna", R"({"suspended":true})")) == "last_admin");
  CHECK(checked(anna, "POST", "/admin/users", R"({"name":"bruno","admin":true,"password":"correct horse"})").status == 201);
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
    store(house, uploaded);
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
