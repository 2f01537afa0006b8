// The live origin from outside: writers, workers and players over its socket.
#include <doctest/doctest.h>

#include "core/json.h"
#include "packager/live/origin_testing.h"
#include "packager/live/testing.h"

using namespace ribalta;
using namespace ribalta::packager;
using namespace ribalta::packager::testing;

namespace {

const std::string kStream = "0123456789abcdef";
const std::string kLive = "/live/" + kStream;

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t found = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
  return found;
}
bool has(const std::string& text, const std::string& what) { return text.find(what) != std::string::npos; }

const TrackMaker kVideo{media::testing::video_config()};
const TrackMaker kAudio{media::testing::audio_config()};

/// A writer's connection that stays open.
struct Put {
  Origin& origin;
  std::unique_ptr<http::Upload> upload;
  Put(Origin& at, const std::string& track, std::int64_t epoch, bool source, const TrackMaker& maker)
      : origin(at), upload(at.open_put(kStream, track, epoch, source)) {
    write(maker.init());
  }
  Result<void> write(const Bytes& bytes) { return origin.await(upload->write(bytes)); }
  http::Response finish() { return origin.await(upload->finish()).value(); }
};

void set_plan(Origin& origin, const std::vector<std::string>& video = {"src-v"}) {
  const http::Response answer = origin.call("PUT", "/streams/" + kStream + "/plan", json_write(make_plan(video)));
  REQUIRE(answer.status == 200);
}
/// Asks every 20 ms for ten seconds at most.
template <class Condition>
void wait_until(Origin& origin, Condition condition) {
  for (int i = 0; i < 500 && !condition(); ++i) {
    origin.await([]() -> Task<bool> {
      co_await sleep_for(std::chrono::milliseconds{20});
      co_return true;
    }());
  }
}
/// The answer, once its text has `what`; playlists change when the store has answered.
std::string wait_for(Origin& origin, const std::string& target, const std::string& what) {
  std::string text;
  wait_until(origin, [&] {
    text = origin.get(target).body;
    return has(text, what);
  });
  CAPTURE(text);
  REQUIRE(has(text, what));
  return text;
}
std::string head_of(Origin& origin, const std::string& track) {
  return origin.call("GET", "/tracks/" + kStream + "/" + track + "/head").body;
}

}  // namespace

TEST_CASE("what a source sends is played back, byte for byte") {
  MemoryStore store;
  Origin origin(store);
  set_plan(origin);
  Put video(origin, "src-v", 1, true, kVideo);
  Put audio(origin, "src-a", 1, true, kAudio);
  video.write(kVideo.frames(0, 121));
  audio.write(kAudio.frames(0, 200));
  const std::string playlist = wait_for(origin, kLive + "/src-v.m3u8", "src-v/1-1.m4s");
  CHECK(has(playlist, "#EXT-X-TARGETDURATION:2\n"));
  CHECK(count(playlist, "#EXTINF:2.000000,\n") == 2);

  const http::Response init = origin.get(kLive + "/src-v/init-0.mp4");
  CHECK(init.status == 200);
  CHECK(init.body == as_text(kVideo.init()));
  const http::Response segment = origin.get(kLive + "/src-v/1-0.m4s");
  CHECK(segment.body == as_text(kVideo.frames(0, 60)));
  CHECK(segment.fields.get("Cache-Control") == "public, max-age=31536000, immutable");
  CHECK(segment.fields.get("Ribalta-Tag") == "stream:" + kStream);
  CHECK(segment.fields.get("Content-Type") == "video/mp4");
  CHECK(origin.get(kLive + "/src-a/1-1.m4s").body == as_text(kAudio.frames(94, 188)));

  const http::Response multivariant = origin.get(kLive + "/index.m3u8");
  CHECK(has(multivariant.body, "src-v.m3u8"));
  CHECK(multivariant.fields.get("Cache-Control") == "public, max-age=10");
  const http::Response mpd = origin.get(kLive + "/index.mpd");
  CHECK(has(mpd.body, "media=\"src-v/1-$Number$.m4s\""));
  CHECK(mpd.fields.get("Content-Type") == "application/dash+xml");

  const http::Response missing = origin.get(kLive + "/src-v/1-2.m4s");
  CHECK(missing.status == 404);
  CHECK(missing.fields.get("Cache-Control") == "public, max-age=1");
  for (const char* name : {"/src-v/2-0.m4s", "/src-v/01-0.m4s", "/src-v/1-0.mp4", "/src-v/init-1.mp4", "/src-v/-.m4s",
                           "/v360/1-0.m4s", "/nothing.m3u8", "/index.html"}) {
    CAPTURE(name);
    CHECK(origin.get(kLive + name).status == 404);
  }
  CHECK(video.finish().status == 200);
}

