// Two machines: an edge that joined, and the node port of the first.
#include <doctest/doctest.h>

#include <csignal>
#include <fstream>
#include <memory>
#include <string>

#include "edge/testing/machine.h"

namespace ribalta::edge {
namespace {

using http::Response;
using testing::altered;
using testing::cache_status;
using testing::is_hit;
using testing::Machine;
using testing::new_id;
using testing::until;

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

}  // namespace
}  // namespace ribalta::edge
