// For tests of rules: a database with one creator and a stream key, and what ingest and workers do to it.
#pragma once

#include <optional>
#include <string>

#include "control-plane/errands_store.h"
#include "control-plane/identity.h"
#include "control-plane/migrations.h"
#include "control-plane/store.h"
#include "control-plane/testing.h"
#include "core/json.h"

namespace ribalta::control::testing {

inline constexpr std::int64_t kNow = 1'790'000'000'000;
inline const LiveRules kRules{};
inline const VodLimits kLimits{.duration_ms_max = 1000, .bytes_max = 1000, .side_max = 1000, .fps_max = 60};

/// A database with one creator and a stream key.
struct Stage {
  std::shared_ptr<sql::Database> database;
  Secrets secrets = Secrets::from("a control key for this test", "ra_admin", {"k1", std::string(32, 'x')});
  control::User user{.name = "lucia", .creator = true};
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
    const StreamHeartbeat heartbeat{
        .epoch = epoch, .state = std::move(state), .stream_user = user.id.text(), .start_unix_ms = now};
    return write(
        [&](sql::Session& session) { return stream_heartbeat(session, stream, heartbeat, ingest, kRules, now); });
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
      const UploadFinished finished{(*ticket)->upload, (*ticket)->video, "uploads/" + (*ticket)->upload.text(), 10,
                                    "a.mp4"};
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
    const VodResult result{
        .version = std::to_string(version), .duration_ms = 5, .width = 2, .height = 2, .tracks = nullptr};
    const JobComplete done{epoch, must(json_parse(json_write(result)))};
    return write([&](sql::Session& session) { return complete_job(session, id, done, now); });
  }
  Outcome<void> fail(JobId id, std::int64_t epoch, bool retry, std::int64_t now, std::string kind = "corrupt") {
    return write(
        [&](sql::Session& session) { return fail_job(session, id, {epoch, std::move(kind), "Broken.", retry}, now); });
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

inline SourceReport source_720() {
  return {.epoch = 1,
          .video = SourceVideo{.codecs = "avc1.64001f",
                               .width = 1280,
                               .height = 720,
                               .fps = 30,
                               .bitrate = 2'500'000,
                               .passthrough = true},
          .audio = SourceAudio{.codecs = "mp4a.40.2", .sample_rate = 48'000, .channels = 2, .bitrate = 128'000}};
}
inline LiveFarm farm_with_room() { return {.room = true, .options = media::live_options_for(2)}; }

}  // namespace ribalta::control::testing