TEST_CASE("calls without a node's signature are refused, playback needs none") {
  MemoryStore store;
  Origin origin(store);
  for (const char* method : {"PUT", "GET"}) {
    http::Request request{.method = method, .target = "/tracks/" + kStream + "/src-v"};
    CHECK(origin.call(request).status == 401);
  }
  http::Request plan{.method = "PUT", .target = "/streams/" + kStream + "/plan", .body = json_write(make_plan())};
  CHECK(origin.call(plan).status == 401);
  http::Request end{.method = "POST", .target = "/streams/" + kStream + "/end"};
  CHECK(origin.call(end).status == 401);
  CHECK(origin.get(kLive + "/index.m3u8").status == 404);
}

TEST_CASE("a lower epoch is refused; a higher one cuts the writer before it, with 409") {
  MemoryStore store;
  Origin origin(store);
  Put first(origin, "v360", 2, false, kVideo);
  first.write(kVideo.frames(0, 5));
  wait_until(origin, [&origin] { return has(head_of(origin, "v360"), R"("decode_time":15000,)"); });
  Put lower(origin, "v360", 1, false, kVideo);
  CHECK(lower.finish().status == 409);
  Put higher(origin, "v360", 3, false, kVideo);
  higher.write(kVideo.frames(0, 1));
  wait_until(origin, [&origin] { return has(head_of(origin, "v360"), R"("epoch":3)"); });
  CHECK(first.finish().status == 409);
  higher.write(kVideo.frames(1, 3));
  CHECK(higher.finish().status == 200);
  CHECK(has(head_of(origin, "v360"), R"("epoch":3,"decode_time":9000,"decode_time_durable":0,"timescale":90000)"));
}

TEST_CASE("a writer that comes back with its epoch replaces its own dead connection") {
  MemoryStore store;
  Origin origin(store);
  Put first(origin, "v360", 2, false, kVideo);
  first.write(kVideo.frames(0, 5));
  wait_until(origin, [&origin] { return has(head_of(origin, "v360"), R"("decode_time":15000,)"); });
  Put again(origin, "v360", 2, false, kVideo);
  again.write(kVideo.frames(0, 8));
  wait_until(origin, [&origin] { return has(head_of(origin, "v360"), R"("decode_time":24000,)"); });
  CHECK(first.finish().status == 409);
  CHECK(again.finish().status == 200);
  CHECK(has(head_of(origin, "v360"), R"("decode_time":24000,)"));
}

TEST_CASE("PUT: what is wrong with a body is answered with its reason") {
  MemoryStore store;
  Origin origin(store);
  Put backwards(origin, "src-v", 1, true, kVideo);
  backwards.write(kVideo.frames(0, 10) + kVideo.frames(3, 4));
  const http::Response answer = backwards.finish();
  CHECK(answer.status == 400);
  CHECK(has(answer.body, "decode time goes back"));

  std::unique_ptr<http::Upload> raw = origin.open_put(kStream, "src-a", 1, true);
  const Bytes chunk_first = kAudio.frames(0, 1);
  origin.await(raw->write(chunk_first));
  CHECK(origin.await(raw->finish()).value().status == 400);

  Put cut(origin, "src-a", 1, true, kAudio);
  Bytes half = kAudio.frames(0, 2);
  half.resize(half.size() - 3);
  cut.write(half);
  CHECK(cut.finish().status == 400);

  http::Request no_epoch = origin.request("PUT", "/tracks/" + kStream + "/src-v");
  CHECK(origin.call(no_epoch).status == 400);
  CHECK(origin.call("GET", "/tracks/" + kStream + "/src-v?from=there").status == 400);
  CHECK(origin.call("PUT", "/streams/" + kStream + "/plan", "{}").status == 400);
}

