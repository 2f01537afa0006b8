#include "transcode/worker/worker.h"

#include <doctest/doctest.h>
#include <signal.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>

#include "core/json.h"
#include "core/media/cmaf_reader.h"
#include "core/media/codec_config.h"
#include "transcode/testing/children.h"
#include "transcode/testing/fakes.h"
#include "transcode/testing/media_files.h"
#include "transcode/worker/vod_store.h"

using namespace ribalta;
using namespace ribalta::transcode;
using namespace ribalta::transcode::testing;

namespace {

const std::string kJob = "0123456789abcdef";
const std::string kVideo = "vvvvvvvvvvvvvvvv";
const std::string kStream = "ssssssssssssssss";

TranscodeConfig quick() {
  TranscodeConfig config;
  config.program = RIBALTA_TRANSCODE_PROGRAM;
  config.vod_preset = "ultrafast";
  config.live_preset = "ultrafast";
  config.cores = 2;
  return config;
}

std::string vod_job(int attempt = 1) {
  return R"({"job":")" + kJob + R"(","kind":"vod","epoch":3,"attempt":)" + std::to_string(attempt) + R"(,"video":")" +
         kVideo +
         R"(","version":"7","input":"uploads/u","limits":{"duration_ms_max":60000,"bytes_max":100000000,"side_max":4096,"fps_max":240}})";
}

Bytes file_bytes(const std::filesystem::path& path) {
  std::ifstream in{path, std::ios::binary};
  const std::string text{std::istreambuf_iterator<char>{in}, {}};
  return Bytes{as_bytes(text).begin(), as_bytes(text).end()};
}

Result<void> store_upload(Farm& farm, const std::filesystem::path& file) {
  const Bytes bytes = file_bytes(file);
  return farm.store().put("uploads/u", bytes);
}

std::optional<std::filesystem::path> small_clip() {
  return generate("small.mp4",
                  "-f lavfi -i testsrc2=s=320x240:r=30:d=5 -f lavfi -i sine=440:d=5 -c:v libx264 -preset ultrafast "
                  "-c:a aac");
}

/// Everything in a body of the media bus.
struct Body {
  std::vector<media::TrackConfig> inits;
  std::vector<media::ChunkItem> chunks;
  [[nodiscard]] std::set<std::int64_t> key_times() const {
    std::set<std::int64_t> times;
    for (const media::ChunkItem& item : chunks) {
      for (const media::Sample& sample : item.chunk.samples) {
        if (sample.sync) times.insert(sample.dts);
      }
    }
    return times;
  }
  [[nodiscard]] std::set<std::int64_t> shown_times() const {
    std::set<std::int64_t> times;
    for (const media::ChunkItem& item : chunks) {
      for (const media::Sample& sample : item.chunk.samples) times.insert(sample.pts());
    }
    return times;
  }
};

Body parse(ByteSpan bytes) {
  Body body;
  media::CmafReader reader;
  reader.feed(bytes);
  for (;;) {
    auto item = reader.next();
    REQUIRE(item.has_value());
    if (!*item) break;
    if (auto* init = std::get_if<media::InitItem>(&**item)) body.inits.push_back(init->config);
    if (auto* chunk = std::get_if<media::ChunkItem>(&**item)) body.chunks.push_back(std::move(*chunk));
  }
  CHECK(reader.finish().has_value());
  return body;
}

/// A live source as ingest would send it: H.264 with a key frame each second, at 90 kHz.
std::optional<Bytes> live_source(const char* name, const char* coding) {
  const auto file =
      generate(name, std::string{"-f lavfi -i testsrc2=s=320x240:r=30:d=6 -c:v libx264 -preset ultrafast "} + coding +
                         " -g 30 -sc_threshold 0 -video_track_timescale 90000 "
                         "-movflags +empty_moov+default_base_moof+frag_every_frame -f mp4");
  if (!file) return std::nullopt;
  return file_bytes(*file);
}

