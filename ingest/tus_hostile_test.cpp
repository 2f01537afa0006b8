// Uploads from hell: lengths and names that lie, writers in parallel, checksums that do not fit, disks that are full,
// and uploads that have expired or are somebody else's.
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <future>
#include <set>
#include <thread>

#include "ingest/testing/tus_house.h"

using namespace ribalta;
using namespace ribalta::ingest;
using namespace ribalta::ingest::testing;
using namespace std::chrono_literals;

namespace {

const std::pair<std::string, std::string> kBody{"Content-Type", "application/offset+octet-stream"};

/// `sha256 …` of other bytes than any that are sent here.
const std::string kWrongSum = "sha256 uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=";

Reply chunked(const House& house, std::string_view path, std::string_view body) {
  const Talk talk{house.socket};
  talk.send("PATCH " + std::string{path} +
            " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTus-Resumable: 1.0.0\r\nCookie: session=good\r\n"
            "Upload-Offset: 0\r\nContent-Type: application/offset+octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
  char size[20];
  std::snprintf(size, sizeof size, "%zx\r\n", body.size());
  talk.send(size + std::string{body} + "\r\n0\r\n\r\n");
  return talk.reply();
}

std::size_t offset_of(const House& house, std::string_view path) {
  const Reply reply = house.call("HEAD", path, {});
  REQUIRE(reply.status == 200);
  return static_cast<std::size_t>(std::atoll(reply.field("Upload-Offset").c_str()));
}

/// Names of all files below a folder, as paths from it.
std::set<std::string> files_below(const std::filesystem::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) names.insert(std::filesystem::relative(entry.path(), folder).string());
  }
  return names;
}

std::uintmax_t part_bytes(const House& house, std::string_view path) {
  std::error_code error;
  const auto size =
      std::filesystem::file_size(house.folder.path() / "uploads" / (std::string{path.substr(7)} + ".part"), error);
  return error ? 0 : size;
}

}  // namespace

TEST_CASE("hell: more bytes than Upload-Length says leave nothing behind, however they are framed") {
  House house;
  const std::string file = noise(2 * tus::kWriteBytes + 77);
  const std::string path = house.begin(file.size() - 1);
  CHECK(house.patch(path, 0, file).status == 413);
  CHECK(chunked(house, path, file).status == 413);
  CHECK(part_bytes(house, path) == 0);
  CHECK(offset_of(house, path) == 0);  // what came must not pass for the whole
  CHECK(house.stored(path) == "(none)");
  // Also behind a piece that was acknowledged: that one stays.
  CHECK(house.patch(path, 0, file.substr(0, 1000)).status == 204);
  CHECK(house.patch(path, 1000, file.substr(1000)).status == 413);
  CHECK(offset_of(house, path) == 1000);
  CHECK(house.patch(path, 1000, file.substr(1000, file.size() - 1001)).status == 204);
  CHECK(house.stored(path) == file.substr(0, file.size() - 1));

  const FieldList created{kBody, {"Upload-Length", "3"}};
  const Reply begun = house.call("POST", "/files/", created, "four");
  CHECK(begun.status == 413);
  CHECK(house.control.calls("/finished").size() <= 1);
  CHECK(offset_of(house, begun.field("Location")) == 0);
}

TEST_CASE("hell: lengths and offsets that are none, and a body that is shorter than it said") {
  House house;
  const std::string path = house.begin(10);
  for (const char* length : {"", "-1", "+1", "1e3", "0x10", " ", "1 2", "10,10", "18446744073709551617"}) {
    CAPTURE(length);
    const int created = house.call("POST", "/files/", {{"Upload-Length", length}}).status;
    CHECK((created == 400 || created == 413));
    const int patched = house.call("PATCH", path, {kBody, {"Upload-Offset", length}}, "x").status;
    CHECK(patched == 400);
  }
  CHECK(house.patch(path, 9'000'000, "x").status == 409);
  CHECK(house.call("POST", "/files/", {{"Upload-Defer-Length", "1"}}).status == 400);  // not offered
  const FieldList fields{{"Tus-Resumable", "1.0.0"}, {"Cookie", "session=good"}, {"Upload-Offset", "0"}, kBody};
  const Talk shorter{house.socket};
  shorter.send(head("PATCH", path, fields, 10) + "four");
  shorter.vanish();
  CHECK(offset_of(house, path) == 4);
  CHECK(house.stored(path) == "(none)");
  CHECK(house.control.calls("/finished").empty());
}

