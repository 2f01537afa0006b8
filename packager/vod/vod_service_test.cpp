#include "packager/vod/vod_service.h"

#include <doctest/doctest.h>

#include "core/http/client.h"
#include "core/internal_auth.h"
#include "core/testing/run.h"
#include "packager/vod/testing.h"
#include "packager/vod/vod_manifests.h"

using namespace ribalta;
using namespace ribalta::packager;
using namespace ribalta::packager::testing;
using namespace std::chrono_literals;
using ribalta::testing::run_on;
using ribalta::testing::TemporaryFolder;

namespace {

constexpr std::string_view kSecret{"a secret of all nodes"};

/// The service behind a server on a Unix socket; its clock stands until the test moves it.
struct House {
  TemporaryFolder folder;
  MemoryStore store;
  Metrics metrics;
  std::chrono::steady_clock::time_point now{};
  VodService service;
  LoopPool loops{2};
  http::Address address{.unix_path = folder.path() / "packager.sock"};
  std::unique_ptr<http::Server> server;

  House() : service(store, {.node_secret = std::string{kSecret}, .now = [this] { return now; }}, metrics) {
    http::Router router;
    add_vod_routes(router, service);
    server = http::Server::listen(loops, address, router.handler()).value();
    loops.start();
  }
  ~House() {
    server->drain();
    loops.stop(5s);
    server.reset();
  }
  House(const House&) = delete;
  House& operator=(const House&) = delete;

  http::Response ask(std::string method, std::string path, http::Fields fields = {}, std::string body = {}) {
    http::Request request{
        .method = std::move(method), .target = std::move(path), .fields = std::move(fields), .body = std::move(body)};
    http::ClientLimits limits{.body_bytes_max = 128 * 1024 * 1024};
    return run_on(loops, http::call(address, std::move(request), limits), 1).value();
  }
  http::Response get(const std::string& file, http::Fields fields = {}) {
    return ask("GET", "/v/" + kVideo + "/" + kVersion + "/" + file, std::move(fields));
  }
  http::Response signed_call(const std::string& method, const std::string& path, std::string body = {}) {
    http::Fields fields;
    fields.set(kNodeField, sign_internal(kSecret, NodeId::random(), method, path, wall_now()));
    return ask(method, path, std::move(fields), std::move(body));
  }
  void open() { REQUIRE(store_access(store, kVideo, Access::open)); }
};

}  // namespace

TEST_CASE("everything that a player asks for is there, byte for byte, and may be kept for ever") {
  House house;
  const PlainVideo video;
  video.put(house.store);
  house.open();
  const auto asset = load_vod_asset(house.store, kVideo, kVersion).value();
  struct Each {
    std::string file;
    std::string type;
    std::string body;
  };
  const std::vector<Each> all{
      {"index.m3u8", "application/vnd.apple.mpegurl", vod_multivariant(*asset)},
      {"v90.m3u8", "application/vnd.apple.mpegurl", vod_media_playlist(*asset, *asset->find("v90"))},
      {"index.mpd", "application/dash+xml", vod_mpd(*asset)},
      {"v180/init.mp4", "video/mp4", std::string{as_text(video.high.init)}},
      {"v180/1.m4s", "video/mp4", std::string{as_text(video.high.segments[0])}},
      {"v180/2.m4s", "video/mp4", std::string{as_text(video.high.segments[1])}},
      {"v180/3.m4s", "video/mp4", std::string{as_text(video.high.segments[2])}},
      {"a128/3.m4s", "audio/mp4", std::string{as_text(video.audio.segments[2])}},
      {"poster.jpg", "image/jpeg", "a poster"},
  };
  for (const Each& each : all) {
    CAPTURE(each.file);
    const http::Response response = house.get(each.file);
    CHECK(response.status == 200);
    CHECK(response.fields.get("Content-Type") == each.type);
    CHECK(response.fields.get("Cache-Control") == "public, max-age=31536000, immutable");
    CHECK(response.fields.get("Ribalta-Tag") == "video:" + kVideo);
    CHECK(response.body == each.body);
    const http::Response head = house.ask("HEAD", "/v/" + kVideo + "/" + kVersion + "/" + each.file);
    CHECK(head.status == 200);
    CHECK(head.body.empty());
    CHECK(head.fields.get("Content-Length") == std::to_string(each.body.size()));
  }
}

