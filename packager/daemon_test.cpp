// The program itself, as the supervisor runs it: configuration, readiness, kill -9 in the middle of a live, Redis.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <condition_variable>
#include <fstream>
#include <functional>
#include <mutex>
#include <set>

#include "core/json.h"
#include "core/redis/redis.h"
#include "packager/live/origin_testing.h"
#include "packager/live/testing.h"

using namespace ribalta;
using namespace ribalta::packager;
using namespace ribalta::packager::testing;
using media::testing::output_of;

namespace {

const std::string kStream = "0123456789abcdef";
const std::string kLive = "/live/" + kStream;

/// A child process that is killed with the test.
class Child {
 public:
  explicit Child(std::vector<std::string> words, int ready = -1) {
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    if (ready >= 0) posix_spawn_file_actions_adddup2(&actions, ready, 3);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    std::string descriptor = "RIBALTA_READY_FD=3";
    std::string path = "PATH=/usr/sbin:/usr/bin:/bin";
    char* environment[] = {path.data(), descriptor.data(), nullptr};
    REQUIRE(::posix_spawnp(&process_, arguments[0], &actions, nullptr, arguments.data(), environment) == 0);
    posix_spawn_file_actions_destroy(&actions);
  }
  ~Child() { end(SIGKILL); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  int end(int signal) {
    if (process_ <= 0) return -1;
    ::kill(process_, signal);
    int status = 0;
    ::waitpid(std::exchange(process_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  pid_t process_ = -1;
};

/// A data folder, and the program's lives on it.
struct House {
  ribalta::testing::TemporaryFolder folder;
  LoopPool loops{1};
  http::Address address;
  std::optional<Child> redis;
  std::optional<Child> packager;

  House() {
    loops.start();
    address.unix_path = folder.path() / "run/packager.sock";
    std::filesystem::create_directories(folder.path() / "secrets");
    std::ofstream{folder.path() / "secrets/node"} << std::string(64, 'a');
    std::ofstream{folder.path() / "ribalta.toml"} << "[node]\ndata = \"" << folder.path().string() << "\"\n"
                                                  << "[log]\nlevel = \"warning\"\n[packager]\nwindow_segments = 4\n";
  }
  ~House() { loops.stop(std::chrono::milliseconds{0}); }
  House(const House&) = delete;
  House& operator=(const House&) = delete;

  void start() {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    packager.emplace(std::vector<std::string>{RIBALTA_PACKAGER_PROGRAM, "--config", folder.path() / "ribalta.toml"},
                     ends[1]);
    ::close(ends[1]);
    char c = 0;
    REQUIRE(::read(ends[0], &c, 1) == 1);
    ::close(ends[0]);
  }
  http::Response call(std::string method, std::string target, std::string body = {}) {
    http::Request request{.method = method, .target = target, .body = std::move(body)};
    request.fields.set(kNodeField, sign_internal(std::string(64, 'a'), NodeId::random(), method, target, wall_now()));
    return ribalta::testing::run_on(loops, http::call(address, std::move(request))).value();
  }
  std::string get(std::string target) { return call("GET", std::move(target)).body; }
  std::unique_ptr<http::Upload> put(const std::string& track, const Bytes& init) {
    http::Request head{.method = "PUT", .target = "/tracks/" + kStream + "/" + track};
    head.fields.set(kNodeField, sign_internal(std::string(64, 'a'), NodeId::random(), "PUT", head.target, wall_now()));
    head.fields.set("Ribalta-Epoch", "1");
    head.fields.set("Ribalta-Source", "1");
    auto upload = ribalta::testing::run_on(loops, http::Upload::open(address, std::move(head))).value();
    write(*upload, init);
    return upload;
  }
  bool write(http::Upload& upload, const Bytes& bytes) {
    return ribalta::testing::run_on(loops, upload.write(bytes)).has_value();
  }
  /// Nothing is held for who asks too early: it asks again, as a player does.
  bool comes(const std::string& target, const std::string& what) {
    for (int i = 0; i < 500; ++i) {
      if (get(target).find(what) != std::string::npos) return true;
      ::usleep(20'000);
    }
    return false;
  }
};

/// What happens to one key of Redis, as Redis itself tells it (notify-keyspace-events).
class KeyEvents {
 public:
  KeyEvents(const LoopPool& loops, const std::string& address, const std::string& key) : loops_(loops) {
    const auto begin = [](KeyEvents& self, std::string where, std::string channel) -> Task<void> {
      self.subscriber_ = redis::Subscriber::create(self.loops_.loop(0), where);
      self.subscriber_->subscribe(channel, [&self](std::string_view, std::string_view event) { self.add(event); });
      self.subscriber_->on_subscribed([&self] { self.add("subscribed"); });
      co_return;
    };
    ribalta::testing::run_on(loops_, begin(*this, address, "__keyspace@0__:" + key));
    REQUIRE(wait_for("subscribed"));
  }
  ~KeyEvents() {
    const auto end = [](KeyEvents& self) -> Task<void> {
      self.subscriber_.reset();
      co_return;
    };
    ribalta::testing::run_on(loops_, end(*this));
  }
  KeyEvents(const KeyEvents&) = delete;
  KeyEvents& operator=(const KeyEvents&) = delete;
  /// Returns once this has happened (false: not within 20 s).
  bool wait_for(const std::string& event) {
    return wait_until([&] { return events_.contains(event); });
  }
  /// Returns once this holds; looked at now and after each event (false: not within 20 s).
  bool wait_until(const std::function<bool()>& holds) {
    std::unique_lock lock{mutex_};
    return happened_.wait_for(lock, std::chrono::seconds{20}, holds);
  }

 private:
  void add(std::string_view event) {
    const std::lock_guard lock{mutex_};
    events_.emplace(event);
    happened_.notify_all();
  }
  const LoopPool& loops_;
  std::shared_ptr<redis::Subscriber> subscriber_;
  std::mutex mutex_;
  std::condition_variable happened_;
  std::set<std::string> events_;
};

const TrackMaker kVideo{media::testing::video_config()};
const TrackMaker kAudio{media::testing::audio_config()};

}  // namespace

TEST_CASE("killed in the middle of a live: the window is there at once, and the live goes on in it") {
  House house;
  house.start();
  CHECK(house.get("/healthz") == "ok\n");
  REQUIRE(house.call("PUT", "/streams/" + kStream + "/plan", json_write(make_plan())).status == 200);
  auto video = house.put("src-v", kVideo.init());
  auto audio = house.put("src-a", kAudio.init());
  house.write(*video, kVideo.frames(0, 310));
  house.write(*audio, kAudio.frames(0, 485));
  REQUIRE(house.comes(kLive + "/src-v.m3u8", "1-4.m4s"));
  const std::string before = house.get(kLive + "/src-v.m3u8");
  CHECK(before.find("#EXT-X-MEDIA-SEQUENCE:1\n") != std::string::npos);
  CHECK(house.packager->end(SIGKILL) == -SIGKILL);

  house.start();
  CHECK(house.get(kLive + "/src-v.m3u8") == before);
  CHECK(house.get(kLive + "/src-v/1-2.m4s") == as_text(kVideo.frames(120, 180)));
  video = house.put("src-v", kVideo.init());
  audio = house.put("src-a", kAudio.init());
  house.write(*video, kVideo.frames(300, 361));
  house.write(*audio, kAudio.frames(460, 570));
  REQUIRE(house.comes(kLive + "/src-v.m3u8", "1-5.m4s"));
  const std::string after = house.get(kLive + "/src-v.m3u8");
  CHECK(after.find("#EXT-X-MEDIA-SEQUENCE:2\n") != std::string::npos);
  CHECK(after.find("DISCONTINUITY") == std::string::npos);
  CHECK(house.comes("/metrics", "ribalta_packager_streams 1"));
  CHECK(house.packager->end(SIGTERM) == 0);
}

TEST_CASE("the edge finds the stream's origin in Redis") {
  if (output_of("PATH=$PATH:/usr/sbin redis-server --version 2>/dev/null").empty()) {
    MESSAGE("left out: needs redis-server");
    return;
  }
  House house;
  const std::string socket = house.folder.path() / "run/redis.sock";
  std::filesystem::create_directories(house.folder.path() / "run");
  house.redis.emplace(std::vector<std::string>{"redis-server", "--port", "0", "--unixsocket", socket, "--save", "",
                                               "--dir", house.folder.path(), "--notify-keyspace-events", "KA"});
  const std::string key = "stream:" + kStream + ":origin";
  KeyEvents events{house.loops, "unix:" + socket, key};
  house.start();
  REQUIRE(house.call("PUT", "/streams/" + kStream + "/plan", json_write(make_plan())).status == 200);
  REQUIRE(events.wait_for("set"));
  const std::string ask = "redis-cli -s " + socket + " ";
  CHECK(output_of(ask + "GET " + key) == "unix:" + house.address.unix_path + "\n");
  CHECK(output_of(ask + "TTL " + key) != "-1\n");
  CHECK(house.call("DELETE", "/streams/" + kStream).status == 200);
  REQUIRE(events.wait_until([&] { return output_of(ask + "GET " + key) == "gone\n"; }));
  CHECK(output_of(ask + "TTL " + key) != "-1\n");
}
