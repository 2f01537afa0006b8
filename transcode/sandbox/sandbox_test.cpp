#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "transcode/sandbox/child_process.h"
#include "transcode/sandbox/protocol.h"
#include "transcode/sandbox/vod_child.h"
#include "transcode/testing/children.h"
#include "transcode/testing/media_files.h"

using namespace ribalta;
using namespace ribalta::transcode;
using namespace ribalta::transcode::testing;

namespace {

const std::atomic<bool> kGoOn{false};

VodChildOptions options() {
  VodChildOptions out;
  out.program = RIBALTA_TRANSCODE_PROGRAM;
  out.jail.cpu_s = 600;
  out.settings.preset = "ultrafast";
  out.settings.cores = 2;
  return out;
}

using Ended = std::expected<VodSummary, WorkFailure>;

Ended run(const std::filesystem::path& file, MediaSink& sink, const VodChildOptions& with = options(),
          const std::atomic<bool>& cancelled = kGoOn) {
  const Descriptor input{::open(file.c_str(), O_RDONLY | O_CLOEXEC)};
  REQUIRE(input.get() >= 0);
  return run_vod_child(input.get(), std::filesystem::file_size(file), with, sink, cancelled);
}

/// Minutes of work: whatever is done to its child comes in the middle.
std::optional<std::filesystem::path> long_clip() {
  return generate("minutes.mp4", "-f lavfi -i testsrc2=s=640x360:r=30:d=120 -c:v libx264 -preset ultrafast");
}

/// Tells when the first piece of a track has come: the child is in the middle of its work.
class TellingSink final : public KeepingSink {
 public:
  Result<void> chunk(std::size_t track, Bytes bytes) override {
    tell();
    return KeepingSink::chunk(track, std::move(bytes));
  }
  /// Also when it has ended without any.
  void tell() {
    begun_.test_and_set();
    begun_.notify_all();
  }
  pid_t child_at_work() {
    begun_.wait(false);
    return await_media_child(std::chrono::milliseconds{0});
  }

 private:
  std::atomic_flag begun_;
};

/// What a child is that a stranger's bytes have taken over: it says `bytes` (printf's), and then does what `then` says.
Ended run_rogue(const std::string& bytes, const std::string& then, MediaSink& sink) {
  static int count = 0;
  const std::filesystem::path program = scratch() / ("rogue" + std::to_string(++count));
  std::ofstream{program} << "#!/bin/sh\ncat >/dev/null\nprintf '" << bytes << "'\n" << then << "\n";
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  VodChildOptions with = options();
  with.program = program;
  with.silence_max = std::chrono::seconds{1};
  return run(program, sink, with);
}

}  // namespace

TEST_CASE("sandbox: a file becomes the same tracks as without it") {
  const auto file = generate("sandboxed.mp4",
                             "-f lavfi -i testsrc2=s=320x240:r=30:d=3 -f lavfi -i sine=440:d=3 -c:v libx264 "
                             "-preset ultrafast -c:a aac");
  if (!file) return;
  KeepingSink sink;
  const auto summary = run(*file, sink);
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
  KeepingSink sink;
  const auto refused = run(text, sink);
  REQUIRE_FALSE(refused.has_value());
  REQUIRE(refused.error().refusal.has_value());
  CHECK(refused.error().refusal->kind == RefusalKind::not_media);
  CHECK_FALSE(refused.error().refusal->sentence.empty());
}

