// One stream on an origin of a test: its writers, its plan, and what players are told of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/media/media_testing.h"
#include "packager/live/origin_testing.h"
#include "packager/live/testing.h"

namespace ribalta::packager::testing {

inline const std::string kStream = "0123456789abcdef";
inline const std::string kLive = "/live/" + kStream;

inline std::size_t count(const std::string& text, const std::string& what) {
  std::size_t found = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
  return found;
}
inline bool has(const std::string& text, const std::string& what) { return text.find(what) != std::string::npos; }

inline const TrackMaker kVideo{media::testing::video_config()};
inline const TrackMaker kAudio{media::testing::audio_config()};

/// A writer's connection that stays open.
struct Put {
  Origin& origin;
  std::unique_ptr<http::Upload> upload;
  Put(Origin& at, const std::string& track, std::int64_t epoch, bool source, const TrackMaker& maker)
      : origin(at), upload(at.open_put(kStream, track, epoch, source)) {
    write(maker.init());
  }
  /// Where the origin has cut the connection it fails, which `finish` tells.
  void write(const Bytes& bytes) { static_cast<void>(origin.await(upload->write(bytes))); }
  http::Response finish() { return origin.await(upload->finish()).value(); }
};

inline void set_plan(Origin& origin, const std::vector<std::string>& video = {"src-v"}) {
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
inline std::string wait_for(Origin& origin, const std::string& target, const std::string& what) {
  std::string text;
  wait_until(origin, [&] {
    text = origin.get(target).body;
    return has(text, what);
  });
  CAPTURE(text);
  REQUIRE(has(text, what));
  return text;
}
inline std::string head_of(Origin& origin, const std::string& track) {
  return origin.call("GET", "/tracks/" + kStream + "/" + track + "/head").body;
}

}  // namespace ribalta::packager::testing
