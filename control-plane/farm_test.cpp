// The rules of jobs: leases, epochs, failures, replays; on SQLite and on PostgreSQL.
#include "control-plane/testing_stage.h"

namespace ribalta::control {
namespace {

using testing::farm_with_room;
using testing::kNow;
using testing::on_each_engine;
using testing::source_720;
using testing::Stage;

}  // namespace

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

TEST_CASE("jobs: what went wrong on our side three times does not say that it goes on by itself") {
  on_each_engine([](Stage& stage) {
    const Upload upload = stage.stored(kNow);
    std::int64_t now = kNow;
    for (std::int64_t epoch = 1; epoch <= kAttemptsMax; ++epoch) {
      REQUIRE(stage.lease(now));
      CHECK(stage.fail(*upload.job, epoch, true, now, "worker"));
      CHECK((stage.job(*upload.job).failure_reason == "Broken.") == (epoch < kAttemptsMax));
      now += 100 * kRetryFirstMs;
    }
    const Job job = stage.job(*upload.job);
    CHECK(job.state == JobState::failed);
    CHECK(job.failure_kind == "worker");
    CHECK(job.failure_reason.find("try again") != std::string::npos);
  });
}

TEST_CASE("jobs: a broadcast outlives many workers, and a worker whose stream ended did not fail") {
  on_each_engine([](Stage& stage) {
    const auto first = stage.publish_at(kNow, stage.ingest);
    stage.write([&](sql::Session& session) {
      return report_source(session, first->stream, source_720(), farm_with_room(), kNow);
    });
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

TEST_CASE("jobs: a broadcast whose workers die one after the other is taken up again, with growing pauses") {
  on_each_engine([](Stage& stage) {
    const auto first = stage.publish_at(kNow, stage.ingest);
    CHECK(stage.write([&](sql::Session& session) {
      return report_source(session, first->stream, source_720(), farm_with_room(), kNow);
    }));
    const JobId id =
        stage.write([&](sql::Session& session) { return JobsStore{session}.of_stream(first->stream); })->id;
    std::int64_t now = kNow;
    const auto worker_dies = [&](std::int64_t pause) {
      REQUIRE(stage.lease(now));
      now += kLeaseMs + 1;
      stage.beat(first->stream, 1, "publishing", now);
      CHECK(stage.write([&](sql::Session& session) { return sweep_jobs(session, now); }) == 1);
      CHECK(stage.job(id).state == JobState::queued);
      if (pause > 0) CHECK_FALSE(stage.lease(now + pause - 1).has_value());
      now += pause;
    };
    for (int i = 1; i < kAttemptsMax; ++i) worker_dies(0);
    worker_dies(kRetryFirstMs);
    worker_dies(4 * kRetryFirstMs);
    for (int i = 0; i < 20; ++i) worker_dies(kLiveRetryMaxMs);
    // One that lasts makes the next death the first again.
    REQUIRE(stage.lease(now));
    now += kLiveAttemptMs;
    stage.beat(first->stream, 1, "publishing", now);
    CHECK(stage.write([&](sql::Session& session) { return sweep_jobs(session, now); }) == 1);
    CHECK(stage.lease(now).has_value());
    // What can't be tried again is over.
    CHECK(stage.fail(id, stage.job(id).epoch, false, now));
    CHECK(stage.job(id).state == JobState::failed);
  });
}

TEST_CASE("jobs: nothing is leased whose upload or stream is gone") {
  on_each_engine([](Stage& stage) {
    const Upload upload = stage.stored(kNow);
    stage.write([&](sql::Session& session) { return UploadsStore{session}.remove(upload.id); });
    CHECK_FALSE(stage.lease(kNow).has_value());
    CHECK(stage.job(*upload.job).state == JobState::cancelled);
    const auto first = stage.publish_at(kNow, stage.ingest);
    stage.write([&](sql::Session& session) {
      return report_source(session, first->stream, source_720(), farm_with_room(), kNow);
    });
    stage.sweep(kNow + kGraceMs);
    CHECK_FALSE(stage.lease(kNow + kGraceMs).has_value());
  });
}

TEST_CASE("sweep: a draft that nobody ended has failed after a week, and gives its quota back") {
  on_each_engine([](Stage& stage) {
    const auto ticket = stage.write([&](sql::Session& session) {
      return authorise_upload(session, stage.user, {.bytes = 10, .filename = "a.mp4"}, {100, 1000, 9}, kNow);
    });
    const auto wants = [&](std::int64_t now) {
      return stage.write([&](sql::Session& session) { return jobs_want_sweep(session, now); });
    };
    CHECK_FALSE(wants(kNow + kDraftMs));
    CHECK(wants(kNow + kDraftMs + 1));
    CHECK(stage.write([&](sql::Session& session) { return sweep_jobs(session, kNow + kDraftMs + 1); }) == 1);
    CHECK_FALSE(wants(kNow + kDraftMs + 1));
    const auto view = stage.write([&](sql::Session& session) { return VideosStore{session}.view(ticket->video); });
    CHECK(failure_of(*view->work)->kind == "upload-expired");
    CHECK(stage.write([&](sql::Session& session) { return UploadsStore{session}.bytes_of(stage.user.id); }) == 0);
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

TEST_CASE("workers: remembered while they are heard, and those that take live jobs are counted") {
  Workers workers;
  workers.seen("a", true, 0);
  workers.seen("b", false, 0);
  workers.seen("a", false, 100);
  CHECK(workers.live_workers(100) == 1);
  CHECK(workers.live_workers(100 + Workers::kRememberedMs) == 1);
  CHECK(workers.live_workers(101 + Workers::kRememberedMs) == 0);
}

}  // namespace ribalta::control
