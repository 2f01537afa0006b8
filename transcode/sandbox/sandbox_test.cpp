#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "transcode/sandbox/child_process.h"
#include "transcode/sandbox/jail.h"
#include "transcode/sandbox/protocol.h"
#include "transcode/sandbox/vod_child.h"
#include "transcode/testing/media_files.h"

using namespace ribalta;
using namespace ribalta::transcode;
using namespace ribalta::transcode::testing;

namespace {

/// Runs `act` in a process of its own, in jail; its exit code.
int in_jail(int (*act)()) {
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    if (!enter_jail({.memory_bytes = std::uint64_t{1} << 30, .cpu_s = 10})) ::_exit(99);
    ::_exit(act());
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

VodChildOptions options() {
  VodChildOptions out;
  out.program = RIBALTA_TRANSCODE_PROGRAM;
  out.jail.cpu_s = 600;
  out.settings.preset = "ultrafast";
  out.settings.cores = 2;
  return out;
}

std::expected<VodSummary, WorkFailure> run(const std::filesystem::path& file, MediaSink& sink,
                                           const std::atomic<bool>& cancelled) {
  const Descriptor input{::open(file.c_str(), O_RDONLY | O_CLOEXEC)};
  REQUIRE(input.get() >= 0);
  return run_vod_child(input.get(), std::filesystem::file_size(file), options(), sink, cancelled);
}

}  // namespace

TEST_CASE("jail: files, network, programs and processes are out of reach") {
  CHECK(in_jail([] { return ::open("/etc/passwd", O_RDONLY) < 0 && errno == EPERM ? 0 : 1; }) == 0);
  CHECK(in_jail([] { return ::socket(AF_UNIX, SOCK_STREAM, 0) < 0 && errno == EPERM ? 0 : 1; }) == 0);
  CHECK(in_jail([] { return ::execl("/bin/true", "true", nullptr) < 0 && errno == EPERM ? 0 : 1; }) == 0);
  CHECK(in_jail([] { return ::fork() < 0 && errno == EPERM ? 0 : 1; }) == 0);
  CHECK(in_jail([] { return ::dup(0) < 0 ? 0 : 1; }) == 0);
}

TEST_CASE("jail: what media work needs goes on: reading what is open, memory, threads") {
  CHECK(in_jail([] {
          int value = 0;
          std::thread thread{[&] { value = 7; }};
          thread.join();
          return value == 7 ? 0 : 1;
        }) == 0);
}

TEST_CASE("sandbox: a file becomes the same tracks as without it") {
  const auto file = generate("sandboxed.mp4",
                             "-f lavfi -i testsrc2=s=320x240:r=30:d=3 -f lavfi -i sine=440:d=3 -c:v libx264 "
                             "-preset ultrafast -c:a aac");
  if (!file) return;
  const std::atomic<bool> cancelled{false};
  KeepingSink sink;
  const auto summary = run(*file, sink, cancelled);
  if (!summary) FAIL(summary.error().reason);
  CHECK(summary->frames == 90);
  REQUIRE(sink.tracks.size() == 2);
  CHECK(sink.tracks[0].chunks.size() == 2);
  CHECK(sink.kept_poster.size() > 500);
  CHECK(errors_in(sink.write_track(0, "sandboxed")).empty());
}

TEST_CASE("sandbox: refusals come through with their kind") {
  const std::filesystem::path text = scratch() / "text.mp4";
  std::ofstream{text} << "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n/etc/passwd\n#EXT-X-ENDLIST\n";
  const std::atomic<bool> cancelled{false};
  KeepingSink sink;
  const auto refused = run(text, sink, cancelled);
  REQUIRE_FALSE(refused.has_value());
  REQUIRE(refused.error().refusal.has_value());
  CHECK(refused.error().refusal->kind == RefusalKind::not_media);
  CHECK_FALSE(refused.error().refusal->sentence.empty());
}

TEST_CASE("sandbox: a playlist that calls itself a video never opens what it names") {
  const auto wrapped = generate("wrap.ts", "-f lavfi -i testsrc2=s=160x120:r=10:d=1 -c:v libx264 -preset ultrafast");
  if (!wrapped) return;
  const std::atomic<bool> cancelled{false};
  const std::string names[] = {
      "ffconcat version 1.0\nfile wrap.ts\n",
      "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n" + wrapped->string() + "\n#EXT-X-ENDLIST\n"};
  for (const std::string& content : names) {
    const std::filesystem::path canary = scratch() / "canary.mp4";
    std::ofstream{canary} << content;
    KeepingSink sink;
    const auto refused = run(canary, sink, cancelled);
    REQUIRE_FALSE(refused.has_value());
    CHECK(sink.tracks.empty());
  }
}

TEST_CASE("sandbox: cancelled work ends") {
  const auto file = generate("long.mp4", "-f lavfi -i color=s=64x64:r=30:d=60 -c:v libx264 -preset ultrafast");
  if (!file) return;
  const std::atomic<bool> cancelled{true};
  KeepingSink sink;
  const auto ended = run(*file, sink, cancelled);
  REQUIRE_FALSE(ended.has_value());
  CHECK(ended.error().cancelled);
}

TEST_CASE("sandbox: a program that says nothing of use is our fault, not the file's") {
  const std::filesystem::path file = scratch() / "any";
  std::ofstream{file} << "any";
  const Descriptor input{::open(file.c_str(), O_RDONLY | O_CLOEXEC)};
  VodChildOptions wrong = options();
  wrong.program = "/bin/true";
  const std::atomic<bool> cancelled{false};
  KeepingSink sink;
  const auto ended = run_vod_child(input.get(), 3, wrong, sink, cancelled);
  REQUIRE_FALSE(ended.has_value());
  CHECK(ended.error().ours);
  CHECK_FALSE(ended.error().refusal.has_value());
}

TEST_CASE("sandbox: every hostile file ends with one verdict, within its limits") {
  const char* folder = std::getenv("RIBALTA_TEST_MEDIA");
  if (!folder) {
    MESSAGE("RIBALTA_TEST_MEDIA is not set: hostile files were left out");
    return;
  }
  const std::atomic<bool> cancelled{false};
  for (const auto& entry : std::filesystem::directory_iterator{std::filesystem::path{folder} / "hostile"}) {
    INFO(entry.path().filename().string());
    const Descriptor input{::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC)};
    VodChildOptions small = options();
    small.jail.cpu_s = 60;
    small.settings.short_side_max = 120;
    small.settings.rungs_max = 1;
    KeepingSink sink;
    const auto ended = run_vod_child(input.get(), entry.file_size(), small, sink, cancelled);
    const bool verdict = ended.has_value() || ended.error().refusal.has_value();
    if (!ended) INFO(ended.error().reason);
    CHECK(verdict);
  }
}
