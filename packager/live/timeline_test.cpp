#include "packager/live/timeline.h"

#include <doctest/doctest.h>

#include <vector>

using namespace ribalta;
using namespace ribalta::packager;

namespace {

MediaTime at_ms(std::int64_t ms) { return {ms * 90, kVideoTimescale}; }
ReferenceChunk frame(std::int64_t ms, bool key, std::int64_t duration_ms = 40) {
  return {.position = at_ms(ms), .duration = duration_ms * 90, .key = key};
}
/// Frames of 40 ms from `from` until before `to`, a key frame every `gop_ms` from `from`.
std::vector<Span> run(Timeline& timeline, std::int64_t from, std::int64_t to, std::int64_t gop_ms) {
  std::vector<Span> all;
  for (std::int64_t ms = from; ms < to; ms += 40) {
    for (const Span& span : timeline.on_reference(frame(ms, (ms - from) % gop_ms == 0))) all.push_back(span);
  }
  return all;
}

}  // namespace

TEST_CASE("a segment begins at the first key frame that is at least the target after the last") {
  Timeline timeline({.segment_target_ms = 2'000, .target_duration_s = 2});
  const std::vector<Span> spans = run(timeline, 0, 6'040, 1'000);
  REQUIRE(spans.size() == 3);
  CHECK(spans[0].start == at_ms(0));
  CHECK(spans[0].end == at_ms(2'000));
  CHECK(spans[1].msn == 1);
  CHECK(spans[2].next_start == at_ms(6'000));
  for (const Span& span : spans) CHECK(span.period == 0);
}

TEST_CASE("a key frame a millisecond before the target is taken, since stamps are rounded") {
  Timeline timeline({.segment_target_ms = 2'000, .target_duration_s = 2});
  timeline.on_reference(frame(0, true));
  timeline.on_reference(frame(1'000, true));
  const auto spans = timeline.on_reference(frame(1'999, true));
  REQUIRE(spans.size() == 1);
  CHECK(spans[0].end == at_ms(1'999));
}

TEST_CASE("a key frame that is too early is taken when the next would break TARGETDURATION") {
  Timeline timeline({.segment_target_ms = 2'000, .target_duration_s = 2});
  const std::vector<Span> spans = run(timeline, 0, 6'080, 1'520);
  REQUIRE(spans.size() >= 3);
  for (const Span& span : spans) CHECK(span.duration_us() <= 2'499'999);
  for (const Span& span : spans) CHECK(span.keyed);
}

TEST_CASE("key frames that are too rare: the span is cut at TARGETDURATION, and what follows has no key frame") {
  Timeline timeline({.segment_target_ms = 2'000, .target_duration_s = 2});
  const std::vector<Span> spans = run(timeline, 0, 5'040, 5'000);
  REQUIRE(spans.size() == 3);
  CHECK(spans[0].keyed);
  CHECK(spans[0].end == at_ms(2'000));
  CHECK_FALSE(spans[1].keyed);
  CHECK(spans[1].end == at_ms(4'000));
  CHECK_FALSE(spans[2].keyed);
  CHECK(spans[2].end == at_ms(5'000));
}

TEST_CASE("a higher publish epoch begins a period, once, whichever source track comes first") {
  for (const bool audio_first : {true, false}) {
    CAPTURE(audio_first);
    Timeline timeline({.segment_target_ms = 2'000, .target_duration_s = 2});
    timeline.source_changed(at_ms(0), Epoch{1});
    run(timeline, 0, 3'000, 1'000);
    if (audio_first) timeline.source_changed(at_ms(7'990), Epoch{2});
    timeline.source_changed(at_ms(8'000), Epoch{2});
    std::vector<Span> spans = timeline.on_reference(frame(8'000, true));
    if (!audio_first) timeline.source_changed(at_ms(8'010), Epoch{2});
    REQUIRE(spans.size() == 1);
    CHECK(spans[0].ends_period);
    CHECK(spans[0].end == at_ms(3'000));
    CHECK(spans[0].next_start == at_ms(8'000));
    spans = run(timeline, 8'040, 14'000, 1'000);
    for (const Span& span : spans) CHECK(span.period == 1);
    CHECK(timeline.period_epoch() == Epoch{2});
  }
}

TEST_CASE("a changed init segment within one epoch begins a period; a second track that changes with it joins") {
  Timeline timeline({.segment_target_ms = 2'000, .target_duration_s = 2});
  timeline.source_changed(at_ms(0), Epoch{1});
  run(timeline, 0, 4'000, 2'000);
  timeline.source_changed(at_ms(4'000), Epoch{1});
  const auto closed = timeline.on_reference(frame(4'000, true));
  REQUIRE(closed.size() == 1);
  CHECK(closed[0].ends_period);
  timeline.source_changed(at_ms(4'020), Epoch{1});
  for (const Span& span : run(timeline, 4'040, 9'000, 2'000)) CHECK(span.period == 1);
}

TEST_CASE("a reference that jumps ahead goes on in a new period at its next key frame") {
  Timeline timeline({.segment_target_ms = 2'000, .target_duration_s = 2});
  run(timeline, 0, 3'000, 1'000);
  CHECK(timeline.on_reference(frame(60'000, false)).empty());
  const auto spans = timeline.on_reference(frame(60'400, true));
  REQUIRE(spans.size() == 1);
  CHECK(spans[0].ends_period);
  CHECK(spans[0].end == at_ms(3'000));
  CHECK(timeline.period() == 1);
}

TEST_CASE("an encoded reference that was away leaves spans without key frames, and no new period") {
  Timeline timeline({.segment_target_ms = 2'000, .target_duration_s = 2, .source_decides = false});
  run(timeline, 0, 3'000, 1'000);
  std::vector<Span> spans = timeline.on_reference(frame(9'000, true));
  REQUIRE(spans.size() == 4);
  CHECK(spans[0].keyed);
  CHECK(spans[0].start == at_ms(2'000));
  CHECK(spans[0].end == at_ms(4'000));
  for (std::size_t i = 1; i < 4; ++i) CHECK_FALSE(spans[i].keyed);
  CHECK(spans[3].end == at_ms(9'000));
  CHECK(timeline.period() == 0);
  spans = timeline.on_reference(frame(9'040 + 60'000, true));
  CHECK(timeline.period() == 0);
  spans = timeline.on_reference(frame(69'080 + 60'001, true));
  CHECK(timeline.period() == 1);
}

TEST_CASE("after a restart the numbers go on; a key frame at the recorded end needs no new period") {
  Span last{.msn = 41, .period = 3, .start = at_ms(98'000), .end = at_ms(100'000), .next_start = at_ms(100'000)};
  Timeline timeline({.segment_target_ms = 2'000, .target_duration_s = 2});
  timeline.resume(last, Epoch{2});
  std::vector<Span> spans = run(timeline, 100'000, 102'040, 1'000);
  REQUIRE(spans.size() == 1);
  CHECK(spans[0].msn == 42);
  CHECK(spans[0].period == 3);
  CHECK(spans[0].start == at_ms(100'000));

  Timeline late({.segment_target_ms = 2'000, .target_duration_s = 2});
  late.resume(last, Epoch{2});
  spans = run(late, 104'000, 106'040, 1'000);
  REQUIRE(spans.size() == 1);
  CHECK(spans[0].period == 4);

  // What was recorded last had ended its period: the next one has begun, and is not counted twice.
  last.ends_period = true;
  Timeline ended({.segment_target_ms = 2'000, .target_duration_s = 2});
  ended.resume(last, Epoch{2});
  ended.source_changed(at_ms(101'000), Epoch{3});
  spans = run(ended, 101'000, 103'040, 1'000);
  REQUIRE(spans.size() == 1);
  CHECK(spans[0].period == 4);
}

TEST_CASE("after a restart at a period's start the second source track joins it, whichever comes first") {
  const Span last{.msn = 41,
                  .period = 3,
                  .start = at_ms(98'000),
                  .end = at_ms(100'000),
                  .next_start = at_ms(101'000),
                  .ends_period = true};
  for (const bool audio_first : {true, false}) {
    CAPTURE(audio_first);
    Timeline timeline({.segment_target_ms = 2'000, .target_duration_s = 2});
    timeline.resume(last, Epoch{2});
    if (audio_first) timeline.source_changed(at_ms(101'013), Epoch{2});
    timeline.on_reference(frame(101'000, true));
    if (!audio_first) timeline.source_changed(at_ms(101'013), Epoch{2});
    const std::vector<Span> spans = run(timeline, 101'040, 105'000, 1'000);
    REQUIRE(spans.size() == 1);
    CHECK(spans[0].period == 4);
    CHECK(timeline.period() == 4);
  }
}

TEST_CASE("the end closes what is open, and only once") {
  Timeline timeline({.segment_target_ms = 2'000, .target_duration_s = 2});
  run(timeline, 0, 1'000, 1'000);
  const auto spans = timeline.finish();
  REQUIRE(spans.size() == 1);
  CHECK(spans[0].end == at_ms(1'000));
  CHECK(timeline.finish().empty());
}
