#include "packager/live/recovery.h"

#include <doctest/doctest.h>

#include "packager/live/store_job.h"
#include "packager/live/testing.h"

using namespace ribalta;
using namespace ribalta::packager;
using testing::make_plan;

namespace {

/// A record of `announced` + 1 announced segments of two tracks, 2 s each at 90 kHz.
StreamRecord record_of(std::int64_t announced, std::int64_t further = 0) {
  StreamRecord record;
  record.stream = "0123456789abcdef";
  record.plan = make_plan({"src-v"});
  record.announced = announced;
  for (const char* name : {"src-v", "src-a"}) record.tracks.push_back({.track = name, .source = true, .inits = 1});
  for (std::int64_t i = 0; i <= announced + further; ++i) {
    RecordRow row{.manifest_timescale = 90'000,
                  .timescale = 90'000,
                  .start = i * 180'000,
                  .end = (i + 1) * 180'000,
                  .next_start = (i + 1) * 180'000,
                  .next_timescale = 90'000};
    const RecordPiece present{1, 1, 0, i * 180'000, (i + 1) * 180'000, i * 180'000, 180'000, 1'000};
    row.pieces.assign(2, present);
    record.rows.push_back(row);
  }
  return record;
}

StoredObjects objects_of(const StreamRecord& record) {
  StoredObjects objects;
  for (std::size_t i = 0; i < record.rows.size(); ++i) {
    for (const char* name : {"src-v", "src-a"}) {
      objects[live_key(record.stream, name, "1-" + std::to_string(i) + ".m4s")] = 1'000;
    }
  }
  return objects;
}

}  // namespace

TEST_CASE("recovery: what is whole in the store stays, what is cut, longer or gone becomes a gap") {
  StreamRecord record = record_of(3);
  StoredObjects objects = objects_of(record);
  CHECK(demote_torn(record, objects) == 0);
  objects["live/0123456789abcdef/src-v/1-1.m4s"] = 999;
  objects["live/0123456789abcdef/src-v/1-2.m4s"] = 1'001;
  objects.erase("live/0123456789abcdef/src-a/1-3.m4s");
  CHECK(demote_torn(record, objects) == 3);
  CHECK(record.rows[1].pieces[0].state == 2);
  CHECK(record.rows[1].pieces[1].state == 1);
  CHECK(record.rows[2].pieces[0].state == 2);
  CHECK(record.rows[3].pieces[1].state == 2);
  CHECK(parse_record(write_record(record)));
}

TEST_CASE("recovery: a note is found again by its name; names that are none are passed over") {
  StoredObjects objects;
  CHECK_FALSE(find_note("0123456789abcdef", objects));
  for (const char* none :
       {"", "1", "1-2", "1-0-0", "1-0-0-0", "1-0-0-90000x", "-1-0-0-90000", "1-2-0-90000", "x-0-0-90000",
        "1-0-0-2000000000", "1-0-99999999999999999999-90000", "1-0--9223372036854775808-1"}) {
    objects["live/0123456789abcdef/announced." + std::string{none}] = 0;
  }
  CHECK_FALSE(find_note("0123456789abcdef", objects));
  const AnnouncedNote written{12, 3, {-5, 90'000}};
  for (const AnnouncedNote& note : {AnnouncedNote{9, 0, {1, 1}}, written}) {
    objects[note_key("0123456789abcdef", note)] = 0;
  }
  objects["live/fedcba9876543210/announced.99-0-0-1"] = 0;
  const auto found = find_note("0123456789abcdef", objects);
  REQUIRE(found);
  CHECK(found->first == note_key("0123456789abcdef", written));
  CHECK(found->second.msn == 12);
  CHECK(found->second.period == 3);
  CHECK(found->second.end.ticks == -5);
  CHECK(is_object_key(found->first));
}

TEST_CASE("recovery: the note of a record is how far it is announced") {
  CHECK_FALSE(note_of(record_of(-1)));
  const auto note = note_of(record_of(2, 2));
  REQUIRE(note);
  CHECK(note->msn == 2);
  CHECK(note->end.ticks == 540'000);
}

TEST_CASE("recovery: a record is extended by gaps up to its note, in order, on its clock") {
  StreamRecord record = record_of(1, 1);
  CHECK_FALSE(extend_to(record, {1, 0, {360'000, 90'000}}));
  CHECK(extend_to(record, {5, 1, {12'000, 1'000}}));
  CHECK(record.announced == 5);
  REQUIRE(record.rows.size() == 6);
  std::int64_t end_ms = 4'000;
  for (std::size_t i = 2; i < 6; ++i) {
    const RecordRow& row = record.rows[i];
    CHECK(row.timescale == 1'000);
    CHECK(row.start == end_ms);
    CHECK(row.end == row.start + 2'000);
    CHECK(row.period == 1);
    CHECK(row.pieces[0].state == 2);
    end_ms = row.end;
  }
  CHECK(parse_record(write_record(record)));
}

TEST_CASE("recovery: whatever a note says, the extended record is one that is accepted, and no longer than allowed") {
  for (const std::int64_t announced : {-1, 0, 3}) {
    for (const std::int64_t msn : {4, 5, 599, 600, 604, 2'100, 1'000'000}) {
      for (const std::int64_t ticks :
           {std::int64_t{-3'600}, std::int64_t{0}, std::int64_t{7}, (std::int64_t{1} << 32) - 700}) {
        CAPTURE(announced);
        CAPTURE(msn);
        CAPTURE(ticks);
        StreamRecord record = record_of(announced);
        REQUIRE(extend_to(record, {msn, 4, {ticks, 1}}));
        CHECK(record.announced == msn);
        const Result<StreamRecord> parsed = parse_record(write_record(record));
        REQUIRE(parsed);
        CHECK(parsed->first_msn + static_cast<std::int64_t>(parsed->rows.size()) - 1 == msn);
        CHECK(parsed->rows.size() <= 604);
        const std::vector<std::vector<SharedInit>> inits{{testing::make_init(media::TrackKind::video)},
                                                         {testing::make_init(media::TrackKind::audio)}};
        CHECK(window_rows(*parsed, inits));
      }
    }
  }
}
