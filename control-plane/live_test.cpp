// The rules of live streams, against silence, restarts and races, on SQLite and on PostgreSQL.
#include "control-plane/testing_stage.h"

namespace ribalta::control {
namespace {

using testing::farm_with_room;
using testing::kNow;
using testing::kRules;
using testing::must;
using testing::on_each_engine;
using testing::source_720;
using testing::Stage;

}  // namespace

TEST_CASE("publish: another encoder with the same key is busy while the first is heard") {
  on_each_engine([](Stage& stage) {
    const auto first = stage.publish_at(kNow, stage.ingest);
    REQUIRE(first);
    CHECK_FALSE(first->resumed);
    CHECK(first->epoch == 1);
    const auto second = stage.publish_at(kNow + 1000, stage.ingest);
    REQUIRE_FALSE(second);
    CHECK(second.error().code == "busy");
    CHECK(stage.beat(first->stream, 1, "publishing", kNow + 5000) == StreamAction::go);
    CHECK_FALSE(stage.publish_at(kNow + 5000 + kHolderSilenceMs - 1, stage.ingest));
  });
}

TEST_CASE("publish: who comes back within the grace period goes on with the same stream and a higher epoch") {
  on_each_engine([](Stage& stage) {
    const auto first = stage.publish_at(kNow, stage.ingest);
    stage.beat(first->stream, 1, "interrupted", kNow + 1000);
    CHECK(stage.stream(first->stream).state == StreamState::interrupted);
    const auto back = stage.publish_at(kNow + 29'000, stage.ingest);
    REQUIRE(back);
    CHECK(back->resumed);
    CHECK(back->stream == first->stream);
    CHECK(back->epoch == 2);
    CHECK(back->start_unix_ms == kNow);
    CHECK(stage.beat(first->stream, 1, "publishing", kNow + 29'500) == StreamAction::end);  // the one that was replaced
    CHECK(stage.beat(first->stream, 2, "publishing", kNow + 30'000) == StreamAction::go);
    CHECK(stage.stream(first->stream).state == StreamState::starting);
  });
}

TEST_CASE("publish: an ingest that was killed and started again on this machine does not make its creators wait") {
  on_each_engine([](Stage& stage) {
    const auto first = stage.publish_at(kNow, stage.ingest);
    const IngestNode again{"unix"};
    const auto back = stage.publish_at(kNow + 1000, again);
    REQUIRE(back);
    CHECK(back->resumed);
    CHECK(back->epoch == 2);
    // On another machine it may well be alive.
    const IngestNode elsewhere{"10.0.0.2"};
    CHECK(stage.publish_at(kNow + 2000, elsewhere).error().code == "busy");
    CHECK(stage.publish_at(kNow + 1000 + kHolderSilenceMs, elsewhere)->epoch == 3);
  });
}

TEST_CASE("publish: after the grace period it is another stream, swept or not") {
  on_each_engine([](Stage& stage) {
    const auto first = stage.publish_at(kNow, stage.ingest);
    const auto later = stage.publish_at(kNow + kGraceMs, stage.ingest);
    REQUIRE(later);
    CHECK_FALSE(later->resumed);
    CHECK(later->stream != first->stream);
    CHECK(stage.stream(first->stream).state == StreamState::ended);
  });
}

TEST_CASE("publish: wrong keys, suspended accounts and a proposed id that is taken") {
  on_each_engine([](Stage& stage) {
    const auto first = stage.publish_at(kNow, stage.ingest);
    User marco{.name = "marco", .creator = true};
    const std::string key = stage.write([&](sql::Session& session) -> Result<std::string> {
      if (auto inserted = UsersStore{session}.insert(marco); !inserted) return pass(inserted);
      return stream_key_of(session, stage.secrets, marco.id, kNow);
    });
    const auto try_key = [&](std::string with, std::string proposed) {
      return stage.write([&](sql::Session& session) {
        return publish(session, stage.secrets, {std::move(with), std::move(proposed), ""}, stage.ingest, kRules, kNow);
      });
    };
    CHECK(try_key("rk_wrong", "").error().code == "wrong_key");
    CHECK(try_key("", "").error().code == "wrong_key");
    const auto taken = try_key(key, first->stream.text());
    REQUIRE(taken);
    CHECK(taken->stream != first->stream);
    stage.write([&](sql::Session& session) { return change_roles(session, marco, {false, true, true}, kRules, kNow); });
    CHECK(stage.stream(taken->stream).state == StreamState::ended);
    CHECK(try_key(key, "").error().code == "suspended");
  });
}

TEST_CASE("sweep: a silent stream is interrupted, and ended after the grace period, once") {
  on_each_engine([](Stage& stage) {
    const auto first = stage.publish_at(kNow, stage.ingest);
    const auto wants = [&](std::int64_t now) {
      return stage.write([&](sql::Session& session) { return streams_want_sweep(session, now); });
    };
    CHECK_FALSE(wants(kNow + kHolderSilenceMs));
    CHECK(wants(kNow + kHolderSilenceMs + 1));
    CHECK(stage.sweep(kNow + kHolderSilenceMs + 1) == 0);
    CHECK(stage.stream(first->stream).state == StreamState::interrupted);
    CHECK_FALSE(wants(kNow + kGraceMs - 1));
    CHECK(stage.sweep(kNow + kGraceMs - 1) == 0);
    CHECK(stage.sweep(kNow + kGraceMs) == 1);
    CHECK(stage.sweep(kNow + kGraceMs) == 0);
    CHECK(stage.stream(first->stream).state == StreamState::ended);
    CHECK(stage.beat(first->stream, 1, "publishing", kNow + kGraceMs + 1) == StreamAction::end);
    const auto owed =
        stage.write([&](sql::Session& session) { return ErrandsStore{session}.due(kNow + kGraceMs, 10); });
    REQUIRE(owed.size() == 1);
    CHECK(owed[0].kind == ErrandKind::stream_end);
  });
}

TEST_CASE("heartbeat: a stream that was accepted while we were down is taken in, unless the user is on with another") {
  on_each_engine([](Stage& stage) {
    const StreamId unknown = StreamId::random();
    CHECK(stage.beat(unknown, 4, "publishing", kNow) == StreamAction::go);
    CHECK(stage.stream(unknown).epoch == 4);
    CHECK(stage.stream(unknown).user == stage.user.id);
    CHECK(stage.beat(StreamId::random(), 1, "publishing", kNow + 1000) == StreamAction::end);
    const StreamId later = StreamId::random();
    CHECK(stage.beat(later, 1, "publishing", kNow + kHolderSilenceMs) == StreamAction::go);
    CHECK(stage.stream(unknown).state == StreamState::ended);
    const StreamHeartbeat strange{.epoch = 1, .state = "publishing", .stream_user = UserId::random().text()};
    const auto action = stage.write([&](sql::Session& session) {
      return stream_heartbeat(session, StreamId::random(), strange, stage.ingest, kRules, kNow);
    });
    CHECK(action == StreamAction::end);
  });
}

TEST_CASE("heartbeat: an ingest that was restarted tells of publishers that it lost, which gives them no more time") {
  on_each_engine([](Stage& stage) {
    const auto first = stage.publish_at(kNow, stage.ingest);
    stage.ingest = IngestNode{"unix"};
    CHECK(stage.beat(first->stream, 1, "interrupted", kNow + 3000) == StreamAction::go);
    CHECK(stage.stream(first->stream).state == StreamState::interrupted);
    CHECK(stage.stream(first->stream).heard == kNow);
    CHECK(stage.publish_at(kNow + 4000, stage.ingest)->epoch == 2);
    CHECK(stage.beat(first->stream, 1, "interrupted", kNow + 5000) == StreamAction::end);
    CHECK(stage.stream(first->stream).state == StreamState::starting);
  });
}

TEST_CASE("source: the plan is made once, queues one job, and a lost publisher can't change it") {
  on_each_engine([](Stage& stage) {
    const auto first = stage.publish_at(kNow, stage.ingest);
    const auto report = [&](const SourceReport& source, std::int64_t now) {
      return stage.write(
          [&](sql::Session& session) { return report_source(session, first->stream, source, farm_with_room(), now); });
    };
    const auto plan = report(source_720(), kNow);
    REQUIRE(plan);
    SourceReport changed = source_720();
    changed.video->width = 640;
    changed.video->height = 360;
    CHECK(*report(changed, kNow) == *plan);
    const auto counts = stage.write([](sql::Session& session) { return JobsStore{session}.counts(); });
    REQUIRE(counts.size() == 1);
    CHECK(counts[0].count == 1);
    stage.beat(first->stream, 1, "interrupted", kNow + 1);
    stage.publish_at(kNow + 2, stage.ingest);
    CHECK(report(source_720(), kNow + 3).error().code == "lost");
    CHECK(report(SourceReport{.epoch = 2}, kNow + 3).error().code == "no_media");
    stage.sweep(kNow + kGraceMs + 2);
    SourceReport late = source_720();
    late.epoch = 2;
    CHECK(report(late, kNow + kGraceMs + 3).error().status == 410);
  });
}

TEST_CASE("plan: a source that began quietly has the cap of what its encoder announced, never a lower one") {
  const auto bandwidths = [](std::optional<std::int64_t> video, std::optional<std::int64_t> audio) {
    SourceReport report = source_720();
    report.video->bitrate_announced = video;
    report.audio->bitrate_announced = audio;
    const auto plan = must(make_plan(StreamId::random(), report, {}));
    return std::pair{plan.video.at(0).bandwidth, plan.audio.at(0).bandwidth};
  };
  CHECK(bandwidths({}, {}) == std::pair<std::int64_t, std::int64_t>{3'750'000, 160'000});
  CHECK(bandwidths(2'000'000, 64'000) == std::pair<std::int64_t, std::int64_t>{3'750'000, 160'000});
  CHECK(bandwidths(6'000'000, 320'000) == std::pair<std::int64_t, std::int64_t>{9'000'000, 400'000});
}

TEST_CASE("plan: without a farm the source stands alone, also one that is no rung") {
  const StreamId stream = StreamId::random();
  LiveFarm none;
  const auto alone = must(make_plan(stream, source_720(), none));
  REQUIRE(alone.video.size() == 1);
  CHECK(alone.video[0].track == "src-v");
  SourceReport odd = source_720();
  odd.video->passthrough = false;
  const auto kept = must(make_plan(stream, odd, none));
  REQUIRE(kept.video.size() == 1);
  CHECK(kept.video[0].passthrough);
  const auto farmed = must(make_plan(stream, odd, farm_with_room()));
  for (const auto& rung : farmed.video) CHECK_FALSE(rung.passthrough);
  CHECK_FALSE(farmed.video.empty());
  SourceReport huge = source_720();
  huge.video->width = 1'000'000;
  CHECK_FALSE(make_plan(stream, huge, farm_with_room()));
}

}  // namespace ribalta::control