TEST_CASE("a reader gets the init segment and every chunk as it comes, until the end") {
  MemoryStore store;
  Origin origin(store);
  set_plan(origin);
  Put video(origin, "src-v", 1, true, kVideo);
  video.write(kVideo.frames(0, 70));
  wait_for(origin, kLive + "/src-v.m3u8", "1-0.m4s");
  auto download = origin.await(
      http::Download::open(origin.address(), origin.request("GET", "/tracks/" + kStream + "/src-v?from=start")));
  REQUIRE(download);
  CHECK((*download)->head().status == 200);
  video.write(kVideo.frames(70, 80));
  CHECK(video.finish().status == 200);
  CHECK(origin.call("POST", "/streams/" + kStream + "/end").status == 200);
  CHECK(origin.call("POST", "/streams/" + kStream + "/end").status == 200);
  std::string got;
  for (;;) {
    const Result<ByteSpan> piece = origin.await((*download)->read_some());
    REQUIRE(piece);
    if (piece->empty()) break;
    got += as_text(*piece);
  }
  CHECK(got == as_text(kVideo.init() + kVideo.frames(0, 80)));
  CHECK(origin.call("GET", "/tracks/" + kStream + "/v720").status == 410);
}

TEST_CASE("a reconnect of the publisher is one discontinuity in all tracks, a worker's takeover none") {
  MemoryStore store;
  Origin origin(store);
  set_plan(origin, {"src-v", "v360"});
  {
    Put video(origin, "src-v", 1, true, kVideo);
    Put audio(origin, "src-a", 1, true, kAudio);
    Put rung(origin, "v360", 1, false, kVideo);
    video.write(kVideo.frames(0, 150));
    audio.write(kAudio.frames(0, 234));
    rung.write(kVideo.frames(0, 90));
    wait_for(origin, kLive + "/v360.m3u8", "1-0.m4s");
  }
  {
    Put rung(origin, "v360", 2, false, kVideo);
    rung.write(kVideo.frames(60, 150));
    wait_for(origin, kLive + "/v360.m3u8", "v360/2-1.m4s");
    Put video(origin, "src-v", 2, true, kVideo);
    Put audio(origin, "src-a", 2, true, kAudio);
    audio.write(kAudio.frames(467, 700));
    video.write(kVideo.frames(300, 421, 300));
    rung.write(kVideo.frames(300, 421, 300));
    for (const char* track : {"src-v", "src-a", "v360"}) {
      const std::string playlist = wait_for(origin, kLive + "/" + track + ".m3u8", "/2-4.m4s");
      CAPTURE(playlist);
      CHECK(count(playlist, "#EXT-X-DISCONTINUITY\n") == 1);
      CHECK(playlist.find("#EXT-X-DISCONTINUITY\n") < playlist.find("/2-3.m4s"));
      CHECK_FALSE(has(playlist, "GAP"));
    }
  }
}