TEST_CASE("sandbox: a playlist that calls itself a video never opens what it names") {
  const auto wrapped = generate("wrap.ts", "-f lavfi -i testsrc2=s=160x120:r=10:d=2 -c:v libx264 -preset ultrafast");
  if (!wrapped) return;
  const std::string playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n";
  const auto mpd = [](const std::string& url) {
    return R"(<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" )"
           R"(mediaPresentationDuration="PT2S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period>)"
           R"(<AdaptationSet mimeType="video/mp2t"><Representation id="1" bandwidth="1"><BaseURL>)" +
           url + "</BaseURL></Representation></AdaptationSet></Period></MPD>\n";
  };
  struct Canary {
    std::string name;
    std::string content;
    bool followed = true;  ///< by FFmpeg as Debian has it: the canary lives
  };
  const Canary canaries[] = {
      {"hls", playlist + "wrap.ts\n#EXT-X-ENDLIST\n"},
      {"hls, absolute", playlist + wrapped->string() + "\n#EXT-X-ENDLIST\n"},
      {"hls, file:", playlist + "file:" + wrapped->string() + "\n#EXT-X-ENDLIST\n"},
      {"hls, key",
       "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-KEY:METHOD=AES-128,URI=\"" + wrapped->string() + "\"\n#EXTINF:4,\n" +
           wrapped->string() + "\n#EXT-X-ENDLIST\n",
       false},
      {"hls, master", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\ninner.m3u8\n"},
      {"ffconcat", "ffconcat version 1.0\nfile wrap.ts\n"},
      {"ffconcat, absolute", "ffconcat version 1.0\nfile '" + wrapped->string() + "'\n", false},
      {"mpd", mpd("wrap.ts")},
      {"mpd, absolute", mpd("file://" + wrapped->string())},
      {"sdp",
       "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
       "a=rtpmap:96 H264/90000\n",
       false},
  };
  std::ofstream{scratch() / "inner.m3u8"} << playlist << "wrap.ts\n#EXT-X-ENDLIST\n";
  for (const Canary& each : canaries) {
    CAPTURE(each.name);
    const std::filesystem::path file = scratch() / "canary.mp4";
    std::ofstream{file} << each.content;
    if (each.followed) CHECK(probe(file.string(), "stream=width").starts_with("160"));
    KeepingSink sink;
    const auto refused = run(file, sink);
    REQUIRE_FALSE(refused.has_value());
    REQUIRE(refused.error().refusal.has_value());
    CHECK(refused.error().refusal->kind == RefusalKind::not_media);
    CHECK(sink.tracks.empty());
    CHECK(sink.kept_poster.empty());
  }
}

TEST_CASE("sandbox: the child at work, seen from outside: in jail, with four descriptors") {
  const auto file = long_clip();
  if (!file) return;
  std::atomic<bool> cancelled{false};
  TellingSink sink;
  std::jthread work{[&] {
    CHECK_FALSE(run(*file, sink, options(), cancelled).has_value());
    sink.tell();
  }};
  const pid_t child = sink.child_at_work();
  CHECK(status_of(child, "Seccomp") == "2");  // a filter
  CHECK(status_of(child, "NoNewPrivs") == "1");
  const std::string process = "/proc/" + std::to_string(child);
  std::set<std::string> open;
  for (const auto& entry : std::filesystem::directory_iterator{process + "/fd"}) {
    open.insert(entry.path().filename().string());
  }
  CHECK(open.contains("3"));
  open.erase("0");  // the pipe with the request, which may be at its end
  CHECK(open == std::set<std::string>{"1", "2", "3"});
  for (const auto& task : std::filesystem::directory_iterator{process + "/task"}) {
    std::ifstream status{task.path() / "status"};
    const std::string text{std::istreambuf_iterator<char>{status}, {}};
    CHECK(text.find("Seccomp:\t2") != std::string::npos);
  }
  cancelled = true;
  work.join();
}

TEST_CASE("sandbox: a child killed in the middle is nobody's success: whose fault it is depends on who killed it") {
  const auto file = long_clip();
  if (!file) return;
  struct Case {
    int signal;
    bool ours;
    std::optional<RefusalKind> kind;
    bool crashed;
  };
  for (const Case& each :
       {Case{SIGKILL, true, {}, false}, Case{SIGSYS, false, RefusalKind::corrupt, true},
        Case{SIGILL, false, RefusalKind::corrupt, true}, Case{SIGXCPU, false, RefusalKind::limits, false}}) {
    CAPTURE(each.signal);
    TellingSink sink;
    std::optional<Ended> ended;
    std::jthread work{[&] {
      ended = run(*file, sink);
      sink.tell();
    }};
    ::kill(sink.child_at_work(), each.signal);
    work.join();
    REQUIRE(ended.has_value());
    REQUIRE_FALSE(ended->has_value());
    const WorkFailure& failure = ended->error();
    CHECK(failure.ours == each.ours);
    CHECK(failure.crashed == each.crashed);
    CHECK(failure.refusal.has_value() == each.kind.has_value());
    if (failure.refusal) CHECK(failure.refusal->kind == each.kind);
    CHECK(failure.reason.find("signal " + std::to_string(each.signal)) != std::string::npos);
  }
}

