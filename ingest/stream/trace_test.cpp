// Timestamps as encoders really send them, from the wire to the packager: a publisher's messages in RTMP chunks,
// through session, timeline and tracks, on injected clocks. What comes out is held against when it was filmed.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <optional>

#include "ingest/rtmp/testing/publisher.h"
#include "ingest/stream/testing/rings.h"

using namespace ribalta;
using namespace ribalta::ingest;
using rtmp::MessageType;

namespace {

Bytes hex(std::string_view text) { return from_hex(text).value(); }

// x264's configurations of 320x180 and 640x360, FFmpeg's of AAC at 48 and 44.1 kHz stereo.
constexpr std::string_view kSmall =
    "0164000dffe1001a6764000dacd941419f9f0110000003001000000303c0f142996001000468ef8fcbfdf8f800";
constexpr std::string_view kLarge =
    "0164001effe1001a6764001eacd940a02ff970110000030001000003003c0f162d9601000468ef8fcbfdf8f800";
constexpr std::string_view kAac48 = "119056e500";
constexpr std::string_view kAac44 = "121056e500";
// Tags of a key frame, a frame between and a packet of sound; behind each stands when it was filmed.
constexpr std::string_view kKey = "17 01 000000 00000007 658880";
constexpr std::string_view kBetween = "27 01 000000 00000007 419a00";
constexpr std::string_view kSound = "af 01 2110";

Bytes filmed_at(std::string_view tag, std::int64_t filmed_ms) {
  ByteWriter out;
  out.bytes(hex(tag));
  out.be32(static_cast<std::uint32_t>(filmed_ms));
  return out.take();
}
std::int64_t when_filmed(ByteSpan sample) { return read_be32(sample.last(4)); }

constexpr std::int64_t kFrameMs = 40;
constexpr std::int64_t kGopFrames = 25;
/// Sound stays within this of its picture: AudioClock's bound, and a packet.
constexpr std::int64_t kApartMaxMs = kAudioDriftMaxMs + 22;

/// A track as the packager gets it.
struct Track {
  struct Chunk {
    std::int64_t begin = 0;  ///< ticks
    std::int64_t end = 0;
    bool key = false;
    bool begins = false;         ///< an init segment goes before it
    std::int64_t filmed_ms = 0;  ///< its first sample
    std::uint32_t width = 0;
    std::uint32_t sample_rate = 0;
  };
  std::vector<Chunk> chunks;
  std::uint32_t timescale = 0;

  [[nodiscard]] std::size_t inits() const {
    return static_cast<std::size_t>(std::ranges::count_if(chunks, &Chunk::begins));
  }
  [[nodiscard]] std::size_t holes() const {
    std::size_t count = 0;
    for (std::size_t i = 1; i < chunks.size(); ++i) count += chunks[i].begin != chunks[i - 1].end ? 1 : 0;
    return count;
  }
  [[nodiscard]] std::int64_t ms(std::int64_t ticks) const { return rescale_nearest({ticks, timescale}, 1000).ticks; }
  /// How much later than it was filmed a chunk is shown.
  [[nodiscard]] std::int64_t late_ms(const Chunk& chunk) const { return ms(chunk.begin) - chunk.filmed_ms; }
  [[nodiscard]] std::int64_t end_ms() const { return ms(chunks.back().end); }
};

struct Sides {
  bool video = true;
  bool audio = true;
};

/// One publish on an injected clock. `clock` makes of the time at which a frame is filmed what the encoder writes on
/// it.
struct Trace {
  using Clock = std::function<std::int64_t(std::int64_t filmed_ms)>;

  rtmp::testing::Publisher publisher;
  rtmp::Session session{rtmp::HandshakeBlock{}};
  Source source{{}};
  Track video;
  Track audio;
  std::uint64_t next[2] = {0, 0};
  std::int64_t video_frames = 0;

  Trace() {
    say(rtmp::testing::Publisher::handshake());
    say(publisher.connect("live"));
    say(publisher.call("createStream", {}));
    say(publisher.publish("key"));
    REQUIRE(session.publishing());
  }