TEST_CASE("killed and begun again: the same window, writers resume from head, no discontinuity") {
  MemoryStore store;
  std::string before;
  {
    Origin origin(store);
    set_plan(origin);
    Put video(origin, "src-v", 1, true, kVideo);
    Put audio(origin, "src-a", 1, true, kAudio);
    video.write(kVideo.frames(0, 310));
    audio.write(kAudio.frames(0, 485));
    before = wait_for(origin, kLive + "/src-v.m3u8", "1-4.m4s");
    CHECK(has(head_of(origin, "src-v"), R"("decode_time":930000,"decode_time_durable":900000)"));
  }
  {
    Origin origin(store);
    CHECK(origin.get(kLive + "/src-v.m3u8").body == before);
    CHECK(origin.get(kLive + "/src-v/1-3.m4s").body == as_text(kVideo.frames(180, 240)));
    CHECK(origin.get(kLive + "/src-v/init-0.mp4").body == as_text(kVideo.init()));
    CHECK(head_of(origin, "src-v") ==
          R"({"epoch":1,"decode_time":900000,"decode_time_durable":900000,"timescale":90000})");
    Put video(origin, "src-v", 1, true, kVideo);
    Put audio(origin, "src-a", 1, true, kAudio);
    video.write(kVideo.frames(300, 361));
    audio.write(kAudio.frames(460, 570));
    const std::string after = wait_for(origin, kLive + "/src-v.m3u8", "1-5.m4s");
    CHECK_FALSE(has(after, "DISCONTINUITY"));
    CHECK(count(after, "#EXTINF:2.000000,\n") == 6);
    CHECK(origin.get(kLive + "/src-v/1-5.m4s").body == as_text(kVideo.frames(300, 360)));
    const std::string sound = wait_for(origin, kLive + "/src-a.m3u8", "1-5.m4s");
    CHECK_FALSE(has(sound, "GAP"));
    origin.call("POST", "/streams/" + kStream + "/end");
    wait_for(origin, kLive + "/src-v.m3u8", "#EXT-X-ENDLIST");
  }
  Origin origin(store);
  const http::Response ended = origin.get(kLive + "/src-v.m3u8");
  CHECK(has(ended.body, "#EXT-X-ENDLIST"));
  CHECK(ended.fields.get("Cache-Control") == "public, max-age=31536000, immutable");
  CHECK(has(origin.get(kLive + "/index.mpd").body, "type=\"static\""));
  Put late(origin, "src-v", 9, true, kVideo);
  CHECK(late.finish().status == 410);
}

TEST_CASE("a publisher who comes back to another process begins a new period") {
  MemoryStore store;
  {
    Origin origin(store);
    set_plan(origin);
    Put video(origin, "src-v", 1, true, kVideo);
    Put audio(origin, "src-a", 1, true, kAudio);
    video.write(kVideo.frames(0, 130));
    audio.write(kAudio.frames(0, 200));
    wait_for(origin, kLive + "/src-v.m3u8", "1-1.m4s");
    Put early(origin, "src-v", 2, true, kVideo);  // its period has begun, and has no segment yet
    early.write(kVideo.frames(150, 151, 150));
    wait_until(origin, [&store] {
      const Result<Bytes> record = store.get("live/" + kStream + "/stream.json", 1'000'000);
      return record && has(std::string{as_text(*record)}, R"("period_epoch":2)");
    });
  }
  Origin origin(store);
  Put old(origin, "src-v", 1, true, kVideo);
  CHECK(old.finish().status == 409);
  Put video(origin, "src-v", 2, true, kVideo);
  Put audio(origin, "src-a", 2, true, kAudio);
  video.write(kVideo.frames(150, 271, 150));
  audio.write(kAudio.frames(235, 430));
  const std::string playlist = wait_for(origin, kLive + "/src-v.m3u8", "2-4.m4s");
  CHECK(count(playlist, "#EXT-X-DISCONTINUITY\n") == 1);
}

TEST_CASE("with a full disk a live goes on from memory, and health says why") {
  MemoryStore store;
  Origin origin(store);
  set_plan(origin);
  Put video(origin, "src-v", 1, true, kVideo);
  Put audio(origin, "src-a", 1, true, kAudio);
  store.fail_with(Error{Code::no_space, "disk full"});
  video.write(kVideo.frames(0, 121));
  audio.write(kAudio.frames(0, 200));
  wait_for(origin, kLive + "/src-v.m3u8", "1-1.m4s");
  CHECK(origin.get(kLive + "/src-v/1-1.m4s").body == as_text(kVideo.frames(60, 120)));
  CHECK(has(origin.health(), "disk full"));
  CHECK(has(head_of(origin, "src-v"), R"("decode_time_durable":0)"));
  store.fail_with(std::nullopt);
  video.write(kVideo.frames(121, 181));
  audio.write(kAudio.frames(200, 300));
  wait_for(origin, kLive + "/src-v.m3u8", "1-2.m4s");
  CHECK(origin.health().empty());
  CHECK(has(head_of(origin, "src-v"), R"("decode_time_durable":540000)"));
}