std::string live_job() {
  return R"({"job":")" + kJob + R"(","kind":"live","epoch":5,"attempt":1,"stream":")" + kStream +
         R"(","plan":{"stream":")" + kStream + R"(","segment_target_ms":2000,"target_duration_s":2,"video":[)" +
         R"({"track":"src-v","passthrough":true,"width":320,"height":240,"fps":30.0,"codecs":"avc1.42c00d","bitrate":300000,"bandwidth":400000},)" +
         R"({"track":"v180","passthrough":false,"width":240,"height":180,"fps":30.0,"codecs":"avc1.64001e","bitrate":200000,"bandwidth":320000},)" +
         R"({"track":"v120","passthrough":false,"width":160,"height":120,"fps":30.0,"codecs":"avc1.64001e","bitrate":100000,"bandwidth":170000}],)" +
         R"("audio":[]},"source_video":"src-v","source_audio":"src-a"})";
}

}  // namespace

TEST_CASE("vod job: tracks are stored behind their index, video.json last, and the result told with the epoch") {
  const auto clip = small_clip();
  if (!clip) return;
  Farm farm{quick()};
  REQUIRE(store_upload(farm, *clip));
  farm.queue("vod", vod_job());
  const JobCall call = farm.await_call("complete");
  CHECK(call.job == kJob);
  CHECK(call.body.find("\"epoch\":3") != std::string::npos);
  CHECK(call.body.find("\"version\":\"7\"") != std::string::npos);

  const std::string prefix = "vod/" + kVideo + "/7/";
  const Bytes json = farm.store().get(prefix + "video.json", 100'000).value();
  const VideoRecord record = json_read<VideoRecord>(as_text(json)).value();
  CHECK(record.duration_ms == 5'000);
  REQUIRE(record.video_tracks.size() == 1);
  REQUIRE(record.audio_tracks.size() == 1);
  CHECK(farm.store().get(prefix + record.poster, 1'000'000).has_value());

  for (const std::string& name : {record.video_tracks[0].file, record.audio_tracks[0].file}) {
    const Bytes track = farm.store().get(prefix + name, 10'000'000).value();
    media::BoxReader boxes;
    boxes.feed(track);
    std::vector<std::uint32_t> types;
    std::uint64_t media_bytes = 0;
    media::SegmentIndex index;
    for (;;) {
      auto box = boxes.next();
      REQUIRE(box.has_value());
      if (!*box) break;
      const std::uint32_t type = read_be32(ByteSpan{**box}.subspan(4));
      types.push_back(type);
      if (type == media::box_type("sidx")) index = media::parse_sidx(**box).value();
      if (type == media::box_type("moof") || type == media::box_type("mdat")) media_bytes += (**box).size();
    }
    REQUIRE(types.size() > 4);
    CHECK(types[0] == media::box_type("ftyp"));
    CHECK(types[1] == media::box_type("moov"));
    CHECK(types[2] == media::box_type("sidx"));
    CHECK(types[3] == media::box_type("moof"));
    CHECK(index.references.size() == 3);
    std::uint64_t indexed = 0;
    for (const media::SegmentReference& reference : index.references) indexed += reference.bytes;
    CHECK(indexed == media_bytes);
    CHECK(errors_in(farm.store().local_path(prefix + name).value().string()).empty());
  }
}

TEST_CASE("vod job: a file that is no video fails for good, with a sentence") {
  const std::filesystem::path text = scratch() / "no_video.mp4";
  std::ofstream{text} << "this is a text";
  Farm farm{quick()};
  REQUIRE(store_upload(farm, text));
  farm.queue("vod", vod_job());
  const JobCall call = farm.await_call("fail");
  CHECK(call.body.find("\"kind\":\"not-media\"") != std::string::npos);
  CHECK(call.body.find("\"retry\":false") != std::string::npos);
  CHECK(farm.store().list("vod/" + kVideo + "/").value().empty());
}

TEST_CASE("vod job: a result that comes too late is taken back") {
  const auto clip = small_clip();
  if (!clip) return;
  Farm farm{quick()};
  REQUIRE(store_upload(farm, *clip));
  farm.answer("complete", 409);
  farm.queue("vod", vod_job());
  farm.await_call("complete");
  farm.await_over("vod");
  CHECK(farm.store().list("vod/" + kVideo + "/").value().empty());
}

TEST_CASE("a job that ends by an exception gives its place back to the next") {
  const auto clip = small_clip();
  if (!clip) return;
  Farm farm{quick()};
  REQUIRE(store_upload(farm, *clip));
  farm.answer("complete", 409);
  farm.throw_on_remove();
  farm.queue("vod", vod_job());
  farm.await_call("complete");
  farm.await_over("vod");
}

TEST_CASE("vod job: a lost lease ends the work and publishes nothing") {
  const auto clip = generate("minute.mp4", "-f lavfi -i testsrc2=s=640x360:r=30:d=60 -c:v libx264 -preset ultrafast");
  if (!clip) return;
  Farm farm{quick()};
  REQUIRE(store_upload(farm, *clip));
  farm.answer("heartbeat", 409);
  farm.queue("vod", vod_job());
  farm.await_call("heartbeat");
  farm.await_over("vod");
  CHECK(farm.store().list("vod/" + kVideo + "/").value().empty());
}

TEST_CASE("vod job: a child killed in the middle leaves nothing in the store, and the job's end has a reason") {
  const auto clip = generate("minutes.mp4", "-f lavfi -i testsrc2=s=640x360:r=30:d=120 -c:v libx264 -preset ultrafast");
  if (!clip) return;
  struct Case {
    int signal;
    int attempt;
    const char* kind;
    bool retry;
  };
  for (const Case& each :
       {Case{SIGKILL, 1, "worker", true}, Case{SIGKILL, 2, "worker", true}, Case{SIGSYS, 1, "corrupt", true},
        Case{SIGSYS, 2, "corrupt", false}, Case{SIGXCPU, 1, "limits", false}}) {
    CAPTURE(each.signal);
    CAPTURE(each.attempt);
    Farm farm{quick()};
    REQUIRE(store_upload(farm, *clip));
    farm.queue("vod", vod_job(each.attempt));
    ::kill(await_media_child(std::chrono::milliseconds{200}), each.signal);
    const JobCall call = farm.await_call("fail");
    CHECK(call.body.find(R"("kind":")" + std::string{each.kind} + "\"") != std::string::npos);
    CHECK(call.body.find(each.retry ? R"("retry":true)" : R"("retry":false)") != std::string::npos);
    CHECK(call.body.find(R"("reason":"")") == std::string::npos);
    CHECK(farm.store().list("vod/").value().empty());
  }
}

TEST_CASE("vod job: an upload that is not there is tried again later") {
  Farm farm{quick()};
  farm.queue("vod", vod_job());
  const JobCall call = farm.await_call("fail");
  CHECK(call.body.find("\"kind\":\"worker\"") != std::string::npos);
  CHECK(call.body.find("\"retry\":true") != std::string::npos);
}

TEST_CASE("file: an upload's work on one file gives the same tracks, and says why there are none") {
  const auto clip = small_clip();
  if (!clip) return;
  const std::string program = RIBALTA_TRANSCODE_PROGRAM;
  const std::string folder = (scratch() / "local").string();
  const std::string made =
      output_of(program + " file " + clip->string() + " " + folder + " --preset ultrafast 2>/dev/null");
  CHECK(made.find("\"track\":\"v240\"") != std::string::npos);
  CHECK(probe(folder + "/vod/local/1/v240.cmfv", "stream=nb_read_frames", "-count_frames") == "150");
  const std::string refused = output_of(program + " file /dev/null " + folder + " 2>/dev/null");
  CHECK(refused.find("\"kind\":\"empty\"") != std::string::npos);
  CHECK(output_of(program + " file 2>&1").starts_with("usage:"));
  CHECK(output_of(program + " file a b --crf no 2>&1").starts_with("usage:"));
}

TEST_CASE("live job: rungs have the source's times to the tick, key frames where it has them, and the plan's codec") {
  for (const char* coding : {"-bf 0", "-bf 2 -b_strategy 0"}) {
    const auto source = live_source(coding[4] == '0' ? "live0.mp4" : "live2.mp4", coding);
    if (!source) return;
    Farm farm{quick()};
    farm.serve_track("src-v", *source);
    farm.queue("live", live_job());
    farm.await_call("complete");
    const Body original = parse(*source);
    for (const char* track : {"v180", "v120"}) {
      INFO(std::string{coding}, " ", std::string{track});
      const std::vector<Bytes> bodies = farm.bodies_of(track);
      REQUIRE(bodies.size() == 1);
      const Body rung = parse(bodies[0]);
      REQUIRE(rung.inits.size() == 1);
      CHECK(media::codec_string(rung.inits[0]).value() == "avc1.64001e");
      CHECK(rung.key_times() == original.key_times());
      CHECK(rung.shown_times() == original.shown_times());
      std::int64_t at = rung.chunks.front().chunk.decode_time;
      for (const media::ChunkItem& item : rung.chunks) {
        CHECK(item.chunk.decode_time == at);
        at = item.chunk.decode_end();
      }
    }
    for (const PutBody& put : farm.puts()) {
      CHECK(put.epoch == "5");
      CHECK(put.whole);
    }
  }
}

TEST_CASE("live job: taken over, a rung goes on with the key frame where it is durable") {
  const auto source = live_source("live0.mp4", "-bf 0");
  if (!source) return;
  Farm farm{quick()};
  farm.serve_track("src-v", *source);
  farm.serve_head("v180", R"({"epoch":4,"decode_time":200000,"decode_time_durable":180000,"timescale":90000})");
  farm.queue("live", live_job());
  farm.await_call("complete");
  const Body resumed = parse(farm.bodies_of("v180").at(0));
  CHECK(resumed.chunks.front().chunk.decode_time == 180'000);
  CHECK(resumed.chunks.front().chunk.first_is_sync);
  CHECK(resumed.chunks.size() == 120);
  CHECK(parse(farm.bodies_of("v120").at(0)).chunks.size() == 180);
}

TEST_CASE("live job: a rung that would be far behind the source begins near its live edge") {
  const auto source = live_source("live0.mp4", "-bf 0");
  if (!source) return;
  Farm farm{quick()};
  farm.serve_track("src-v", *source);
  farm.serve_head("src-v", R"({"epoch":1,"decode_time":540000,"decode_time_durable":360000,"timescale":90000})");
  farm.queue("live", live_job());
  farm.await_call("complete");
  // 6 s of source, segments of 2 s: no more than two of them are made up for.
  CHECK(parse(farm.bodies_of("v180").at(0)).chunks.front().chunk.decode_time == 180'000);
}

TEST_CASE("live job: a packager that breaks off is tried again; one that fences ends the job") {
  const auto source = live_source("live0.mp4", "-bf 0");
  if (!source) return;
  {
    Farm farm{quick()};
    farm.serve_track("src-v", *source);
    farm.refuse_puts("v120", 503, 2);
    farm.queue("live", live_job());
    farm.await_call("complete");
    CHECK(parse(farm.bodies_of("v120").back()).chunks.size() == 180);
  }
  Farm farm{quick()};
  farm.serve_track("src-v", *source);
  farm.refuse_puts("v120", 409, 1);
  farm.queue("live", live_job());
  farm.await_over("live");
  CHECK(farm.bodies_of("v120").size() == 1);
}
