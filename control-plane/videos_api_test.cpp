// Videos over a socket, from upload to deletion.
#include <algorithm>

#include "control-plane/testing.h"
#include "core/tokens.h"

namespace ribalta::control {
namespace {

using testing::authorise_body;
using testing::Browser;
using testing::checked;
using testing::checked_at;
using testing::code_of;
using testing::draft;
using testing::has;
using testing::House;
using testing::HouseOptions;
using testing::lease;
using testing::must;
using testing::number_at;
using testing::ready;
using testing::result_body;
using testing::store_upload;
using testing::text_at;
using testing::Uploaded;

}  // namespace

TEST_CASE("an upload becomes a draft, a job, and a video in the feed") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  const Uploaded uploaded = draft(house, lucia);
  const std::string path = "/me/videos/" + uploaded.video;
  CHECK(text_at(checked_at(lucia, "GET", "/me/videos/{id}", path), "state") == "draft");
  CHECK(text_at(checked_at(lucia, "GET", "/me/videos/{id}", path), "title") == "beach");
  store_upload(house, uploaded);
  store_upload(house, uploaded);  // ingest repeats itself
  CHECK(text_at(checked_at(lucia, "GET", "/me/videos/{id}", path), "work.stage") == "queued");
  const http::Response job = lease(house);
  REQUIRE(job.status == 200);
  CHECK(text_at(job, "input") == "uploads/" + uploaded.upload);
  CHECK(lease(house).status == 204);
  const std::string job_path = "/jobs/" + text_at(job, "job");
  CHECK(text_at(house.internal("POST", job_path + "/heartbeat", R"({"epoch":1,"progress":0.5,"stage":"encode"})"),
                "action") == "go");
  const http::Response working = checked_at(lucia, "GET", "/me/videos/{id}", path);
  CHECK(text_at(working, "work.stage") == "encode");
  CHECK(text_at(working, "state") == "processing");
  CHECK(house.internal("POST", job_path + "/complete", result_body(job)).status == 200);
  CHECK(house.internal("POST", job_path + "/complete", result_body(job)).status == 200);
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
  CHECK(checked_at(lucia, "PATCH", "/videos/{id}", "/videos/" + video, R"({"visibility":"private","title":"Ours"})")
            .status == 200);
  house.errands();
  CHECK(house.packager->heard() == std::vector<std::string>{"PUT /videos/" + video + R"(/access {"access":"token"})"});
  const http::Response own = checked_at(lucia, "GET", "/videos/{id}", "/videos/" + video);
  const std::string hls = text_at(own, "hls");
  REQUIRE(hls.starts_with("/t/"));
  const std::size_t after = hls.find('/', 3);
  const auto claims =
      verify_token({public_half(house.control->secrets.playback())}, hls.substr(3, after - 3), house.now() / 1000);
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
  CHECK(house.internal("POST", "/uploads/authorise", authorise_body(eve, 10, video)).status == 404);
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
  store_upload(house, uploaded);
  CHECK(number_at(checked(lucia, "GET", "/me/videos"), "bytes_used") == 1000);
  const http::Response job = lease(house);
  CHECK(checked_at(lucia, "DELETE", "/videos/{id}", "/videos/" + uploaded.video).status == 204);
  const std::string job_path = "/jobs/" + text_at(job, "job");
  CHECK(text_at(house.internal("POST", job_path + "/heartbeat", R"({"epoch":1,"progress":0.5,"stage":"encode"})"),
                "action") == "cancel");
  CHECK(house.internal("POST", job_path + "/complete", result_body(job)).status == 409);
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
  store_upload(house, uploaded);
  const http::Response job = lease(house);
  const std::string job_path = "/jobs/" + text_at(job, "job");
  CHECK(house
            .internal("POST", job_path + "/fail",
                      R"({"epoch":1,"kind":"truncated","reason":"The file ends too early.","retry":false})")
            .status == 200);
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
  CHECK(house.internal("POST", "/jobs/" + text_at(again, "job") + "/complete", result_body(again)).status == 200);
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
  CHECK(house.internal("POST", "/uploads/authorise", authorise_body(lucia, 10, video)).status == 409);
  const http::Response during = checked_at(lucia, "GET", "/me/videos/{id}", path);
  CHECK(text_at(during, "state") == "ready");
  CHECK(text_at(during, "work.state") == "draft");
  store_upload(house, uploaded);
  const http::Response job = lease(house);
  CHECK(house.internal("POST", "/jobs/" + text_at(job, "job") + "/complete", result_body(job)).status == 200);
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
  store_upload(house, uploaded);
  const http::Response job = lease(house);
  CHECK(house.internal("POST", "/jobs/" + text_at(job, "job") + "/complete", result_body(job)).status == 200);
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
  for (const char* limit : {"0", "51", "x", "-1"})
    CHECK(code_of(checked(lucia, "GET", std::string{"/feed?limit="} + limit)) == "malformed");
}

TEST_CASE("the whole way from sign-up to deletion, on each engine") {
  for (const sql::Engine engine : ribalta::testing::engines()) {
    CAPTURE(static_cast<int>(engine));
    House house{HouseOptions{.database = ribalta::testing::fresh_database(engine)}};
    Browser lucia{house};
    lucia.sign_up("lucia");
    const std::string video = ready(house, lucia);
    CHECK(text_at(checked(lucia, "GET", "/feed"), "items.0.id") == video);
    CHECK(checked(lucia, "GET", "/me/stream-key").status == 200);
    CHECK(checked_at(lucia, "PATCH", "/videos/{id}", "/videos/" + video, R"({"title":"l'\"à\" :1 漢"})").status == 200);
    CHECK(text_at(checked_at(lucia, "GET", "/videos/{id}", "/videos/" + video), "title") == "l'\"à\" :1 漢");
    CHECK(checked_at(lucia, "DELETE", "/videos/{id}", "/videos/" + video).status == 204);
    house.errands();
    CHECK_FALSE(has(checked(lucia, "GET", "/feed"), "items.0"));
    CHECK(number_at(checked(lucia, "GET", "/me/videos"), "bytes_used") == 0);
  }
}

TEST_CASE("cursors: what we wrote is read again, anything else is refused") {
  const VideoId id = VideoId::random();
  const std::string text = view::cursor_text(1'790'000'000'000, id.view());
  const auto read = view::parse_cursor(text);
  REQUIRE(read);
  CHECK(read->instant == 1'790'000'000'000);
  CHECK(read->id == id.view());
  for (std::size_t size = 0; size < text.size(); ++size) {
    CAPTURE(size);
    CHECK_FALSE(view::parse_cursor(text.substr(0, size)));
  }
  for (const std::string& wrong : {text + "0", "x" + text, std::string{"99999999999999999999-"} + id.text(),
                                   std::string{"1 -"} + id.text(), std::string{"--"} + id.text()}) {
    CAPTURE(wrong);
    CHECK_FALSE(view::parse_cursor(wrong));
  }
}

}  // namespace ribalta::control
