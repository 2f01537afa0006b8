// Real encodings through the origin and out again through FFmpeg's players: every frame, HLS and DASH.
#include <doctest/doctest.h>

#include <sstream>

#include "core/json.h"
#include "core/media/cmaf_reader.h"
#include "packager/live/origin_testing.h"
#include "packager/live/testing.h"

using namespace ribalta;
using namespace ribalta::packager;
using namespace ribalta::packager::testing;
using media::testing::output_of;

namespace {

const std::string kStream = "0123456789abcdef";

constexpr std::string_view kFragments =
    " -movflags empty_moov+default_base_moof+frag_every_frame+cmaf+negative_cts_offsets -use_editlist 0 -f mp4 ";

/// 13 s of a test picture with B-frames and a key frame every 2 s, and of a tone, each as one CMAF track.
struct Encoded {
  media::testing::Scratch scratch;
  std::string video = scratch.file("video.mp4");
  std::string audio = scratch.file("audio.mp4");
  Encoded() {
    const std::string fragments{kFragments};
    output_of(
        "ffmpeg -v error -f lavfi -i testsrc2=size=320x180:rate=30:duration=13 -c:v libx264 -preset ultrafast -bf 2"
        " -g 60 -keyint_min 60 -sc_threshold 0 -pix_fmt yuv420p -video_track_timescale 90000" +
        fragments + video);
    output_of("ffmpeg -v error -f lavfi -i sine=frequency=440:sample_rate=48000:duration=13 -c:a aac" + fragments +
              audio);
  }
};

std::size_t count_lines(const std::string& text) { return static_cast<std::size_t>(std::ranges::count(text, '\n')); }
/// One line for each decoded frame: its hash.
std::string frames_of(const std::string& input, const std::string& map) {
  return output_of("ffmpeg -v error -i '" + input + "' -map 0:" + map +
                   " -f framehash -hash md5 - | grep -v '^#' | sed 's/.*, *//'");
}
/// What FFmpeg complains of while it reads and decodes everything.
std::string problems_of(const std::string& input) {
  return output_of("ffmpeg -v warning -i '" + input + "' -f framehash -y /dev/null 2>&1");
}

}  // namespace

TEST_CASE("FFmpeg plays what came in, frame by frame, as HLS and as DASH") {
  if (!media::testing::have_ffmpeg()) {
    MESSAGE("left out: needs ffmpeg and ffprobe");
    return;
  }
  const Encoded encoded;
  MemoryStore store;
  Origin origin(store, {.window_segments = 10});
  media::LadderPlan plan = make_plan();
  plan.video[0].codecs = "avc1.42c00d";
  REQUIRE(origin.call("PUT", "/streams/" + kStream + "/plan", json_write(plan)).status == 200);
  for (const auto& [track, file] : {std::pair{"src-v", encoded.video}, std::pair{"src-a", encoded.audio}}) {
    CAPTURE(track);
    std::unique_ptr<http::Upload> put = origin.open_put(kStream, track, 1, true);
    const Bytes bytes = media::testing::read_file(file);
    REQUIRE(origin.await(put->write(bytes)));
    const http::Response answer = origin.await(put->finish()).value();
    CAPTURE(answer.body);
    REQUIRE(answer.status == 200);
  }
  REQUIRE(origin.call("POST", "/streams/" + kStream + "/end").status == 200);
  std::string playlist;
  while (playlist.find("#EXT-X-ENDLIST") == std::string::npos) {
    playlist = origin.get("/live/" + kStream + "/src-v.m3u8").body;
  }
  const std::string pictures = frames_of(encoded.video, "v");
  REQUIRE(count_lines(pictures) == 390);
  for (const char* file : {"/index.m3u8", "/index.mpd"}) {
    CAPTURE(file);
    const std::string url = origin.url() + "/live/" + kStream + file;
    CHECK(frames_of(url, "v") == pictures);
    const std::size_t sounds = count_lines(frames_of(url, "a"));
    CHECK(sounds >= 609);
    CHECK(sounds <= 611);
    CHECK(problems_of(url) == "");
  }
}
