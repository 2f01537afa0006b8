// Other nodes: invited, joined, followed, removed.
#include "control-plane/nodes.h"

#include <boost/asio/co_spawn.hpp>
#include <fstream>
#include <iterator>
#include <thread>

#include "control-plane/background.h"
#include "control-plane/testing_stage.h"

namespace ribalta::control {
namespace {

using namespace testing;

const std::string kCertificate(64, 'a');
const std::string kOther(64, 'b');

/// As the node port hands it on.
http::Response from_port(House& house, std::string_view method, std::string target, std::string_view field,
                         std::string_view value, std::string body = {}) {
  http::Request request{.method = std::string{method}, .target = std::move(target), .fields = {}, .body = {}};
  if (!value.empty()) request.fields.set(field, value);
  if (!body.empty()) request.fields.set("Content-Type", "application/json");
  request.body = std::move(body);
  return house.call(std::move(request));
}
http::Response join(House& house, std::string_view certificate, const std::string& name, const std::string& secret) {
  return from_port(house, "POST", "/node/v1/join", "Ribalta-Certificate", certificate,
                   R"({"name":")" + name + R"(","secret":")" + secret + "\"}");
}
http::Response notices(House& house, std::string_view node, const std::string& after = {}) {
  return from_port(house, "GET", "/node/v1/notices?version=9.9&after=" + after, "Ribalta-Edge", node);
}

Browser administrator(House& house) {
  Browser admin{house};
  admin.bearer = house.secret("admin_token");
  return admin;
}
http::Response invite(Browser& admin, const std::string& name) {
  return checked(admin, "POST", "/admin/nodes", R"({"name":")" + name + "\"}");
}
http::Response remove(Browser& admin, const std::string& name) {
  return checked_at(admin, "DELETE", "/admin/nodes/{name}", "/admin/nodes/" + name);
}
std::string list_of(House& house) {
  std::ifstream file{house.folder.path() / "nodes", std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}
/// A joined node.
void add(House& house, Browser& admin, const std::string& name, const std::string& certificate) {
  const std::string secret = text_at(invite(admin, name), "secret");
  REQUIRE(join(house, certificate, name, secret).status == 200);
}

TEST_CASE("nodes: a secret lets one certificate in, once; the list for nginx follows") {
  House house;
  Browser admin = administrator(house);
  const http::Response invited = invite(admin, "milan");
  CHECK(invited.status == 201);
  const std::string secret = text_at(invited, "secret");
  CHECK(list_of(house).empty());
  CHECK(code_of(join(house, kCertificate, "milan", "rn_wrong")) == "no_invitation");
  CHECK(code_of(join(house, kCertificate, "rome", secret)) == "no_invitation");
  CHECK(code_of(join(house, "", "milan", secret)) == "no_invitation");
  CHECK(code_of(join(house, "not a certificate", "milan", secret)) == "no_invitation");

  const http::Response joined = join(house, kCertificate, "milan", secret);
  CHECK(joined.status == 200);
  CHECK(text_at(joined, "playback_keys") == house.control->secrets.playback_public_line());
  CHECK(list_of(house) == kCertificate + " milan\n");
  CHECK(join(house, kCertificate, "milan", secret).status == 200);  // its first answer may have been lost
  CHECK(code_of(join(house, kOther, "milan", secret)) == "no_invitation");
  CHECK(code_of(invite(admin, "milan")) == "node_exists");

  CHECK(remove(admin, "milan").status == 204);
  CHECK(list_of(house).empty());
  CHECK(code_of(join(house, kCertificate, "milan", secret)) == "no_invitation");
  CHECK(remove(admin, "milan").status == 404);
}

TEST_CASE("nodes: an invitation ends after a day, and a second one ends the first") {
  House house;
  Browser admin = administrator(house);
  const std::string first = text_at(invite(admin, "milan"), "secret");
  const std::string second = text_at(invite(admin, "milan"), "secret");
  CHECK(code_of(join(house, kCertificate, "milan", first)) == "no_invitation");
  house.pass_ms(kInvitationMs - 1);
  const std::string rome = text_at(invite(admin, "rome"), "secret");
  CHECK(join(house, kCertificate, "milan", second).status == 200);
  house.pass_ms(kInvitationMs);
  CHECK(code_of(join(house, kOther, "rome", rome)) == "no_invitation");
}

TEST_CASE("nodes: only administrators invite and remove; names are plain and their number is bounded") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  CHECK(invite(lucia, "milan").status == 403);
  CHECK(remove(lucia, "milan").status == 403);
  Browser admin = administrator(house);
  for (const std::string name : {"", "Milan", "a b", "-a", "a/b"})
    CHECK_MESSAGE(code_of(invite(admin, name)) == "bad_name", name);
  CHECK(code_of(invite(admin, std::string(kNodeNameCharsMax + 1, 'a'))) == "bad_name");
  CHECK(invite(admin, std::string(kNodeNameCharsMax, 'a')).status == 201);
  for (std::size_t i = 1; i < kOtherNodesMax; ++i) CHECK(invite(admin, "n" + std::to_string(i)).status == 201);
  CHECK(code_of(invite(admin, "one-more")) == "nodes_max");
}

