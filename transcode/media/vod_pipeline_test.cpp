#include "transcode/media/vod_pipeline.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "core/media/cmaf_reader.h"
#include "core/media/codec_config.h"
#include "transcode/media/audio.h"
#include "transcode/media/track_output.h"
#include "transcode/testing/media_files.h"

using namespace ribalta;
using namespace ribalta::transcode;
using namespace ribalta::transcode::testing;

namespace {

VodSettings quick() {
  VodSettings settings;
  settings.preset = "ultrafast";
  settings.cores = 1;
  return settings;
}

/// How much later than decoded a track's key frames are shown.
std::int64_t later(const KeptTrack& track) { return track.parsed.front().samples.front().cts_offset; }

/// Presentation times of a track's key frames, in ticks.
std::set<std::int64_t> key_times(const KeptTrack& track) {
  std::set<std::int64_t> times;
  for (const auto& chunk : track.parsed) {
    for (const media::Sample& sample : chunk.samples) {
      if (sample.sync) times.insert(sample.pts() - later(track));
    }
  }
  return times;
}

std::set<std::int64_t> shown_times(const KeptTrack& track) {
  std::set<std::int64_t> times;
  for (const auto& chunk : track.parsed) {
    for (const media::Sample& sample : chunk.samples) times.insert(sample.pts() - later(track));
  }
  return times;
}

/// Every chunk begins where the one before ended, with a key frame; nothing is decoded after it is shown.
void check_timeline(const KeptTrack& track) {
  std::int64_t at = 0;
  for (const auto& chunk : track.parsed) {
    CHECK(chunk.decode_time == at);
    CHECK(chunk.first_is_sync);
    for (const media::Sample& sample : chunk.samples) CHECK(sample.cts_offset >= 0);
    at = chunk.decode_end();
  }
}

}  // namespace

TEST_CASE("vod: all rungs have the same frames, the same key frames, and the codec strings of the plan") {
  const auto file = generate("landscape.mp4",
                             "-f lavfi -i testsrc2=s=640x360:r=30:d=5 -f lavfi -i sine=440:d=5 "
                             "-c:v libx264 -preset ultrafast -bf 2 -c:a aac");
  if (!file) return;
  KeepingSink sink;
  const auto summary = work_on(*file, quick(), sink);
  REQUIRE(summary.has_value());
  CHECK(summary->duration_ms == 5000);
  REQUIRE(sink.kept_report.rungs.size() == 2);
  REQUIRE(sink.tracks.size() == 3);
  for (std::size_t i = 0; i < 2; ++i) {
    check_timeline(sink.tracks[i]);
    CHECK(media::codec_string(sink.tracks[i].config).value() == sink.kept_report.rungs[i].codecs);
    CHECK(sink.tracks[i].config.width == sink.kept_report.rungs[i].width);
  }
  CHECK(key_times(sink.tracks[0]) == std::set<std::int64_t>{0, 180'000, 360'000});
  CHECK(key_times(sink.tracks[0]) == key_times(sink.tracks[1]));
  CHECK(shown_times(sink.tracks[0]).size() == 150);
  CHECK(shown_times(sink.tracks[0]) == shown_times(sink.tracks[1]));
  // The priming packet comes first and ends where the first picture is shown.
  const media::Chunk& sound = sink.tracks[2].parsed.front();
  CHECK((sound.decode_time + 1024) * 15 == later(sink.tracks[0]) * 8);
  CHECK(later(sink.tracks[0]) == shown_later(30));
  CHECK(sink.kept_poster.size() > 1000);
  CHECK(sink.last_progress > 0.5);
}

TEST_CASE("vod: FFmpeg reads the tracks as they were meant: size, rate, codec, count of frames") {
  const auto file =
      generate("second_opinion.mp4", "-f lavfi -i testsrc2=s=320x568:r=25:d=3 -c:v libx264 -preset ultrafast");
  if (!file) return;
  KeepingSink sink;
  VodSettings settings = quick();
  settings.preset = "veryfast";  // B-frames
  REQUIRE(work_on(*file, settings, sink).has_value());
  const std::string path = sink.write_track(0, "second_opinion");
  CHECK(probe(path, "stream=codec_name,profile,width,height,has_b_frames") == "h264,High,320,568,1");
  CHECK(probe(path, "stream=nb_read_frames", "-count_frames") == "75");
  CHECK(probe(path, "stream=start_time") == "0.044167");
}