TEST_CASE("killed while the disk is full: numbers go on behind what players were told, and what is lost shows gaps") {
  MemoryStore store;
  {
    Origin origin(store);
    set_plan(origin);
    Put video(origin, "src-v", 1, true, kVideo);
    Put audio(origin, "src-a", 1, true, kAudio);
    video.write(kVideo.frames(0, 61));
    audio.write(kAudio.frames(0, 105));
    wait_for(origin, kLive + "/src-v.m3u8", "1-0.m4s");
    store.fail_with(Error{Code::no_space, "disk full"});
    video.write(kVideo.frames(61, 241));
    audio.write(kAudio.frames(105, 390));
    wait_for(origin, kLive + "/src-v.m3u8", "1-3.m4s");
    CHECK(has(head_of(origin, "src-v"), R"("decode_time_durable":180000)"));
  }
  for (int life = 0; life < 2; ++life) {  // killed again before anything came, it says the same
    Origin origin(store);
    const std::string playlist = origin.get(kLive + "/src-v.m3u8").body;
    CAPTURE(playlist);
    CHECK(has(playlist, "#EXT-X-MEDIA-SEQUENCE:0\n"));
    CHECK(count(playlist, "#EXT-X-GAP\n") == 3);
    CHECK(count(playlist, "#EXTINF:2.000000,\n") == 4);
    CHECK_FALSE(has(playlist, "DISCONTINUITY"));
    CHECK(has(head_of(origin, "src-v"), R"("decode_time_durable":720000)"));
    CHECK(has(origin.get(kLive + "/index.mpd").body, "<Period"));
  }
  {
    Origin origin(store);
    Put video(origin, "src-v", 1, true, kVideo);
    Put audio(origin, "src-a", 1, true, kAudio);
    video.write(kVideo.frames(180, 301));  // from an earlier key frame on: what is lost is not shown after all
    audio.write(kAudio.frames(282, 480));
    const std::string playlist = wait_for(origin, kLive + "/src-v.m3u8", "1-4.m4s");
    CHECK(count(playlist, "#EXT-X-GAP\n") == 3);
    CHECK(origin.get(kLive + "/src-v/1-4.m4s").body == as_text(kVideo.frames(240, 300)));
    CHECK(has(wait_for(origin, kLive + "/src-a.m3u8", "1-4.m4s"), "#EXT-X-GAP\n"));
    store.fail_with(std::nullopt);
    video.write(kVideo.frames(301, 361));
    audio.write(kAudio.frames(480, 580));
    wait_for(origin, kLive + "/src-v.m3u8", "1-5.m4s");
    for (const std::string& key : store.keys()) CHECK_FALSE(has(key, "announced."));
  }
  Origin origin(store);
  CHECK(has(origin.get(kLive + "/src-v.m3u8").body, "1-5.m4s"));
}