TEST_CASE("hell: names that climb name nothing but what is shown; no path leads out of the folder") {
  House house;
  std::ofstream{house.folder.path() / "secret.json"} << "{}";
  std::ofstream{house.folder.path() / "secret.part"} << "secret";
  const std::set<std::string> before = files_below(house.folder.path());
  // ../../../../etc/cron.d/x, /etc/passwd, ..\..\x, and one with a percent escape
  const char* names[] = {"Li4vLi4vLi4vLi4vZXRjL2Nyb24uZC94", "L2V0Yy9wYXNzd2Q=", "Li5cLi5ceA==", "Li4lMmYuLiUyZng="};
  std::vector<std::string> paths;
  for (const char* name : names) {
    const Reply begun =
        house.call("POST", "/files/", {{"Upload-Length", "5"}, {"Upload-Metadata", "filename " + std::string{name}}});
    REQUIRE(begun.status == 201);
    paths.push_back(begun.field("Location"));
    CHECK(house.patch(paths.back(), 0, "hello").status == 204);
  }
  std::set<std::string> expected = before;
  for (const std::string& path : paths) {
    CHECK(house.stored(path) == "hello");
    expected.insert("store/uploads/" + path.substr(7));
    expected.insert("uploads/" + path.substr(7) + ".json");
  }
  std::set<std::string> after = files_below(house.folder.path());
  // The store's own folder, and records that are being replaced.
  std::erase_if(after,
                [](const std::string& name) { return name.find("/.") != std::string::npos || name.ends_with(".new"); });
  std::erase_if(expected, [](const std::string& name) { return name.find("/.") != std::string::npos; });
  CHECK(after == expected);

  const std::string id = paths[0].substr(7);
  const std::vector<std::string> climbing{"/files/../secret",       "/files/..%2Fsecret",   "/files/%2e%2e/secret",
                                          "/files/" + id + ".json", "/files/" + id + "%00", "/files/./" + id,
                                          "/files//" + id,          "/files/" + id + "/..", "/files/....//secret"};
  for (const std::string& path : climbing) {
    CAPTURE(path);
    for (const char* method : {"HEAD", "PATCH", "DELETE"}) {
      const int status = house.call(method, path, {kBody, {"Upload-Offset", "0"}}, "").status;
      CHECK((status == 400 || status == 404 || status == 405));
    }
  }
  CHECK(std::filesystem::exists(house.folder.path() / "secret.part"));
}

TEST_CASE("hell: many writers of one upload at once: one is taken at each offset, and the file is nobody's mixture") {
  House house;
  constexpr int kWriters = 8;
  const std::size_t size = 2 * tus::kWriteBytes + 1000;
  for (const bool whole : {true, false}) {
    CAPTURE(whole);
    const std::string path = house.begin(size);
    const std::size_t piece = whole ? size : size / 2;
    std::vector<std::future<int>> writers;
    for (int i = 0; i < kWriters; ++i) {
      writers.push_back(std::async(std::launch::async, [&house, &path, piece, i] {
        return house.patch(path, 0, std::string(piece, static_cast<char>('a' + i))).status;
      }));
    }
    int taken = 0;
    for (auto& writer : writers) {
      const int status = writer.get();
      CHECK((status == 204 || status == 423 || status == 409));
      taken += status == 204 ? 1 : 0;
    }
    CHECK(taken == 1);
    if (!whole) {
      CHECK(offset_of(house, path) == piece);
      CHECK(house.patch(path, piece, std::string(size - piece, 'z')).status == 204);
    }
    const std::string stored = house.stored(path);
    REQUIRE(stored.size() == size);
    CHECK(stored.find_first_not_of(stored[0]) == (whole ? std::string::npos : piece));
  }
  CHECK(house.control.wait_for("/finished", [](const auto& calls) { return calls.size() == 2; }, 10s));
}

TEST_CASE("hell: a checksum that does not fit keeps the last piece from making the file whole, at creation too") {
  House house;
  const std::string path = house.begin(10);
  CHECK(house.patch(path, 0, "hello").status == 204);
  CHECK(house.patch(path, 5, "world", {{"Upload-Checksum", kWrongSum}}).status == 460);
  CHECK(offset_of(house, path) == 5);
  CHECK(house.stored(path) == "(none)");
  CHECK(house.patch(path, 5, "world").status == 204);
  CHECK(house.stored(path) == "helloworld");

  const FieldList fields{kBody, {"Upload-Length", "5"}, {"Upload-Checksum", kWrongSum}};
  const Reply begun = house.call("POST", "/files/", fields, "hello");
  CHECK(begun.status == 460);
  const std::string location = begun.field("Location");
  CHECK(offset_of(house, location) == 0);
  CHECK(house.stored(location) == "(none)");
  CHECK(house.patch(location, 0, "hello").status == 204);
  CHECK(house.stored(location) == "hello");
  const FieldList unknown{kBody, {"Upload-Length", "5"}, {"Upload-Checksum", "crc32 AAAA"}};
  CHECK(house.call("POST", "/files/", unknown, "hello").status == 400);
  const FieldList right{kBody, {"Upload-Length", "11"}, {"Upload-Checksum", "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0="}};
  CHECK(house.call("POST", "/files/", right, "hello world").status == 201);
}