TEST_CASE("nodes: who follows hears of a take-down, and of all that is restricted when it missed some") {
  House house;
  Browser admin = administrator(house);
  Browser lucia{house};
  lucia.sign_up("lucia");
  const std::string hidden = ready(house, lucia);
  const std::string deleted = ready(house, lucia);
  CHECK(lucia.send("PATCH", "/videos/" + hidden, R"({"visibility":"private"})").status == 200);
  house.errands();
  add(house, admin, "milan", kCertificate);

  const http::Response first = notices(house, "milan");
  CHECK(must(json_parse(first.body)).at("lost").as_bool());
  const std::string cursor = text_at(first, "cursor");
  const auto restricted = [&house](const std::string& after) {
    return from_port(house, "GET", "/node/v1/restricted?after=" + after, "Ribalta-Edge", "milan");
  };
  const http::Response streams = restricted("");
  CHECK(must(json_parse(streams.body)).at("items").as_array().empty());
  CHECK(text_at(streams, "next") == "video:");
  const http::Response all = restricted("video:");
  CHECK_FALSE(must(json_parse(all.body)).as_object().contains("next"));
  CHECK(text_at(all, "items.0.id") == hidden);
  CHECK(text_at(all, "items.0.access") == "token");

  const std::string key = text_at(checked(lucia, "GET", "/me/stream-key"), "key");
  const std::string stream = text_at(house.internal("POST", "/publish", publish_body(key)), "stream");
  CHECK(checked_at(lucia, "DELETE", "/lives/{stream}", "/lives/" + stream).status == 204);
  house.redis->down = true;  // ours: nodes have one each
  house.errands();
  CHECK(text_at(notices(house, "milan", cursor), "items.0.id") == stream);
  CHECK(must(json_parse(restricted("").body)).at("items").as_array().empty());  // not done here: it is noted again
  house.redis->down = false;
  house.pass_ms(kErrandWaitMaxMs);
  house.errands();
  const std::string cursor_then = text_at(notices(house, "milan", cursor), "cursor");
  CHECK(text_at(restricted(""), "items.0.kind") == "stream");
  CHECK(text_at(restricted(""), "items.0.id") == stream);

  CHECK(lucia.send("DELETE", "/videos/" + deleted).status == 204);
  house.errands();
  const http::Response news = notices(house, "milan", cursor_then);
  CHECK_FALSE(must(json_parse(news.body)).at("lost").as_bool());
  CHECK(text_at(news, "items.0.kind") == "video");
  CHECK(text_at(news, "items.0.id") == deleted);
  CHECK(text_at(news, "items.0.access") == "gone");
  for (const std::string& bad :
       {std::string{"x"}, std::string{"0123456789abcdef-0"}, cursor + "0", cursor + "-", std::string{"-"}}) {
    CHECK_MESSAGE(must(json_parse(notices(house, "milan", bad).body)).at("lost").as_bool(), bad);
  }
}

