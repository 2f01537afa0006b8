// Quotas, drafts and what becomes of uploads; on SQLite and on PostgreSQL.
#include <atomic>
#include <thread>

#include "control-plane/testing_stage.h"

namespace ribalta::control {
namespace {

using testing::has;
using testing::kNow;
using testing::on_each_engine;
using testing::Stage;

}  // namespace

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
    CHECK(ask(-1).error().code == "malformed");
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
      return authorise_upload(session, stage.user, {.bytes = 10, .filename = "../../etc/pass\nwd.mp4"}, {100, 1000, 9},
                              kNow);
    });
    const User eve{.name = "eve", .creator = true};
    CHECK_FALSE(stage.write([&](sql::Session& session) { return access_upload(session, eve, ticket->upload); }));
    CHECK(stage.write([&](sql::Session& session) { return access_upload(session, stage.user, ticket->upload); }));
    stage.write(
        [&](sql::Session& session) { return end_upload(session, {ticket->upload, ticket->video, "expired"}, kNow); });
    CHECK_FALSE(stage.write([&](sql::Session& session) { return access_upload(session, stage.user, ticket->upload); }));
    const auto view = stage.write([&](sql::Session& session) { return VideosStore{session}.view(ticket->video); });
    REQUIRE(view);
    CHECK(view->video.title == "pass_wd");
    CHECK(view->work->filename == "pass_wd.mp4");
    const auto failure = failure_of(*view->work);
    REQUIRE(failure);
    CHECK(failure->kind == "upload-expired");
    CHECK_FALSE(failure->retryable);
    CHECK(stage.write([&](sql::Session& session) { return retry_video(session, stage.user, ticket->video, kNow); })
              .error()
              .code == "not_retryable");
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
    CHECK_FALSE(
        stage.write([&](sql::Session& session) { return VideosStore{session}.view(ticket->video); }).has_value());
    const UploadFinished late{ticket->upload, ticket->video, "uploads/" + ticket->upload.text(), 10, "a.mp4"};
    CHECK(stage.write([&](sql::Session& session) { return finish_upload(session, late, kNow); }));
    const auto owed = stage.write([&](sql::Session& session) { return ErrandsStore{session}.due(kNow, 10); });
    REQUIRE(owed.size() == 1);
    CHECK(owed[0].kind == ErrandKind::upload_remove);
  });
}

TEST_CASE("uploads: a name that climbs, lies or never ends is a name to show, and leads nowhere") {
  on_each_engine([](Stage& stage) {
    const UploadRules rules{.upload_bytes_max = 100, .user_bytes_max = 1'000'000, .drafts_max = 100};
    const std::pair<std::string, std::string> names[] = {{"../../../../etc/cron.d/x.mp4", "x.mp4"},
                                                         {"..\\..\\windows\\y.mp4", "y.mp4"},
                                                         {"/etc/passwd", "passwd"},
                                                         {"evil\nname\x1b[31m.mp4", "evil_name_[31m.mp4"},
                                                         {"../", "upload"},
                                                         {std::string(10'000, 'a'), std::string(255, 'a')}};
    for (const auto& [sent, shown] : names) {
      CAPTURE(sent);
      const auto ticket = stage.write([&](sql::Session& session) {
        return authorise_upload(session, stage.user, {.bytes = 1, .filename = sent}, rules, kNow);
      });
      REQUIRE(ticket);
      const auto upload =
          stage.write([&](sql::Session& session) { return UploadsStore{session}.by_id(ticket->upload); });
      CHECK(upload->filename == shown);
      // What it is kept as is its id alone, whatever ingest says of it.
      const auto lied = stage.write([&](sql::Session& session) {
        return finish_upload(session, {ticket->upload, ticket->video, "uploads/../" + sent, 1, sent}, kNow);
      });
      CHECK(lied.error().code == "malformed");
    }
  });
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
