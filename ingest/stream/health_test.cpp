#include "ingest/stream/health.h"

#include <doctest/doctest.h>

using namespace ribalta;
using namespace ribalta::ingest;

namespace {

media::TrackConfig video_config() {
  VideoSource video;
  const Bytes record =
      from_hex("0164000dffe1001a6764000dacd941419f9f0110000003001000000303c0f142996001000468ef8fcbfdf8f800").value();
  REQUIRE(video.on_header(record).has_value());
  return *video.config();
}

/// `seconds` of 30 fps with a key frame every `gop` frames, 1000 bytes each; arrival as the media time and `late_ms`.
void feed(Meter& meter, int frames, int gop, std::int64_t late_ms = 0, bool open = false) {
  for (int i = 0; i < frames; ++i) {
    const std::int64_t time_ms = std::int64_t{i} * 1000 / 30;
    meter.on_video({time_ms * 90, 1000, i % gop == 0, open && i > 0 && i % gop == 0}, time_ms + late_ms * i / frames);
    meter.on_audio(100, time_ms, time_ms);
  }
}

bool warns(const Health& health, std::string_view part) {
  for (const std::string& warning : health.warnings) {
    if (warning.find(part) != std::string::npos) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("verdict: it stands with the second key frame, or a while after the first frame") {
  Meter meter;
  CHECK_FALSE(meter.verdict_ready(1'000'000));
  feed(meter, 60, 60);
  CHECK_FALSE(meter.verdict_ready(kVerdictMs - 1));
  CHECK(meter.verdict_ready(kVerdictMs));
  Meter second;
  feed(second, 61, 60);
  CHECK(second.verdict_ready(2'000));
}

TEST_CASE("verdict: regular closed GOPs of two seconds pass through") {
  Meter meter;
  feed(meter, 61, 60);
  const media::TrackConfig config = video_config();
  const SourceReport report = meter.report(&config, nullptr);
  REQUIRE(report.video.has_value());
  CHECK(report.video->passthrough);
  CHECK(report.video->passthrough_reason.empty());
  CHECK(report.video->codecs == "avc1.64000d");
  CHECK(report.video->width == 320);
  CHECK(report.video->fps == 30.0);
  CHECK(report.video->keyframe_interval_ms == 2000);
  CHECK(report.video->bitrate > 230'000);
  CHECK(report.video->bitrate < 250'000);
  CHECK_FALSE(report.audio.has_value());
}

TEST_CASE(
    "report: what metadata says of bitrates stands beside what was measured, and its silence takes nothing back") {
  const media::TrackConfig config = video_config();
  Meter meter;
  meter.announce(2'500'000, {});
  meter.announce({}, 160'000);
  feed(meter, 61, 60);
  const SourceReport report = meter.report(&config, &config);
  CHECK(report.video->bitrate < 250'000);
  CHECK(report.video->bitrate_announced == 2'500'000);
  CHECK(report.audio->bitrate_announced == 160'000);
}

TEST_CASE("verdict: key frames that are far apart, missing, irregular or open are no rung, each with its reason") {
  const media::TrackConfig config = video_config();
  const auto reason = [&](const Meter& meter) {
    const SourceReport report = meter.report(&config, nullptr);
    CHECK_FALSE(report.video->passthrough);
    return report.video->passthrough_reason;
  };
  Meter far;
  feed(far, 200, 150);
  CHECK(reason(far).find("5.0 s") != std::string::npos);
  Meter none;
  feed(none, 120, 1000);
  CHECK(reason(none).find("no key frame") != std::string::npos);
  Meter irregular;
  feed(irregular, 61, 60);
  irregular.on_video({2'100 * 90, 1000, true, false}, 2'100);
  CHECK(reason(irregular).find("irregularly") != std::string::npos);
  Meter open;
  feed(open, 61, 60, 0, true);
  CHECK(reason(open).find("open GOP") != std::string::npos);
}

TEST_CASE("verdict: a source of four seconds exactly still passes") {
  Meter meter;
  feed(meter, 121, 120);
  const media::TrackConfig config = video_config();
  CHECK(meter.report(&config, nullptr).video->passthrough);
}

TEST_CASE("health: common frame rates are named as such though timestamps are whole milliseconds") {
  const media::TrackConfig config = video_config();
  for (const auto& [num, den, fps] :
       {std::tuple{24'000, 1001, 23.976}, {25, 1, 25.0}, {30'000, 1001, 29.97}, {60, 1, 60.0}, {17, 1, 17.0}}) {
    Meter meter;
    for (int i = 0; i < 120; ++i) {
      const std::int64_t time_ms = std::int64_t{i} * 1000 * den / num;
      meter.on_video({time_ms * 90, 1000, i % 60 == 0, false}, time_ms);
    }
    CHECK(meter.report(&config, nullptr).video->fps == doctest::Approx(fps).epsilon(0.001));
  }
}

TEST_CASE("health: a second of 30 fps is not taken for 29.97 though its ends are rounded") {
  const media::TrackConfig config = video_config();
  for (const std::int64_t off_ms : {-1, 0, 1}) {
    Meter meter;
    for (int i = 0; i <= 30; ++i) {
      const std::int64_t time_ms = std::int64_t{i} * 1000 / 30 + (i == 30 ? off_ms : 0);
      meter.on_video({time_ms * 90, 1000, i % 30 == 0, false}, time_ms);
    }
    CHECK(meter.report(&config, nullptr).video->fps == 30.0);
  }
}

TEST_CASE("health: a good stream has no warnings") {
  Meter meter;
  feed(meter, 300, 60);
  CHECK(meter.health(9'990, {}, {}).warnings.empty());
  CHECK(meter.health(9'990, {}, {}).fps == 30.0);
}

TEST_CASE("health: a slow line, a missing track, long key intervals and broken frames are told in words") {
  Meter slow;
  feed(slow, 300, 60, 4'000);
  CHECK(warns(slow.health(14'000, {}, {}), "slower than the stream"));
  Meter silent;
  for (int i = 0; i < 400; ++i) silent.on_video({std::int64_t{i} * 3000, 1000, i % 60 == 0, false}, i * 33);
  CHECK(warns(silent.health(13'200, {}, {}), "No sound"));
  Meter far;
  feed(far, 200, 150);
  CHECK(warns(far.health(7'000, {}, {}), "Key frames come only every 5.0 s"));
  CHECK(warns(far.health(7'000, TrackCounts{.dropped_broken = 3}, {}), "left out: 3"));
  far.warn("The audio is MP3.");
  far.warn("The audio is MP3.");
  CHECK(warns(far.health(7'000, {}, {}), "MP3"));
}