  void say(const Bytes& bytes, std::int64_t now_ms = 0) {
    ByteSpan left = bytes;
    while (true) {
      auto event = session.next(left);
      REQUIRE_MESSAGE(event.has_value(), event.error().message);
      if (!*event) break;
      if (std::holds_alternative<rtmp::PublishRequest>(**event)) session.accept_publish();
      const auto* media = std::get_if<rtmp::MediaMessage>(&**event);
      if (media != nullptr) REQUIRE(source.on_media(*media, now_ms, from_unix_ms(now_ms)).has_value());
    }
    (void)session.take_output();
  }
  void video_header(std::string_view record, std::int64_t time_ms) {
    say(publisher.media(MessageType::video, time_ms, hex("17 00 000000" + std::string{record})));
  }
  void audio_header(std::string_view record, std::int64_t time_ms) {
    say(publisher.media(MessageType::audio, time_ms, hex("af 00" + std::string{record})));
  }
  void headers() {
    video_header(kSmall, 0);
    audio_header(kAac48, 0);
  }

  void frame(std::int64_t filmed_ms, const Clock& clock, std::int64_t now_ms) {
    const bool key = video_frames++ % kGopFrames == 0;
    say(publisher.media(MessageType::video, clock(filmed_ms), filmed_at(key ? kKey : kBetween, filmed_ms)), now_ms);
    collect(TrackSide::video, video);
  }
  void sound(std::int64_t filmed_ms, const Clock& clock, std::int64_t now_ms) {
    say(publisher.media(MessageType::audio, clock(filmed_ms), filmed_at(kSound, filmed_ms)), now_ms);
    collect(TrackSide::audio, audio);
  }
  /// Films from `from_ms` to `to_ms`: 25 frames and 47 packets of 1024 samples at 48 kHz a second, which arrive as they
  /// are filmed, or all at `arrival_ms`.
  void film(std::int64_t from_ms, std::int64_t to_ms, const Clock& clock, Sides sides = {},
            std::optional<std::int64_t> arrival_ms = {}) {
    std::int64_t packet = (from_ms * 48 + 1023) / 1024;
    for (std::int64_t t = from_ms; t < to_ms; t += kFrameMs) {
      if (sides.video) frame(t, clock, arrival_ms.value_or(t));
      for (; packet * 1024 < (t + kFrameMs) * 48; ++packet) {
        const std::int64_t sounded = packet * 1024 / 48;
        if (sides.audio) sound(sounded, clock, arrival_ms.value_or(sounded));
      }
    }
  }
  void finish() {
    source.flush();
    collect(TrackSide::video, video);
    collect(TrackSide::audio, audio);
  }

  /// As a writer does it: what is new goes to the packager, which has it durably.
  void collect(TrackSide side, Track& track) {
    Ring* ring = source.ring(side);
    if (ring == nullptr) return;
    const auto index = static_cast<std::size_t>(side);
    REQUIRE(next[index] >= ring->first());
    for (; next[index] < ring->end(); ++next[index]) {
      const RingChunk& chunk = ring->at(next[index]);
      const media::TrackConfig config = media::parse_init(*chunk.init).value();
      const media::Chunk read = media::parse_chunk(*chunk.bytes, config).value();
      REQUIRE(read.decode_time == chunk.decode_time);
      REQUIRE(read.decode_end() == chunk.decode_end);
      REQUIRE((track.chunks.empty() || read.decode_time >= track.chunks.back().end));
      REQUIRE((track.timescale == 0 || track.timescale == config.timescale));
      track.timescale = config.timescale;
      track.chunks.push_back({read.decode_time, read.decode_end(), chunk.key, chunk.init != init_[index],
                              when_filmed(read.samples.front().data), config.width, config.sample_rate});
      init_[index] = chunk.init;
    }
    if (!track.chunks.empty()) ring->trim(track.chunks.back().begin);
  }

