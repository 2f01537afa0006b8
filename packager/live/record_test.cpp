#include "packager/live/record.h"

#include <doctest/doctest.h>

#include "core/json.h"
#include "packager/live/plan.h"
#include "packager/live/store_job.h"
#include "packager/live/testing.h"

using namespace ribalta;
using namespace ribalta::packager;
using testing::make_plan;

namespace {

/// A record of a stream with two announced segments and one that only the source has.
StreamRecord sample() {
  Window window({});
  testing::Feeder feeder(window);
  window.set_plan(make_plan({"src-v", "v360"}), feeder.now);
  feeder.video({.name = "v360"}, 0, 130);
  feeder.video({.name = "src-v", .source = true}, 0, 181);
  feeder.audio("src-a", true, 0, 7);
  feeder.announce();
  StreamRecord record;
  record.stream = "0123456789abcdef";
  record.start_unix_ms = 1'700'000'000'000;
  record.period_epoch = 1;
  record.announced = window.announced();
  record.plan = *window.plan();
  for (const char* name : {"src-v", "v360", "src-a"}) {
    record.tracks.push_back({.track = name, .source = std::string_view{name} != "v360", .epoch = 1, .inits = 1});
  }
  record.rows = record_rows(window);
  return record;
}
Code code_of(const StreamRecord& record) {
  const Result<StreamRecord> parsed = parse_record(write_record(record));
  return parsed ? Code::internal : parsed.error().code;
}

}  // namespace

TEST_CASE("a record reads back as it was written") {
  const StreamRecord record = sample();
  REQUIRE(record.announced == 1);
  REQUIRE(record.rows.size() == 3);
  const std::string text = write_record(record);
  const Result<StreamRecord> parsed = parse_record(text);
  REQUIRE(parsed);
  CHECK(write_record(*parsed) == text);
  CHECK(parsed->rows[2].pieces[0].state == 1);
  CHECK(parsed->rows[2].pieces[1].state == 0);
}

TEST_CASE("a record cut anywhere is refused") {
  const std::string text = write_record(sample());
  for (std::size_t size = 0; size < text.size(); size += 7) {
    CHECK_FALSE(parse_record(std::string_view{text}.substr(0, size)));
  }
}

TEST_CASE("a record that contradicts itself is refused, each way on its own") {
  StreamRecord record = sample();
  CHECK(code_of(record) == Code::internal);
  record = sample();
  record.version = 2;
  CHECK(code_of(record) == Code::unsupported);
  record = sample();
  record.stream = "../../../../etc/";
  CHECK(code_of(record) == Code::malformed);
  record = sample();
  record.rows[0].pieces.pop_back();
  CHECK(code_of(record) == Code::malformed);
  record = sample();
  record.rows[0].pieces[0].init = 1;
  CHECK(code_of(record) == Code::malformed);
  record = sample();
  record.rows[0].pieces[0].epoch.reset();
  CHECK(code_of(record) == Code::malformed);
  record = sample();
  record.rows[0].pieces[0].state = 3;
  CHECK(code_of(record) == Code::malformed);
  record = sample();
  record.announced = 2;  // its rung is undecided there
  CHECK(code_of(record) == Code::malformed);
  record = sample();
  record.announced = 3;
  CHECK(code_of(record) == Code::malformed);
  record = sample();
  record.rows[1].timescale = 0;
  CHECK(code_of(record) == Code::malformed);
  record = sample();
  record.rows[1].end = record.rows[1].start - 1;
  CHECK(code_of(record) == Code::malformed);
  record = sample();
  record.rows[0].period = 1;
  CHECK(code_of(record) == Code::malformed);
  record = sample();
  record.tracks[0].track = "v/../x";
  CHECK(code_of(record) == Code::malformed);
  record = sample();
  record.tracks.erase(record.tracks.begin());
  CHECK(code_of(record) == Code::malformed);
  record = sample();
  record.plan.video.clear();
  record.plan.audio.clear();
  CHECK(code_of(record) == Code::malformed);
}

TEST_CASE("a plan: values that could not stand in a playlist are refused, limits at the bound are taken") {
  const std::string stream = "0123456789abcdef";
  const auto code = [&stream](const media::LadderPlan& plan) {
    const auto parsed = parse_plan(json_write(plan), stream);
    return parsed ? Code::internal : parsed.error().code;
  };
  CHECK(code(make_plan()) == Code::internal);
  media::LadderPlan plan = make_plan();
  plan.stream = "fedcba9876543210";
  CHECK(code(plan) == Code::malformed);
  plan = make_plan();
  plan.video[0].codecs = "avc1\"\n#EXT";
  CHECK(code(plan) == Code::malformed);
  plan = make_plan({"src-v", "src-v"});
  CHECK(code(plan) == Code::malformed);
  plan = make_plan({}, {});
  CHECK(code(plan) == Code::malformed);
  plan = make_plan();
  plan.video[0].width = 16'384;
  CHECK(code(plan) == Code::internal);
  plan.video[0].width = 16'385;
  CHECK(code(plan) == Code::limit);
  plan = make_plan();
  plan.target_duration_s = 30;
  CHECK(code(plan) == Code::internal);
  plan.target_duration_s = 31;
  CHECK(code(plan) == Code::limit);
  plan = make_plan({});
  for (int i = 0; i < 15; ++i)
    plan.video.push_back({.track = "v" + std::to_string(i), .width = 2, .height = 2, .codecs = "a", .bandwidth = 1});
  CHECK(code(plan) == Code::internal);
  plan.audio.push_back(plan.audio[0]);
  CHECK(code(plan) == Code::limit);
  CHECK(parse_plan(std::string(kPlanBytesMax + 1, ' '), stream).error().code == Code::limit);
}

TEST_CASE("with no plan the source's own key frames decide TARGETDURATION") {
  const SharedInit video = testing::make_init(media::TrackKind::video);
  InitSegment described = *video;
  described.config.codec_config = from_hex("0164001effe100001e").value();
  const auto seconds = [&](std::int64_t gop_frames) {
    SourceSeen seen{.track = "src-a", .init = testing::make_init(media::TrackKind::audio)};
    InitSegment audio = *seen.init;
    audio.config.codec_config = from_hex("1190").value();
    seen.init = std::make_shared<const InitSegment>(audio);
    for (std::int64_t i = 0; i < 150; ++i)
      seen.chunks.push_back(testing::make_chunk(video, i * 3'000, 3'000, i % gop_frames == 0));
    return fallback_plan("0123456789abcdef", {seen});
  };
  const auto plan = seconds(60);
  REQUIRE(plan);
  CHECK(plan->audio.size() == 1);
  CHECK(plan->audio[0].codecs == "mp4a.40.2");
  CHECK(plan->audio[0].bitrate == 24'000);
  CHECK(plan->audio[0].bandwidth == 48'000);
}
