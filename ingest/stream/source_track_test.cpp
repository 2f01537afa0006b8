#include "ingest/stream/source_track.h"

#include <doctest/doctest.h>

#include "core/media/cmaf_reader.h"
#include "core/media/codec_config.h"

using namespace ribalta;
using namespace ribalta::ingest;

namespace {

Bytes hex(std::string_view text) { return from_hex(text).value(); }

// x264's configurations of 320x180 and 640x360, and FFmpeg's of AAC at 48 kHz stereo.
constexpr std::string_view kSmall =
    "0164000dffe1001a6764000dacd941419f9f0110000003001000000303c0f142996001000468ef8fcbfdf8f800";
constexpr std::string_view kLarge =
    "0164001effe1001a6764001eacd940a02ff970110000030001000003003c0f162d9601000468ef8fcbfdf8f800";
constexpr std::string_view kAac = "119056e500";
const Bytes kKey = hex("00000003 658880");
const Bytes kBetween = hex("00000003 419a00");

struct Read {
  media::TrackConfig config;
  std::vector<media::Chunk> chunks;
  std::vector<std::shared_ptr<const Bytes>> raw;
  std::vector<const Bytes*> inits;
};
Read read(Ring& ring) {
  Read read;
  for (std::uint64_t i = ring.first(); i < ring.end(); ++i) {
    const RingChunk& chunk = ring.at(i);
    read.config = media::parse_init(*chunk.init).value();
    read.raw.push_back(chunk.bytes);
    read.chunks.push_back(media::parse_chunk(*chunk.bytes, read.config).value());
    CHECK(read.chunks.back().decode_time == chunk.decode_time);
    CHECK(read.chunks.back().decode_end() == chunk.decode_end);
    CHECK(read.chunks.back().first_is_sync == chunk.key);
    if (read.inits.empty() || read.inits.back() != chunk.init.get()) read.inits.push_back(chunk.init.get());
  }
  return read;
}
Placed at(std::int64_t time_ms, bool discontinuity = false) { return {time_ms, discontinuity}; }

}  // namespace

TEST_CASE("video: each frame is one chunk that lasts until the next; key frames carry the wall clock") {
  VideoSource video;
  REQUIRE(video.on_header(hex(kSmall)).has_value());
  const WallTime now = from_unix_ms(1'700'000'000'123);
  video.on_frame(at(0), 66, kKey, now);
  video.on_frame(at(33), -34, kBetween, now);
  video.on_frame(at(67), 0, kBetween, now);
  video.flush();
  const Read got = read(video.ring());
  REQUIRE(got.chunks.size() == 3);
  CHECK(got.config.width == 320);
  CHECK(got.chunks[0].duration == 33 * 90);
  CHECK(got.chunks[0].samples[0].cts_offset == 66 * 90);
  CHECK(got.chunks[1].samples[0].cts_offset == -34 * 90);
  CHECK(got.chunks[1].duration == 34 * 90);
  CHECK(got.chunks[2].duration == 34 * 90);
  REQUIRE(got.chunks[0].prft.has_value());
  CHECK(media::from_ntp(got.chunks[0].prft->ntp) == now);
  CHECK_FALSE(got.chunks[1].prft.has_value());
}

TEST_CASE("video: frames before a header and before the first key frame are left out") {
  VideoSource video;
  video.on_frame(at(0), 0, kKey, {});
  REQUIRE(video.on_header(hex(kSmall)).has_value());
  video.on_frame(at(33), 0, kBetween, {});
  CHECK_FALSE(video.take_seen().has_value());
  video.on_frame(at(66), 0, kKey, {});
  CHECK(video.take_seen()->key);
  video.flush();
  CHECK(read(video.ring()).chunks.at(0).decode_time == 66 * 90);
  CHECK(video.counts().dropped_before_key == 2);
}

TEST_CASE("video: the same header again changes nothing; another begins a new init segment with the next key frame") {
  VideoSource video;
  REQUIRE(video.on_header(hex(kSmall)).has_value());
  video.on_frame(at(0), 0, kKey, {});
  REQUIRE(video.on_header(hex(kSmall)).has_value());
  video.on_frame(at(33), 0, kBetween, {});
  REQUIRE(video.on_header(hex(kLarge)).has_value());
  video.on_frame(at(66), 0, kBetween, {});
  video.on_frame(at(100), 0, kKey, {});
  video.flush();
  const Read got = read(video.ring());
  REQUIRE(got.chunks.size() == 3);
  CHECK(got.inits.size() == 2);
  CHECK(got.config.width == 640);
  CHECK(got.chunks[1].decode_end() == 100 * 90);
}

TEST_CASE("video: a broken header is refused and the track goes on with the one that it had") {
  VideoSource video;
  REQUIRE(video.on_header(hex(kSmall)).has_value());
  CHECK_FALSE(video.on_header(hex("0164000d")).has_value());
  CHECK_FALSE(video.on_header({}).has_value());
  video.on_frame(at(0), 0, kKey, {});
  CHECK(video.take_seen().has_value());
}

TEST_CASE("video: times that stand still or go back are a millisecond apart") {
  VideoSource video;
  REQUIRE(video.on_header(hex(kSmall)).has_value());
  for (const std::int64_t time_ms : {100, 100, 90, 100, 200}) video.on_frame(at(time_ms), 0, kKey, {});
  video.flush();
  const Read got = read(video.ring());
  REQUIRE(got.chunks.size() == 5);
  for (std::size_t i = 1; i < 4; ++i) CHECK(got.chunks[i].decode_time == (100 + static_cast<std::int64_t>(i)) * 90);
  CHECK(got.chunks[4].decode_time == 200 * 90);
}