TEST_CASE("a reconnect while the disk is full: after a kill the discontinuity sequence has not gone back either") {
  MemoryStore store;
  std::string before;
  {
    Origin origin(store, {.window_segments = 3});
    set_plan(origin);
    {
      Put video(origin, "src-v", 1, true, kVideo);
      Put audio(origin, "src-a", 1, true, kAudio);
      video.write(kVideo.frames(0, 61));
      audio.write(kAudio.frames(0, 105));
      wait_for(origin, kLive + "/src-v.m3u8", "1-0.m4s");
      store.fail_with(Error{Code::no_space, "disk full"});
      video.write(kVideo.frames(61, 121));
      audio.write(kAudio.frames(105, 190));
      wait_for(origin, kLive + "/src-v.m3u8", "1-1.m4s");
    }
    Put video(origin, "src-v", 2, true, kVideo);
    Put audio(origin, "src-a", 2, true, kAudio);
    video.write(kVideo.frames(300, 601, 300));
    audio.write(kAudio.frames(467, 940));
    before = wait_for(origin, kLive + "/src-v.m3u8", "/2-6.m4s");
    CHECK(has(before, "#EXT-X-DISCONTINUITY-SEQUENCE:1\n"));
  }
  Origin origin(store, {.window_segments = 3});
  const std::string playlist = origin.get(kLive + "/src-v.m3u8").body;
  CAPTURE(playlist);
  CHECK(has(playlist, "#EXT-X-DISCONTINUITY-SEQUENCE:1\n"));
  CHECK(has(playlist, before.substr(before.find("#EXT-X-MEDIA-SEQUENCE:"), 24)));
  Put video(origin, "src-v", 2, true, kVideo);
  Put audio(origin, "src-a", 2, true, kAudio);
  video.write(kVideo.frames(600, 721, 600));
  audio.write(kAudio.frames(930, 1'130));
  wait_for(origin, kLive + "/src-v.m3u8", "/2-8.m4s");
}

TEST_CASE("a power cut that took segments' bytes shows gaps for them, and the rest plays on") {
  MemoryStore store;
  {
    Origin origin(store);
    set_plan(origin);
    Put video(origin, "src-v", 1, true, kVideo);
    Put audio(origin, "src-a", 1, true, kAudio);
    video.write(kVideo.frames(0, 241));
    audio.write(kAudio.frames(0, 390));
    wait_for(origin, kLive + "/src-v.m3u8", "1-3.m4s");
    wait_for(origin, kLive + "/src-a.m3u8", "1-3.m4s");
  }
  const std::string folder = "live/" + kStream + "/";
  store.cut(folder + "src-v/1-3.m4s", 0);
  store.cut(folder + "src-v/1-2.m4s", 7);
  REQUIRE(store.remove(folder + "src-a/1-3.m4s"));
  Origin origin(store);
  const std::string playlist = origin.get(kLive + "/src-v.m3u8").body;
  CHECK(count(playlist, "#EXT-X-GAP\n") == 2);
  CHECK(count(origin.get(kLive + "/src-a.m3u8").body, "#EXT-X-GAP\n") == 1);
  CHECK(origin.get(kLive + "/src-v/1-3.m4s").status == 404);
  CHECK(origin.get(kLive + "/src-v/1-1.m4s").body == as_text(kVideo.frames(60, 120)));
  CHECK(has(head_of(origin, "src-v"), R"("decode_time_durable":720000)"));
  Put video(origin, "src-v", 1, true, kVideo);
  Put audio(origin, "src-a", 1, true, kAudio);
  video.write(kVideo.frames(240, 301));
  audio.write(kAudio.frames(370, 480));
  CHECK_FALSE(has(wait_for(origin, kLive + "/src-v.m3u8", "1-4.m4s"), "DISCONTINUITY"));
}

TEST_CASE("a power cut takes no record and no init segment: the live goes on behind what was announced") {
  MemoryStore store;
  {
    Origin origin(store);
    set_plan(origin);
    Put video(origin, "src-v", 1, true, kVideo);
    Put audio(origin, "src-a", 1, true, kAudio);
    video.write(kVideo.frames(0, 241));
    audio.write(kAudio.frames(0, 390));
    wait_for(origin, kLive + "/src-v.m3u8", "1-3.m4s");
  }
  store.power_cut();
  Origin origin(store);
  const std::string playlist = origin.get(kLive + "/src-v.m3u8").body;
  CHECK(count(playlist, "#EXT-X-GAP\n") == count(playlist, "#EXTINF"));
  CHECK(count(playlist, "#EXTINF") >= 4);
  CHECK(origin.get(kLive + "/src-v/init-0.mp4").body == as_text(kVideo.init()));
  Put video(origin, "src-v", 2, true, kVideo);
  Put audio(origin, "src-a", 2, true, kAudio);
  video.write(kVideo.frames(600, 661, 600));
  audio.write(kAudio.frames(937, 1'040));
  const std::string after = wait_for(origin, kLive + "/src-v.m3u8", "/2-");
  CHECK(count(after, "#EXT-X-DISCONTINUITY\n") == 1);
  CHECK(has(after, "#EXT-X-MEDIA-SEQUENCE:0\n"));
}

TEST_CASE("a stream whose record or init segment is lost has ended: nothing of it begins anew from number 0") {
  for (const char* lost : {"stream.json", "src-v/init-0.mp4"}) {
    for (const std::size_t bytes : {std::size_t{0}, std::size_t{40}}) {
      CAPTURE(lost);
      CAPTURE(bytes);
      MemoryStore store;
      {
        Origin origin(store);
        set_plan(origin);
        Put video(origin, "src-v", 1, true, kVideo);
        Put audio(origin, "src-a", 1, true, kAudio);
        video.write(kVideo.frames(0, 121));
        audio.write(kAudio.frames(0, 200));
        wait_for(origin, kLive + "/src-v.m3u8", "1-1.m4s");
      }
      store.cut("live/" + kStream + "/" + lost, bytes);
      Origin origin(store);
      CHECK(origin.get(kLive + "/src-v.m3u8").status == 404);
      Put again(origin, "src-v", 2, true, kVideo);
      CHECK(again.finish().status == 410);
      CHECK(origin.call("DELETE", "/streams/" + kStream).status == 200);
      CHECK(store.keys().empty());
    }
  }
}

TEST_CASE("a full disk is not asked in a tight loop while segments wait for a slow rung") {
  MemoryStore store;
  Origin origin(store);
  set_plan(origin, {"src-v", "v360"});
  store.fail_with(Error{Code::no_space, "disk full"});
  Put video(origin, "src-v", 1, true, kVideo);
  Put rung(origin, "v360", 1, false, kVideo);
  rung.write(kVideo.frames(0, 10));
  video.write(kVideo.frames(0, 130));
  wait_until(origin, [&origin] { return !origin.health().empty(); });
  const std::size_t before = store.writes();
  wait_until(origin, [&] { return store.writes() > before; });  // tried again all the same
  CHECK(store.writes() <= before + 20);
}

TEST_CASE("with no plan the source is published alone after five seconds") {
  MemoryStore store;
  Origin origin(store);
  Put video(origin, "src-v", 1, true, kVideo);
  Put audio(origin, "src-a", 1, true, kAudio);
  video.write(kVideo.frames(0, 150));
  audio.write(kAudio.frames(0, 234));
  const std::string playlist = wait_for(origin, kLive + "/index.m3u8", "src-v.m3u8");
  CHECK(has(playlist, "RESOLUTION=322x182"));
  CHECK(has(playlist, "FRAME-RATE=30.000"));
  CHECK(has(playlist, "mp4a.40.2"));
  wait_for(origin, kLive + "/src-v.m3u8", "1-1.m4s");
  const http::Response late = origin.call("PUT", "/streams/" + kStream + "/plan", json_write(make_plan()));
  CHECK(late.status == 409);
}

TEST_CASE("a plan is taken once; the same again is fine") {
  MemoryStore store;
  Origin origin(store);
  set_plan(origin);
  set_plan(origin);
  const http::Response other =
      origin.call("PUT", "/streams/" + kStream + "/plan", json_write(make_plan({"src-v", "v360"})));
  CHECK(other.status == 409);
}

TEST_CASE("a removed stream leaves nothing behind and does not come back") {
  MemoryStore store;
  Origin origin(store);
  set_plan(origin);
  Put video(origin, "src-v", 1, true, kVideo);
  Put audio(origin, "src-a", 1, true, kAudio);
  video.write(kVideo.frames(0, 121));
  audio.write(kAudio.frames(0, 200));
  wait_for(origin, kLive + "/src-v.m3u8", "1-1.m4s");
  CHECK_FALSE(store.keys().empty());
  CHECK(origin.call("DELETE", "/streams/" + kStream).status == 200);
  CHECK(store.keys().empty());
  CHECK(video.finish().status == 410);
  CHECK(origin.get(kLive + "/src-v.m3u8").status == 404);
  Put late(origin, "src-v", 2, true, kVideo);
  CHECK(late.finish().status == 410);
}

TEST_CASE("what a removal could not remove is told, and goes when it is asked for again, also by another process") {
  MemoryStore store;
  REQUIRE(store.put("live/" + kStream + "/src-v/1-7.m4s", as_bytes("left by a process that was killed")));
  Origin origin(store);
  CHECK(origin.call("DELETE", "/streams/" + kStream).status == 200);
  CHECK(store.keys().empty());

  REQUIRE(store.put("live/" + kStream + "/src-v/1-7.m4s", as_bytes("left by a disk that failed")));
  store.break_removals(true);
  CHECK(origin.call("DELETE", "/streams/" + kStream).status >= 500);
  store.break_removals(false);
  CHECK(origin.call("DELETE", "/streams/" + kStream).status == 200);
  CHECK(store.keys().empty());
}

TEST_CASE("a stop stores what is ready, ends readers, and sends writers to the next process") {
  MemoryStore store;
  {
    Origin origin(store);
    set_plan(origin);
    Put video(origin, "src-v", 1, true, kVideo);
    Put audio(origin, "src-a", 1, true, kAudio);
    video.write(kVideo.frames(0, 121));
    audio.write(kAudio.frames(0, 200));
    wait_until(origin, [&origin] { return has(head_of(origin, "src-a"), R"("decode_time":204800,)"); });
    origin.drain();
    CHECK(video.finish().status == 503);
    CHECK(audio.finish().status == 503);
  }
  Origin origin(store);
  CHECK(has(origin.get(kLive + "/src-v.m3u8").body, "1-1.m4s"));
}

TEST_CASE("limits: streams at once, tracks of one stream") {
  MemoryStore store;
  Origin origin(store, {.streams_max = 1});
  set_plan(origin);
  std::vector<std::unique_ptr<http::Upload>> open;
  for (int i = 0; i < 16; ++i) open.push_back(origin.open_put(kStream, "t" + std::to_string(i), 1, false));
  for (auto& upload : open) CHECK(origin.await(upload->finish()).value().status == 200);
  auto one_more = origin.open_put(kStream, "t16", 1, false);
  CHECK(origin.await(one_more->finish()).value().status == 413);
  auto other = origin.open_put("fedcba9876543210", "src-v", 1, true);
  CHECK(origin.await(other->finish()).value().status == 413);
}

TEST_CASE("the store keeps the window and what is older for a while, no more") {
  MemoryStore store;
  Origin origin(store, {.window_segments = 3, .older_segments = 2});
  set_plan(origin);
  Put video(origin, "src-v", 1, true, kVideo);
  Put audio(origin, "src-a", 1, true, kAudio);
  for (std::int64_t second = 0; second < 30; second += 2) {
    video.write(kVideo.frames(second * 30, second * 30 + 60));
    audio.write(kAudio.frames(second * 48'000 / 1'024, (second + 2) * 48'000 / 1'024));
    if (second >= 4) {
      wait_for(origin, kLive + "/src-v.m3u8", "1-" + std::to_string(second / 2 - 2) + ".m4s");
    }
  }
  const std::string playlist = wait_for(origin, kLive + "/src-v.m3u8", "1-13.m4s");
  CHECK(has(playlist, "#EXT-X-MEDIA-SEQUENCE:11\n"));
  CHECK(origin.get(kLive + "/src-v/1-9.m4s").body == as_text(kVideo.frames(540, 600)));
  CHECK(origin.get(kLive + "/src-v/1-8.m4s").status == 404);
  const std::vector<std::string> keys = store.keys();
  CHECK(std::ranges::count_if(keys, [](const std::string& key) { return key.ends_with(".m4s"); }) <= 2 * (3 + 2 + 2));
}
