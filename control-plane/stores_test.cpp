// The stores, each case on SQLite and on PostgreSQL.
#include <doctest/doctest.h>

#include "control-plane/errands_store.h"
#include "control-plane/jobs_store.h"
#include "control-plane/migrations.h"
#include "control-plane/sessions_store.h"
#include "control-plane/streams_store.h"
#include "control-plane/uploads_store.h"
#include "control-plane/users_store.h"
#include "control-plane/videos_store.h"
#include "core/testing/database.h"

namespace ribalta::control {
namespace {

/// Runs a case in one transaction on each engine: the stores never commit by themselves.
template <class Test>
void on_each_engine(Test test) {
  for (const sql::Engine engine : testing::engines()) {
    CAPTURE(static_cast<int>(engine));
    auto database = sql::Database::open({.address = testing::fresh_database(engine), .connections = 2});
    REQUIRE(database);
    const auto migrated = sql::migrate(**database, migrations());
    REQUIRE_MESSAGE(migrated, (migrated ? "" : migrated.error().message));
    const auto done = (*database)->write("test", [&](sql::Session& session) -> Result<void> {
      test(session);
      return {};
    });
    CHECK_MESSAGE(done, (done ? "" : done.error().message));
  }
}

template <class T>
T must(Result<T> result) {
  REQUIRE_MESSAGE(result, (result ? "" : result.error().message));
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

User add_user(sql::Session& session, std::string name) {
  User user{.name = std::move(name), .creator = true, .created = 1000};
  must(UsersStore{session}.insert(user));
  return user;
}

Video add_video(sql::Session& session, const User& user, std::int64_t created) {
  const Video video{.user = user.id, .title = "t", .created = created};
  must(VideosStore{session}.insert(video));
  return video;
}

void make_ready(sql::Session& session, const Video& video, std::int64_t now) {
  const ReadyVersion ready{.version = 1, .width = 720, .height = 1280, .duration_ms = 5000, .poster = true};
  CHECK(must(VideosStore{session}.set_ready(video.id, ready, UploadId::random(), now)));
}

Job add_job(sql::Session& session, const Video& video, UploadId upload, std::int64_t now) {
  const Job job{.kind = JobKind::vod, .video = video.id, .upload = upload, .created = now};
  must(JobsStore{session}.insert(job));
  return job;
}

}  // namespace

TEST_CASE("users: what is written is read back by id and by name") {
  on_each_engine([](sql::Session& session) {
    UsersStore users{session};
    const User lucia{
        .name = "lucia", .password = "$argon2id$", .admin = true, .creator = true, .created = 7, .live_title = "x"};
    must(users.insert(lucia));
    const auto by_id = must(users.by_id(lucia.id));
    const auto by_name = must(users.by_name("lucia"));
    REQUIRE(by_id);
    REQUIRE(by_name);
    CHECK(by_id->name == "lucia");
    CHECK(by_id->admin);
    CHECK_FALSE(by_id->suspended);
    CHECK(by_name->id == lucia.id);
    CHECK_FALSE(must(users.by_name("marco")).has_value());
    must(users.set_roles(lucia.id, false, false, true));
    CHECK(must(users.by_id(lucia.id))->suspended);
    CHECK(must(users.count()) == 1);
    CHECK(must(users.count_admins()) == 0);
  });
}

TEST_CASE("users: a stream key finds its owner until it is replaced") {
  on_each_engine([](sql::Session& session) {
    UsersStore users{session};
    const User lucia = add_user(session, "lucia");
    CHECK_FALSE(must(users.key_of(lucia.id)).has_value());
    must(users.set_key(lucia.id, {"h1", "s1", 5}));
    CHECK(must(users.by_key_hash("h1"))->id == lucia.id);
    must(users.set_key(lucia.id, {"h2", "s2", 6}));
    CHECK_FALSE(must(users.by_key_hash("h1")).has_value());
    CHECK(must(users.by_key_hash("h2"))->id == lucia.id);
    CHECK(must(users.key_of(lucia.id))->sealed == "s2");
  });
}

TEST_CASE("sessions: an expired one is not found, and removing all of a user leaves others'") {
  on_each_engine([](sql::Session& session) {
    const User lucia = add_user(session, "lucia");
    const User marco = add_user(session, "marco");
    SessionsStore sessions{session};
    must(sessions.insert("a", lucia.id, 100, 200));
    must(sessions.insert("b", marco.id, 100, 300));
    CHECK(must(sessions.find("a", 199)).has_value());
    CHECK_FALSE(must(sessions.find("a", 200)).has_value());
    must(sessions.touch("a", 150, 400));
    CHECK(must(sessions.find("a", 399))->used == 150);
    must(sessions.remove_all_of(lucia.id));
    CHECK_FALSE(must(sessions.find("a", 199)).has_value());
    CHECK(must(sessions.find("b", 199))->user == marco.id);
    CHECK(must(sessions.remove_expired(300)) == 1);
  });
}

TEST_CASE("tokens: only their owner removes them, and they end when they should") {
  on_each_engine([](sql::Session& session) {
    const User lucia = add_user(session, "lucia");
    const User marco = add_user(session, "marco");
    SessionsStore sessions{session};
    must(sessions.insert_token({"t1", "cli", 10, 0, 0}, "h1", lucia.id));
    must(sessions.insert_token({"t2", "cli", 10, 50, 0}, "h2", lucia.id));
    CHECK(must(sessions.find_token("h1", 1'000'000)).has_value());
    CHECK(must(sessions.find_token("h2", 49)).has_value());
    CHECK_FALSE(must(sessions.find_token("h2", 50)).has_value());
    CHECK_FALSE(must(sessions.remove_token("t1", marco.id)));
    CHECK(must(sessions.remove_token("t1", lucia.id)));
    CHECK(must(sessions.tokens_of(lucia.id)).size() == 1);
  });
}

TEST_CASE("streams: a user has at most one that has not ended") {
  on_each_engine([](sql::Session& session) {
    const User lucia = add_user(session, "lucia");
    StreamsStore streams{session};
    const Stream first{.user = lucia.id, .title = "a", .node = "n", .started = 10, .heard = 10};
    must(streams.insert(first));
    CHECK(must(streams.active_of(lucia.id))->id == first.id);
    must(streams.set_ended(first.id, 20));
    CHECK_FALSE(must(streams.active_of(lucia.id)).has_value());
    must(streams.insert({.user = lucia.id, .title = "b", .node = "n", .started = 30, .heard = 30}));
    CHECK(must(streams.count_active()) == 1);
    CHECK(must(streams.by_id(first.id))->ended == 20);
    CHECK(must(streams.ended_before(21, 10)).size() == 1);
    must(streams.set_removed(first.id));
    CHECK(must(streams.ended_before(21, 10)).empty());
  });
}

TEST_CASE("streams: a second one of the same user is refused by the table itself") {
  for (const sql::Engine engine : testing::engines()) {
    auto database = sql::Database::open({.address = testing::fresh_database(engine), .connections = 1});
    REQUIRE(database);
    REQUIRE(sql::migrate(**database, migrations()));
    const auto second = (*database)->write("test", [](sql::Session& session) -> Result<void> {
      const User lucia = add_user(session, "lucia");
      must(StreamsStore{session}.insert({.user = lucia.id, .title = "a", .node = "n"}));
      return StreamsStore{session}.insert({.user = lucia.id, .title = "b", .node = "n"});
    });
    REQUIRE_FALSE(second);
    CHECK(sql::is_taken(second.error()));
  }
}

TEST_CASE("streams: live begins when the packager holds the plan, and an ended one does not come back") {
  on_each_engine([](sql::Session& session) {
    const User lucia = add_user(session, "lucia");
    StreamsStore streams{session};
    const Stream stream{.user = lucia.id, .node = "n", .started = 10, .heard = 10};
    must(streams.insert(stream));
    must(streams.set_plan(stream.id, "{}", "{\"plan\":1}"));
    CHECK(must(streams.by_id(stream.id))->state == StreamState::starting);
    must(streams.set_plan_sent(stream.id));
    CHECK(must(streams.by_id(stream.id))->state == StreamState::live);
    must(streams.set_state(stream.id, StreamState::interrupted));
    CHECK(must(streams.silent_since(11, 10)).size() == 1);
    must(streams.set_holder(stream.id, "m", 2, 40));
    const auto resumed = must(streams.by_id(stream.id));
    CHECK(resumed->state == StreamState::live);
    CHECK(resumed->epoch == 2);
    must(streams.set_ended(stream.id, 50));
    must(streams.set_heard(stream.id, 60, StreamState::live));
    CHECK(must(streams.by_id(stream.id))->state == StreamState::ended);
    CHECK(must(streams.by_id(stream.id))->heard == 40);
  });
}

TEST_CASE("videos: the feed is public, ready, newest first, and pages neither repeat nor skip") {
  on_each_engine([](sql::Session& session) {
    const User lucia = add_user(session, "lucia");
    VideosStore videos{session};
    std::vector<VideoId> ready;
    for (int i = 0; i < 7; ++i) {
      const Video video = add_video(session, lucia, i);
      if (i == 3) continue;                     // never ready
      make_ready(session, video, 100 + i / 2);  // several at one instant
      ready.push_back(video.id);
    }
    must(videos.set_public(ready[0], false));
    CHECK(must(videos.set_deleted(ready[1], 500)));
    std::vector<VideoId> seen;
    std::optional<PageCursor> cursor;
    for (;;) {
      const auto page = must(videos.feed(cursor, 2));
      if (page.empty()) break;
      for (const VideoView& view : page) {
        CHECK(std::find(seen.begin(), seen.end(), view.video.id) == seen.end());
        seen.push_back(view.video.id);
      }
      cursor = PageCursor{page.back().video.published, page.back().video.id.text()};
    }
    CHECK(seen.size() == 4);
    CHECK(must(videos.published_of(lucia.id, std::nullopt, 50)).size() == 4);
    CHECK(must(videos.all_of(lucia.id, std::nullopt, 50)).size() == 6);
    must(UsersStore{session}.set_roles(lucia.id, false, true, true));
    CHECK(must(videos.feed(std::nullopt, 50)).empty());
  });
}

TEST_CASE("videos: access follows visibility, suspension and deletion") {
  on_each_engine([](sql::Session& session) {
    const User lucia = add_user(session, "lucia");
    VideosStore videos{session};
    const Video video = add_video(session, lucia, 1);
    CHECK(must(videos.access(video.id)) == "public");
    CHECK(must(videos.restricted("", 10)).empty());
    must(videos.set_public(video.id, false));
    CHECK(must(videos.access(video.id)) == "token");
    must(videos.set_public(video.id, true));
    must(UsersStore{session}.set_roles(lucia.id, false, true, true));
    CHECK(must(videos.access(video.id)) == "token");
    CHECK(must(videos.set_deleted(video.id, 5)));
    CHECK_FALSE(must(videos.set_deleted(video.id, 6)));
    CHECK(must(videos.access(video.id)) == "gone");
    REQUIRE(must(videos.restricted("", 10)).size() == 1);
    CHECK(must(videos.restricted("", 10))[0].access == "gone");
    CHECK_FALSE(must(videos.view(video.id)).has_value());
    CHECK_FALSE(must(videos.access(VideoId::random())).has_value());
  });
}

TEST_CASE("videos: its view shows the upload and the job that work on it") {
  on_each_engine([](sql::Session& session) {
    const User lucia = add_user(session, "lucia");
    const Video video = add_video(session, lucia, 1);
    CHECK_FALSE(must(VideosStore{session}.view(video.id))->work.has_value());
    const Upload upload{.video = video.id, .user = lucia.id, .filename = "a.mp4", .bytes = 42, .created = 1};
    must(UploadsStore{session}.insert(upload));
    must(VideosStore{session}.set_upload(video.id, upload.id));
    const auto draft = must(VideosStore{session}.view(video.id))->work;
    REQUIRE(draft);
    CHECK(draft->upload_state == "draft");
    CHECK_FALSE(draft->job.has_value());
    must(UploadsStore{session}.set_stored(upload.id, 43, 2));
    const Job job = add_job(session, video, upload.id, 2);
    must(UploadsStore{session}.set_job(upload.id, job.id));
    const auto queued = must(VideosStore{session}.view(video.id))->work;
    CHECK(queued->job == JobState::queued);
    CHECK(queued->bytes == 43);
    CHECK(must(VideosStore{session}.counts()).processing == 1);
    const ReadyVersion ready{.version = 1, .width = 1, .height = 1, .duration_ms = 1};
    CHECK(must(VideosStore{session}.set_ready(video.id, ready, upload.id, 3)));
    CHECK_FALSE(must(VideosStore{session}.view(video.id))->work.has_value());
    CHECK(must(VideosStore{session}.counts()).ready == 1);
  });
}

TEST_CASE("uploads: the quota counts drafts whole and forgets what expired") {
  on_each_engine([](sql::Session& session) {
    const User lucia = add_user(session, "lucia");
    const Video video = add_video(session, lucia, 1);
    UploadsStore uploads{session};
    CHECK(must(uploads.bytes_of(lucia.id)) == 0);
    const Upload large{.video = video.id, .user = lucia.id, .filename = "a", .bytes = 5'000'000'000, .created = 1};
    const Upload small{.video = video.id, .user = lucia.id, .filename = "b", .bytes = 3, .created = 2};
    must(uploads.insert(large));
    must(uploads.insert(small));
    CHECK(must(uploads.bytes_of(lucia.id)) == 5'000'000'003);
    CHECK(must(uploads.drafts_of(lucia.id)) == 2);
    must(uploads.set_expired(large.id));
    CHECK(must(uploads.bytes_of(lucia.id)) == 3);
    must(uploads.set_stored(small.id, 4, 9));
    CHECK(must(uploads.drafts_of(lucia.id)) == 0);
    CHECK(must(uploads.stored_without_job(10)).size() == 1);
    must(uploads.set_job(small.id, JobId::random()));
    CHECK(must(uploads.stored_without_job(10)).empty());
  });
}

TEST_CASE("jobs: live goes before vod, the oldest first, and nothing before its time") {
  on_each_engine([](sql::Session& session) {
    const User lucia = add_user(session, "lucia");
    const Video video = add_video(session, lucia, 1);
    JobsStore jobs{session};
    const Job later = add_job(session, video, UploadId::random(), 20);
    const Job sooner = add_job(session, video, UploadId::random(), 10);
    const Job live{.kind = JobKind::live, .stream = StreamId::random(), .created = 30};
    must(jobs.insert(live));
    CHECK_FALSE(must(jobs.next(true, true, 9)).has_value());
    CHECK(must(jobs.next(true, true, 25))->id == sooner.id);
    CHECK(must(jobs.next(true, true, 30))->id == live.id);
    CHECK(must(jobs.next(false, true, 30))->id == sooner.id);
    must(jobs.lease(sooner, "w", 1, 30, 50));
    CHECK(must(jobs.next(false, true, 30))->id == later.id);
    CHECK_FALSE(must(jobs.next(false, false, 30)).has_value());
    CHECK(must(jobs.count_due(JobKind::vod, 30)) == 1);
  });
}

TEST_CASE("jobs: only the epoch that holds the lease changes anything") {
  on_each_engine([](sql::Session& session) {
    const User lucia = add_user(session, "lucia");
    const Video video = add_video(session, lucia, 1);
    JobsStore jobs{session};
    const Job job = add_job(session, video, UploadId::random(), 1);
    must(jobs.lease(job, "w1", 1, 10, 30));
    CHECK(must(jobs.beat(job.id, 1, 0.5, "encode", 35)));
    CHECK(must(jobs.by_id(job.id))->progress == 0.5);
    CHECK(must(jobs.expired(35, 10)).empty());
    CHECK(must(jobs.expired(36, 10)).size() == 1);
    CHECK(must(jobs.versions_under_way(video.id)) == std::vector<std::int64_t>{1});
    CHECK(must(jobs.requeue(job.id, 1, 1, 40, "worker", "gone")));
    must(jobs.lease(*must(jobs.by_id(job.id)), "w2", 2, 40, 60));
    CHECK_FALSE(must(jobs.beat(job.id, 1, 0.9, "encode", 99)));
    CHECK_FALSE(must(jobs.end(job.id, 1, JobState::done, "", "", 41)));
    CHECK_FALSE(must(jobs.requeue(job.id, 1, 1, 40, "", "")));
    CHECK(must(jobs.end(job.id, 2, JobState::done, "", "", 42)));
    CHECK_FALSE(must(jobs.end(job.id, 2, JobState::done, "", "", 43)));
    const auto ended = must(jobs.by_id(job.id));
    CHECK(ended->state == JobState::done);
    CHECK(ended->attempts == 2);
    CHECK(ended->ended == 42);
    CHECK(ended->progress == 1);
  });
}

TEST_CASE("jobs: cancelling takes the lease away") {
  on_each_engine([](sql::Session& session) {
    const User lucia = add_user(session, "lucia");
    const Video video = add_video(session, lucia, 1);
    JobsStore jobs{session};
    const Job leased = add_job(session, video, UploadId::random(), 1);
    const UploadId upload = UploadId::random();
    const Job queued = add_job(session, video, upload, 2);
    must(jobs.lease(leased, "w", 1, 10, 30));
    CHECK(must(jobs.cancel_of_upload(upload, 11)) == 1);
    CHECK(must(jobs.by_id(queued.id))->state == JobState::cancelled);
    CHECK(must(jobs.cancel_of_video(video.id, 12)) == 1);
    CHECK_FALSE(must(jobs.beat(leased.id, 1, 0.1, "x", 99)));
    CHECK(must(jobs.counts()).size() == 1);
  });
}

TEST_CASE("videos: each lease gets a version number of its own") {
  on_each_engine([](sql::Session& session) {
    const User lucia = add_user(session, "lucia");
    const Video video = add_video(session, lucia, 1);
    CHECK(must(VideosStore{session}.next_version(video.id)) == 1);
    CHECK(must(VideosStore{session}.next_version(video.id)) == 2);
  });
}

TEST_CASE("errands: wanted twice is owed once, and a wish that came meanwhile keeps it") {
  on_each_engine([](sql::Session& session) {
    ErrandsStore errands{session};
    must(errands.want(ErrandKind::video_access, "v", 10));
    must(errands.want(ErrandKind::video_access, "v", 90));
    must(errands.want(ErrandKind::stream_end, "s", 20));
    const auto due = must(errands.due(10, 10));
    REQUIRE(due.size() == 1);
    CHECK(due[0].wish == 2);
    must(errands.want(ErrandKind::video_access, "v", 10));
    must(errands.succeeded(due[0]));
    REQUIRE(must(errands.due(10, 10)).size() == 1);
    must(errands.failed(must(errands.due(10, 10))[0], "no answer", 40));
    CHECK(must(errands.due(10, 10)).empty());
    REQUIRE(must(errands.failing(10)).size() == 1);
    CHECK(must(errands.failing(10))[0].reason == "no answer");
    must(errands.succeeded(must(errands.due(40, 1))[0]));
    CHECK(must(errands.due(1000, 10)).size() == 1);
  });
}

}  // namespace ribalta::control