TEST_CASE("video: nothing begins before what the packager has") {
  VideoSource video{900'000};
  REQUIRE(video.on_header(hex(kSmall)).has_value());
  video.on_frame(at(9'990), 0, kKey, {});
  video.on_frame(at(10'033), 0, kBetween, {});
  video.flush();
  CHECK(read(video.ring()).chunks.at(0).decode_time == 900'000);
}

TEST_CASE("video: a frame is held for up to five seconds; beyond there is a hole, and after a jump the init again") {
  VideoSource video;
  REQUIRE(video.on_header(hex(kSmall)).has_value());
  video.on_frame(at(0), 0, kKey, {});
  video.on_frame(at(40), 0, kBetween, {});
  video.on_frame(at(5'040), 0, kBetween, {});
  video.on_frame(at(15'000, true), 0, kBetween, {});
  video.on_frame(at(15'040), 0, kKey, {});
  video.flush();
  const Read got = read(video.ring());
  REQUIRE(got.chunks.size() == 5);
  CHECK(got.chunks[1].duration == 5000 * 90);
  CHECK(got.chunks[2].duration == 40 * 90);
  CHECK(got.inits.size() == 2);
  CHECK(*got.inits[0] == *got.inits[1]);
}

TEST_CASE("video: lengths of one and two bytes and Annex B become lengths of four") {
  for (const auto& [length_field, frame] :
       {std::pair{"fc", "03 658880"}, {"fd", "0003 658880"}, {"ff", "00000001 658880"}}) {
    VideoSource video;
    Bytes record = hex(kSmall);
    record[4] = hex(length_field)[0];
    REQUIRE(video.on_header(record).has_value());
    video.on_frame(at(0), 0, hex(frame), {});
    video.flush();
    const Read got = read(video.ring());
    REQUIRE(got.chunks.size() == 1);
    CHECK(to_hex(got.chunks[0].samples[0].data) == "00000003658880");
    CHECK(media::parse_avcc(got.config.codec_config)->nal_length_bytes == 4);
  }
}

TEST_CASE("video: parameter sets in Annex B make a configuration") {
  VideoSource video;
  CHECK(video.on_header(hex("00000001 6764000dacd941419f9f0110000003001000000303c0f1429960 000001 68ef8fcb"))
            .has_value());
  CHECK(video.config()->width == 320);
}

TEST_CASE("video: frames whose NAL units do not fit are left out and counted") {
  VideoSource video;
  REQUIRE(video.on_header(hex(kSmall)).has_value());
  for (const char* text : {"", "00", "00000004 658880", "ffffffff 65", "00000000"})
    video.on_frame(at(0), 0, hex(text), {});
  video.flush();
  CHECK(video.ring().end() == 0);
  CHECK(video.counts().dropped_broken == 5);
}

TEST_CASE("video: a recovery point is an open GOP's key frame") {
  VideoSource video;
  REQUIRE(video.on_header(hex(kSmall)).has_value());
  video.on_frame(at(0), 0, hex("00000004 06060180 00000003 419a00"), {});
  const auto seen = video.take_seen();
  REQUIRE(seen.has_value());
  CHECK(seen->key);
  CHECK(seen->open_gop);
}

TEST_CASE("audio: packets are gathered in pairs, counted in samples") {
  AudioSource audio;
  REQUIRE(audio.on_header(hex(kAac)).has_value());
  for (int i = 0; i < 5; ++i) CHECK(audio.on_frame(at(i * 21), 0, hex("2110")) == 1024);
  audio.flush();
  const Read got = read(*audio.ring());
  REQUIRE(got.chunks.size() == 3);
  CHECK(got.config.timescale == 48'000);
  CHECK(got.chunks[1].decode_time == 2048);
  CHECK(got.chunks[2].samples.size() == 1);
}

TEST_CASE("audio: packets before a header and before the common zero are left out") {
  AudioSource audio;
  CHECK(audio.on_frame(at(0), 0, hex("2110")) == 0);
  REQUIRE(audio.on_header(hex(kAac)).has_value());
  CHECK(audio.on_frame(at(-1), 0, hex("2110")) == 0);
  CHECK(audio.on_frame(at(999), 1000, hex("2110")) == 0);
  CHECK(audio.on_frame(at(1000), 1000, hex("2110")) == 1024);
  audio.flush();
  CHECK(read(*audio.ring()).chunks.at(0).decode_time == 48'000);
}

TEST_CASE("audio: another rate on a track that the packager has keeps the track's clock") {
  AudioSource audio{44'100, 44'100};
  REQUIRE(audio.on_header(hex(kAac)).has_value());
  CHECK(audio.on_frame(at(1000), 0, hex("2110")) == 940);
  audio.flush();
  const Read got = read(*audio.ring());
  CHECK(got.config.timescale == 44'100);
  CHECK(got.config.sample_rate == 48'000);
  CHECK(got.chunks.at(0).decode_time == 44'100);
}

TEST_CASE("audio: a changed configuration begins a new init segment after what is there") {
  AudioSource audio;
  REQUIRE(audio.on_header(hex(kAac)).has_value());
  audio.on_frame(at(0), 0, hex("2110"));
  REQUIRE(audio.on_header(hex("1188")).has_value());  // mono
  audio.on_frame(at(21), 0, hex("2110"));
  audio.flush();
  const Read got = read(*audio.ring());
  CHECK(got.inits.size() == 2);
  CHECK(got.config.channels == 1);
  CHECK(got.chunks.at(1).decode_time >= got.chunks.at(0).decode_end());
  CHECK_FALSE(audio.on_header(hex("ff")).has_value());
}