TEST_CASE("vod: a beep stays with its flash, also when the sound begins later than the picture") {
  for (const std::string offset : {"0", "0.7"}) {
    // White flash and beep at the same instant, once a second; the sound track begins `offset` later.
    const auto file =
        generate("flash_" + offset + ".mp4",
                 "-f lavfi -i \"color=black:s=320x240:r=30:d=4,geq=lum='if(lt(mod(T,1),0.05),235,16)':cb=128:cr=128\" "
                 "-itsoffset " +
                     offset + " -f lavfi -i \"aevalsrc='if(lt(mod(t+" + offset +
                     ",1),0.05),sin(2*PI*1000*t),0)':s=48000:d=3\" "
                     "-c:v libx264 -preset ultrafast -c:a aac");
    if (!file) return;
    KeepingSink sink;
    REQUIRE(work_on(*file, quick(), sink).has_value());
    const std::string sound = sink.write_track(sink.tracks.size() - 1, "flash_sound");
    const std::string picture = sink.write_track(0, "flash_picture");
    const auto beeps = beep_times(sound);
    const auto flashes = flash_times(picture);
    REQUIRE(beeps.size() >= 2);
    REQUIRE(flashes.size() >= 3);
    for (const double beep : beeps) {
      if (beep < 0.8 || beep > 3.5) continue;  // where it begins and ends is no beep
      double nearest = 10;
      for (const double flash : flashes) nearest = std::min(nearest, std::abs(flash - beep));
      INFO("offset ", offset, " beep at ", beep, " nearest flash off by ", nearest);
      CHECK(nearest < 1.0 / 30);
    }
  }
}

TEST_CASE("vod: where several recordings lie in one file, each beep stays with its flash") {
  // The middle one's sound begins by half a picture earlier, and ends sooner, than that of those around it.
  const std::string picture =
      "-f lavfi -i \"color=black:s=160x120:r=30:d=4,drawbox=color=white:t=fill:enable='between(mod(t,1),0.5,0.6)'\" ";
  const std::string tone = "-f lavfi -i \"aevalsrc='if(between(mod(t,1),0.5,0.6),0.5*sin(6283*t),0)':s=48000:d=4\" ";
  const std::string codecs = "-c:v libx264 -preset ultrafast -c:a aac ";
  const auto whole = generate("whole_recording.mp4", picture + tone + codecs + "-bf 2");
  if (!whole) return;
  const auto first = generate("first_recording.ts", "-i " + whole->string() + " -c copy");
  const auto second = generate("second_recording.ts", "-t 2 " + picture + "-t 2 " + tone + codecs);
  REQUIRE(first);
  REQUIRE(second);
  const std::filesystem::path joined = scratch() / "recordings.ts";
  {
    std::ofstream out{joined, std::ios::binary};
    for (const auto& part : {*first, *second, *first, *second}) out << std::ifstream{part, std::ios::binary}.rdbuf();
  }
  KeepingSink sink;
  REQUIRE(work_on(joined, quick(), sink).has_value());
  const auto flashes = flash_times(sink.write_track(0, "recordings"));
  const auto beeps = beep_times(sink.write_track(1, "recordings_sound"));
  REQUIRE(flashes.size() == 12);
  // Read alone, each track begins at zero: the sound with the packet that primes its decoder.
  constexpr double priming = static_cast<double>(kAudioFrameSamples) / kAudioRate;
  for (const double flash : flashes) {
    double nearest = 10;
    for (const double beep : beeps) nearest = std::min(nearest, std::abs(flash + priming - beep));
    INFO("flash at ", flash, ", its beep ", nearest, " s from it");
    CHECK(nearest < 0.005);
  }
}

TEST_CASE("vod: pictures are turned upright, squared and made even") {
  struct Case {
    const char* name;
    const char* arguments;
    std::int64_t width, height;
  };
  const Case cases[] = {
      {"odd.mkv", "-f lavfi -i testsrc2=s=161x121:r=10:d=0.5 -c:v ffv1", 160, 120},
      {"anamorphic.mp4", "-f lavfi -i testsrc2=s=160x120:r=10:d=0.5,setsar=2 -c:v libx264 -preset ultrafast", 320, 120},
      {"rotated.mp4", "", 108, 192},
  };
  const auto upright =
      generate("upright.mp4", "-f lavfi -i testsrc2=s=192x108:r=10:d=0.5 -c:v libx264 -preset ultrafast");
  if (!upright) return;
  generate("rotated.mp4", "-i " + upright->string() + " -c copy -metadata:s:v:0 rotate=270");
  for (const Case& each : cases) {
    const auto file = generate(each.name, each.arguments);
    if (!file) return;
    KeepingSink sink;
    INFO(std::string{each.name});
    REQUIRE(work_on(*file, quick(), sink).has_value());
    CHECK(sink.tracks[0].config.width == each.width);
    CHECK(sink.tracks[0].config.height == each.height);
    CHECK(probe(sink.write_track(0, "turned"), "stream=width,height") ==
          std::to_string(each.width) + "," + std::to_string(each.height));
  }
}

TEST_CASE("vod: frames of uneven length keep their times, and over 60 a second are left out") {
  const auto uneven =
      generate("uneven.mp4",
               "-f lavfi -i testsrc2=s=160x120:r=30:d=3 -vf \"select='not(mod(n,7))+lt(mod(n,40),12)'\" "
               "-vsync vfr -c:v libx264 -preset ultrafast");
  if (!uneven) return;
  KeepingSink sink;
  REQUIRE(work_on(*uneven, quick(), sink).has_value());
  check_timeline(sink.tracks[0]);
  std::set<std::int64_t> expected;
  for (int n = 0; n < 90; ++n) {
    if (n % 7 == 0 || n % 40 < 12) expected.insert(n * 3000);
  }
  CHECK(shown_times(sink.tracks[0]) == expected);

  const auto fast = generate("fast.mp4", "-f lavfi -i testsrc2=s=160x120:r=240:d=1 -c:v libx264 -preset ultrafast");
  KeepingSink fast_sink;
  REQUIRE(work_on(*fast, quick(), fast_sink).has_value());
  const std::size_t frames = shown_times(fast_sink.tracks[0]).size();
  CHECK(frames >= 58);
  CHECK(frames <= 62);
}

