#include "ingest/tus/upload_store.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>

#include <fstream>

#include "ingest/testing/fakes.h"

using namespace ribalta;
using namespace ribalta::ingest;

namespace {

struct Shelf {
  ingest::testing::TemporaryFolder folder;
  std::unique_ptr<ObjectStore> objects = std::move(*open_folder_store(folder.path() / "store"));
  tus::UploadStore store{folder.path() / "uploads", *objects};
  UploadId upload = UploadId::random();

  Shelf() { REQUIRE(store.prepare().has_value()); }
  tus::UploadRecord record(std::int64_t bytes) {
    return {
        .upload = upload.text(), .video = VideoId::random().text(), .user = "u", .bytes = bytes, .filename = "a.mp4"};
  }
};

}  // namespace

TEST_CASE("uploads on disk: what counts is the size of the file, whoever wrote it") {
  Shelf shelf;
  const tus::UploadRecord record = shelf.record(10);
  REQUIRE(shelf.store.create(record).has_value());
  CHECK(shelf.store.offset(record) == 0);
  {
    Result<tus::UploadFile> file = shelf.store.open(shelf.upload);
    REQUIRE(file.has_value());
    CHECK(file->write(0, as_bytes("hello")).has_value());
  }
  const Result<tus::UploadRecord> again = shelf.store.load(shelf.upload);
  REQUIRE(again.has_value());
  CHECK(shelf.store.offset(*again) == 5);
  CHECK(again->filename == "a.mp4");
  CHECK(shelf.store.all().size() == 1);
}

TEST_CASE("uploads on disk: bytes whose checksum was never compared do not count") {
  Shelf shelf;
  tus::UploadRecord record = shelf.record(10);
  REQUIRE(shelf.store.create(record).has_value());
  REQUIRE(shelf.store.open(shelf.upload)->write(0, as_bytes("hello")).has_value());
  record.unchecked_from = 2;
  REQUIRE(shelf.store.save(record).has_value());
  CHECK(shelf.store.offset(shelf.store.load(shelf.upload).value()) == 2);
}

TEST_CASE("uploads on disk: a whole one moves into the object store, once, and is still known as whole") {
  Shelf shelf;
  tus::UploadRecord record = shelf.record(5);
  REQUIRE(shelf.store.create(record).has_value());
  REQUIRE(shelf.store.open(shelf.upload)->write(0, as_bytes("hello")).has_value());
  const tus::UploadRecord before = record;
  REQUIRE(shelf.store.store(record).has_value());
  CHECK(record.state == tus::UploadState::stored);
  CHECK(as_text(shelf.objects->get(tus::upload_key(shelf.upload.view()), 100).value()) == "hello");
  CHECK(shelf.store.store(record).has_value());
  // Killed before the record was replaced: the object tells.
  CHECK(shelf.store.offset(before) == 5);
  tus::UploadRecord resumed = before;
  CHECK(shelf.store.store(resumed).has_value());
  CHECK(shelf.store.load(shelf.upload)->state == tus::UploadState::stored);
}

TEST_CASE("uploads on disk: what was ended keeps its record until it is forgotten") {
  Shelf shelf;
  tus::UploadRecord record = shelf.record(5);
  REQUIRE(shelf.store.create(record).has_value());
  REQUIRE(shelf.store.end(record, "expired").has_value());
  CHECK_FALSE(shelf.store.offset(record).has_value());
  CHECK(shelf.store.load(shelf.upload)->reason == "expired");
  shelf.store.forget(shelf.upload);
  CHECK(shelf.store.load(shelf.upload).error().code == Code::not_found);
  CHECK(shelf.store.all().empty());
}

TEST_CASE("uploads on disk: more than the disk has is refused at the start") {
  Shelf shelf;
  CHECK(shelf.store.create(shelf.record(std::int64_t{1} << 60)).error().code == Code::no_space);
  CHECK(shelf.store.all().empty());
}

TEST_CASE("uploads on disk: a record that can't be written leaves the one before it, and nothing beside it") {
  Shelf shelf;
  tus::UploadRecord record = shelf.record(10);
  REQUIRE(shelf.store.create(record).has_value());
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const rlimit tight{.rlim_cur = 20, .rlim_max = before.rlim_max};
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &tight) == 0);
  record.state = tus::UploadState::stored;
  const Result<void> saved = shelf.store.save(record);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  ::signal(SIGXFSZ, handler);
  CHECK_FALSE(saved.has_value());
  CHECK(shelf.store.load(shelf.upload)->state == tus::UploadState::receiving);
  CHECK_FALSE(std::filesystem::exists(shelf.folder.path() / "uploads" / (shelf.upload.text() + ".json.new")));
}

TEST_CASE("uploads on disk: a broken record is an error, not an upload") {
  Shelf shelf;
  std::ofstream{shelf.folder.path() / "uploads" / (shelf.upload.text() + ".json")} << "{\"upload\":";
  CHECK(shelf.store.load(shelf.upload).error().code == Code::malformed);
  CHECK(shelf.store.load(UploadId::random()).error().code == Code::not_found);
}

TEST_CASE("uploads on disk: bytes without a record and records not yet in place are removed at the start") {
  Shelf shelf;
  REQUIRE(shelf.store.create(shelf.record(5)).has_value());
  const std::filesystem::path uploads = shelf.folder.path() / "uploads";
  std::ofstream{uploads / "0000000000000000.part"} << "orphan";
  std::ofstream{uploads / (shelf.upload.text() + ".json.new")} << "{";
  REQUIRE(shelf.store.prepare().has_value());
  CHECK_FALSE(std::filesystem::exists(uploads / "0000000000000000.part"));
  CHECK_FALSE(std::filesystem::exists(uploads / (shelf.upload.text() + ".json.new")));
  CHECK(shelf.store.load(shelf.upload).has_value());
}
