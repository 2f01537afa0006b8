// Broadcasts over a socket, from key to end.
#include "control-plane/testing.h"

namespace ribalta::control {
namespace {

using testing::Browser;
using testing::checked;
using testing::checked_at;
using testing::code_of;
using testing::has;
using testing::House;
using testing::lease;
using testing::number_at;
using testing::publish_body;
using testing::text_at;

}  // namespace

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
  const std::string beat =
      R"({"epoch":1,"state":"publishing","health":{"bitrate":2400000,"fps":29.9,"keyframe_interval_ms":2000,)"
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
  house.pass_ms(600'000);
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

}  // namespace ribalta::control