TEST_CASE("vod: no segment has more bits than its rung announced, however hard the picture") {
  const auto file = generate(
      "noise.mp4",
      "-f lavfi -i testsrc2=s=640x360:r=30:d=6 -vf noise=alls=60:allf=t -c:v libx264 -preset ultrafast -crf 18");
  if (!file) return;
  for (const double crf : {23.0, 0.0}) {
    VodSettings settings = quick();
    settings.preset = "veryfast";
    settings.crf = crf;
    KeepingSink sink;
    REQUIRE(work_on(*file, settings, sink).has_value());
    for (std::size_t i = 0; i < sink.kept_report.rungs.size(); ++i) {
      for (std::size_t n = 0; n < sink.tracks[i].chunks.size(); ++n) {
        const double seconds = static_cast<double>(sink.tracks[i].parsed[n].duration) / 90'000;
        const double bits = static_cast<double>(sink.tracks[i].chunks[n].size()) * 8;
        INFO("crf ", crf, " rung ", sink.kept_report.rungs[i].track, " segment ", n);
        CHECK(bits / seconds <= static_cast<double>(sink.kept_report.rungs[i].bandwidth));
      }
    }
  }
}

TEST_CASE("vod: a held picture is shown again, so that segments stay short") {
  const auto file =
      generate("slides.mp4", "-f lavfi -i testsrc2=s=160x120:r=1/6:d=12 -vsync vfr -c:v libx264 -preset ultrafast");
  if (!file) return;
  KeepingSink sink;
  REQUIRE(work_on(*file, quick(), sink).has_value());
  for (const auto& chunk : sink.tracks[0].parsed) CHECK(chunk.duration <= 225'000);
}

TEST_CASE("vod: a file that ends in the middle is used as far as it goes; sound alone is refused") {
  const auto file = generate("whole.ts", "-f lavfi -i testsrc2=s=160x120:r=25:d=3 -c:v libx264 -preset ultrafast");
  if (!file) return;
  std::filesystem::resize_file(*file, std::filesystem::file_size(*file) / 2);
  KeepingSink sink;
  REQUIRE(work_on(*file, quick(), sink).has_value());
  CHECK(shown_times(sink.tracks[0]).size() > 20);

  const auto sound = generate("sound.mp4", "-f lavfi -i sine=440:d=1 -c:a aac");
  KeepingSink none;
  const auto refused = work_on(*sound, quick(), none);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().kind == RefusalKind::no_video);
}

TEST_CASE("vod: quiet sound is made louder towards the target") {
  const auto file = generate("quiet.mp4",
                             "-f lavfi -i testsrc2=s=160x120:r=10:d=4 -f lavfi -i sine=1000:d=4 -af volume=-12dB "
                             "-c:v libx264 -preset ultrafast -c:a aac");
  if (!file) return;
  KeepingSink sink;
  REQUIRE(work_on(*file, quick(), sink).has_value());
  const double before = mean_volume(file->string());
  const double after = mean_volume(sink.write_track(sink.tracks.size() - 1, "loud"));
  CHECK(after > before + 5);
  CHECK(after < -6);
}

TEST_CASE("vod: real files with HDR, rotation, 5.1, damage and odd clocks become tracks that FFmpeg reads") {
  const char* folder = std::getenv("RIBALTA_TEST_MEDIA");
  if (!folder) {
    MESSAGE("RIBALTA_TEST_MEDIA is not set: real files were left out");
    return;
  }
  VodSettings settings = quick();
  settings.short_side_max = 120;
  settings.rungs_max = 2;
  for (const char* name :
       {"uploads/rot90_iphone_dovi84_hevc10.mov", "uploads/hlg_hevc10_1080p.mp4", "uploads/rot90_and_mirror_matrix.mp4",
        "uploads/vp9_60fps_vorbis51.webm", "uploads/edit_list_preroll.mp4", "uploads/ts_pts_near_wrap.ts",
        "uploads/mid_stream_resize.mp4", "uploads/gif_animation.gif", "uploads/tiny_2x2.mp4", "uploads/svq1_qdm2.mov",
        "uploads/single_frame_cover_art.mp4", "uploads/sar_1137_800_firstpts10s.mp4",
        "hostile/mp4_h264_decode_errors.mp4"}) {
    KeepingSink sink;
    INFO(std::string{name});
    const auto summary = work_on(std::filesystem::path{folder} / name, settings, sink);
    REQUIRE(summary.has_value());
    check_timeline(sink.tracks[0]);
    const std::string path = sink.write_track(0, "real");
    CHECK(probe(path, "stream=nb_read_frames", "-count_frames") == std::to_string(summary->frames));
    CHECK(errors_in(path).empty());
  }
}
