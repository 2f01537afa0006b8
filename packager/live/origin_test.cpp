// The live origin from outside: writers, workers and players over its socket.
#include <doctest/doctest.h>

#include "core/json.h"
#include "packager/live/stream_testing.h"
#include "packager/live/testing.h"

using namespace ribalta;
using namespace ribalta::packager;
using namespace ribalta::packager::testing;

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
  open.reserve(16);
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
