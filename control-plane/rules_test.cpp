// Rules that hold against silence, restarts, races and replays: on SQLite and on PostgreSQL.
#include <thread>

#include "control-plane/errands_store.h"
#include "control-plane/identity.h"
#include "control-plane/migrations.h"
#include "control-plane/store.h"
#include "control-plane/testing.h"
#include "core/internal_auth.h"
#include "core/json.h"

namespace ribalta::control {
namespace {

using testing::Browser;
using testing::code_of;
using testing::House;
using testing::must;
using testing::text_at;

constexpr std::int64_t kNow = 1'790'000'000'000;
const LiveRules kRules{};
const VodLimits kLimits{.duration_ms_max = 1000, .bytes_max = 1000, .side_max = 1000, .fps_max = 60};

/// A database with one creator and a stream key.
struct Stage {
  std::shared_ptr<sql::Database> database;
  Secrets secrets = Secrets::from("a control key for this test", "ra_admin", {"k1", std::string(32, 'x')});
  User user{.name = "lucia", .creator = true};
  std::string key;
  IngestNode ingest{"unix"};

  explicit Stage(sql::Engine engine) {
    database = must(sql::Database::open({.address = ribalta::testing::fresh_database(engine), .connections = 4}));
    must(sql::migrate(*database, migrations()));
    write([&](sql::Session& session) { return UsersStore{session}.insert(user); });
    key = write([&](sql::Session& session) { return stream_key_of(session, secrets, user.id, kNow); });
  }
  template <class Work>
  typename std::invoke_result_t<Work, sql::Session&>::value_type write(Work work) {
    return must(database->write("test", work));
  }
  Outcome<PublishAnswer> publish_at(std::int64_t now, const IngestNode& node) {
    return write([&](sql::Session& session) {
      return publish(session, secrets, {.key = key, .proposed_stream = {}, .address = "192.0.2.1"}, node, kRules, now);
    });
  }
  StreamAction beat(StreamId stream, std::int64_t epoch, std::string state, std::int64_t now) {
    const StreamHeartbeat heartbeat{.epoch = epoch, .state = std::move(state), .stream_user = user.id.text(), .start_unix_ms = now};
    return write([&](sql::Session& session) { return stream_heartbeat(session, stream, heartbeat, ingest, kRules, now); });
  }
  std::int64_t sweep(std::int64_t now) {
    return write([&](sql::Session& session) { return sweep_streams(session, kRules, now); });
  }
  Stream stream(StreamId id) {
    return *write([&](sql::Session& session) { return StreamsStore{session}.by_id(id); });
  }
  /// An upload that is stored, and its job.
  Upload stored(std::int64_t now) {
    return write([&](sql::Session& session) -> Result<Upload> {
      auto ticket = authorise_upload(session, user, {.bytes = 10, .filename = "a.mp4"}, {1000, 1'000'000, 100}, now);
      if (!ticket) return pass(ticket);
      const UploadFinished finished{(*ticket)->upload, (*ticket)->video, "uploads/" + (*ticket)->upload.text(), 10, "a.mp4"};
      auto done = finish_upload(session, finished, now);
      if (!done) return pass(done);
      auto upload = UploadsStore{session}.by_id((*ticket)->upload);
      if (!upload) return pass(upload);
      return **upload;
    });
  }
  std::optional<std::string> lease(std::int64_t now) {
    return write([&](sql::Session& session) { return lease_job(session, {"w", {"live", "vod"}, {}}, kLimits, now); });
  }
  Job job(JobId id) {
    return *write([&](sql::Session& session) { return JobsStore{session}.by_id(id); });
  }
  Outcome<void> complete(JobId id, std::int64_t epoch, std::int64_t version, std::int64_t now) {
    const VodResult result{.version = std::to_string(version), .duration_ms = 5, .width = 2, .height = 2, .tracks = nullptr};
    const JobComplete done{epoch, must(json_parse(json_write(result)))};
    return write([&](sql::Session& session) { return complete_job(session, id, done, now); });
  }
  Outcome<void> fail(JobId id, std::int64_t epoch, bool retry, std::int64_t now) {
    return write([&](sql::Session& session) { return fail_job(session, id, {epoch, "corrupt", "Broken.", retry}, now); });
  }
};

template <class Test>
void on_each_engine(Test test) {
  for (const sql::Engine engine : ribalta::testing::engines()) {
    CAPTURE(static_cast<int>(engine));
    Stage stage{engine};
    test(stage);
  }
}

SourceReport source_720() {
  return {.epoch = 1,
          .video = SourceVideo{.codecs = "avc1.64001f", .width = 1280, .height = 720, .fps = 30, .bitrate = 2'500'000, .passthrough = true},
          .audio = SourceAudio{.codecs = "mp4a.40.2", .sample_rate = 48'000, .channels = 2, .bitrate = 128'000}};
}
LiveFarm farm_with_room() { return {.room = true, .options = media::live_options_for(2)}; }

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
    const auto owed = stage.write([&](sql::Session& session) { return ErrandsStore{session}.due(kNow + kGraceMs, 10); });
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

TEST_CASE("source: the plan is made once, queues one job, and a lost publisher can't change it") {
  on_each_engine([](Stage& stage) {
    const auto first = stage.publish_at(kNow, stage.ingest);
    const auto report = [&](const SourceReport& source, std::int64_t now) {
      return stage.write([&](sql::Session& session) { return report_source(session, first->stream, source, farm_with_room(), now); });
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

TEST_CASE("jobs: a lease that runs out goes to another; the first one's result is refused") {
  on_each_engine([](Stage& stage) {
    const Upload upload = stage.stored(kNow);
    REQUIRE(stage.lease(kNow));
    const std::int64_t over = kNow + kLeaseMs + 1;
    CHECK_FALSE(stage.lease(over).has_value());
    CHECK(stage.write([&](sql::Session& session) { return jobs_want_sweep(session, over); }));
    CHECK(stage.write([&](sql::Session& session) { return sweep_jobs(session, over); }) == 1);
    REQUIRE(stage.lease(over));
    const Job job = stage.job(*upload.job);
    CHECK(job.epoch == 2);
    CHECK(job.attempts == 2);
    CHECK(job.version == 2);
    CHECK(stage.complete(job.id, 1, 1, over).error().status == 409);
    CHECK(stage.fail(job.id, 1, true, over).error().status == 409);
    CHECK(stage.complete(job.id, 2, 1, over).error().status == 400);  // another version than was leased
    CHECK(stage.complete(job.id, 2, 2, over));
    CHECK(stage.complete(job.id, 1, 1, over).error().status == 409);  // replayed with the old epoch
    CHECK(stage.complete(job.id, 2, 2, over));                        // its own answer was lost
    const auto view = stage.write([&](sql::Session& session) { return VideosStore{session}.view(upload.video); });
    CHECK(view->video.version == 2);
  });
}

TEST_CASE("jobs: three silences are a failure with a reason, and a retry begins anew") {
  on_each_engine([](Stage& stage) {
    const Upload upload = stage.stored(kNow);
    std::int64_t now = kNow;
    for (int i = 0; i < kAttemptsMax; ++i) {
      REQUIRE(stage.lease(now));
      now += kLeaseMs + 1;
      stage.write([&](sql::Session& session) { return sweep_jobs(session, now); });
    }
    CHECK_FALSE(stage.lease(now).has_value());
    const Job job = stage.job(*upload.job);
    CHECK(job.state == JobState::failed);
    CHECK(job.failure_kind == "worker");
    CHECK_FALSE(job.failure_reason.empty());
    CHECK(stage.write([&](sql::Session& session) { return retry_video(session, stage.user, upload.video, now); }));
    CHECK(stage.lease(now).has_value());
  });
}

TEST_CASE("jobs: what may be tried again waits longer each time; what may not fails at once") {
  on_each_engine([](Stage& stage) {
    const Upload upload = stage.stored(kNow);
    REQUIRE(stage.lease(kNow));
    CHECK(stage.fail(*upload.job, 1, true, kNow));
    CHECK(stage.fail(*upload.job, 1, true, kNow));  // said twice
    CHECK_FALSE(stage.lease(kNow + kRetryFirstMs - 1).has_value());
    REQUIRE(stage.lease(kNow + kRetryFirstMs));
    CHECK(stage.fail(*upload.job, 2, true, kNow));
    CHECK_FALSE(stage.lease(kNow + 4 * kRetryFirstMs - 1).has_value());
    REQUIRE(stage.lease(kNow + 4 * kRetryFirstMs));
    CHECK(stage.fail(*upload.job, 3, true, kNow));
    CHECK(stage.job(*upload.job).state == JobState::failed);
    CHECK(stage.job(*upload.job).failure_reason == "Broken.");
    const Upload other = stage.stored(kNow);
    REQUIRE(stage.lease(kNow));
    CHECK(stage.fail(*other.job, 1, false, kNow));
    CHECK(stage.job(*other.job).state == JobState::failed);
  });
}

TEST_CASE("jobs: a broadcast outlives many workers, and a worker whose stream ended did not fail") {
  on_each_engine([](Stage& stage) {
    const auto first = stage.publish_at(kNow, stage.ingest);
    stage.write([&](sql::Session& session) { return report_source(session, first->stream, source_720(), farm_with_room(), kNow); });
    std::int64_t now = kNow;
    std::int64_t epoch = 0;
    JobId id = JobId::random();
    for (int i = 0; i < 5; ++i) {
      REQUIRE(stage.lease(now));
      id = stage.write([&](sql::Session& session) { return JobsStore{session}.of_stream(first->stream); })->id;
      ++epoch;
      now += kLiveAttemptMs;
      stage.beat(first->stream, 1, "publishing", now);
      CHECK(stage.write([&](sql::Session& session) { return sweep_jobs(session, now); }) == 1);
      CHECK(stage.job(id).state == JobState::queued);
    }
    REQUIRE(stage.lease(now));
    stage.sweep(now + kGraceMs);
    CHECK(stage.fail(id, epoch + 1, true, now + kGraceMs));
    CHECK(stage.job(id).state == JobState::cancelled);
  });
}

TEST_CASE("jobs: nothing is leased whose upload or stream is gone") {
  on_each_engine([](Stage& stage) {
    const Upload upload = stage.stored(kNow);
    stage.write([&](sql::Session& session) { return UploadsStore{session}.remove(upload.id); });
    CHECK_FALSE(stage.lease(kNow).has_value());
    CHECK(stage.job(*upload.job).state == JobState::cancelled);
    const auto first = stage.publish_at(kNow, stage.ingest);
    stage.write([&](sql::Session& session) { return report_source(session, first->stream, source_720(), farm_with_room(), kNow); });
    stage.sweep(kNow + kGraceMs);
    CHECK_FALSE(stage.lease(kNow + kGraceMs).has_value());
  });
}

TEST_CASE("sweep: a stored upload that has no job gets one") {
  on_each_engine([](Stage& stage) {
    const Upload upload = stage.stored(kNow);
    stage.write([&](sql::Session& session) -> Result<void> {
      if (auto forgotten = session.run("forget", "UPDATE uploads SET job_id = ''"); !forgotten) return pass(forgotten);
      return done(session.run("forget", "DELETE FROM jobs"));
    });
    CHECK(stage.write([&](sql::Session& session) { return jobs_want_sweep(session, kNow); }));
    stage.write([&](sql::Session& session) { return sweep_jobs(session, kNow); });
    CHECK(stage.lease(kNow).has_value());
  });
}

TEST_CASE("quota: many uploads asked for at once never pass it together") {
  on_each_engine([](Stage& stage) {
    const UploadRules rules{.upload_bytes_max = 100, .user_bytes_max = 250, .drafts_max = 100};
    std::atomic<int> granted{0};
    std::atomic<int> refused{0};
    std::vector<std::thread> crowd;
    for (int i = 0; i < 8; ++i) {
      crowd.emplace_back([&] {
        const auto ticket = stage.database->write("authorise", [&](sql::Session& session) {
          return authorise_upload(session, stage.user, {.bytes = 100, .filename = "a.mp4"}, rules, kNow);
        });
        if (ticket && *ticket) ++granted;
        if (ticket && !*ticket && ticket->error().code == "quota") ++refused;
      });
    }
    for (std::thread& one : crowd) one.join();
    CHECK(granted == 2);
    CHECK(refused == 6);
    const auto used = stage.write([&](sql::Session& session) { return UploadsStore{session}.bytes_of(stage.user.id); });
    CHECK(used == 200);
  });
}

TEST_CASE("quota: at the bound it fits, one byte more does not, and the sentence has the numbers") {
  on_each_engine([](Stage& stage) {
    const UploadRules rules{.upload_bytes_max = 2'000'000, .user_bytes_max = 3'000'000, .drafts_max = 2};
    const auto ask = [&](std::int64_t bytes) {
      return stage.write([&](sql::Session& session) {
        return authorise_upload(session, stage.user, {.bytes = bytes, .filename = "a.mp4"}, rules, kNow);
      });
    };
    CHECK(ask(0).error().code == "malformed");
    CHECK(ask(2'000'001).error().code == "limits");
    REQUIRE(ask(2'000'000));
    const auto over = ask(1'000'001);
    REQUIRE_FALSE(over);
    CHECK(over.error().status == 413);
    CHECK(over.error().message.find("3.0 MB") != std::string::npos);
    CHECK(over.error().message.find("1.0 MB") != std::string::npos);
    REQUIRE(ask(1'000'000));
    CHECK(ask(1).error().code == "drafts");
  });
}

TEST_CASE("uploads: only their owner goes on with them, and an expired one stays visible as failed") {
  on_each_engine([](Stage& stage) {
    const auto ticket = stage.write([&](sql::Session& session) {
      return authorise_upload(session, stage.user, {.bytes = 10, .filename = "../../etc/pass\nwd.mp4"}, {100, 1000, 9}, kNow);
    });
    const User eve{.name = "eve", .creator = true};
    CHECK_FALSE(stage.write([&](sql::Session& session) { return access_upload(session, eve, ticket->upload); }));
    CHECK(stage.write([&](sql::Session& session) { return access_upload(session, stage.user, ticket->upload); }));
    stage.write([&](sql::Session& session) { return end_upload(session, {ticket->upload, ticket->video, "expired"}, kNow); });
    CHECK_FALSE(stage.write([&](sql::Session& session) { return access_upload(session, stage.user, ticket->upload); }));
    const auto view = stage.write([&](sql::Session& session) { return VideosStore{session}.view(ticket->video); });
    REQUIRE(view);
    CHECK(view->video.title == "pass_wd");
    CHECK(view->work->filename == "pass_wd.mp4");
    const auto failure = failure_of(*view->work);
    REQUIRE(failure);
    CHECK(failure->kind == "upload-expired");
    CHECK_FALSE(failure->retryable);
    CHECK(stage.write([&](sql::Session& session) { return retry_video(session, stage.user, ticket->video, kNow); }).error().code == "not_retryable");
  });
}

TEST_CASE("uploads: a terminated one takes its draft along, and what came late for a deleted video is removed") {
  on_each_engine([](Stage& stage) {
    const auto ticket = stage.write([&](sql::Session& session) {
      return authorise_upload(session, stage.user, {.bytes = 10, .filename = "a.mp4"}, {100, 1000, 9}, kNow);
    });
    const UploadEnded terminated{ticket->upload, ticket->video, "terminated"};
    stage.write([&](sql::Session& session) { return end_upload(session, terminated, kNow); });
    stage.write([&](sql::Session& session) { return end_upload(session, terminated, kNow); });
    CHECK_FALSE(stage.write([&](sql::Session& session) { return VideosStore{session}.view(ticket->video); }).has_value());
    const UploadFinished late{ticket->upload, ticket->video, "uploads/" + ticket->upload.text(), 10, "a.mp4"};
    CHECK(stage.write([&](sql::Session& session) { return finish_upload(session, late, kNow); }));
    const auto owed = stage.write([&](sql::Session& session) { return ErrandsStore{session}.due(kNow, 10); });
    REQUIRE(owed.size() == 1);
    CHECK(owed[0].kind == ErrandKind::upload_remove);
  });
}

TEST_CASE("internal calls without a node's signature, with another secret, or for another target are refused") {
  House house;
  const auto try_with = [&](std::string secret, std::string target, WallTime when) {
    http::Request request{.method = "POST", .target = "/internal/v1/jobs/lease", .fields = {}, .body = "{}"};
    if (!secret.empty()) request.fields.set(kNodeField, sign_internal(secret, NodeId::random(), "POST", target, when));
    return house.call(std::move(request)).status;
  };
  const std::string target = "/internal/v1/jobs/lease";
  CHECK(try_with("", target, wall_now()) == 401);
  CHECK(try_with("another secret", target, wall_now()) == 401);
  CHECK(try_with(house.node.node_secret, "/internal/v1/publish", wall_now()) == 401);
  CHECK(try_with(house.node.node_secret, target, wall_now() - std::chrono::minutes{2}) == 401);
  CHECK(try_with(house.node.node_secret, target, wall_now()) == 400);  // signed well; its body is what is wrong
}

TEST_CASE("wrong keys from one address are limited, others are not") {
  House house;
  const auto guess = [&](const std::string& address) {
    return house.internal("POST", "/publish", R"({"key":"rk_guess","proposed_stream":"","address":")" + address + R"("})");
  };
  for (int i = 0; i < kWrongKeysAddress; ++i) CHECK(text_at(guess("198.51.100.1"), "error.message").starts_with("This stream key"));
  CHECK(text_at(guess("198.51.100.1"), "error.message").starts_with("Too many"));
  CHECK(text_at(guess("198.51.100.2"), "error.message").starts_with("This stream key"));
}

TEST_CASE("an errand that fails keeps its place and its reason, and is done when the other side is back") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  const std::string key = text_at(lucia.send("GET", "/me/stream-key"), "key");
  const auto publish = house.internal("POST", "/publish", R"({"key":")" + key + R"(","proposed_stream":"","address":""})");
  const std::string stream = text_at(publish, "stream");
  house.internal("POST", "/streams/" + stream + "/source", json_write(source_720()));
  house.packager->status = 503;
  house.errands();
  const auto failing = must(house.control->database->read([](sql::Session& session) { return ErrandsStore{session}.failing(10); }));
  REQUIRE(failing.size() == 1);
  CHECK(failing[0].reason == "packager: answered with status 503");
  CHECK(text_at(lucia.send("GET", "/me/live"), "live.state") == "starting");
  house.packager->status = 200;
  house.pass_ms(kErrandWaitMaxMs);
  house.errands();
  CHECK(text_at(lucia.send("GET", "/me/live"), "live.state") == "live");
}

TEST_CASE("a start gives everybody the grace period before anything is swept") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  const std::string key = text_at(lucia.send("GET", "/me/stream-key"), "key");
  const auto publish = house.internal("POST", "/publish", R"({"key":")" + key + R"(","proposed_stream":"","address":""})");
  REQUIRE(publish.status == 200);
  house.pass_ms(kGraceMs - 1);
  house.sweep();
  CHECK(text_at(lucia.send("GET", "/me/live"), "live.state") == "starting");
  house.pass_ms(1);
  house.sweep();
  CHECK_FALSE(testing::has(lucia.send("GET", "/me/live"), "live.state"));
}

TEST_CASE("workers: remembered while they are heard, and those that take live jobs are counted") {
  Workers workers;
  workers.seen("a", true, 0);
  workers.seen("b", false, 0);
  workers.seen("a", false, 100);
  CHECK(workers.live_workers(100) == 1);
  CHECK(workers.live_workers(100 + Workers::kRememberedMs) == 1);
  CHECK(workers.live_workers(101 + Workers::kRememberedMs) == 0);
}

TEST_CASE("rate limit: a burst, then a share of the window each") {
  RateLimit limit{2, std::chrono::milliseconds{10'000}};
  limit.count("a", 0);
  CHECK(limit.wait_s("a", 0) == 0);
  limit.count("a", 0);
  CHECK(limit.wait_s("a", 0) == 5);
  CHECK(limit.wait_s("b", 0) == 0);
  CHECK(limit.wait_s("a", 4'999) == 1);
  CHECK(limit.wait_s("a", 5'000) == 0);
}

TEST_CASE("rate limit: more keys than it remembers cost no more memory") {
  RateLimit limit{1, std::chrono::milliseconds{1'000}};
  for (std::size_t i = 0; i < kRateKeysMax + 10; ++i) limit.count(std::to_string(i), 0);
  CHECK(limit.wait_s(std::to_string(kRateKeysMax + 9), 0) > 0);
}

TEST_CASE("secrets: what is sealed opens with the same key only, and a changed box never") {
  const Secrets one = Secrets::from("one", "ra_x", {});
  const Secrets other = Secrets::from("other", "ra_x", {});
  const std::string sealed = one.seal("rk_secret");
  CHECK(sealed.find("secret") == std::string::npos);
  CHECK(*one.unseal(sealed) == "rk_secret");
  CHECK(one.seal("rk_secret") != sealed);
  CHECK_FALSE(other.unseal(sealed));
  std::string changed = sealed;
  changed[8] = changed[8] == 'A' ? 'B' : 'A';
  CHECK_FALSE(one.unseal(changed));
  for (std::size_t size = 0; size < sealed.size(); ++size) CHECK_FALSE(one.unseal(sealed.substr(0, size)));
  CHECK(one.hash("token", "x") != one.hash("session", "x"));
}

TEST_CASE("titles come from the file's name when none was given, in whole characters") {
  CHECK(title_from("", "beach.mp4") == "beach");
  CHECK(title_from("", "C:\\films\\beach.final.mov") == "beach.final");
  CHECK(title_from("", ".mp4") == ".mp4");
  CHECK(title_from("", "") == "Untitled");
  CHECK(title_from("  Mare\t", "x") == "Mare");
  std::string long_name;
  for (int i = 0; i < 300; ++i) long_name += "è";
  CHECK(count_chars(title_from(long_name, "")) == kTitleCharsMax);
  CHECK(check_title(title_from(long_name, "")));
  CHECK_FALSE(check_title(long_name));
}

}  // namespace ribalta::control