  /// Picture and sound lie where they were filmed: nobody sees a break, and lips fit.
  void check_unbroken() {
    finish();
    CHECK(video.inits() == 1);
    CHECK(audio.inits() == 1);
    CHECK(video.holes() == 0);
    CHECK(audio.holes() == 0);
    check_in_step(0);
  }
  /// From the first chunk filmed at or after `from_ms` on, sound is shown with its picture.
  void check_in_step(std::int64_t from_ms) {
    const auto range = [from_ms](const Track& track) {
      std::int64_t least = INT64_MAX;
      std::int64_t most = INT64_MIN;
      for (const Track::Chunk& chunk : track.chunks) {
        if (chunk.filmed_ms < from_ms) continue;
        least = std::min(least, track.late_ms(chunk));
        most = std::max(most, track.late_ms(chunk));
      }
      return std::pair{least, most};
    };
    const auto [video_least, video_most] = range(video);
    const auto [audio_least, audio_most] = range(audio);
    REQUIRE(video_least != INT64_MAX);
    REQUIRE(audio_least != INT64_MAX);
    CHECK(video_most - audio_least <= kApartMaxMs);
    CHECK(audio_most - video_least <= kApartMaxMs);
  }

 private:
  std::shared_ptr<const Bytes> init_[2];
};

std::int64_t plain(std::int64_t filmed_ms) { return filmed_ms; }

}  // namespace

