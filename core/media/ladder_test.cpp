#include "core/media/ladder.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace ribalta;
using namespace ribalta::media;

namespace {
std::string shape(const std::vector<LadderVideo>& rungs) {
  std::string out;
  for (const LadderVideo& rung : rungs) {
    if (!out.empty()) out += ' ';
    out += std::to_string(rung.width) + "x" + std::to_string(rung.height);
  }
  return out;
}
std::string vod(std::int64_t width, std::int64_t height, double fps = 30) {
  return shape(vod_ladder({width, height, fps}).value());
}
std::string live(const LadderSource& source, bool through, const LiveLadderOptions& options) {
  LadderVideo top{.track = "src-v", .passthrough = true, .width = source.width, .height = source.height};
  return shape(live_ladder(source, through ? &top : nullptr, options).value());
}
}  // namespace

TEST_CASE("ladder: portrait, landscape and square get the same short sides") {
  CHECK(vod(1920, 1080) == "1920x1080 1280x720 960x540 640x360 426x240");
  CHECK(vod(1080, 1920) == "1080x1920 720x1280 540x960 360x640 240x426");
  CHECK(vod(1080, 1080) == "1080x1080 720x720 540x540 360x360 240x240");
}

TEST_CASE("ladder: the top rung is the source, never larger, and even") {
  CHECK(vod(640, 360) == "640x360 426x240");
  CHECK(vod(161, 121) == "160x120");
  CHECK(vod(5, 3) == "4x2");
  CHECK(vod(2, 2) == "2x2");
  CHECK(vod(3840, 2160) == "1920x1080 1280x720 960x540 640x360 426x240");
  CHECK(vod_ladder({1, 2, 30}).error().code == Code::limit);
  CHECK(vod_ladder({kSideMax + 1, 2, 30}).error().code == Code::limit);
  CHECK(vod_ladder({kSideMax, kSideMax, 30}).has_value());
}

TEST_CASE("ladder: a rung too near the one above is left out") {
  CHECK(vod(1066, 600) == "1066x600 640x360 426x240");
  CHECK(vod(1216, 684) == "1216x684 960x540 640x360 426x240");
  CHECK(vod(800, 450) == "800x450 640x360 426x240");
  CHECK(vod(799, 449) == "798x448 428x240");
}

TEST_CASE("ladder: a film wider than 16:9 keeps to the area of 16:9") {
  const auto rungs = vod_ladder({5120, 2160, 24}).value();
  CHECK(rungs[0].width * rungs[0].height <= 1920 * 1080);
  CHECK(h264_high_level(rungs[0].codecs).value() <= 42);
  for (const LadderVideo& rung : vod_ladder({16'384, 2, 60}).value()) CHECK(rung.height >= 2);
}

TEST_CASE("ladder: the codec string names the level that size and rate need") {
  CHECK(vod_ladder({1920, 1080, 30}).value()[0].codecs == "avc1.640028");
  CHECK(vod_ladder({1920, 1080, 60}).value()[0].codecs == "avc1.64002a");
  CHECK(vod_ladder({1280, 720, 30}).value()[0].codecs == "avc1.64001f");
  CHECK(vod_ladder({1280, 720, 60}).value()[0].codecs == "avc1.640020");
  CHECK(vod_ladder({640, 360, 30}).value()[0].codecs == "avc1.64001e");
  CHECK(h264_high_level("avc1.64002a").value() == 42);
  CHECK(h264_high_level("avc1.4d401e").error().code == Code::malformed);
  CHECK(h264_high_level("avc1.6400zz").error().code == Code::malformed);
  CHECK(h264_level(16'384, 16'384, 60, 1000) == 0);
}

TEST_CASE("ladder: more than 60 frames a second are offered as 60, and nonsense as 30") {
  CHECK(vod_ladder({640, 360, 240}).value()[0].fps == 60);
  CHECK(vod_ladder({640, 360, 0}).value()[0].fps == 30);
  CHECK(vod_ladder({640, 360, -1}).value()[0].fps == 30);
  CHECK(vod_ladder({640, 360, 0.2}).value()[0].fps == 1);
}

TEST_CASE("ladder: bitrates follow area and rate, and a segment at the encoder's cap stays under the bandwidth") {
  CHECK(h264_bitrate(1280, 720, 30) == 2'400'000);
  CHECK(h264_bitrate(720, 1280, 30) == 2'400'000);
  CHECK(h264_bitrate(1280, 720, 60) > 3'000'000);
  CHECK(h264_bitrate(1280, 720, 60) < 4'000'000);
  for (const LadderVideo& rung : vod_ladder({1920, 1080, 60}).value()) {
    const RateControl control = rate_control_for(rung);
    CHECK(control.bitrate == rung.bitrate);
    CHECK(control.maxrate >= control.bitrate);
    CHECK(2 * control.maxrate + control.buffer_bits <= 2 * rung.bandwidth);
  }
}

TEST_CASE("ladder: a plan whose cap is near its mean is kept all the same") {
  const LadderVideo rung{
      .track = "v360", .width = 640, .height = 360, .fps = 30, .bitrate = 800'000, .bandwidth = 820'000};
  const RateControl control = rate_control_for(rung);
  CHECK(2 * control.maxrate + control.buffer_bits <= 2 * rung.bandwidth);
  CHECK(control.maxrate > 500'000);
}

TEST_CASE("live ladder: the source is the top, and the most useful rungs below it come first") {
  const LiveLadderOptions two = live_options_for(2);
  CHECK(live({1920, 1080, 30}, true, two) == "1920x1080 1280x720 640x360");
  CHECK(live({1280, 720, 30}, true, two) == "1280x720 960x540 640x360");
  CHECK(live({720, 1280, 30}, true, two) == "720x1280 540x960 360x640");
  CHECK(live({640, 360, 30}, true, two) == "640x360 426x240");
  CHECK(live({320, 240, 30}, true, two) == "320x240");
}

TEST_CASE("live ladder: what the machine cannot pay for is not announced") {
  CHECK(live({1920, 1080, 60}, true, live_options_for(2)) == "1920x1080 640x360 426x240");
  LiveLadderOptions none;
  none.encoded_rungs_max = 0;
  CHECK(live({1280, 720, 30}, true, none) == "1280x720");
  CHECK(live({1280, 720, 30}, false, none).empty());
}

TEST_CASE("live ladder: without the source as a rung, the top one is encoded at its size within the means") {
  CHECK(live({1280, 720, 30}, false, live_options_for(2)) == "1280x720 640x360");
  CHECK(live({1920, 1080, 60}, false, live_options_for(2)) == "960x540 426x240");
  CHECK(live({1920, 1080, 30}, false, live_options_for(8)) == "1920x1080 1280x720 960x540 640x360");
}