TEST_CASE("hell: a disk that fills up while uploads come: 507, what fitted stays, and all go on once there is room") {
  House house;
  const auto disk = SmallDisk::over(house.folder.path() / "uploads", 2'048);
  if (!disk) {
    MESSAGE("left out: this process may not mount a file system");
    return;
  }
  const std::string file = noise(1'800'000);
  const std::string first = house.begin(file.size());
  const std::string second = house.begin(file.size());  // there is room for each, not for both
  CHECK(house.patch(first, 0, file.substr(0, 1'500'000)).status == 204);
  const Reply full = house.patch(second, 0, file);
  CHECK(full.status == 507);
  CHECK(full.text.find("no_space") != std::string::npos);
  const std::size_t kept = offset_of(house, second);
  CHECK(kept > 0);
  CHECK(kept < 700'000);
  CHECK(house.patch(second, kept, file.substr(kept)).status == 507);
  CHECK(offset_of(house, second) >= kept);
  CHECK(house.call("POST", "/files/", {{"Upload-Length", "1800000"}}).status == 507);  // told before a byte is sent
  CHECK(house.control.wait_for("/ended", [](const auto& calls) { return calls.size() == 1; }, 10s));  // no draft stays
  CHECK(offset_of(house, first) == 1'500'000);
  // A piece with a checksum meets the full disk: nothing of it counts.
  CHECK(house.patch(second, offset_of(house, second), file.substr(kept, 300'000), {{"Upload-Checksum", kWrongSum}})
            .status >= 460);

  disk->resize(16'384);
  for (const std::string& path : {first, second}) {
    const std::size_t offset = offset_of(house, path);
    CHECK(house.patch(path, offset, file.substr(offset)).status == 204);
    CHECK(house.stored(path) == file);
  }
  CHECK(house.control.wait_for("/finished", [](const auto& calls) { return calls.size() == 2; }, 10s));
}

TEST_CASE("hell: an upload that is whole and finds the object store full is kept, and stored once there is room") {
  House house{24h, 1'024};
  if (!house.store_disk) {
    MESSAGE("left out: this process may not mount a file system");
    return;
  }
  const std::string file = noise(1'500'000);
  const std::string path = house.begin(file.size());
  CHECK(house.patch(path, 0, file).status == 507);
  CHECK(house.call("HEAD", path, {}).status == 507);  // not "done": it is not durable
  CHECK(house.control.calls("/finished").empty());
  CHECK(part_bytes(house, path) == file.size());
  house.store_disk->resize(8'192);
  CHECK(offset_of(house, path) == file.size());
  CHECK(house.stored(path) == file);
  CHECK(house.control.wait_for("/finished", [](const auto& calls) { return calls.size() == 1; }, 10s));
}

TEST_CASE("hell: an expired upload is gone for its owner too, with its bytes, and is told of once") {
  House house{300ms};
  const std::string path = house.begin(10);
  CHECK(house.patch(path, 0, "hello").status == 204);
  REQUIRE(house.control.wait_for("/ended", [](const auto& calls) { return calls.size() == 1; }, 10s));
  for (const char* method : {"HEAD", "PATCH", "DELETE"}) {
    const int status = house.call(method, path, {kBody, {"Upload-Offset", "5"}}, "").status;
    CHECK((status == 404 || status == 410));
  }
  CHECK(part_bytes(house, path) == 0);
  CHECK(house.control.calls("/ended").size() == 1);
  CHECK(house.control.calls("/finished").empty());
}

TEST_CASE("hell: an upload does not expire under its writer, however slow") {
  House house{300ms};
  const std::string path = house.begin(10);
  const FieldList fields{{"Tus-Resumable", "1.0.0"}, {"Cookie", "session=good"}, {"Upload-Offset", "0"}, kBody};
  const Talk writer{house.socket};
  writer.send(head("PATCH", path, fields, 10) + "hello");
  std::this_thread::sleep_for(1s);  // three lifetimes of silence are what is being tested
  writer.send("world");
  CHECK(writer.reply().status == 204);
  CHECK(house.stored(path) == "helloworld");
  CHECK(house.control.calls("/ended").empty());
}

TEST_CASE("hell: somebody else's upload can't be seen, written or ended, also right after its owner was let in") {
  House house;
  const std::string path = house.begin(10);
  CHECK(house.patch(path, 0, "hello").status == 204);
  for (const char* method : {"HEAD", "PATCH", "DELETE"}) {
    CAPTURE(method);
    const Talk talk{house.socket};
    talk.send(head(method, path,
                   {{"Tus-Resumable", "1.0.0"}, {"Cookie", "session=other"}, {"Upload-Offset", "5"}, kBody}, 5) +
              "wrong");
    const Reply reply = talk.reply();
    CHECK(reply.status == 403);
    CHECK(reply.field("Upload-Offset").empty());
    CHECK(reply.field("Upload-Metadata").empty());
  }
  CHECK(house.patch(path, 5, "world").status == 204);
  CHECK(house.stored(path) == "helloworld");
}
