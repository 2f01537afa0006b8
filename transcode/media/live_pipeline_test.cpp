#include "transcode/media/live_pipeline.h"

#include <doctest/doctest.h>

#include <fstream>
#include <iterator>

#include "core/media/cmaf_reader.h"
#include "core/media/cmaf_writer.h"
#include "core/media/codec_config.h"
#include "transcode/testing/media_files.h"

using namespace ribalta;
using namespace ribalta::transcode;
using namespace ribalta::transcode::testing;

namespace {

constexpr const char* kFragments =
    " -video_track_timescale 90000 -movflags +empty_moov+default_base_moof+frag_every_frame -f mp4";

std::optional<Bytes> source(const std::string& name, const std::string& arguments) {
  const auto file = generate(name, arguments + kFragments);
  if (!file) return std::nullopt;
  std::ifstream in{*file, std::ios::binary};
  const std::string text{std::istreambuf_iterator<char>{in}, {}};
  return Bytes{as_bytes(text).begin(), as_bytes(text).end()};
}

/// The same track, so many ticks later.
Bytes later(ByteSpan bytes, std::int64_t ticks) {
  media::CmafReader reader;
  reader.feed(bytes);
  Bytes out;
  std::optional<media::TrackConfig> config;
  for (;;) {
    const auto item = reader.next();
    REQUIRE(item.has_value());
    if (!*item) return out;
    Result<Bytes> written;
    if (const auto* init = std::get_if<media::InitItem>(&**item)) {
      config = init->config;
      written = media::write_init(*config);
    } else {
      std::vector<media::Sample> samples = std::get<media::ChunkItem>(**item).chunk.samples;
      for (media::Sample& sample : samples) sample.dts += ticks;
      written = media::write_chunk(*config, 1, samples);
    }
    REQUIRE(written.has_value());
    out.insert(out.end(), written->begin(), written->end());
  }
}

media::LadderVideo rung(const char* track, std::int64_t width, std::int64_t height) {
  return {.track = track,
          .width = width,
          .height = height,
          .fps = 30,
          .codecs = "avc1.64001e",
          .bitrate = media::h264_bitrate(width, height, 30),
          .bandwidth = 2 * media::h264_bitrate(width, height, 30)};
}

LiveSettings settings() {
  LiveSettings out;
  out.preset = "ultrafast";
  out.rungs = {{rung("v120", 160, 120), 0}};
  return out;
}

/// Sizes the sink for so many tracks, which a live does not report.
void expect_tracks(KeepingSink& sink, std::size_t count) { sink.tracks.resize(count); }

std::vector<std::int64_t> key_times(const KeptTrack& track) {
  std::vector<std::int64_t> times;
  for (const auto& chunk : track.parsed) {
    for (const media::Sample& sample : chunk.samples) {
      if (sample.sync) times.push_back(sample.dts);
    }
  }
  return times;
}

}  // namespace

