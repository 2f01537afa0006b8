// What is taken down, hidden or changed, and what the edge still has of it.
#include <doctest/doctest.h>

#include <csignal>
#include <fstream>
#include <string>

#include "edge/testing/machine.h"

namespace ribalta::edge {
namespace {

using testing::cache_status;
using testing::is_hit;
using testing::Machine;
using testing::new_id;
using testing::until;

TEST_CASE("edge: a video that is gone stops at once by a purge, and within seconds without") {
  Machine machine;
  const std::string purged = new_id();
  const std::string expired = new_id();
  const std::string one = "/v/" + purged + "/1/v720/1.m4s";
  const std::string two = "/v/" + expired + "/1/v720/1.m4s";
  machine.set("video:" + purged + ":access", "public");
  machine.set("video:" + expired + ":access", "public");
  CHECK(machine.get(one).status == 200);
  CHECK(machine.get(two).status == 200);
  machine.set("video:" + purged + ":access", "gone");
  machine.set("video:" + expired + ":access", "gone");
  machine.publish_purge("video:" + purged);
  CHECK(machine.get(one).status == 410);
  CHECK(until([&] { return machine.get(two).status == 410; }));
}

TEST_CASE("edge: after a purge, cached media of the tag are asked for again, those of others are not") {
  Machine machine;
  const std::string purged = "/live/" + new_id() + "/v720/1-1.m4s";
  const std::string kept = "/live/" + new_id() + "/v720/1-1.m4s";
  machine.get(purged);
  machine.get(kept);
  machine.publish("rubbish");
  machine.publish_purge("stream:" + purged.substr(6, 16));
  CHECK(cache_status(machine.get(purged)).find("fwd=miss") != std::string::npos);
  CHECK(is_hit(machine.get(kept)));
}

TEST_CASE("edge: purged media leave the cache's disk, those of others stay, and nginx goes on counting right") {
  Machine machine;
  const std::string video = new_id();
  const std::string stream = new_id();
  const std::string kept = "/v/" + new_id() + "/1/v720/1.m4s";
  machine.get(kept);
  for (int i = 1; i <= 20; ++i) machine.get("/v/" + video + "/1/v720/" + std::to_string(i) + ".m4s");
  machine.get("/t/" + machine.token("/v/" + video + "/") + "/v/" + video + "/1/index.m3u8");
  machine.get("/live/" + stream + "/v720/1-1.m4s");
  const auto files = [&machine](const std::string& of) {
    std::size_t found = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(machine.path("cache/edge/media"))) {
      if (!entry.is_regular_file()) continue;
      std::ifstream file{entry.path(), std::ios::binary};
      const std::string text{std::istreambuf_iterator<char>{file}, {}};
      if (text.find(of) != std::string::npos) ++found;
    }
    return found;
  };
  REQUIRE(files(video) == 21);
  REQUIRE(files(stream) == 1);
  machine.publish_purge("video:" + video);
  CHECK(until([&] { return files(video) == 0; }));
  CHECK(until([&] { return machine.metric("ribalta_edge_purged_files_total ") == 21; }));
  CHECK(files(stream) == 1);
  CHECK(is_hit(machine.get(kept)));
  machine.publish_purge("stream:" + stream);
  CHECK(until([&] { return files(stream) == 0; }));
  // What is asked for again is stored again, and found.
  const std::string again = "/v/" + video + "/1/v720/1.m4s";
  CHECK(cache_status(machine.get(again)).find("fwd=miss; stored") != std::string::npos);
  CHECK(is_hit(machine.get(again)));
  machine.nginx->signal(SIGHUP);  // the thread ends with its worker, and the next one has its own
  REQUIRE(until([&] { return machine.metric("ribalta_edge_redis_connected ") == 2; }));
  machine.wait_for_redis();
  machine.publish_purge("video:" + video);
  CHECK(until([&] { return files(video) == 0; }));
  CHECK(is_hit(machine.get(kept)));
  for (const char* word : {"[alert]", "[crit]", "[emerg]"}) {
    CHECK(machine.log("edge-error.log").find(word) == std::string::npos);
  }
}

TEST_CASE("edge: a broadcast that is gone is refused before the cache, behind a token and after a restart too") {
  Machine machine;
  const std::string stream = new_id();
  const std::string segment = "/live/" + stream + "/v720/1-1.m4s";
  const std::string playlist = "/live/" + stream + "/v720.m3u8";
  const std::string opened = "/t/" + machine.token("/live/" + stream + "/") + segment;
  for (const std::string& target : {segment, playlist, opened}) REQUIRE(machine.get(target).status == 200);
  CHECK(is_hit(machine.get(segment)));
  machine.set("stream:" + stream + ":origin", "gone");
  machine.publish_purge("stream:" + stream);
  for (const std::string& target : {segment, playlist, opened}) CHECK(machine.get(target).status == 410);
  CHECK(machine.get("/live/" + new_id() + "/v720/1-1.m4s").status == 200);
  // The purge is forgotten with the shared memory, and the media are still on the disk.
  machine.nginx->kill_and_wait(SIGTERM);
  machine.start_nginx();
  machine.wait_for_redis();
  for (const std::string& target : {segment, playlist, opened}) CHECK(machine.get(target).status == 410);
}

TEST_CASE(
    "edge: with Redis away, what was taken down meanwhile plays from the cache until Redis is back, and no longer") {
  Machine machine;
  const std::string video = new_id();
  const std::string cached = "/v/" + video + "/1/v720/1.m4s";
  machine.set("video:" + video + ":access", "public");
  CHECK(machine.get(cached).status == 200);
  machine.redis.reset();
  REQUIRE(until([&] { return machine.metric("ribalta_edge_redis_connected ") == 0; }));
  CHECK(is_hit(machine.get(cached)));                 // docs/redis.md: the last answer counts
  machine.start_redis();                              // empty
  machine.set("video:" + video + ":access", "gone");  // as the control plane says at each connection
  machine.wait_for_redis();
  CHECK(until([&] { return machine.get(cached).status == 410; }));
}

TEST_CASE("edge: a video that was hidden comes back as it was, from the cache") {
  Machine machine;
  const std::string video = new_id();
  const std::string segment = "/v/" + video + "/1/v720/1.m4s";
  machine.set("video:" + video + ":access", "public");
  CHECK(machine.get(segment).status == 200);
  machine.set("video:" + video + ":access", "token");
  machine.publish_purge("video:" + video);
  CHECK(machine.get(segment).status == 403);
  CHECK(machine.get("/t/" + machine.token("/v/" + video + "/") + segment).status == 200);
  machine.set("video:" + video + ":access", "public");  // without a purge
  CHECK(until([&] { return machine.get(segment).status == 200; }));
}

}  // namespace
}  // namespace ribalta::edge
