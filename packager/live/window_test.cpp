#include "packager/live/window.h"

#include <doctest/doctest.h>

#include <sstream>

#include "packager/live/manifests.h"
#include "packager/live/testing.h"

using namespace ribalta;
using namespace ribalta::packager;
using testing::Feeder;
using testing::make_plan;

namespace {

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t found = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
  return found;
}
std::string playlist(const Window& window, std::string_view track, bool ended = false) {
  return live_media_playlist(window, *window.track_index(track), {.start_unix_ms = 1'700'000'000'000, .ended = ended});
}
Piece::State state(const Window& window, std::int64_t msn, std::string_view track) {
  const Row* row = window.find(msn);
  REQUIRE(row != nullptr);
  return row->pieces[*window.track_index(track)].state;
}

}  // namespace

TEST_CASE("a minute of stream becomes segments with the same numbers and times in all tracks") {
  Window window({});
  Feeder feeder(window);
  window.set_plan(make_plan({"src-v", "v360"}), feeder.now);
  for (int second = 0; second < 60; ++second) {
    feeder.video({.name = "src-v", .source = true, .shift = 6'000}, second * 30, second * 30 + 30);
    feeder.video({.name = "v360"}, second * 30, second * 30 + 30);
    feeder.audio("src-a", true, second, second + 1);
    feeder.announce();
  }
  CHECK(window.announced() == 28);  // the segment of 58 s … 60 s waits for its next key frame
  for (const Row& row : window.rows()) {
    if (row.span.msn > window.announced()) break;
    const MediaTime start{row.span.msn * 180'000, kVideoTimescale};
    CHECK(row.span.start == start);
    for (const Piece& piece : row.pieces) REQUIRE(piece.state == Piece::State::present);
    CHECK(row.pieces[0].presentation_time == start.ticks);
    CHECK(row.pieces[0].decode_time == start.ticks - 6'000);
    CHECK(row.pieces[1].presentation_time == start.ticks);
    CHECK(row.pieces[1].duration == 180'000);
    const std::int64_t audio_start = row.pieces[2].presentation_time;
    CHECK(audio_start >= row.span.msn * 96'000);
    CHECK(audio_start < row.span.msn * 96'000 + 1'024);
  }
  const std::string text = playlist(window, "src-v");
  CHECK(count(text, "#EXTINF:2.000000,") == 6);
  CHECK(count(text, "#EXT-X-MEDIA-SEQUENCE:23\n") == 1);
  CHECK(count(text, "#EXT-X-MAP:URI=\"src-v/init-0.mp4\"\n") == 1);
  CHECK(count(text, "src-v/1-28.m4s") == 1);
  CHECK(count(text, "#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:14:06.000Z") == 1);  // 46 s after its start
  CHECK(count(text, "DISCONTINUITY") == 0);
  CHECK(count(text, "GAP") == 0);
}

TEST_CASE("nothing is published before the plan; then all that came is") {
  Window window({});
  Feeder feeder(window);
  feeder.video({.name = "src-v", .source = true}, 0, 130);
  feeder.audio("src-a", true, 0, 4.5);
  CHECK(window.rows().empty());
  window.set_plan(make_plan(), feeder.now);
  CHECK(window.ready() == 1);
}

TEST_CASE("a publisher who comes back: one discontinuity, at the same number in all tracks, at wall-clock distance") {
  Window window({});
  Feeder feeder(window);
  window.set_plan(make_plan({"src-v", "v360"}), feeder.now);
  feeder.audio("src-a", true, 0, 5);
  feeder.video({.name = "src-v", .source = true}, 0, 150);
  feeder.video({.name = "v360"}, 0, 150);
  // Epoch 2 begins 10.5 s later; its audio a little before its first key frame.
  feeder.audio("src-a", true, 15.45, 20, 2);
  feeder.video({.name = "src-v", .source = true, .epoch = 2}, 465, 600, 465);
  feeder.video({.name = "v360"}, 465, 600, 465);
  feeder.announce();
  REQUIRE(window.announced() == 4);
  for (const char* track : {"src-v", "v360", "src-a"}) {
    const std::string text = playlist(window, track);
    CAPTURE(text);
    CHECK(count(text, "#EXT-X-DISCONTINUITY\n") == 1);
    CHECK(count(text, "GAP") == 0);
    const std::size_t at = text.find("#EXT-X-DISCONTINUITY\n");
    const std::string third = std::string{track} + (std::string_view{track} == "v360" ? "/1-3.m4s" : "/2-3.m4s");
    CHECK(text.find(third) > at);
    CHECK(text.find("-2.m4s") < at);
  }
  CHECK(window.find(3)->span.start.ticks == 465 * 3'000);
  CHECK(window.find(2)->span.end.ticks == 150 * 3'000);
  const std::string mpd = live_mpd(window, {}, from_unix_ms(0));
  CHECK(count(mpd, "<Period ") == 2);
  CHECK(count(mpd, "start=\"PT15.500000S\"") == 1);
  CHECK(count(mpd, "presentationTimeOffset=\"1395000\"") == 2);
}

TEST_CASE("at a period's end audio goes as far as video, so that all tracks go on from one place") {
  Window window({});
  Feeder feeder(window);
  window.set_plan(make_plan(), feeder.now);
  feeder.video({.name = "src-v", .source = true}, 0, 75);
  feeder.audio("src-a", true, 0, 2.9);
  feeder.audio("src-a", true, 7, 12, 2);
  feeder.video({.name = "src-v", .source = true, .epoch = 2}, 240, 310, 240);
  feeder.announce();
  REQUIRE(window.announced() == 2);
  const Piece& last = window.find(1)->pieces[1];
  CHECK(last.epoch == Epoch{1});
  CHECK(last.decode_end >= 120'000);
  CHECK(last.decode_end < 120'000 + testing::kAudioFrame);
  CHECK(window.find(2)->pieces[1].decode_time >= 384'000);
}

TEST_CASE("a source that is no rung decides periods all the same; the farm's first rung cuts") {
  Window window({});
  Feeder feeder(window);
  window.set_plan(make_plan({"v720", "v360"}), feeder.now);
  const auto live = [&feeder](std::int64_t from, std::int64_t to, std::int64_t epoch) {
    feeder.video({.name = "src-v", .source = true, .gop = 97, .epoch = epoch}, from, to, from);
    feeder.audio("src-a", true, static_cast<double>(from) / 30 - 0.02, static_cast<double>(to) / 30, epoch);
    feeder.video({.name = "v720", .shift = 6'000}, from, to, from);
    feeder.video({.name = "v360"}, from, to, from);
  };
  live(0, 150, 1);
  live(400, 550, 2);
  feeder.announce();
  REQUIRE(window.announced() == 4);
  CHECK(window.find(2)->span.end.ticks == 150 * testing::kFrame);
  CHECK(window.find(3)->span.start.ticks == 400 * testing::kFrame);
  for (std::int64_t msn = 0; msn <= 4; ++msn) {
    CHECK(window.find(msn)->span.period == (msn < 3 ? 0 : 1));
    for (const char* track : {"v720", "v360", "src-a"}) CHECK(state(window, msn, track) == Piece::State::present);
  }
}

TEST_CASE("a source that sends its init segment again begins a period, though nothing else changed") {
  Window window({});
  Feeder feeder(window);
  window.set_plan(make_plan(), feeder.now);
  feeder.video({.name = "src-v", .source = true}, 0, 75);
  feeder.audio("src-a", true, 0, 2.5);
  const SharedInit init = testing::make_init(media::TrackKind::video);
  Chunk again = testing::make_chunk(init, 75 * testing::kFrame, testing::kFrame, true);
  again.init_repeated = true;
  feeder.push("src-v", true, again);
  feeder.video({.name = "src-v", .source = true}, 76, 136, 75);
  feeder.audio("src-a", true, 2.5, 5);
  feeder.announce();
  REQUIRE(window.announced() == 2);
  CHECK(window.find(1)->span.end.ticks == 75 * testing::kFrame);
  CHECK(window.find(2)->span.period == 1);
}

TEST_CASE("a worker that takes a rung over makes no discontinuity; DASH begins a Period, since the name changes") {
  Window window({});
  Feeder feeder(window);
  window.set_plan(make_plan({"src-v", "v360"}, {}), feeder.now);
  feeder.video({.name = "src-v", .source = true}, 0, 400);
  feeder.video({.name = "v360"}, 0, 150);
  feeder.video({.name = "v360", .epoch = 2}, 120, 400);  // again from the last published key frame
  feeder.announce();
  REQUIRE(window.announced() == 5);
  const std::string text = playlist(window, "v360");
  CHECK(count(text, "DISCONTINUITY") == 0);
  CHECK(count(text, "GAP") == 0);
  CHECK(count(text, "v360/1-1.m4s") == 1);
  CHECK(count(text, "v360/2-2.m4s") == 1);
  CHECK(count(live_mpd(window, {}, from_unix_ms(0)), "<Period ") == 2);
}

TEST_CASE("a rung more than two segments behind shows gaps and holds nobody back; when it is there again it plays") {
  Window window({.listed = 20});
  Feeder feeder(window);
  window.set_plan(make_plan({"src-v", "v360"}, {}), feeder.now);
  feeder.video({.name = "v360"}, 0, 60);
  feeder.video({.name = "src-v", .source = true}, 0, 181);
  feeder.announce();
  CHECK(window.announced() == 0);  // two behind: waited for
  feeder.video({.name = "src-v", .source = true}, 181, 241);
  feeder.announce();
  CHECK(window.announced() == 0);  // three behind, but in a burst: it gets the time of a segment
  feeder.now += std::chrono::seconds{2};
  window.tick(feeder.now);
  feeder.announce();
  CHECK(window.announced() == 3);
  feeder.video({.name = "src-v", .source = true}, 241, 301);
  feeder.announce();
  CHECK(window.announced() == 4);
  feeder.video({.name = "v360", .epoch = 2}, 240, 301);
  feeder.video({.name = "src-v", .source = true}, 301, 361);
  feeder.announce();
  CHECK(window.announced() == 4);  // waits for the rung again
  feeder.video({.name = "v360", .epoch = 2}, 301, 361);
  feeder.announce();
  CHECK(window.announced() == 5);
  CHECK(state(window, 0, "v360") == Piece::State::present);
  for (std::int64_t msn = 1; msn <= 4; ++msn) CHECK(state(window, msn, "v360") == Piece::State::gap);
  CHECK(state(window, 5, "v360") == Piece::State::present);
  const std::string text = playlist(window, "v360");
  CHECK(count(text, "#EXT-X-GAP\n") == 4);
  CHECK(count(text, "#EXT-X-VERSION:8\n") == 1);
  CHECK(count(playlist(window, "src-v"), "GAP") == 0);
}

TEST_CASE("a rung of which nothing comes is waited for five seconds, no longer") {
  Window window({});
  Feeder feeder(window);
  window.set_plan(make_plan({"src-v", "v360"}, {}), feeder.now);
  feeder.video({.name = "src-v", .source = true}, 0, 61);
  feeder.announce();
  CHECK(window.announced() == -1);
  feeder.now += std::chrono::milliseconds{4'999};
  window.tick(feeder.now);
  CHECK(window.ready() == -1);
  feeder.now += std::chrono::milliseconds{1};
  window.tick(feeder.now);
  CHECK(window.ready() == 0);
}

TEST_CASE("a rung that lacks the key frame at a boundary has a gap there, and nowhere else") {
  Window window({});
  Feeder feeder(window);
  window.set_plan(make_plan({"src-v", "v360"}, {}), feeder.now);
  feeder.video({.name = "src-v", .source = true}, 0, 241);
  feeder.video({.name = "v360", .gop = 120}, 0, 241);
  feeder.announce();
  REQUIRE(window.announced() == 3);
  CHECK(state(window, 0, "v360") == Piece::State::present);
  CHECK(state(window, 1, "v360") == Piece::State::gap);
  CHECK(state(window, 2, "v360") == Piece::State::present);
  CHECK(state(window, 3, "v360") == Piece::State::gap);
}

TEST_CASE("with key frames too rare for TARGETDURATION video has gaps and audio goes on") {
  Window window({});
  Feeder feeder(window);
  window.set_plan(make_plan(), feeder.now);
  feeder.video({.name = "src-v", .source = true, .gop = 150}, 0, 301);
  feeder.audio("src-a", true, 0, 11);
  feeder.announce();
  REQUIRE(window.announced() == 5);
  CHECK(state(window, 0, "src-v") == Piece::State::present);
  CHECK(state(window, 1, "src-v") == Piece::State::gap);
  CHECK(state(window, 2, "src-v") == Piece::State::gap);
  CHECK(state(window, 3, "src-v") == Piece::State::present);
  for (std::int64_t msn = 0; msn <= 5; ++msn) CHECK(state(window, msn, "src-a") == Piece::State::present);
}

TEST_CASE("audio alone is cut at its own frames") {
  Window window({});
  Feeder feeder(window);
  window.set_plan(make_plan({}, {"src-a"}), feeder.now);
  feeder.audio("src-a", true, 0, 9);
  feeder.announce();
  CHECK(window.announced() == 3);
  const std::string text = playlist(window, "src-a");
  CHECK(count(text, "#EXTINF:2.005333,") == 4);
  CHECK(count(live_multivariant(*window.plan()), "#EXT-X-STREAM-INF:") == 1);
}

TEST_CASE("media and discontinuity sequence only grow while the window slides") {
  Window window({.listed = 3, .older = 2});
  Feeder feeder(window);
  window.set_plan(make_plan({"src-v"}, {}), feeder.now);
  std::int64_t frame = 0;
  for (std::int64_t epoch = 1; epoch <= 5; ++epoch) {
    feeder.video({.name = "src-v", .source = true, .epoch = epoch}, frame, frame + 120, frame);
    frame += 600;
    const std::int64_t before = window.first_listed(window.announced());
    feeder.announce();
    CHECK(window.first_listed(window.announced()) >= before);
  }
  CHECK(window.announced() == 8);
  const std::string text = playlist(window, "src-v");
  CHECK(count(text, "#EXT-X-MEDIA-SEQUENCE:6\n") == 1);
  CHECK(count(text, "#EXT-X-DISCONTINUITY-SEQUENCE:3\n") == 1);
  CHECK(count(text, "#EXT-X-DISCONTINUITY\n") == 1);
  CHECK(window.rows().front().span.msn == 4);
}

TEST_CASE("the end closes the last segment and ends the playlist") {
  Window window({});
  Feeder feeder(window);
  window.set_plan(make_plan({"src-v", "v360"}), feeder.now);
  feeder.video({.name = "src-v", .source = true}, 0, 75);
  feeder.video({.name = "v360"}, 0, 40);
  feeder.audio("src-a", true, 0, 2.5);
  window.end(feeder.now);
  feeder.announce();
  CHECK(window.announced() == 1);
  CHECK(count(playlist(window, "src-v", true), "#EXTINF:0.500000,") == 1);
  CHECK(count(playlist(window, "src-v", true), "#EXT-X-ENDLIST\n") == 1);
  CHECK(count(playlist(window, "v360", true), "#EXT-X-GAP\n") == 1);
  CHECK(window.push("src-v", true, testing::make_chunk(testing::make_init(media::TrackKind::video), 0, 1, true), {})
            .error()
            .code == Code::closed);
}

TEST_CASE("the multivariant playlist lists the whole plan with caps of video and audio together") {
  media::LadderPlan plan = make_plan({"src-v", "v360"});
  const std::string text = live_multivariant(plan);
  CHECK(count(text,
              "#EXT-X-STREAM-INF:BANDWIDTH=1280000,AVERAGE-BANDWIDTH=928000,CODECS=\"avc1.64001e,mp4a.40.2\","
              "RESOLUTION=640x360,FRAME-RATE=30.000,AUDIO=\"audio-0\"\n") == 2);
  CHECK(count(text, "URI=\"src-a.m3u8\"") == 1);
}
