#include "packager/live/track_buffer.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <random>

#include "packager/live/testing.h"

using namespace ribalta;
using namespace ribalta::packager;

namespace {

using Incoming = TrackBuffer::Incoming;
Incoming incoming(std::int64_t decode_time, bool key, std::int64_t duration = 3'000, std::size_t bytes = 10) {
  return {.bytes = std::make_shared<const Bytes>(Bytes(bytes)),
          .decode_time = decode_time,
          .duration = duration,
          .presentation_time = decode_time,
          .key = key};
}
WriterState writer(TrackBuffer& track, std::int64_t epoch, std::int64_t init = 0) {
  Result<WriterState> state = track.begin(Epoch{epoch});
  REQUIRE(state);
  const SharedInit made = testing::make_init(media::TrackKind::video, init);
  REQUIRE(track.set_init(*state, made->config, made->bytes));
  return *state;
}
/// `count` frames from `first`, key frames every ten.
void append(TrackBuffer& track, WriterState& state, std::int64_t first, std::int64_t count) {
  for (std::int64_t i = first; i < first + count; ++i) {
    const auto taken = track.append(state, incoming(i * 3'000, i % 10 == 0));
    REQUIRE(taken);
    REQUIRE(taken->has_value());
  }
}

}  // namespace

TEST_CASE("a lower epoch is refused, and a higher one stops the older writer at its next chunk") {
  TrackBuffer track("v360", false);
  WriterState first = writer(track, 2);
  append(track, first, 0, 3);
  CHECK(track.begin(Epoch{1}).error().code == Code::conflict);
  writer(track, 3);
  CHECK(track.append(first, incoming(9'000, false)).error().code == Code::conflict);
}

TEST_CASE("decode times that go back or overlap are refused, a hole is taken") {
  TrackBuffer track("src-v", true);
  WriterState state = writer(track, 1);
  append(track, state, 0, 2);
  CHECK(track.append(state, incoming(5'999, false)).error().code == Code::malformed);
  CHECK(track.append(state, incoming(3'000, false)).error().code == Code::malformed);
  WriterState again = writer(track, 1);
  const auto hole = track.append(again, incoming(90'000, false));
  REQUIRE(hole);
  CHECK(hole->has_value());
}

TEST_CASE("chunks over a limit are refused, at the limit taken") {
  TrackBuffer track("src-v", true);
  WriterState state = writer(track, 1);
  CHECK(track.append(state, incoming(0, true, 900'001)).error().code == Code::limit);
  CHECK(track.append(state, incoming(1, true, 900'000)).has_value());
  CHECK(track.append(state, incoming(900'001, true, 1, kLiveChunkBytesMax + 1)).error().code == Code::limit);
  CHECK(track.append(state, incoming(900'002, true, 1, kLiveChunkBytesMax)).has_value());
  CHECK(track.append(state, incoming(900'010, true, 0)).error().code == Code::malformed);
}

TEST_CASE("the ring keeps what a scan over all of it would keep, whatever GOPs and sizes come") {
  struct Held {
    std::int64_t time;
    std::size_t bytes;
    bool key;
  };
  struct Source {
    unsigned key_every;  ///< about
    unsigned large_every;
  };
  // GOPs; sound; one GOP that is too large, and never another; both.
  for (const auto [key_every, large_every] : {Source{10, 5'000}, Source{1, 5'000}, Source{100'000, 7}, Source{40, 9}}) {
    TrackBuffer track("src-v", true);
    WriterState state = writer(track, 1);
    std::mt19937 random{key_every};
    std::deque<Held> expected;
    std::size_t bytes = 0;
    bool shrank = false;
    for (std::int64_t i = 0; i < 1'500; ++i) {
      const Held held{i * 3'000, random() % large_every == 0 ? 3'000'000U : 100U, i == 0 || random() % key_every == 0};
      REQUIRE(track.append(state, incoming(held.time, held.key, 3'000, held.bytes))->has_value());
      expected.push_back(held);
      bytes += held.bytes;
      while (true) {
        std::size_t second_key = 1;
        while (second_key < expected.size() && !expected[second_key].key) ++second_key;
        if (second_key == expected.size()) second_key = bytes > kRingBytesMax ? expected.size() - 1 : 0;
        if (second_key == 0) break;
        const std::int64_t covered_us = (held.time + 3'000 - expected[second_key].time) * 1'000'000 / 90'000;
        if (covered_us < kRingUsMax && bytes <= kRingBytesMax) break;
        for (std::size_t gone = 0; gone < second_key; ++gone) {
          bytes -= expected.front().bytes;
          expected.pop_front();
          shrank = true;
        }
      }
      REQUIRE(track.bytes_held() == bytes);
      REQUIRE(track.ring().size() == expected.size());
      REQUIRE(track.ring().front().decode_time == expected.front().time);
      // A reader begins at the newest key frame, where there is one.
      const auto newest = std::ranges::find_if(expected.rbegin(), expected.rend(), &Held::key);
      TrackBuffer::Cursor cursor;
      const TrackBuffer::Batch batch = track.read(cursor);
      REQUIRE(batch.pieces.empty() == (newest == expected.rend()));
      if (newest != expected.rend()) REQUIRE(batch.pieces.at(1)->size() == newest->bytes);
    }
    CHECK(shrank);
  }
}

TEST_CASE("a writer that resumes repeats what is held: dropped; cut otherwise: refused") {
  TrackBuffer track("src-v", true);
  WriterState state = writer(track, 1);
  append(track, state, 0, 15);
  WriterState resumed = writer(track, 1);
  for (std::int64_t i = 10; i < 15; ++i) {
    const auto taken = track.append(resumed, incoming(i * 3'000, i == 10));
    REQUIRE(taken);
    CHECK_FALSE(taken->has_value());
  }
  append(track, resumed, 15, 2);
  CHECK(track.head()->decode_time == 17 * 3'000);
  CHECK(track.inits().size() == 1);

  WriterState other = writer(track, 1);
  CHECK(track.append(other, incoming(50'000, true, 3'000)).error().code == Code::malformed);
}

TEST_CASE("a worker that takes a rung over begins at a key frame after what is published") {
  TrackBuffer track("v360", false);
  WriterState state = writer(track, 1);
  append(track, state, 0, 25);
  track.set_published_end(10 * 3'000);
  WriterState next = writer(track, 2);
  std::vector<std::int64_t> taken;
  for (std::int64_t i = 5; i < 25; ++i) {
    const auto chunk = track.append(next, incoming(i * 3'000, i % 10 == 0));
    REQUIRE(chunk);
    if (*chunk) taken.push_back(i);
  }
  REQUIRE(taken.size() == 15);
  CHECK(taken.front() == 10);
}

TEST_CASE("head tells the end of the newest chunk and what is durable") {
  TrackBuffer track("src-v", true);
  CHECK_FALSE(track.head());
  WriterState state = writer(track, 4);
  append(track, state, 10, 5);
  const auto head = track.head();
  REQUIRE(head);
  CHECK(head->epoch == Epoch{4});
  CHECK(head->decode_time == 45'000);
  CHECK(head->decode_time_durable == 30'000);
  track.set_durable(36'000);
  CHECK(track.head()->decode_time_durable == 36'000);
}

TEST_CASE("a live reader begins with the init segment and the newest key frame, and gets it again with a new epoch") {
  TrackBuffer track("src-v", true);
  WriterState state = writer(track, 1);
  append(track, state, 0, 25);
  TrackBuffer::Cursor cursor;
  auto batch = track.read(cursor);
  CHECK(batch.pieces.size() == 1 + 5);
  CHECK(*batch.pieces[0] == *track.init()->bytes);
  CHECK(track.read(cursor).pieces.empty());
  WriterState next = writer(track, 2);
  append(track, next, 30, 1);
  batch = track.read(cursor);
  REQUIRE(batch.pieces.size() == 2);
  CHECK(*batch.pieces[0] == *track.init()->bytes);
  CHECK_FALSE(batch.skipped);
}

TEST_CASE("an init segment that a writer repeats reaches readers where it stood") {
  TrackBuffer track("src-v", true);
  WriterState state = writer(track, 1);
  append(track, state, 0, 2);
  const SharedInit init = track.init();
  REQUIRE(track.set_init(state, init->config, init->bytes));
  append(track, state, 2, 2);
  TrackBuffer::Cursor cursor;
  cursor.from_start = true;
  const auto batch = track.read(cursor);
  REQUIRE(batch.pieces.size() == 6);
  CHECK(*batch.pieces[3] == *init->bytes);
  CHECK(track.inits().size() == 1);
}

TEST_CASE("a reader from the start gets all that is held; one that falls behind goes on from the newest key frame") {
  TrackBuffer track("src-v", true);
  WriterState state = writer(track, 1);
  append(track, state, 0, 30);
  TrackBuffer::Cursor cursor;
  cursor.from_start = true;
  CHECK(track.read(cursor).pieces.size() == 31);
  append(track, state, 30, static_cast<std::int64_t>(kChunksWaitingMax));
  CHECK_FALSE(track.read(cursor).skipped);  // just within

  while (!track.read(cursor).pieces.empty()) continue;
  append(track, state, 270, static_cast<std::int64_t>(kChunksWaitingMax) + 1);
  const auto batch = track.read(cursor);
  CHECK(batch.skipped);
  CHECK(batch.pieces.size() == 1);  // frame 510 is the newest key frame
}

TEST_CASE("the ring forgets whole GOPs by time, and a reader whose place is gone goes on at a key frame") {
  TrackBuffer track("src-v", true);
  WriterState state = writer(track, 1);
  append(track, state, 0, 10);
  TrackBuffer::Cursor cursor;
  cursor.from_start = true;
  track.read(cursor);
  append(track, state, 10, 2'000);
  CHECK(track.bytes_held() <= 920U * 10);
  CHECK(track.bytes_held() >= 900U * 10);
  CHECK(track.read(cursor).skipped);
}

TEST_CASE("after a restart a writer goes on at a key frame from the durable time") {
  TrackBuffer track("src-v", true);
  const SharedInit init = testing::make_init(media::TrackKind::video);
  track.restore(Epoch{3}, init, {init}, 60'000);
  CHECK(track.begin(Epoch{2}).error().code == Code::conflict);
  WriterState state = writer(track, 3);
  CHECK(state.init->number == 0);
  CHECK_FALSE(track.append(state, incoming(57'000, false))->has_value());
  CHECK(track.append(state, incoming(60'000, true))->has_value());
  CHECK(track.inits().size() == 1);
}
