// The door with its two neighbours, faked, on sockets of its own.
#pragma once

#include <atomic>
#include <cassert>
#include <chrono>
#include <string>
#include <vector>

#include "ingest/testing/fakes.h"

namespace ribalta::ingest::testing {

inline constexpr std::string_view kStream = "0123456789abcdef";

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
  Refusals refusals;
  std::unique_ptr<Door> door;
  std::atomic<int> epoch = 0;
  std::atomic<std::int64_t> start_unix_ms = 0;

  explicit House(IngestConfig config = {}) {
    config.rtmp_port = 0;
    config.rtmps_port = 0;
    const PublisherContext publishers{rooms, memory, metrics.counter("a", ""), metrics.counter("b", ""),
                                      metrics.counter("c", "")};
    const DoorContext context{publishers,
                              registry,
                              refusals,
                              metrics.counter("d", ""),
                              metrics.counter("e", ""),
                              metrics.gauge("f", ""),
                              metrics.gauge("g", "")};
    auto opened = Door::open(loops, config, context);
    assert(opened.has_value());
    door = std::move(*opened);
    loops.start();
  }
  ~House() { loops.stop(std::chrono::seconds{2}); }

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

  /// From here on publishers are read as among a thousand.
  void make_crowd() const {
    for (int i = 0; i < 1'000; ++i) door->pace().joined();
  }

  std::string url(std::string_view key) const {
    return "rtmp://127.0.0.1:" + std::to_string(door->rtmp_port()) + "/live/" + std::string{key};
  }
  FakeTrack track(std::string_view name) { return packager.tracks()[std::string{kStream} + "/" + std::string{name}]; }
  bool wait_chunks(std::size_t video, std::size_t audio, std::chrono::milliseconds limit = std::chrono::seconds{30}) {
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

}  // namespace ribalta::ingest::testing
