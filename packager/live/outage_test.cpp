// What a live keeps when its process is killed, its disk is full, or the power goes.
#include <doctest/doctest.h>

#include "packager/live/stream_testing.h"

using namespace ribalta;
using namespace ribalta::packager;
using namespace ribalta::packager::testing;

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