TEST_CASE("live: where the source is no rung, key pictures come every segment, whatever the source has") {
  const auto bytes =
      source("one_key.mp4", "-f lavfi -i testsrc2=s=320x240:r=30:d=7 -c:v libx264 -preset ultrafast -bf 0 -g 999");
  if (!bytes) return;
  LiveSettings wanted = settings();
  wanted.follow_source_keys = false;
  KeepingSink sink;
  expect_tracks(sink, 1);
  LivePipeline pipeline{wanted, sink};
  REQUIRE(pipeline.open());
  REQUIRE(pipeline.feed_video(*bytes));
  REQUIRE(pipeline.finish());
  CHECK(key_times(sink.tracks[0]) == std::vector<std::int64_t>{0, 180'000, 360'000, 540'000});
}

TEST_CASE("live: a source that changes its shape keeps it between bars, with the rung's size") {
  const auto wide = source("wide.mp4", "-f lavfi -i testsrc2=s=320x240:r=30:d=1 -c:v libx264 -preset ultrafast -bf 0");
  const auto tall = source("tall.mp4", "-f lavfi -i testsrc2=s=240x320:r=30:d=1 -c:v libx264 -preset ultrafast -bf 0");
  if (!wide || !tall) return;
  const LiveSettings wanted = settings();
  KeepingSink sink;
  expect_tracks(sink, 1);
  LivePipeline pipeline{wanted, sink};
  REQUIRE(pipeline.open());
  REQUIRE(pipeline.feed_video(*wide));
  REQUIRE(pipeline.feed_video(later(*tall, 180'000)));
  REQUIRE(pipeline.finish());
  const std::vector<std::int64_t> keys = key_times(sink.tracks[0]);
  REQUIRE(keys.size() == 2);
  CHECK(keys[1] == 180'000);
  CHECK(errors_in(sink.write_track(0, "shapes")).empty());
  CHECK(probe(sink.write_track(0, "shapes"), "stream=nb_read_frames", "-count_frames") == "60");
}

TEST_CASE("live: no two seconds have more bits than the rung announced, boxes included") {
  const auto bytes =
      source("live_noise.mp4",
             "-f lavfi -i testsrc2=s=640x360:r=30:d=6 -vf noise=alls=60:allf=t -c:v libx264 -preset ultrafast "
             "-bf 0 -g 60 -sc_threshold 0");
  if (!bytes) return;
  LiveSettings wanted = settings();
  wanted.preset = "veryfast";
  wanted.rungs = {};
  for (const media::LadderVideo& each : media::live_ladder({640, 360, 30}, nullptr, {}).value())
    wanted.rungs.push_back({each, 0});
  REQUIRE(wanted.rungs.size() == 2);
  KeepingSink sink;
  expect_tracks(sink, 2);
  LivePipeline pipeline{wanted, sink};
  REQUIRE(pipeline.open());
  REQUIRE(pipeline.feed_video(*bytes));
  REQUIRE(pipeline.finish());
  for (std::size_t i = 0; i < 2; ++i) {
    std::vector<double> bits(3);
    for (std::size_t n = 0; n < sink.tracks[i].chunks.size(); ++n) {
      bits.at(static_cast<std::size_t>(sink.tracks[i].parsed[n].decode_time / 180'000)) +=
          8.0 * static_cast<double>(sink.tracks[i].chunks[n].size());
    }
    for (const double segment : bits) {
      INFO(wanted.rungs[i].rung.track, ": ", segment / 2, " of ", wanted.rungs[i].rung.bandwidth);
      CHECK(segment / 2 <= static_cast<double>(wanted.rungs[i].rung.bandwidth));
      CHECK(segment / 2 > static_cast<double>(wanted.rungs[i].rung.bitrate) / 2);
    }
  }
}

TEST_CASE("live: bytes in any cut give the same rungs") {
  const auto bytes = source("cuts.mp4", "-f lavfi -i testsrc2=s=160x120:r=30:d=1 -c:v libx264 -preset ultrafast -bf 2");
  if (!bytes) return;
  std::vector<Bytes> first;
  for (const std::size_t step : {bytes->size(), std::size_t{997}, std::size_t{13}}) {
    const LiveSettings wanted = settings();
    KeepingSink sink;
    expect_tracks(sink, 1);
    LivePipeline pipeline{wanted, sink};
    REQUIRE(pipeline.open());
    for (std::size_t at = 0; at < bytes->size(); at += step) {
      REQUIRE(pipeline.feed_video(ByteSpan{*bytes}.subspan(at, std::min(step, bytes->size() - at))));
    }
    REQUIRE(pipeline.finish());
    if (first.empty()) first = sink.tracks[0].chunks;
    CHECK(sink.tracks[0].chunks.size() == 30);
    CHECK(sink.tracks[0].chunks == first);
  }
}

TEST_CASE("live: encoded sound is contiguous, counts in samples, and goes on exactly where it is asked to") {
  const auto bytes = source("sound_live.mp4", "-f lavfi -i sine=440:r=44100:d=3 -c:a aac");
  if (!bytes) return;
  for (const std::int64_t resume : {0, 96'000}) {
    LiveSettings wanted = settings();
    wanted.rungs.clear();
    wanted.audio = {media::encoded_audio()};
    wanted.audio_resume_at = resume;
    KeepingSink sink;
    expect_tracks(sink, 1);
    LivePipeline pipeline{wanted, sink};
    REQUIRE(pipeline.open());
    REQUIRE(pipeline.feed_audio(*bytes));
    REQUIRE(pipeline.finish());
    REQUIRE_FALSE(sink.tracks[0].parsed.empty());
    CHECK(media::codec_string(sink.tracks[0].config).value() == "mp4a.40.2");
    std::int64_t at = resume;
    for (const auto& chunk : sink.tracks[0].parsed) {
      CHECK(chunk.decode_time == at);
      CHECK(chunk.samples.size() <= kLiveAudioPackets);
      at = chunk.decode_end();
    }
    CHECK(at >= 3 * 48'000 - 2'048);
    CHECK(errors_in(sink.write_track(0, "sound_live")).empty());
  }
}

TEST_CASE("live: bytes that are no CMAF end the work with an error") {
  const LiveSettings wanted = settings();
  KeepingSink sink;
  expect_tracks(sink, 1);
  LivePipeline pipeline{wanted, sink};
  REQUIRE(pipeline.open());
  CHECK_FALSE(pipeline.feed_video(as_bytes("\x7f\xff\xff\xffmoov no such thing")).has_value());
}
