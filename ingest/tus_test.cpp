// Uploads over real HTTP against a fake control plane: the whole protocol, and what happens when either side dies.
#include <doctest/doctest.h>

#include <csignal>
#include <fstream>
#include <future>
#include <thread>

#include "ingest/testing/tus_house.h"

using namespace ribalta;
using namespace ribalta::ingest;
using namespace ribalta::ingest::testing;
using namespace std::chrono_literals;

TEST_CASE("tus: discovery, creation, pieces, end: the file is in the object store and the control plane knows") {
  House house;
  const Reply options = house.call("OPTIONS", "/files/", {});
  CHECK(options.status == 204);
  CHECK(options.field("Tus-Version") == "1.0.0");
  CHECK(options.field("Tus-Extension").find("checksum") != std::string::npos);

  const std::string file = noise(1'000'000);
  const std::string path = house.begin(file.size());
  CHECK(path == "/files/" + house.plane.uploads.at(0));
  CHECK(house.call("HEAD", path, {}).field("Upload-Offset") == "0");
  const Reply first = house.patch(path, 0, file.substr(0, 700'000));
  CHECK(first.status == 204);
  CHECK(first.field("Upload-Offset") == "700000");
  CHECK(first.field("Upload-Expires").ends_with("GMT"));
  CHECK(house.stored(path) == "(none)");
  const Reply state = house.call("HEAD", path, {});
  CHECK(state.status == 200);
  CHECK(state.field("Upload-Offset") == "700000");
  CHECK(state.field("Upload-Length") == "1000000");
  CHECK(state.field("Cache-Control") == "no-store");
  CHECK(state.field("Upload-Metadata") == "filename YS5tcDQ=,title SGk=");
  const Reply last = house.patch(path, 700'000, file.substr(700'000));
  CHECK(last.status == 204);
  CHECK_FALSE(last.field("Ribalta-Video").empty());
  CHECK(house.stored(path) == file);
  CHECK(house.control.wait_for("/finished", [](const auto& calls) { return calls.size() == 1; }, 10s));
  CHECK(house.control.calls("/finished")[0].body.find("\"key\":\"uploads/" + house.plane.uploads[0]) !=
        std::string::npos);
  // The last answer was lost: the client asks, and sends the end again.
  CHECK(house.call("HEAD", path, {}).field("Upload-Offset") == "1000000");
  CHECK(house.patch(path, 1'000'000, "").status == 204);
  CHECK(house.control.calls("/authorise")[0].body.find("\"title\":\"Hi\"") != std::string::npos);
}

TEST_CASE("tus: creation may carry the first bytes, all bytes, or none at all") {
  House house;
  const FieldList with_body{{"Content-Type", "application/offset+octet-stream"}, {"Upload-Length", "5"}};
  const Reply part = house.call("POST", "/files/", with_body, "hel");
  CHECK(part.status == 201);
  CHECK(part.field("Upload-Offset") == "3");
  const Reply whole = house.call("POST", "/files", with_body, "hello");
  CHECK(whole.status == 201);
  CHECK(house.stored(whole.field("Location")) == "hello");
  const Reply empty = house.call("POST", "/files/", {{"Upload-Length", "0"}});
  CHECK(empty.status == 201);
  CHECK(house.stored(empty.field("Location")).empty());
}

TEST_CASE("tus: what is wrong with a request is told by its status") {
  House house;
  const std::string path = house.begin(10);
  CHECK(house.patch(path, 3, "abc").status == 409);
  CHECK(house.call("PATCH", path, {{"Upload-Offset", "0"}}, "abc").status == 415);
  CHECK(house.patch(path, 0, "abc", {{"Upload-Checksum", "md5 abc"}}).status == 400);
  CHECK(house.patch("/files/0000000000000000", 0, "abc").status == 404);
  CHECK(house.patch("/files/nonsense", 0, "abc").status == 404);
  CHECK(house.call("POST", "/files/", {}).status == 400);
  CHECK(house.call("POST", "/files/", {{"Upload-Length", "-1"}}).status == 400);
  CHECK(house.call("POST", "/files/", {{"Upload-Length", "99999999999999"}}).status == 413);
  CHECK(house.call("POST", "/files/", {{"Upload-Length", "999999"}}).status == 413);
  CHECK(house.call("POST", "/files/", {{"Upload-Length", "1"}, {"Upload-Metadata", "a !"}}).status == 400);
  CHECK(house.patch(path, 0, "more than ten bytes").status == 413);
  const Talk old{house.socket};
  old.send(head("HEAD", path, {{"Cookie", "session=good"}}, 0));
  CHECK(old.reply().status == 412);
}

TEST_CASE("tus: strangers may neither begin nor go on") {
  House house;
  const std::string path = house.begin(10);
  for (const char* method : {"HEAD", "PATCH", "DELETE", "POST"}) {
    const Talk talk{house.socket};
    FieldList fields{{"Tus-Resumable", "1.0.0"},
                     {"Upload-Offset", "0"},
                     {"Upload-Length", "3"},
                     {"Content-Type", "application/offset+octet-stream"}};
    talk.send(head(method, std::string_view{method} == "POST" ? "/files/" : path, fields, 3) + "abc");
    CHECK(talk.reply().status == 401);
  }
  CHECK(house.call("HEAD", path, {}).field("Upload-Offset") == "0");
}

TEST_CASE("tus: a checksum that fits is taken, one that does not leaves nothing behind") {
  House house;
  const std::string path = house.begin(22);
  const Reply wrong = house.patch(path, 0, "hello_world", {{"Upload-Checksum", "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0="}});
  CHECK(wrong.status == 460);
  CHECK(house.call("HEAD", path, {}).field("Upload-Offset") == "0");
  const Reply right = house.patch(path, 0, "hello world", {{"Upload-Checksum", "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0="}});
  CHECK(right.status == 204);
  CHECK(
      house.patch(path, 11, "hello world", {{"Upload-Checksum", "sha256 uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek="}})
          .status == 204);
  CHECK(house.stored(path) == "hello worldhello world");
}

TEST_CASE("tus: a client that vanishes in the middle goes on from what has come") {
  House house;
  const std::string file = noise(900'000);
  const std::string path = house.begin(file.size());
  const FieldList fields{{"Tus-Resumable", "1.0.0"},
                         {"Cookie", "session=good"},
                         {"Upload-Offset", "0"},
                         {"Content-Type", "application/offset+octet-stream"}};
  const Talk talk{house.socket};
  talk.send(head("PATCH", path, fields, file.size()) + file.substr(0, 600'000));
  talk.vanish();
  CHECK(house.call("HEAD", path, {}).field("Upload-Offset") == "600000");
  CHECK(house.patch(path, 600'000, file.substr(600'000)).status == 204);
  CHECK(house.stored(path) == file);
}

TEST_CASE("tus: a full disk is told as 507, nothing is lost, and the upload goes on once there is room") {
  House house;
  const std::string path = house.begin(10);
  CHECK(house.patch(path, 0, "hello").status == 204);
  const std::filesystem::path part = house.folder.path() / "uploads" / (path.substr(7) + ".part");
  const std::filesystem::path aside = house.folder.path() / "aside";
  std::filesystem::rename(part, aside);
  std::filesystem::create_symlink("/dev/full", part);  // every write finds no space; its size reads as 0
  CHECK(house.patch(path, 0, "hello").status == 507);
  std::filesystem::remove(part);
  std::filesystem::rename(aside, part);
  CHECK(house.call("HEAD", path, {}).field("Upload-Offset") == "5");
  CHECK(house.patch(path, 5, "world").status == 204);
  CHECK(house.stored(path) == "helloworld");
}

TEST_CASE("tus: one writer at a time; a silent one gives way") {
  House house;
  const std::string file = noise(2 * tus::kWriteBytes);
  const std::string path = house.begin(file.size());
  const FieldList fields{{"Tus-Resumable", "1.0.0"},
                         {"Cookie", "session=good"},
                         {"Upload-Offset", "0"},
                         {"Content-Type", "application/offset+octet-stream"}};
  const Talk first{house.socket};
  first.send(head("PATCH", path, fields, file.size()) + file.substr(0, tus::kWriteBytes + 1000));
  std::size_t offset = 0;
  for (int i = 0; i < 2000 && offset == 0; ++i) {  // nobody tells of bytes that have reached the disk: a client asks
    std::this_thread::sleep_for(5ms);
    offset = static_cast<std::size_t>(std::atoll(house.call("HEAD", path, {}).field("Upload-Offset").c_str()));
  }
  REQUIRE(offset >= tus::kWriteBytes);
  CHECK(house.patch(path, offset, "x").status == 423);
  CHECK(house.call("DELETE", path, {}).status == 423);
  std::this_thread::sleep_for(tus::kWriterSilence + 100ms);  // silence is what is being tested
  CHECK(house.patch(path, offset, file.substr(offset)).status == 204);
  CHECK(house.stored(path) == file);
}

TEST_CASE("tus: a stranger neither holds an upload's lock nor cuts its writer") {
  House house;
  const std::string path = house.begin(10);
  const FieldList fields{{"Tus-Resumable", "1.0.0"},
                         {"Cookie", "session=good"},
                         {"Upload-Offset", "0"},
                         {"Content-Type", "application/offset+octet-stream"}};
  const Talk writer{house.socket};
  writer.send(head("PATCH", path, fields, 10) + "hello");
  std::this_thread::sleep_for(tus::kWriterSilence + 100ms);  // a mobile line that pauses: it may be cut for its owner
  FieldList stranger = fields;
  stranger[1].second = "session=stolen";
  const Talk other{house.socket};
  other.send(head("PATCH", path, stranger, 5) + "world");
  CHECK(other.reply().status == 401);
  writer.send("world");
  CHECK(writer.reply().status == 204);
  CHECK(house.stored(path) == "helloworld");
}

TEST_CASE("tus: a DELETE that meets a PATCH at its end finds it finished, and nothing is told twice") {
  House house;
  house.objects->hold();
  const std::string path = house.begin(5);
  std::future<Reply> patched = std::async(std::launch::async, [&] { return house.patch(path, 0, "hello"); });
  house.objects->wait_moving();
  std::this_thread::sleep_for(tus::kWriterSilence +
                              100ms);  // so long that the DELETE may have the lock once it is free
  std::future<Reply> deleted = std::async(std::launch::async, [&] { return house.call("DELETE", path, {}); });
  // The DELETE has read that the upload is being received, and waits for the lock.
  CHECK(deleted.wait_for(500ms) == std::future_status::timeout);
  house.objects->go_on();
  CHECK(deleted.get().status == 403);
  patched.get();  // its connection was cut for the DELETE: the client asks where the upload stands
  CHECK(house.call("HEAD", path, {}).field("Upload-Offset") == "5");
  CHECK(house.stored(path) == "hello");
  CHECK(house.control.wait_for("/finished", [](const auto& calls) { return calls.size() == 1; }, 10s));
  CHECK(house.control.calls("/ended").empty());
}

TEST_CASE("tus: after a DELETE a PATCH that waited finds nothing to go on with") {
  House house;
  const std::string path = house.begin(5);
  CHECK(house.call("DELETE", path, {}).status == 204);
  CHECK((house.patch(path, 0, "hello").status == 410 || house.patch(path, 0, "hello").status == 404));
  CHECK(house.control.wait_for("/ended", [](const auto& calls) { return calls.size() == 1; }, 10s));
  CHECK(house.control.calls("/finished").empty());
  CHECK_FALSE(house.objects->get("uploads/" + path.substr(7), 100).has_value());
}

TEST_CASE("tus: an account that is suspended in the middle of an upload does not go on with it") {
  House house;
  const std::string path = house.begin(tus::kWriteBytes + 1000);
  const FieldList fields{{"Tus-Resumable", "1.0.0"},
                         {"Cookie", "session=good"},
                         {"Upload-Offset", "0"},
                         {"Content-Type", "application/offset+octet-stream"}};
  const Talk writer{house.socket};
  writer.send(head("PATCH", path, fields, tus::kWriteBytes + 1000) + std::string(tus::kWriteBytes, 'x'));
  for (int i = 0; i < 1000 && house.call("HEAD", path, {}).field("Upload-Offset") == "0"; ++i) {
    std::this_thread::sleep_for(5ms);
  }
  house.plane.suspended = true;
  std::this_thread::sleep_for(tus::kAccessLifetime);  // how long an answer holds is what is being tested
  for (int i = 0; i < 40; ++i) {
    writer.send("x");
    std::this_thread::sleep_for(25ms);
  }
  CHECK(writer.reply().status == 403);
  CHECK(house.patch(path, 0, "hello").status == 401);
}

TEST_CASE("tus: termination removes the bytes and tells the control plane; a finished upload is not terminated") {
  House house;
  const std::string path = house.begin(10);
  CHECK(house.patch(path, 0, "hello").status == 204);
  CHECK(house.call("POST", path, {{"X-HTTP-Method-Override", "DELETE"}}).status == 204);
  CHECK(house.control.wait_for("/ended", [](const auto& calls) { return calls.size() == 1; }, 10s));
  CHECK(house.control.calls("/ended")[0].body.find("terminated") != std::string::npos);
  CHECK((house.call("HEAD", path, {}).status == 410 || house.call("HEAD", path, {}).status == 404));
  const std::string done = house.begin(2);
  CHECK(house.patch(done, 0, "ok").status == 204);
  CHECK(house.call("DELETE", done, {}).status == 403);
  CHECK(house.stored(done) == "ok");
}

TEST_CASE("tus: an upload that nobody goes on with expires") {
  House house{300ms};
  const std::string path = house.begin(10);
  CHECK(house.patch(path, 0, "hello").status == 204);
  CHECK(house.control.wait_for("/ended", [](const auto& calls) { return !calls.empty(); }, 10s));
  CHECK(house.control.calls("/ended")[0].body.find("expired") != std::string::npos);
}

TEST_CASE("tus: while the control plane is down, what is whole is kept and told later") {
  House house;
  const std::string path = house.begin(5);
  CHECK(house.patch(path, 0, "he").status == 204);
  std::atomic<int> refused = 0;
  house.control.answer_with([&refused](const FakeCall&) {
    ++refused;
    return http::Response::text(503, "down");
  });
  CHECK(house.patch(path, 2, "llo").status == 204);  // this caller was allowed a moment ago
  CHECK(house.stored(path) == "hello");
  CHECK(house.call("POST", "/files/", {{"Upload-Length", "5"}}).status == 503);
  CHECK(house.control.wait_for("/finished", [](const auto& calls) { return calls.size() >= 2; }, 10s));
  house.control.answer_with([&house](const FakeCall& call) { return house.plane.answer(call); });
  const std::size_t before = house.control.calls("/finished").size();
  CHECK(house.control.wait_for("/finished", [before](const auto& calls) { return calls.size() == before + 1; }, 20s));
}

TEST_CASE("tus: the daemon killed in the middle of an upload loses nothing that it had said was there") {
  TemporaryFolder folder;
  std::filesystem::create_directories(folder.path() / "run");
  std::filesystem::create_directories(folder.path() / "secrets");
  std::ofstream{folder.path() / "secrets/node"} << std::string(64, 'a');
  std::ofstream{folder.path() / "ribalta.toml"} << "[node]\ndata = \"" << folder.path().string()
                                                << "\"\n[ingest]\nrtmp_port = 0\n";
  LoopPool loops{1};
  ControlPlane plane;
  FakeControl control{loops, folder.path() / "run/control.sock",
                      [&plane](const FakeCall& call) { return plane.answer(call); }};
  loops.start();
  const std::filesystem::path socket = folder.path() / "run/ingest.sock";
  const std::string file = noise(3'000'000);
  const auto start = [&] {
    auto daemon = std::make_unique<Process>(
        std::vector<std::string>{RIBALTA_INGEST_PROGRAM, "--config", (folder.path() / "ribalta.toml").string()},
        folder.path() / "log", true);
    REQUIRE(daemon->wait_ready());
    return daemon;
  };
  const auto call = [&](std::string_view method, std::string_view path, FieldList fields, std::string_view body) {
    fields.insert(fields.begin(), {{"Tus-Resumable", "1.0.0"}, {"Cookie", "session=good"}});
    const Talk talk{socket};
    talk.send(head(method, path, fields, body.size()) + std::string{body});
    return talk.reply();
  };
  auto daemon = start();
  const std::string path =
      call("POST", "/files/", {{"Upload-Length", std::to_string(file.size())}}, "").field("Location");
  REQUIRE_FALSE(path.empty());
  std::size_t offset = 0;
  std::size_t promised = 0;
  for (int kills = 0; kills < 4; ++kills) {
    const std::size_t piece = 300'000;
    const FieldList fields{{"Upload-Offset", std::to_string(offset)},
                           {"Content-Type", "application/offset+octet-stream"}};
    const Reply whole = call("PATCH", path, fields, std::string_view{file}.substr(offset, piece));
    REQUIRE(whole.status == 204);
    promised = offset + piece;
    {
      FieldList more{{"Tus-Resumable", "1.0.0"},
                     {"Cookie", "session=good"},
                     {"Upload-Offset", std::to_string(promised)},
                     {"Content-Type", "application/offset+octet-stream"}};
      const Talk talk{socket};
      talk.send(head("PATCH", path, more, file.size() - promised) + file.substr(promised, 200'000));
      daemon->signal(SIGKILL);
      daemon->wait();
    }
    daemon = start();
    offset = static_cast<std::size_t>(std::atoll(call("HEAD", path, {}, "").field("Upload-Offset").c_str()));
    CHECK(offset >= promised);
    CHECK(offset <= promised + 200'000);
  }
  const FieldList fields{{"Upload-Offset", std::to_string(offset)},
                         {"Content-Type", "application/offset+octet-stream"}};
  CHECK(call("PATCH", path, fields, std::string_view{file}.substr(offset)).status == 204);
  std::ifstream in{folder.path() / "store" / ("uploads/" + path.substr(7)), std::ios::binary};
  const std::string got{std::istreambuf_iterator<char>(in), {}};
  CHECK(got == file);
  CHECK(control.wait_for("/finished", [](const auto& calls) { return !calls.empty(); }, 10s));
  daemon->signal(SIGTERM);
  CHECK(daemon->wait() == 0);
  loops.stop(2s);
}
