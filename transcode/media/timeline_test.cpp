#include "transcode/media/timeline.h"

#include <doctest/doctest.h>

using namespace ribalta::transcode;

namespace {
constexpr std::int64_t kSecond = 90'000;
}

TEST_CASE("source clock: times count from the file's zero, and a frame without one follows the frame before it") {
  SourceClock clock{10 * kSecond, false};
  CHECK(clock.place(10 * kSecond, 3'000, true) == 0);
  CHECK(clock.place(std::nullopt, 3'000, true) == 3'000);
  CHECK(clock.place(std::nullopt, 3'000, true) == 6'000);
  CHECK(clock.place(10 * kSecond + 500, 1'920, false) == 500);
}

TEST_CASE("source clock: where a format's clock may restart, a jump moves picture and sound alike") {
  SourceClock clock{0, true};
  CHECK(clock.place(0, 3'000, true) == 0);
  CHECK(clock.place(0, 1'920, false) == 0);
  CHECK(clock.place(500 * kSecond, 3'000, true) == 3'000);
  CHECK(clock.place(500 * kSecond, 1'920, false) == 3'000);
  CHECK(clock.place(500 * kSecond + kJumpTicksMin, 3'000, true) == 3'000 + kJumpTicksMin);  // a gap, not a jump

  SourceClock steady{0, false};
  CHECK(steady.place(0, 3'000, true) == 0);
  CHECK(steady.place(500 * kSecond, 3'000, true) == 500 * kSecond);
}

TEST_CASE("source clock: a clock that goes back is followed by each stream where its own frames do") {
  // Two recordings in one file, each of 3 s from its own zero; the second's sound begins 900 ticks late.
  SourceClock clock{0, true};
  for (int n = 0; n < 90; ++n) CHECK(clock.place(n * 3'000, 3'000, true) == n * 3'000);
  for (int n = 0; n < 100; ++n) CHECK(clock.place(n * 1'920, 1'920, false) == n * 1'920);
  // The picture comes to the second recording first; then the end of the first one's sound.
  for (int n = 0; n < 10; ++n) CHECK(clock.place(n * 3'000, 3'000, true) == (90 + n) * 3'000);
  for (int n = 100; n < 141; ++n) CHECK(clock.place(n * 1'920, 1'920, false) == n * 1'920);
  for (int n = 0; n < 141; ++n) CHECK(clock.place(900 + n * 1'920, 1'920, false) == 90 * 3'000 + 900 + n * 1'920);
  for (int n = 10; n < 90; ++n) CHECK(clock.place(n * 3'000, 3'000, true) == (90 + n) * 3'000);
  // And a third, to which the sound comes first.
  const std::int64_t end = 90 * 3'000 + 900 + 141 * 1'920;
  CHECK(clock.place(-5 * kSecond, 1'920, false) == end);
  CHECK(clock.place(-5 * kSecond + 300, 3'000, true) == end + 300);
}

TEST_CASE("source clock: a single wrong time moves nothing but its own frame") {
  for (const std::int64_t wrong : {-4 * kSecond, 4 * kSecond, -40 * kSecond, 40 * kSecond}) {
    INFO("wrong by ", wrong);
    SourceClock clock{0, true};
    CHECK(clock.place(0, 3'000, true) == 0);
    CHECK(clock.place(0, 1'920, false) == 0);
    clock.place(3'000 + wrong, 3'000, true);
    CHECK(clock.place(6'000, 3'000, true) == 6'000);
    CHECK(clock.place(9'000, 3'000, true) == 9'000);
    CHECK(clock.place(1'920, 1'920, false) == 1'920);
  }
}

TEST_CASE("frame limiter: 60 frames a second pass whole, 240 become 60, uneven ones keep their mean") {
  const auto kept = [](double fps) {
    FrameLimiter limiter{60};
    int count = 0;
    for (int n = 0; n < static_cast<int>(fps * 2); ++n) {
      if (limiter.keep(static_cast<std::int64_t>(n * 90'000 / fps))) ++count;
    }
    return count;
  };
  CHECK(kept(30) == 60);
  CHECK(kept(60) == 120);
  CHECK(kept(59.94) == 119);
  CHECK(kept(240) >= 119);
  CHECK(kept(240) <= 122);
  CHECK(kept(90) >= 100);
  CHECK(kept(90) <= 122);
  FrameLimiter limiter{60};
  CHECK(limiter.keep(0));
  CHECK_FALSE(limiter.keep(0));
  CHECK_FALSE(limiter.keep(-5));
}

TEST_CASE("schedule: key pictures lie on a grid that does not drift") {
  Schedule schedule{2'000};
  std::vector<std::int64_t> keys;
  const auto note = [&keys](const std::vector<Showing>& showings) {
    for (const Showing& showing : showings) {
      if (showing.key) keys.push_back(showing.time);
    }
  };
  for (int n = 0; n <= 300; ++n) note(schedule.until(n * 3'003));
  note(schedule.end(0));
  REQUIRE(keys.size() == 6);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    CHECK(keys[i] >= static_cast<std::int64_t>(i) * 2 * kSecond);
    CHECK(keys[i] < static_cast<std::int64_t>(i) * 2 * kSecond + 3'003);
  }
  CHECK(schedule.end_time() == 301 * 3'003);
}

TEST_CASE("schedule: the first picture is shown from zero, and a held one again and again") {
  Schedule schedule{2'000};
  const auto first = schedule.until(3 * kSecond);
  std::int64_t at = 0;
  for (const Showing& showing : first) {
    CHECK(showing.time == at);
    CHECK(showing.duration <= kHoldTicksMax);
    at += showing.duration;
  }
  CHECK(at == 3 * kSecond);
  CHECK(first.front().key);

  const auto held = schedule.until(10 * kSecond);
  CHECK(held.front().time == 3 * kSecond);
  CHECK(held.size() > 7);
  const auto last = schedule.end(kSecond);
  REQUIRE(last.size() == 1);
  CHECK(last[0].duration == kSecond);
}

TEST_CASE("schedule: a picture held over a cut is shown again from there; one that reaches a little over it is not") {
  Schedule schedule{2'000};
  schedule.until(0);
  schedule.until(4 * kSecond - 60'000);
  CHECK(schedule.until(4 * kSecond + kPastCutTicksMax).size() == 1);
  schedule.until(6 * kSecond - 60'000);
  const auto held = schedule.until(6 * kSecond + kPastCutTicksMax + 1);
  REQUIRE(held.size() == 2);
  CHECK_FALSE(held[0].key);
  CHECK(held[0].duration == 60'000);
  CHECK(held[1].key);
  CHECK(held[1].time == 6 * kSecond);
  CHECK(held[1].duration == kPastCutTicksMax + 1);
}

TEST_CASE("schedule: without any picture there is nothing to show") {
  Schedule schedule{2'000};
  CHECK(schedule.end(3'000).empty());
  CHECK(schedule.end_time() == 0);
}
