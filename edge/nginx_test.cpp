// The module inside nginx, with the configuration that scripts/up fills in, a Redis and origins.
#include <doctest/doctest.h>

#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

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