TEST_CASE("sandbox: work that takes more CPU time than it may is refused as too much, at once") {
  const auto file = long_clip();
  if (!file) return;
  VodChildOptions little = options();
  little.jail.cpu_s = 1;
  KeepingSink sink;
  const auto ended = run(*file, sink, little);
  REQUIRE_FALSE(ended.has_value());
  REQUIRE(ended.error().refusal.has_value());
  CHECK(ended.error().refusal->kind == RefusalKind::limits);
  CHECK_FALSE(ended.error().crashed);
}

TEST_CASE("sandbox: work that needs more memory than it may have is refused as too much, wherever it runs out") {
  const auto file = generate("wide.mp4", "-f lavfi -i testsrc2=s=1280x720:r=30:d=1 -c:v libx264 -preset ultrafast");
  if (!file) return;
  VodChildOptions little = options();
  int refused = 0;
  int done = 0;
  for (const std::int64_t megabytes : {160, 224, 288, 352, 416, 480, 544, 608, 4096}) {
    little.jail.memory_mb = megabytes;
    CAPTURE(megabytes);
    KeepingSink sink;
    const auto ended = run(*file, sink, little);
    if (ended) {
      ++done;
      CHECK(ended->frames == 30);  // nothing was lost on the way
      CHECK(ended->decode_errors == 0);
      continue;
    }
    ++refused;
    CAPTURE(ended.error().reason);
    REQUIRE(ended.error().refusal.has_value());
    CAPTURE(ended.error().refusal->detail);
    CHECK(ended.error().refusal->kind == RefusalKind::limits);
    CHECK_FALSE(ended.error().crashed);
  }
  CHECK(done > 0);
  if (refused == 0) MESSAGE("sanitizers need terabytes of address space: the limit was not set");
}

TEST_CASE("sandbox: a child that was taken over is not listened to beyond what a message may be") {
  struct Case {
    const char* name;
    const char* bytes;
    const char* then;
  };
  // A header: be32 of the payload's length, kind, track, two zeros.
  for (const Case& each :
       {Case{"a chunk of 2 GiB", "\\177\\377\\377\\377\\022\\000\\000\\000", "exec sleep 600"},
        Case{"a kind that is none", "\\000\\000\\000\\000\\143\\000\\000\\000", "exec sleep 600"},
        Case{"a track beyond all", "\\000\\000\\000\\001\\022\\020\\000\\000x", "exec sleep 600"},
        Case{"a request of ours", "\\000\\000\\000\\002\\001\\000\\000\\000{}", "exec sleep 600"},
        Case{"a summary that is no JSON", "\\000\\000\\000\\001\\025\\000\\000\\000x", "exec sleep 600"},
        Case{"half a message", "\\000\\000\\000\\010\\022\\000\\000\\000x", "exit 0"},
        Case{"all was well, says one that failed", "\\000\\000\\000\\002\\025\\000\\000\\000{}", "exit 1"},
        Case{"nothing, for ever", "", "exec sleep 600"},
        Case{"nothing, with its output closed", "", "exec sleep 600 >&- 2>&-"}}) {
    CAPTURE(each.name);
    KeepingSink sink;
    const auto ended = run_rogue(each.bytes, each.then, sink);
    REQUIRE_FALSE(ended.has_value());
    CHECK_FALSE(ended.error().reason.empty());
    CHECK(sink.tracks.empty());
  }
}

TEST_CASE("sandbox: cancelled work ends") {
  const auto file = generate("long.mp4", "-f lavfi -i color=s=64x64:r=30:d=60 -c:v libx264 -preset ultrafast");
  if (!file) return;
  const std::atomic<bool> cancelled{true};
  KeepingSink sink;
  const auto ended = run(*file, sink, options(), cancelled);
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