TEST_CASE("a segment of many pieces comes whole") {
  House house;
  house.open();
  const TrackFile file = make_plain_file(video_config(), {15'000}, 120, 3000);  // 1.8 MB
  REQUIRE(file.segments[0].size() > 4 * kPieceBytes);
  REQUIRE(house.store.put(key_of("v1.cmfv"), file.bytes));
  REQUIRE(house.store.put(key_of("video.json"), as_bytes(record_json(video_json("v1"), ""))));
  CHECK(house.get("v1/1.m4s").body == as_text(file.segments[0]));
}

TEST_CASE("what is not there is 404, and is asked again a second later") {
  House house;
  PlainVideo{}.put(house.store);
  house.open();
  for (const std::string file :
       {"v1080.m3u8", "v180/0.m4s", "v180/4.m4s", "v180/01.m4s", "v180/+1.m4s", "v180/1.mp4",
        "v180/99999999999999999999999.m4s", "v180/init-1.mp4", "v1080/1.m4s", "access.json", "v180.cmfv"}) {
    CAPTURE(file);
    const http::Response response = house.get(file);
    CHECK(response.status == 404);
    CHECK(response.fields.get("Cache-Control") == "max-age=1");
  }
  CHECK(house.ask("GET", "/v/" + kVideo + "/8/index.m3u8").status == 404);
  CHECK(house.ask("GET", "/v/not-an-id/7/index.m3u8").status == 404);
  CHECK(house.ask("GET", "/v/" + kVideo + "/V7/index.m3u8").status == 404);
}

TEST_CASE("a video behind a token needs the edge's word, and so does one that nobody decided about") {
  House house;
  PlainVideo{}.put(house.store);
  const auto refused = house.get("index.m3u8");
  CHECK(refused.status == 403);
  CHECK(refused.fields.get("Cache-Control") == "no-store");
  CHECK(house.get("index.m3u8", {{"Ribalta-Authorised", "1"}}).status == 200);
  CHECK(house.get("v180/1.m4s", {{"Ribalta-Authorised", "0"}}).status == 403);
  REQUIRE(store_access(house.store, kVideo, Access::token));
  house.now += kAccessAgeMax;
  CHECK(house.get("v180/1.m4s").status == 403);
  CHECK(house.get("v180/1.m4s", {{"Ribalta-Authorised", "1"}}).status == 200);
}

TEST_CASE("access is remembered for less than its age, not a moment more") {
  House house;
  PlainVideo{}.put(house.store);
  house.open();
  CHECK(house.get("index.m3u8").status == 200);
  REQUIRE(store_access(house.store, kVideo, Access::gone));
  house.now += kAccessAgeMax - 1ms;
  CHECK(house.get("index.m3u8").status == 200);
  house.now += 1ms;
  CHECK(house.get("index.m3u8").status == 410);
  CHECK(house.get("index.m3u8", {{"Ribalta-Authorised", "1"}}).status == 410);
}

TEST_CASE("when the store does not answer, what is known goes on and the rest is 503, never a guess") {
  House house;
  PlainVideo{}.put(house.store);
  house.open();
  CHECK(house.get("index.m3u8").status == 200);
  house.store.broken = true;
  CHECK(house.get("index.m3u8").status == 200);
  CHECK(house.get("v180/1.m4s").status == 500);
  house.now += kAccessAgeMax;
  const auto unknown = house.get("index.m3u8");
  CHECK(unknown.status == 503);
  CHECK(unknown.fields.get("Cache-Control") == "no-store");
}

TEST_CASE("an asset is read once and its playlists come from memory") {
  House house;
  PlainVideo{}.put(house.store);
  house.open();
  CHECK(house.get("index.m3u8").status == 200);
  const std::size_t reads = house.store.reads;
  for (int i = 0; i < 10; ++i) CHECK(house.get("v180.m3u8").status == 200);
  CHECK(house.store.reads == reads);
}

TEST_CASE("a broken version says so and is not kept") {
  House house;
  const PlainVideo video;
  video.put(house.store);
  house.open();
  REQUIRE(house.store.put(key_of("v90.cmfv"), as_bytes("nothing")));
  CHECK(house.get("index.m3u8").status == 500);
  video.put(house.store);
  CHECK(house.get("index.m3u8").status == 200);
}

TEST_CASE("the control plane's calls need a signature; with it they work at once") {
  House house;
  PlainVideo{}.put(house.store);
  const std::string path = "/videos/" + kVideo + "/access";
  CHECK(house.ask("PUT", path, {}, R"({"access":"public"})").status == 401);
  CHECK(house.ask("DELETE", "/videos/" + kVideo).status == 401);
  CHECK(house.get("index.m3u8").status == 403);

  CHECK(house.signed_call("PUT", path, R"({"access":"public"})").status == 200);
  CHECK(house.get("index.m3u8").status == 200);
  CHECK(house.signed_call("PUT", path, R"({"access":"everybody"})").status == 400);
  CHECK(house.signed_call("PUT", "/videos/x/access", R"({"access":"public"})").status == 404);
  CHECK(house.signed_call("PUT", path, std::string(kAccessBytesMax + 1, ' ')).status == 413);
  CHECK(house.signed_call("PUT", path, R"({"access":"token"})").status == 200);
  CHECK(house.get("index.m3u8").status == 403);

  CHECK(house.signed_call("DELETE", "/videos/" + kVideo).status == 200);
  CHECK(house.get("index.m3u8", {{"Ribalta-Authorised", "1"}}).status == 410);
  CHECK(house.store.list("vod/" + kVideo + "/")->size() == 1);  // access.json, which says gone
  CHECK(house.signed_call("DELETE", "/videos/" + kVideo).status == 200);
}

TEST_CASE("a segment that was removed after its playlist was read is 404") {
  House house;
  PlainVideo{}.put(house.store);
  house.open();
  CHECK(house.get("v180.m3u8").status == 200);
  REQUIRE(house.store.remove_all("vod/" + kVideo + "/" + kVersion + "/"));
  CHECK(house.get("v180/1.m4s").status == 404);
  CHECK(house.get("v180.m3u8").status == 404);
}
