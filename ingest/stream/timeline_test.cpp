#include "ingest/stream/timeline.h"

#include <doctest/doctest.h>

#include <vector>

using namespace ribalta::ingest;

namespace {

constexpr TrackSide kVideo = TrackSide::video;
constexpr TrackSide kAudio = TrackSide::audio;

}  // namespace

TEST_CASE("timeline: the first frame of any track is the common zero; the other keeps its distance") {
  Timeline timeline{0};
  CHECK(timeline.place(kVideo, 1000, 0).time_ms == 0);
  CHECK(timeline.place(kAudio, 1023, 0).time_ms == 23);
  CHECK(timeline.place(kVideo, 1033, 33).time_ms == 33);
  Timeline late{0};
  CHECK(late.place(kVideo, 1000, 0).time_ms == 0);
  CHECK(late.place(kAudio, 980, 0).time_ms == -20);
}

TEST_CASE("timeline: a reconnect goes on at its base") {
  Timeline timeline{60'000};
  CHECK(timeline.place(kAudio, 0, 0).time_ms == 60'000);
  CHECK(timeline.place(kVideo, 10, 0).time_ms == 60'010);
}

TEST_CASE("timeline: steps back by up to a second stand still, and go on when they are caught up with") {
  Timeline timeline{0};
  timeline.place(kVideo, 0, 0);
  CHECK(timeline.place(kVideo, 2000, 0).time_ms == 2000);
  CHECK(timeline.place(kVideo, 1000, 0).time_ms == 2000);
  CHECK(timeline.place(kVideo, 1990, 0).time_ms == 2000);
  const Placed next = timeline.place(kVideo, 2040, 0);
  CHECK(next.time_ms == 2040);
  CHECK_FALSE(next.discontinuity);
}

TEST_CASE("timeline: steps forward by up to five seconds stay as they are") {
  Timeline timeline{0};
  timeline.place(kVideo, 0, 0);
  CHECK(timeline.place(kVideo, 5000, 0).time_ms == 5000);
}

TEST_CASE("timeline: one frame far off is put where the next was expected, and forgotten") {
  for (const std::int64_t wild : {5041LL, 1'000'000'000LL, -1001LL, -1'000'000'000LL}) {
    Timeline timeline{0};
    timeline.place(kVideo, 0, 0);
    timeline.place(kVideo, 40, 40);
    CHECK(timeline.place(kVideo, 40 + wild, 80).time_ms == 80);
    const Placed next = timeline.place(kVideo, 120, 120);
    CHECK(next.time_ms == 120);
    CHECK_FALSE(next.discontinuity);
  }
}

TEST_CASE("timeline: a jump that three frames agree on is one discontinuity, at the distance of their arrival") {
  for (const std::int64_t jump : {6000LL, 3'600'000LL, -3'600'000LL}) {
    Timeline timeline{0};
    for (std::int64_t t = 0; t <= 10'000'000; t += 1'000'000) timeline.place(kVideo, 4'000'000, t);
    Timeline fresh{0};
    std::int64_t arrival = 0;
    for (std::int64_t t = 0; t <= 4000; t += 40) fresh.place(kVideo, 4'000'000 + t, arrival = t);
    std::vector<Placed> placed;
    for (std::int64_t t = 40; t <= 160; t += 40)
      placed.push_back(fresh.place(kVideo, 4'004'000 + jump + t, arrival + t));
    CHECK(placed[0].time_ms == 4040);
    CHECK(placed[1].time_ms == 4080);
    CHECK_FALSE(placed[1].discontinuity);
    CHECK(placed[2].discontinuity);
    CHECK(placed[2].time_ms == 4120);
    CHECK_FALSE(placed[3].discontinuity);
    CHECK(placed[3].time_ms == 4160);
  }
}

TEST_CASE("timeline: a line that stood still for twenty seconds leaves that hole") {
  Timeline timeline{0};
  for (std::int64_t t = 0; t <= 1000; t += 40) timeline.place(kVideo, t, t);
  for (std::int64_t t = 21'000; t < 21'080; t += 40) timeline.place(kVideo, t, t);
  const Placed third = timeline.place(kVideo, 21'080, 21'080);
  CHECK(third.discontinuity);
  CHECK(third.time_ms == 21'080);
}

TEST_CASE("timeline: the other track follows a jump without a discontinuity of its own, and stays in step") {
  Timeline timeline{0};
  for (std::int64_t t = 0; t <= 1000; t += 40) {
    timeline.place(kVideo, t, t);
    timeline.place(kAudio, t + 10, t);
  }
  constexpr std::int64_t kJump = 100'000;
  Placed video;
  for (std::int64_t t = 1040; t <= 1120; t += 40) video = timeline.place(kVideo, t + kJump, t);
  REQUIRE(video.discontinuity);
  const Placed audio = timeline.place(kAudio, 1130 + kJump, 1130);
  CHECK_FALSE(audio.discontinuity);
  CHECK(audio.time_ms == video.time_ms + 10);
}

TEST_CASE("timeline: a track on a clock of its own begins beside the other one") {
  Timeline timeline{0};
  timeline.place(kVideo, 1'000'000, 0);
  timeline.place(kVideo, 1'002'000, 2000);
  CHECK(timeline.place(kAudio, 0, 2100).time_ms == 2100);
  CHECK(timeline.place(kAudio, 23, 2123).time_ms == 2123);
}

TEST_CASE("timeline: times never go back, whatever comes") {
  Timeline timeline{0};
  std::uint32_t seed = 1;
  std::int64_t last = -1;
  for (int i = 0; i < 100'000; ++i) {
    seed = seed * 1664525 + 1013904223;
    const std::int64_t wild = static_cast<std::int32_t>(seed) >> (seed % 29);
    const std::int64_t time_ms = timeline.place(kVideo, wild, i).time_ms;
    REQUIRE(time_ms >= last);
    last = time_ms;
  }
}

TEST_CASE("audio clock: packets follow each other whatever their milliseconds round to, for a day") {
  AudioClock clock{44'100, 44'100, 0};
  std::int64_t samples = 0;
  while (samples < std::int64_t{86'400} * 44'100) {
    const auto span = clock.place(samples * 1000 / 44'100, 1024);
    REQUIRE(span.has_value());
    REQUIRE(span->begin == samples);
    samples += 1024;
    REQUIRE(span->end == samples);
  }
}

TEST_CASE("audio clock: jitter within the bound changes nothing") {
  AudioClock clock{48'000, 48'000, 0};
  for (std::int64_t i = 0; i < 1000; ++i) {
    const std::int64_t jitter = i == 0 ? 0 : (i % 3 - 1) * kAudioDriftMaxMs;
    CHECK(clock.place(i * 1024 / 48 + jitter, 1024)->begin == i * 1024);
  }
}

TEST_CASE("audio clock: missing samples leave a gap once three packets agree") {
  AudioClock clock{48'000, 48'000, 0};
  clock.place(0, 1024);
  CHECK(clock.place(121, 1024)->begin == 1024);
  CHECK(clock.place(142, 1024)->begin == 2048);
  CHECK(clock.place(164, 1024)->begin == 164 * 48);
  CHECK(clock.place(185, 1024)->begin == 164 * 48 + 1024);
}

TEST_CASE("audio clock: too many samples are left out until their timestamps are reached") {
  AudioClock clock{48'000, 48'000, 0};
  std::int64_t last_end = 0;
  int left_out = 0;
  for (std::int64_t i = 0; i < 3000; ++i) {
    const auto span = clock.place(i * 20, 1024);  // 21.3 ms of samples every 20 ms
    if (!span) {
      ++left_out;
      continue;
    }
    REQUIRE(span->begin == last_end);
    last_end = span->end;
    CHECK(span->begin - i * 20 * 48 < 48 * (kAudioDriftMaxMs + 30));
  }
  CHECK(left_out > 150);
}

TEST_CASE("audio clock: another sample rate on the same track counts exactly in the track's ticks") {
  AudioClock clock{44'100, 48'000, 0};
  std::int64_t end = 0;
  for (int i = 0; i < 48'000; ++i) {
    const auto span = clock.place(std::int64_t{i} * 1024 / 48, 1024);
    REQUIRE(span->begin == end);
    end = span->end;
  }
  CHECK(end == std::int64_t{1024} * 44'100);
}

TEST_CASE("audio clock: after a restart it begins where the timestamp says, never before the end") {
  AudioClock clock{48'000, 48'000, 96'000};
  CHECK(clock.place(0, 1024)->begin == 96'000);
  clock.restart();
  CHECK(clock.place(5000, 1024)->begin == 240'000);
  clock.restart();
  CHECK(clock.place(0, 1024)->begin == 241'024);
}

TEST_CASE("audio clock: a restart whose timestamp is within the bound leaves no hole") {
  AudioClock clock{48'000, 48'000, 0};
  CHECK(clock.place(0, 1024)->end == 1024);
  clock.restart();
  CHECK(clock.place(23, 1024)->begin == 1024);  // 1.7 ms later
  clock.restart();
  CHECK(clock.place(42 + kAudioDriftMaxMs, 1024)->begin == 2048);
  clock.restart();
  CHECK(clock.place(64 + kAudioDriftMaxMs + 1, 1024)->begin == (64 + kAudioDriftMaxMs + 1) * 48);
}
