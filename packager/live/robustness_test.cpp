// The live origin when something of it throws, and while viewers take every thread that reads for them.
#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <thread>

#include "packager/live/stream_testing.h"

using namespace ribalta;
using namespace ribalta::packager;
using namespace ribalta::packager::testing;

namespace {

/// A live with one track, and its playlist once it lists the third segment; empty after ten seconds.
struct Live {
  Origin& origin;
  std::unique_ptr<http::Upload> upload;

  explicit Live(Origin& at) : origin(at) {
    set_plan(origin);
    upload = origin.open_put(kStream, "src-v", 1, true);
    REQUIRE(origin.await(upload->write(kVideo.init())));
  }
  void write(std::int64_t from, std::int64_t to) { REQUIRE(origin.await(upload->write(kVideo.frames(from, to)))); }
  bool lists(const std::string& segment) {
    for (int i = 0; i < 500; ++i) {
      if (origin.get(kLive + "/src-v.m3u8").body.find(segment) != std::string::npos) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds{20});
    }
    return false;
  }
};

}  // namespace

TEST_CASE("a store that throws costs a live a moment, not its life") {
  MemoryStore store;
  Origin origin(store);
  Live live{origin};
  live.write(0, 61);
  REQUIRE(live.lists("src-v/1-0.m4s"));
  store.throw_on_put(2);
  live.write(61, 181);
  CHECK(live.lists("src-v/1-2.m4s"));
  // And it ends as it should: nothing of the passes that threw still counts as under way.
  CHECK(origin.call("DELETE", "/streams/" + kStream).status == 200);
  CHECK(store.keys().empty());
}

TEST_CASE("viewers who wait for slow reads hold up no live: its segments are stored all the same") {
  MemoryStore store;
  Origin origin(store);
  Live live{origin};
  std::promise<void> opened;
  const std::shared_future<void> open{opened.get_future()};
  std::atomic<std::size_t> reading{0};
  LoopPool viewers{1};
  viewers.start();
  for (std::size_t i = 0; i < 10 * kBlockingThreads; ++i) {
    spawn(viewers.loop(0), "viewer", [](std::shared_future<void> until, std::atomic<std::size_t>& count) -> Task<void> {
      auto read = [until, &count]() -> Result<void> {
        ++count;
        until.wait();
        return {};
      };
      static_cast<void>(co_await run_blocking(read));
    }(open, reading));
  }
  while (reading < kBlockingThreads) std::this_thread::yield();
  live.write(0, 121);
  CHECK(live.lists("src-v/1-1.m4s"));
  CHECK(reading == kBlockingThreads);
  opened.set_value();
  viewers.stop(std::chrono::seconds{10});
}
