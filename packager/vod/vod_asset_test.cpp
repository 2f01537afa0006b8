#include "packager/vod/vod_asset.h"

#include <doctest/doctest.h>

#include <numeric>

#include "packager/vod/bounded_cache.h"
#include "packager/vod/testing.h"
#include "packager/vod/vod_access.h"
#include "packager/vod/vod_record.h"

using namespace ribalta;
using namespace ribalta::packager;
using namespace ribalta::packager::testing;

namespace {

Code load_error(const ObjectStore& store) {
  const auto asset = load_vod_asset(store, kVideo, kVersion);
  return asset ? Code::internal : asset.error().code;
}

}  // namespace

TEST_CASE("record: a good one is read, unknown fields are passed over") {
  const auto record = parse_vod_record(record_json(video_json("v720"), audio_json("a128")));
  REQUIRE_MESSAGE(record, record.error().message);
  CHECK(record->video_tracks[0].width == 322);
  CHECK(record->audio_tracks[0].language == "und");
  std::string more = record_json(video_json("v720"), "");
  more.insert(1, R"("chapters":[1,2],)");
  CHECK(parse_vod_record(more));
}

TEST_CASE("record: what could leave its folder, its playlist or its range is refused") {
  const auto refused = [](std::string_view video, std::string_view audio) {
    const auto record = parse_vod_record(record_json(video, audio));
    return record ? Code::internal : record.error().code;
  };
  CHECK(refused("", "") == Code::malformed);
  CHECK(refused(video_json("../v1"), "") == Code::malformed);
  CHECK(refused(video_json("v1\\n#EXT"), "") == Code::malformed);
  CHECK(refused(video_json("v1") + "," + video_json("v1"), "") == Code::malformed);
  CHECK(refused(video_json("v1", 0), "") == Code::malformed);
  CHECK(refused(video_json("v1", 16'384), "") == Code::internal);
  CHECK(refused(video_json("v1", 16'385), "") == Code::limit);
  CHECK(refused("", audio_json("a1", "it\\\"")) == Code::malformed);
  std::string other_file = video_json("v1");
  other_file.replace(other_file.find("v1.cmfv"), 7, "v2.cmfv");
  CHECK(refused(other_file, "") == Code::malformed);
  std::string many = video_json("v0");
  for (std::size_t i = 1; i < kTracksMax; ++i) many += "," + video_json("v" + std::to_string(i));
  CHECK(refused(many, "") == Code::internal);
  CHECK(refused(many + "," + video_json("w"), "") == Code::limit);
  CHECK(parse_vod_record(std::string(kRecordBytesMax + 1, ' ')).error().code == Code::limit);
  CHECK(parse_vod_record("{").error().code == Code::malformed);
}

TEST_CASE("a version's name is short and of safe characters") {
  CHECK(is_version("7"));
  CHECK(is_version(std::string(32, 'a')));
  CHECK_FALSE(is_version(std::string(33, 'a')));
  CHECK_FALSE(is_version(""));
  CHECK_FALSE(is_version(".."));
  CHECK_FALSE(is_version("7/8"));
}

TEST_CASE("an asset knows where each segment lies, when it plays and how dense it is") {
  MemoryStore store;
  const PlainVideo video;
  video.put(store);
  const auto asset = load_vod_asset(store, kVideo, kVersion);
  REQUIRE_MESSAGE(asset, asset.error().message);
  const VodTrack* track = (*asset)->find("v180");
  REQUIRE(track);
  CHECK(track->codecs == "avc1.64000d");
  CHECK(track->init == video.high.init);
  REQUIRE(track->segments.size() == 3);
  std::int64_t peak = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    const VodSegment& segment = track->segments[i];
    CHECK(segment.time == static_cast<std::int64_t>(i) * 180'000);
    const ByteSpan there = ByteSpan{video.high.bytes}.subspan(segment.offset, segment.bytes);
    CHECK(Bytes(there.begin(), there.end()) == video.high.segments[i]);
    peak = std::max(peak, static_cast<std::int64_t>(segment.bytes) * 8 / 2);
  }
  CHECK(track->bandwidth == peak);
  CHECK(track->bandwidth_average < track->bandwidth);
  CHECK((*asset)->find("a128")->language == "ita");
  CHECK((*asset)->find("v1080") == nullptr);
  CHECK((*asset)->bytes() > track->init.size());
}

TEST_CASE("a version without its record does not exist; one whose files disagree with it is broken") {
  MemoryStore store;
  const PlainVideo video;
  CHECK(load_error(store) == Code::not_found);
  video.put(store);
  CHECK(load_error(store) == Code::internal);
  static_cast<void>(store.remove(key_of("v90.cmfv")));
  CHECK(load_error(store) == Code::malformed);
  video.put(store);
  static_cast<void>(store.put(key_of("a128.cmfa"), video.low.bytes));  // video in an audio file
  CHECK(load_error(store) == Code::malformed);
  video.put(store);
  store.broken = true;
  CHECK(load_error(store) == Code::io);
  store.broken = false;
  std::string other = record_json(video_json("v180"), "");
  other.replace(other.find(kVideo), kVideo.size(), "fedcba9876543210");
  video.put_all(store, other);
  CHECK(load_error(store) == Code::malformed);
}

TEST_CASE("a track's file cut at any byte, or longer than its index says, is broken") {
  MemoryStore store;
  const TrackFile file = make_plain_file(video_config(), {30, 20}, 5, 3000);
  static_cast<void>(store.put(key_of("video.json"), as_bytes(record_json(video_json("v1"), ""))));
  for (std::size_t size = 0; size < file.bytes.size(); ++size) {
    static_cast<void>(store.put(key_of("v1.cmfv"), ByteSpan{file.bytes}.first(size)));
    CHECK(load_error(store) == Code::malformed);
  }
  static_cast<void>(store.put(key_of("v1.cmfv"), file.bytes));
  CHECK(load_error(store) == Code::internal);
  Bytes longer = file.bytes;
  longer.push_back(std::byte{0});
  static_cast<void>(store.put(key_of("v1.cmfv"), longer));
  CHECK(load_error(store) == Code::malformed);
}

TEST_CASE("a segment that does not begin with a key frame, or is empty, makes the file broken") {
  MemoryStore store;
  static_cast<void>(store.put(key_of("video.json"), as_bytes(record_json(video_json("v1"), ""))));
  const Bytes init = media::write_init(video_config()).value();
  const auto put = [&](media::SegmentReference reference, std::uint32_t timescale = 90'000) {
    media::SegmentIndex index{.timescale = timescale, .references = {reference}};
    Bytes file = init;
    const Bytes sidx = media::write_sidx(index).value();
    file.insert(file.end(), sidx.begin(), sidx.end());
    file.resize(file.size() + reference.bytes);
    static_cast<void>(store.put(key_of("v1.cmfv"), file));
    return load_error(store);
  };
  CHECK(put({.bytes = 100, .duration = 90'000}) == Code::internal);
  CHECK(put({.bytes = 100, .duration = 90'000, .starts_with_sap = false}) == Code::malformed);
  CHECK(put({.bytes = 100, .duration = 0}) == Code::malformed);
  CHECK(put({.bytes = 0, .duration = 90'000}) == Code::malformed);
  CHECK(put({.bytes = 100, .duration = 90'000}, 1000) == Code::malformed);
  CHECK(put({.bytes = kSegmentBytesMax, .duration = 90'000}) == Code::internal);
  CHECK(put({.bytes = kSegmentBytesMax + 1, .duration = 90'000}) == Code::limit);
}

TEST_CASE("access: three words and nothing else; undecided is played like token; gone stays") {
  for (const Access access : {Access::open, Access::token, Access::gone}) {
    CHECK(*parse_access(write_access(access)) == access);
  }
  CHECK(write_access(Access::open) == R"({"access":"public"})");
  CHECK(parse_access(R"({"access":"open"})").error().code == Code::malformed);
  CHECK(parse_access("{}").error().code == Code::malformed);

  MemoryStore store;
  CHECK(*load_access(store, kVideo) == Access::token);
  CHECK(store_access(store, kVideo, Access::open));
  CHECK(*load_access(store, kVideo) == Access::open);
  static_cast<void>(store.put(access_key(kVideo), as_bytes("{\"access\":")));
  CHECK_FALSE(load_access(store, kVideo));

  PlainVideo{}.put(store);
  CHECK(remove_video(store, kVideo));
  CHECK(*load_access(store, kVideo) == Access::gone);
  CHECK(store.list("vod/")->size() == 1);
  CHECK(remove_video(store, kVideo));
}

TEST_CASE("the cache holds its count and its bytes, and lets go what was used longest ago") {
  BoundedCache<int> cache{3, 100};
  cache.put("a", 1, 10);
  cache.put("b", 2, 10);
  cache.put("c", 3, 10);
  CHECK(cache.get("a") == 1);
  cache.put("d", 4, 10);  // b goes: a was used since
  CHECK_FALSE(cache.get("b"));
  CHECK(cache.get("a") == 1);
  CHECK(cache.size() == 3);
  cache.put("e", 5, 90);  // 10 bytes are left for one other
  CHECK(cache.size() == 2);
  CHECK(cache.bytes() == 100);
  cache.put("f", 6, 101);
  CHECK_FALSE(cache.get("f"));
  CHECK(cache.get("e") == 5);
  cache.put("e", 7, 1);
  CHECK(cache.get("e") == 7);
  cache.erase_if([](const std::string& key) { return key == "e"; });
  CHECK_FALSE(cache.get("e"));
  cache.erase("a");
  CHECK(cache.size() == 0);
  CHECK(cache.bytes() == 0);
}
