// Real publishers against the real door; the packager and the control plane are fakes. What is not installed is left
// out, and said so.
#include <doctest/doctest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <csignal>
#include <future>

#include "core/json.h"
#include "ingest/rtmp/testing/publisher.h"
#include "ingest/testing/fakes.h"

using namespace ribalta;
using namespace ribalta::ingest;
using namespace ribalta::ingest::testing;
using namespace std::chrono_literals;

namespace {

constexpr std::string_view kStream = "0123456789abcdef";

/// The door with its two neighbours.
struct House {
  TemporaryFolder folder;
  LoopPool loops{2};
  Metrics metrics;
  FakePackager packager{loops, folder.path() / "packager.sock"};
  FakeControl control{loops, folder.path() / "control.sock", [this](const FakeCall& call) { return answer(call); }};
  Rooms rooms{http::Address{.unix_path = (folder.path() / "control.sock").string()},
              http::Address{.unix_path = (folder.path() / "packager.sock").string()}, "secret of the test",
              NodeId::random()};
  KeyMemory memory{folder.path() / "keys.json", "secret of the test"};
  Registry registry;
  std::unique_ptr<Door> door;
  std::atomic<int> epoch = 0;
  std::atomic<std::int64_t> start_unix_ms = 0;

  explicit House(IngestConfig config = {}) {
    config.rtmp_port = 0;
    config.rtmps_port = 0;
    const PublisherContext publishers{rooms, memory, metrics.counter("a", ""), metrics.counter("b", ""),
                                      metrics.counter("c", "")};
    const DoorContext context{publishers, registry, metrics.counter("d", ""), metrics.counter("e", ""),
                              metrics.gauge("f", "")};
    auto opened = Door::open(loops, config, context);
    REQUIRE(opened.has_value());
    door = std::move(*opened);
    loops.start();
  }
  ~House() { loops.stop(2s); }

  http::Response answer(const FakeCall& call) {
    if (call.path == "/internal/v1/publish") {
      if (call.body.find("\"good\"") == std::string::npos) {
        return http::Response::error(403, "wrong_key", "The stream key is wrong, says the test.");
      }
      const int next = ++epoch;
      if (next == 1) start_unix_ms = to_unix_ms(wall_now());
      return http::Response::json(200, "{\"stream\":\"" + std::string{kStream} +
                                           "\",\"epoch\":" + std::to_string(next) +
                                           ",\"user\":\"u\",\"resumed\":" + (next > 1 ? "true" : "false") +
                                           ",\"start_unix_ms\":" + std::to_string(start_unix_ms) + "}");
    }
    if (call.path.find("/heartbeat") != std::string::npos) return http::Response::json(200, R"({"action":"go"})");
    return http::Response::json(200, "{}");
  }

  std::string url(std::string_view key) const {
    return "rtmp://127.0.0.1:" + std::to_string(door->rtmp_port()) + "/live/" + std::string{key};
  }
  FakeTrack track(std::string_view name) { return packager.tracks()[std::string{kStream} + "/" + std::string{name}]; }
  bool wait_chunks(std::size_t video, std::size_t audio, std::chrono::milliseconds limit = 30s) {
    return packager.wait_for(
        [&](const auto& tracks) {
          const auto count = [&](std::string_view name) {
            const auto found = tracks.find(std::string{kStream} + "/" + std::string{name});
            return found == tracks.end() ? 0 : found->second.chunks.size();
          };
          return count("src-v") >= video && count("src-a") >= audio;
        },
        limit);
  }
};

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
  CHECK(reports[0].body.find("\"fps\":3") != std::string::npos);
  CHECK(reports[0].body.find("\"keyframe_interval_ms\":1000") != std::string::npos);
  CHECK(reports[0].body.find("mp4a.40.2") != std::string::npos);
  for (const FakeCall& call : house.control.calls("")) {
    if (call.path != "/internal/v1/publish") CHECK(call.body.find("good") == std::string::npos);
  }
}
