// Real publishers against the real door; the packager and the control plane are fakes. What is not installed is left
// out, and said so.
#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>

#include "ingest/testing/client.h"
#include "ingest/testing/house.h"

using namespace ribalta;
using namespace ribalta::ingest;
using namespace ribalta::ingest::testing;
using namespace std::chrono_literals;

namespace {

std::vector<std::string> ffmpeg(const std::string& url, const std::string& seconds, bool video = true,
                                bool audio = true) {
  std::vector<std::string> line{"ffmpeg", "-nostdin", "-loglevel", "info", "-re"};
  if (video) line.insert(line.end(), {"-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30"});
  if (audio) line.insert(line.end(), {"-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100"});
  if (video)
    line.insert(line.end(), {"-c:v", "libx264", "-preset", "veryfast", "-g", "30", "-bf", "2", "-pix_fmt", "yuv420p"});
  if (audio) line.insert(line.end(), {"-c:a", "aac", "-b:a", "96k"});
  line.insert(line.end(), {"-t", seconds, "-f", "flv", url});
  return line;
}

void check_whole(const FakeTrack& track) {
  for (const std::string& complaint : track.complaints) FAIL_CHECK(complaint);
  REQUIRE_FALSE(track.chunks.empty());
  CHECK(track.chunks.front().key);
}

}  // namespace