TEST_CASE("trace: an ordinary publish of a minute has no break, and sound with its picture") {
  Trace trace;
  trace.headers();
  trace.film(0, 60'000, plain);
  trace.check_unbroken();
  CHECK(trace.video.chunks.size() == 1500);
  CHECK(std::abs(trace.video.end_ms() - 60'000) <= 1);
  CHECK(std::abs(trace.audio.end_ms() - 60'000) <= 22);
}

TEST_CASE("trace: the border of 24 bits (4.7 hours) is crossed without a break") {
  for (const std::int64_t begin : {0xFFFFFFLL - 3000, 0xFFFFFFLL - 1, 0xFFFFFFLL, 0x1000000LL}) {
    Trace trace;
    trace.headers();
    trace.film(0, 6'000, [begin](std::int64_t t) { return begin + t; });
    trace.check_unbroken();
    CHECK(trace.video.chunks.size() == 150);
  }
}

TEST_CASE("trace: the wrap of 32 bits (49.7 days) is crossed without a break, and so is the sign bit") {
  for (const std::int64_t begin : {0xFFFFFFFFLL - 3000, 0xFFFFFFFFLL, 0x7FFFFFFFLL - 3000}) {
    Trace trace;
    trace.headers();
    trace.film(0, 6'000, [begin](std::int64_t t) { return begin + t; });
    trace.check_unbroken();
    CHECK(trace.video.chunks.size() == 150);
  }
}

TEST_CASE("trace: a clock that jumps or begins anew is one break in both tracks, and nothing is lost or doubled") {
  for (const std::int64_t jump : {6'000LL, 3'600'000LL, 30'000'000'000LL, -2'000LL, -9'000LL, -3'600'000LL}) {
    CAPTURE(jump);
    Trace trace;
    trace.headers();
    const std::int64_t base = 10'000'000;
    trace.film(0, 10'000, [=](std::int64_t t) { return base + t; });
    trace.film(10'000, 30'000, [=](std::int64_t t) { return base + jump + t; });
    trace.finish();
    CHECK(trace.video.inits() == 2);
    CHECK(trace.audio.inits() == 2);
    CHECK(trace.video.chunks.size() == 750);
    CHECK(std::abs(trace.video.end_ms() - 30'000) <= 3 * kFrameMs);
    trace.check_in_step(11'000);
  }
}

TEST_CASE("trace: sound alone that begins its clock anew stays with its picture") {
  Trace trace;
  trace.headers();
  trace.film(0, 10'000, plain);
  for (std::int64_t t = 10'000; t < 30'000; t += kFrameMs) {
    trace.film(t, t + kFrameMs, plain, {.audio = false});
    trace.film(t, t + kFrameMs, [](std::int64_t filmed) { return filmed - 9'500; }, {.video = false});
  }
  trace.finish();
  CHECK(trace.video.chunks.size() == 750);
  CHECK(std::abs(trace.video.end_ms() - 30'000) <= 3 * kFrameMs);
  trace.check_in_step(11'000);
}

TEST_CASE("trace: a line that stood still for twenty seconds is a hole as long as that") {
  Trace trace;
  trace.headers();
  trace.film(0, 10'000, plain);
  trace.film(30'000, 40'000, plain);
  trace.finish();
  CHECK(trace.video.inits() == 2);
  CHECK(std::abs(trace.video.end_ms() - 40'000) <= kFrameMs);
  trace.check_in_step(31'000);
}

TEST_CASE("trace: frames that come in a burst after a stalled line lie where they were filmed") {
  Trace trace;
  trace.headers();
  trace.film(0, 4'000, plain);
  trace.film(4'000, 8'000, plain, {}, 8'000);
  trace.film(8'000, 12'000, plain);
  trace.check_unbroken();
  CHECK(std::abs(trace.video.end_ms() - 12'000) <= 1);
}

TEST_CASE("trace: sound that begins ten seconds late lies with its picture; so does picture") {
  for (const bool late_audio : {true, false}) {
    CAPTURE(late_audio);
    Trace trace;
    (late_audio ? trace.video_header(kSmall, 0) : trace.audio_header(kAac48, 0));
    trace.film(0, 10'000, plain, {.video = late_audio, .audio = !late_audio});
    (late_audio ? trace.audio_header(kAac48, 10'000) : trace.video_header(kSmall, 10'000));
    trace.film(10'000, 20'000, plain);
    trace.check_unbroken();
    const Track& late = late_audio ? trace.audio : trace.video;
    CHECK(std::abs(late.ms(late.chunks.front().begin) - 10'000) <= 22);
  }
}

TEST_CASE("trace: a late track on a clock of its own begins beside the other") {
  Trace trace;
  trace.video_header(kSmall, 0);
  trace.film(0, 10'000, [](std::int64_t t) { return 5'000'000 + t; }, {.audio = false});
  trace.audio_header(kAac48, 0);
  for (std::int64_t t = 10'000; t < 20'000; t += kFrameMs) {
    trace.film(t, t + kFrameMs, [](std::int64_t filmed) { return 5'000'000 + filmed; }, {.audio = false});
    trace.film(t, t + kFrameMs, [](std::int64_t filmed) { return filmed - 10'000; }, {.video = false});
  }
  trace.check_unbroken();
}

TEST_CASE("trace: another size in the middle is a new init segment at a key frame, without a hole") {
  Trace trace;
  trace.headers();
  trace.film(0, 10'000, plain);
  trace.video_header(kLarge, 10'000);
  trace.film(10'000, 20'000, plain);
  trace.video_header(kLarge, 20'000);  // the same again, as some encoders send it with every key frame
  trace.film(20'000, 22'000, plain);
  trace.video_header(kSmall, 22'000);
  trace.film(22'000, 24'000, plain);
  trace.finish();
  CHECK(trace.video.inits() == 3);
  CHECK(trace.audio.inits() == 1);
  CHECK(trace.video.holes() == 0);
  for (const Track::Chunk& chunk : trace.video.chunks) {
    CHECK(chunk.width == (chunk.filmed_ms >= 10'000 && chunk.filmed_ms < 22'000 ? 640 : 320));
    if (chunk.begins) CHECK(chunk.key);
  }
  trace.check_in_step(0);
}

TEST_CASE("trace: another size between two key frames waits for the next, and the last picture stands meanwhile") {
  Trace trace;
  trace.headers();
  trace.film(0, 10'400, plain);  // ten frames into a GOP
  trace.video_header(kLarge, 10'400);
  trace.film(10'400, 14'000, plain);
  trace.finish();
  CHECK(trace.video.inits() == 2);
  CHECK(trace.video.holes() == 0);
  const auto changed = std::ranges::find(trace.video.chunks, 640U, &Track::Chunk::width);
  REQUIRE(changed != trace.video.chunks.end());
  CHECK(changed->key);
  CHECK(trace.video.ms(changed->begin) == 11'000);
}

TEST_CASE("trace: another sample rate in the middle keeps the track's clock and its place") {
  Trace trace;
  trace.headers();
  trace.film(0, 10'000, plain);
  trace.audio_header(kAac44, 10'000);
  std::int64_t packet = 0;
  for (std::int64_t t = 10'000; t < 20'000; t += kFrameMs) {
    trace.frame(t, plain, t);
    for (; 10'000 + packet * 10'240 / 441 < t + kFrameMs; ++packet) {
      const std::int64_t sounded = 10'000 + packet * 10'240 / 441;
      trace.sound(sounded, plain, sounded);
    }
  }
  trace.finish();
  CHECK(trace.video.inits() == 1);
  CHECK(trace.audio.inits() == 2);
  CHECK(trace.audio.timescale == 48'000);
  CHECK(trace.audio.chunks.back().sample_rate == 44'100);
  trace.check_in_step(0);
}

TEST_CASE("trace: a chunk size that changes in the middle changes nothing that is seen") {
  Trace trace;
  trace.headers();
  for (std::int64_t t = 0; t < 10'000; t += 1'000) {
    trace.film(t, t + 1'000, plain);
    for (const std::uint32_t size : {1U, 65'536U, 7U, 0xFFFFFFU, 128U + static_cast<std::uint32_t>(t)}) {
      trace.say(trace.publisher.set_chunk_size(size));
    }
  }
  trace.check_unbroken();
}

TEST_CASE("trace: single wild times are smoothed, whatever they are") {
  for (const std::int64_t wild : {0LL, 5'001LL, -1'001LL, 0x7FFFFFFFLL, 0xFFFFFFFFLL, 0xFFFFFFLL, 0x80000000LL}) {
    CAPTURE(wild);
    Trace trace;
    trace.headers();
    trace.film(0, 10'000, [wild](std::int64_t t) { return t > 0 && t % 1'000 == 520 ? t + wild : t; });
    trace.check_unbroken();
    CHECK(trace.video.chunks.size() == 250);
  }
}

TEST_CASE("trace: times that all are zero are kept in order, and end with the stream") {
  Trace trace;
  trace.headers();
  trace.film(0, 10'000, [](std::int64_t) { return 0; });
  trace.finish();
  CHECK(trace.video.chunks.size() == 250);
  CHECK(trace.video.end_ms() <= 10'000);
  for (std::size_t i = 1; i < trace.video.chunks.size(); ++i) {
    REQUIRE(trace.video.chunks[i].begin > trace.video.chunks[i - 1].begin);
  }
}

TEST_CASE("trace: two clocks that alternate frame by frame stay in order and in bounds") {
  Trace trace;
  trace.headers();
  bool other = false;
  trace.film(0, 20'000, [&other](std::int64_t t) { return (other = !other) ? t : t + 50'000'000; });
  trace.finish();
  // Each frame is put where the next was expected: nothing runs away from the clock on the wall.
  CHECK(trace.video.end_ms() < 45'000);
  CHECK(trace.audio.end_ms() < 45'000);
}

TEST_CASE("trace: any times at all come out in order, whole and readable") {
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    Trace trace;
    trace.headers();
    std::uint32_t random = seed;
    trace.film(0, 20'000, [&random](std::int64_t t) {
      random = random * 1664525 + 1013904223;
      return t + ((random >> 24) % 8 == 0 ? std::int64_t{static_cast<std::int32_t>(random)} >> (random % 32) : 0);
    });
    trace.finish();
    CHECK(trace.video.chunks.size() == 500);
  }
}