TEST_CASE("nodes: strangers and the removed are told nothing, also those who were being held") {
  House house;
  Browser admin = administrator(house);
  add(house, admin, "milan", kCertificate);
  for (const std::string target : {"/node/v1/notices?after=", "/node/v1/restricted"}) {
    CHECK(from_port(house, "GET", target, "Ribalta-Edge", "").status == 403);
    CHECK(from_port(house, "GET", target, "Ribalta-Edge", "rome").status == 403);
  }
  const std::string cursor = text_at(notices(house, "milan"), "cursor");
  unsigned status = 0;
  std::thread held{[&] { status = notices(house, "milan", cursor).status; }};
  // It is heard of as it begins to wait.
  for (int i = 0; i < 1000 && !house.control->nodes.last_heard("milan"); ++i) std::this_thread::yield();
  CHECK(remove(admin, "milan").status == 204);
  held.join();
  CHECK(status == 403);
}

TEST_CASE("nodes: status says who was invited, who is well, and who is silent") {
  House house;
  Browser admin = administrator(house);
  invite(admin, "rome");
  add(house, admin, "milan", kCertificate);
  http::Response status = checked(admin, "GET", "/admin/status");
  CHECK(text_at(status, "nodes.0.name") == "milan");
  CHECK(text_at(status, "nodes.0.message").starts_with("not heard of since"));
  CHECK(text_at(status, "nodes.1.state") == "invited");
  notices(house, "milan");
  status = checked(admin, "GET", "/admin/status");
  CHECK(text_at(status, "nodes.0.message") == "ok");
  CHECK(text_at(status, "nodes.0.version") == "9.9");
  house.pass_ms(kNodeSilenceMs);
  status = checked(admin, "GET", "/admin/status");
  CHECK(text_at(status, "nodes.0.message") == "not heard of for 12 s");
  CHECK_FALSE(must(json_parse(status.body)).at("nodes").at(0).at("healthy").as_bool());
}

TEST_CASE("notices: held until there is one; kept in a bounded ring, whose edge is a loss and no silence") {
  TemporaryFolder folder;
  LoopPool loops{1};
  loops.start();
  Nodes nodes{loops.loop(0), folder.path() / "nodes"};
  const auto ask = [&](std::string cursor, int ms) {
    return run_on(loops, nodes.after(std::move(cursor), std::chrono::milliseconds{ms}), 0);
  };
  const auto note = [&](std::string id) {
    const auto there = [](Nodes& on, std::string what) -> Task<int> {
      on.note({"video", std::move(what), "gone"});
      co_return 0;
    };
    run_on(loops, there(nodes, std::move(id)), 0);
  };
  const std::string start = ask("", 1).cursor;
  CHECK_FALSE(ask(start, 1).lost);
  CHECK(ask(start, 1).items.empty());
  std::thread later{[&] { note("one"); }};
  NoticesPage page = ask(start, 60'000);
  later.join();
  REQUIRE(page.items.size() == 1);
  CHECK(page.items[0].id == "one");
  for (std::size_t i = 1; i < kNoticesKept; ++i) note(std::to_string(i));
  page = ask(start, 1);
  CHECK_FALSE(page.lost);
  CHECK(page.items.size() == kNoticesPageMax);
  CHECK(page.items[0].id == "one");
  page = ask(page.cursor, 1);
  CHECK(page.items[0].id == std::to_string(kNoticesPageMax));
  note("one too many");
  CHECK(ask(start, 1).lost);
  loops.stop(std::chrono::seconds{5});
}

}  // namespace
}  // namespace ribalta::control