TEST_CASE("live: FFmpeg's picture and sound arrive whole on one timeline, with a source report") {
  if (!is_installed("ffmpeg")) {
    MESSAGE("left out: ffmpeg is not installed");
    return;
  }
  House house;
  Process publisher{ffmpeg(house.url("good"), "4"), house.folder.path() / "ffmpeg.log"};
  CHECK(publisher.wait() == 0);
  CHECK(house.wait_chunks(119, 80));
  CHECK(house.control.wait_for(
      "/heartbeat",
      [](const auto& calls) { return !calls.empty() && calls.back().body.find("interrupted") != std::string::npos; },
      10s));
  const FakeTrack video = house.track("src-v");
  const FakeTrack audio = house.track("src-a");
  check_whole(video);
  check_whole(audio);
  CHECK(video.chunks.size() == 120);
  CHECK(video.inits.size() == 1);
  CHECK(video.inits[0].width == 320);
  CHECK(video.timescale == 90'000);
  CHECK(audio.timescale == 44'100);
  std::int64_t video_ticks = 0;
  for (const FakeTrack::Chunk& chunk : video.chunks) video_ticks += chunk.decode_end - chunk.decode_time;
  CHECK(video_ticks == video.chunks.back().decode_end - video.chunks.front().decode_time);  // no gap
  CHECK(std::abs(video.chunks.back().decode_end - 4 * 90'000) < 9'000);
  for (std::size_t i = 1; i < audio.chunks.size(); ++i)
    CHECK(audio.chunks[i].decode_time == audio.chunks[i - 1].decode_end);
  CHECK(std::min(video.chunks.front().decode_time, audio.chunks.front().decode_time) == 0);

  const std::vector<FakeCall> reports = house.control.calls("/source");
  REQUIRE(reports.size() == 1);
  CHECK(reports[0].body.find("\"passthrough\":true") != std::string::npos);
  CHECK(reports[0].body.find("\"fps\":30") != std::string::npos);
  CHECK(reports[0].body.find("\"keyframe_interval_ms\":1000") != std::string::npos);
  CHECK(reports[0].body.find("mp4a.40.2") != std::string::npos);
  for (const FakeCall& call : house.control.calls("")) {
    if (call.path != "/internal/v1/publish") CHECK(call.body.find("good") == std::string::npos);
  }
}

TEST_CASE("live: among a crowd, several frames are read and written at a time") {
  if (!is_installed("ffmpeg")) return;
  House house;
  house.make_crowd();
  Process publisher{ffmpeg(house.url("good"), "4"), house.folder.path() / "ffmpeg.log"};
  CHECK(publisher.wait() == 0);
  CHECK(house.wait_chunks(120, 80));
  const FakeTrack video = house.track("src-v");
  check_whole(video);
  CHECK(video.chunks.size() == 120);
  CHECK(video.reads <= 70);  // one in 80 ms: 50, and the first before the crowd's pauses
}

TEST_CASE("live: among a crowd, a publisher of 8 Mbit/s is read whole and keeps up") {
  if (!is_installed("ffmpeg")) {
    MESSAGE("left out: ffmpeg is not installed");
    return;
  }
  House house;
  house.make_crowd();
  std::vector<std::string> line = ffmpeg(house.url("good"), "4");
  const auto codec = std::ranges::find(line, "-pix_fmt");
  line.insert(codec,
              {"-b:v", "8M", "-minrate", "8M", "-maxrate", "8M", "-bufsize", "8M", "-x264-params", "nal-hrd=cbr"});
  const auto begun = std::chrono::steady_clock::now();
  Process publisher{line, house.folder.path() / "ffmpeg.log"};
  CHECK(publisher.wait() == 0);
  CHECK(house.wait_chunks(120, 86));
  CHECK(std::chrono::steady_clock::now() - begun < 12s);  // 4 s of media: no window stays closed for long
  const FakeTrack video = house.track("src-v");
  check_whole(video);
  check_whole(house.track("src-a"));
  CHECK(video.chunks.size() == 120);
  for (std::size_t i = 1; i < video.chunks.size(); ++i)
    CHECK(video.chunks[i].decode_time == video.chunks[i - 1].decode_end);
}

TEST_CASE("live: GStreamer's two RTMP sinks are taken too") {
  for (const std::string sink : {"rtmp2sink", "rtmpsink"}) {
    if (std::system(("gst-inspect-1.0 " + sink + " > /dev/null 2>&1").c_str()) != 0) {
      MESSAGE("left out: GStreamer's " << sink << " is not installed");
      continue;
    }
    House house;
    Process publisher{{"gst-launch-1.0",
                       "-e",
                       "videotestsrc",
                       "is-live=true",
                       "num-buffers=60",
                       "!",
                       "video/x-raw,width=320,height=180,framerate=30/1",
                       "!",
                       "x264enc",
                       "speed-preset=ultrafast",
                       "tune=zerolatency",
                       "key-int-max=30",
                       "!",
                       "video/x-h264,profile=main",
                       "!",
                       "flvmux",
                       "name=mux",
                       "streamable=true",
                       "!",
                       sink,
                       "location=" + house.url("good"),
                       "audiotestsrc",
                       "is-live=true",
                       "num-buffers=80",
                       "!",
                       "voaacenc",
                       "!",
                       "mux."},
                      house.folder.path() / "gst.log"};
    CHECK(publisher.wait() == 0);
    CHECK_MESSAGE(house.wait_chunks(58, 20), sink << ": " << publisher.log());
    check_whole(house.track("src-v"));
    check_whole(house.track("src-a"));
  }
}

TEST_CASE("live: sound alone and picture alone are streams too") {
  if (!is_installed("ffmpeg")) return;
  {
    House house;
    Process publisher{ffmpeg(house.url("good"), "5", false, true), house.folder.path() / "ffmpeg.log"};
    CHECK(house.control.wait_for("/source", [](const auto& calls) { return !calls.empty(); }, 20s));
    CHECK(house.control.calls("/source").at(0).body.find("\"video\"") == std::string::npos);
    CHECK(publisher.wait() == 0);
    check_whole(house.track("src-a"));
    CHECK(house.track("src-v").chunks.empty());
  }
  House house;
  Process publisher{ffmpeg(house.url("good"), "2", true, false), house.folder.path() / "ffmpeg.log"};
  CHECK(publisher.wait() == 0);
  CHECK(house.wait_chunks(59, 0));
  check_whole(house.track("src-v"));
}

TEST_CASE("live: a publisher who comes back goes on with the same tracks at the distance of the wall clock") {
  if (!is_installed("ffmpeg")) return;
  House house;
  {
    Process publisher{ffmpeg(house.url("good"), "60"), house.folder.path() / "ffmpeg.log"};
    REQUIRE(house.wait_chunks(40, 20));
    publisher.signal(SIGKILL);
    publisher.wait();
  }
  CHECK(house.control.wait_for(
      "/heartbeat",
      [](const auto& calls) { return !calls.empty() && calls.back().body.find("interrupted") != std::string::npos; },
      10s));
  const std::size_t before = house.track("src-v").chunks.size();
  Process again{ffmpeg(house.url("good"), "3"), house.folder.path() / "ffmpeg2.log"};
  CHECK(again.wait() == 0);
  REQUIRE(house.wait_chunks(before + 80, 40));
  const FakeTrack video = house.track("src-v");
  check_whole(video);
  check_whole(house.track("src-a"));
  std::size_t second = 0;
  while (second < video.chunks.size() && video.chunks[second].epoch == 1) ++second;
  REQUIRE(second < video.chunks.size());
  CHECK(video.chunks[second].epoch == 2);
  CHECK(video.chunks[second].key);
  CHECK(video.chunks[second].decode_time > video.chunks[second - 1].decode_end);  // the interruption is there
}

TEST_CASE("live: a publisher who comes back at once never finds its own key busy") {
  std::atomic<bool> on_air = false;  // before the house, whose control plane goes on hearing heartbeats to its end
  House house;
  house.control.answer_with([&](const FakeCall& call) {
    if (call.path.find("/heartbeat") != std::string::npos) {
      on_air = call.body.find("interrupted") == std::string::npos;
    } else if (call.path == "/internal/v1/publish") {
      if (on_air.exchange(true)) return http::Response::error(403, "busy", "Busy, says the test.");
    }
    return house.answer(call);
  });
  for (int round = 0; round < 20; ++round) {
    Client client{house.door->rtmp_port()};
    client.connect_as_publisher();
    client.send(client.publisher.publish("good"));
    REQUIRE_MESSAGE(client.hears("NetStream.Publish.Start"), "round " << round << ": " << client.text());
  }
}

TEST_CASE("live: a packager that restarts gets everything from its head again, without a hole") {
  if (!is_installed("ffmpeg")) return;
  House house;
  SUBCASE("alone") {}
  SUBCASE("in a crowd") { house.make_crowd(); }
  Process publisher{ffmpeg(house.url("good"), "6"), house.folder.path() / "ffmpeg.log"};
  REQUIRE(house.wait_chunks(70, 30));
  house.packager.restart();
  CHECK(publisher.wait() == 0);
  CHECK(house.wait_chunks(179, 120));
  for (const char* name : {"src-v", "src-a"}) {
    const FakeTrack track = house.track(name);
    check_whole(track);
    CHECK(track.puts == 2);
    for (std::size_t i = 1; i < track.chunks.size(); ++i)
      REQUIRE(track.chunks[i].decode_time == track.chunks[i - 1].decode_end);
  }
}

TEST_CASE("live: a packager that is away for a moment loses nothing") {
  if (!is_installed("ffmpeg")) return;
  House house;
  house.packager.refuse(503);
  Process publisher{ffmpeg(house.url("good"), "4"), house.folder.path() / "ffmpeg.log"};
  CHECK(house.packager.wait_for(
      [](const auto& tracks) { return tracks.size() == 2 && tracks.begin()->second.puts > 3; }, 20s));
  house.packager.refuse(0);
  CHECK(publisher.wait() == 0);
  CHECK(house.wait_chunks(120, 80));
  check_whole(house.track("src-v"));
  CHECK(house.track("src-v").chunks.front().decode_time == 0);
}

TEST_CASE("live: a publisher whose epoch is overtaken is told and closed") {
  if (!is_installed("ffmpeg")) return;
  House house;
  SUBCASE("alone") {}
  SUBCASE("in a crowd") { house.make_crowd(); }
  Process publisher{ffmpeg(house.url("good"), "60"), house.folder.path() / "ffmpeg.log"};
  REQUIRE(house.wait_chunks(20, 10));
  house.packager.refuse(409);
  house.packager.restart();
  publisher.wait();  // it would go on for a minute
  CHECK(house.registry.all().empty());
}

TEST_CASE("live: the control plane ends a stream through a heartbeat") {
  if (!is_installed("ffmpeg")) return;
  House house;
  SUBCASE("alone") {}
  SUBCASE("in a crowd") { house.make_crowd(); }
  house.control.answer_with([&house](const FakeCall& call) {
    if (call.path.find("/heartbeat") != std::string::npos) return http::Response::json(200, R"({"action":"end"})");
    return house.answer(call);
  });
  Process publisher{ffmpeg(house.url("good"), "60"), house.folder.path() / "ffmpeg.log"};
  publisher.wait();
  CHECK(house.control.calls("/publish").size() == 1);
}

TEST_CASE("live: while the control plane is down, a key that it accepted may go on, another may not") {
  if (!is_installed("ffmpeg")) return;
  House house;
  {
    Process publisher{ffmpeg(house.url("good"), "1"), house.folder.path() / "ffmpeg.log"};
    CHECK(publisher.wait() == 0);
  }
  REQUIRE(house.wait_chunks(29, 10));
  house.control.answer_with([](const FakeCall&) { return http::Response::text(503, "down"); });
  Process again{ffmpeg(house.url("good"), "1"), house.folder.path() / "ffmpeg2.log"};
  CHECK(again.wait() == 0);
  CHECK(house.wait_chunks(58, 20));
  CHECK(house.track("src-v").chunks.back().epoch == 2);
  Process stranger{ffmpeg(house.url("unknown"), "1"), house.folder.path() / "ffmpeg3.log"};
  CHECK(stranger.wait() != 0);
}

TEST_CASE("live: RTMPS, with a certificate") {
  if (!is_installed("ffmpeg") || !is_installed("openssl")) return;
  const TemporaryFolder folder;
  const std::string cert = (folder.path() / "cert.pem").string();
  const std::string key = (folder.path() / "key.pem").string();
  REQUIRE(std::system(("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout " + key +
                       " -out " + cert + " 2>/dev/null")
                          .c_str()) == 0);
  House house{IngestConfig{.tls_cert = cert, .tls_key = key}};
  Process publisher{ffmpeg("rtmps://127.0.0.1:" + std::to_string(house.door->rtmps_port()) + "/live/good", "2"),
                    house.folder.path() / "ffmpeg.log"};
  CHECK(publisher.wait() == 0);
  CHECK(house.wait_chunks(59, 30));
  check_whole(house.track("src-v"));
}
