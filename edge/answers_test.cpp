#include "edge/answers.h"

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include "core/ids.h"

namespace ribalta::edge {
namespace {

const std::string kA = "0123456789abcdef";
const std::string kB = "fedcba9876543210";
constexpr std::uint64_t kStart = 1'000'000;

/// A table in a block of memory of its own.
struct Block {
  explicit Block(std::size_t bytes) : memory((bytes + 63) / 64) {}
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  AnswerTable* create() { return AnswerTable::create({memory[0].bytes, memory.size() * 64}); }
  std::vector<Line> memory;
};

TEST_CASE("answers: what was never stored is not known, and has to be asked for") {
  Block block{65'536};
  AnswerTable& table = *block.create();
  const Answer answer = table.find(MediaKind::live, kA, kStart);
  CHECK(!answer.fresh);
  CHECK(!answer.value);
  CHECK(answer.generation == 0);
  CHECK(table.used() == 0);
}

TEST_CASE("answers: a value is fresh for its time to the millisecond, then known but to be asked for again") {
  Block block{65'536};
  AnswerTable& table = *block.create();
  table.store(MediaKind::live, kA, "unix:/x", kStart, kStart);
  CHECK(table.find(MediaKind::live, kA, kStart + kKnownFreshMs - 1).fresh);
  const Answer late = table.find(MediaKind::live, kA, kStart + kKnownFreshMs);
  CHECK(!late.fresh);
  CHECK(late.value == "unix:/x");
}

TEST_CASE("answers: a stream and a video of the same id are two things") {
  Block block{65'536};
  AnswerTable& table = *block.create();
  table.store(MediaKind::live, kA, "unix:/x", kStart, kStart);
  table.store(MediaKind::vod, kA, "gone", kStart, kStart);
  CHECK(table.find(MediaKind::live, kA, kStart).value == "unix:/x");
  CHECK(table.find(MediaKind::vod, kA, kStart).value == "gone");
  CHECK(table.used() == 2);
}

TEST_CASE("answers: 'no such key' is remembered for a second only") {
  Block block{65'536};
  AnswerTable& table = *block.create();
  table.store(MediaKind::live, kA, std::nullopt, kStart, kStart);
  CHECK(table.find(MediaKind::live, kA, kStart + kUnknownFreshMs - 1).fresh);
  CHECK(!table.find(MediaKind::live, kA, kStart + kUnknownFreshMs).fresh);
}

TEST_CASE("answers: while Redis does not answer, the last answer stays for as long as that lasts") {
  Block block{65'536};
  AnswerTable& table = *block.create();
  table.store(MediaKind::vod, kA, "token", kStart, kStart);
  const std::uint64_t hour_later = kStart + 3'600'000;
  table.store_unknown(MediaKind::vod, kA, hour_later);
  const Answer answer = table.find(MediaKind::vod, kA, hour_later + kUnknownFreshMs - 1);
  CHECK(answer.fresh);
  CHECK(answer.value == "token");
  CHECK(!table.find(MediaKind::vod, kA, hour_later + kUnknownFreshMs).fresh);
}

TEST_CASE("answers: a key that Redis lost counts as it was for a minute, then as not there") {
  Block block{65'536};
  AnswerTable& table = *block.create();
  table.store(MediaKind::vod, kA, "gone", kStart, kStart);
  std::uint64_t now = kStart + 10'000;
  table.store(MediaKind::vod, kA, std::nullopt, now, now);
  CHECK(table.find(MediaKind::vod, kA, now).value == "gone");
  now += kVanishedKeptMs;
  table.store(MediaKind::vod, kA, std::nullopt, now, now);
  CHECK(table.find(MediaKind::vod, kA, now).value == "gone");
  table.store(MediaKind::vod, kA, std::nullopt, now + 1, now + 1);
  CHECK(!table.find(MediaKind::vod, kA, now + 1).value);

  // Seen again in between, the minute begins anew.
  table.store(MediaKind::vod, kA, "token", now, now);
  table.store(MediaKind::vod, kA, std::nullopt, now + 1, now + 1);
  CHECK(table.find(MediaKind::vod, kA, now + 1).value == "token");
}

TEST_CASE("answers: a purge makes the next request ask, and gives cached media another name") {
  Block block{65'536};
  AnswerTable& table = *block.create();
  table.store(MediaKind::vod, kA, "public", kStart, kStart);
  table.purge(MediaKind::vod, kA, 777, kStart + 1);
  const Answer answer = table.find(MediaKind::vod, kA, kStart + 1);
  CHECK(!answer.fresh);
  CHECK(answer.generation == 777);
  table.purge(MediaKind::live, kB, 778, kStart + 1);  // one that nobody asked for yet
  CHECK(table.find(MediaKind::live, kB, kStart + 1).generation == 778);
}

TEST_CASE("answers: an answer to a question from before a purge does not count as fresh") {
  Block block{65'536};
  AnswerTable& table = *block.create();
  table.purge(MediaKind::vod, kA, 777, kStart + 5);
  table.store(MediaKind::vod, kA, "public", kStart + 5, kStart + 6);
  CHECK(!table.find(MediaKind::vod, kA, kStart + 6).fresh);
  table.store(MediaKind::vod, kA, "gone", kStart + 6, kStart + 7);
  CHECK(table.find(MediaKind::vod, kA, kStart + 7).fresh);
  CHECK(table.find(MediaKind::vod, kA, kStart + 7).value == "gone");
}

TEST_CASE("answers: after purges may have been missed, everything is asked again and nothing is forgotten") {
  Block block{65'536};
  AnswerTable& table = *block.create();
  table.store(MediaKind::vod, kA, "token", kStart, kStart);
  table.expire_all(kStart + 1);
  CHECK(!table.find(MediaKind::vod, kA, kStart + 1).fresh);
  CHECK(table.find(MediaKind::vod, kA, kStart + 1).value == "token");
  table.store(MediaKind::vod, kA, "token", kStart + 2, kStart + 2);
  CHECK(table.find(MediaKind::vod, kA, kStart + 2).fresh);
}

TEST_CASE("answers: the longest value is kept whole, one character more is as good as none") {
  Block block{65'536};
  AnswerTable& table = *block.create();
  const std::string longest(kAnswerCharsMax, 'x');
  table.store(MediaKind::live, kA, longest, kStart, kStart);
  CHECK(table.find(MediaKind::live, kA, kStart).value == longest);
  table.store(MediaKind::live, kA, longest + "x", kStart, kStart);
  CHECK(!table.find(MediaKind::live, kA, kStart).value);
}

TEST_CASE("answers: memory is bounded, what was used last stays, and a purge outlives what was only looked up") {
  Block block{2'560};
  AnswerTable& table = *block.create();
  const std::size_t capacity = table.capacity();
  REQUIRE(capacity == 8);  // one row
  table.purge(MediaKind::vod, kA, 777, kStart);
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < 3 * capacity; ++i) {
    const auto id = random_id();
    ids.emplace_back(id.data(), id.size());
    table.store(MediaKind::vod, ids.back(), "public", kStart + 1 + i, kStart + 1 + i);
  }
  CHECK(table.used() == capacity);
  CHECK(table.find(MediaKind::vod, kA, kStart + 100).generation == 777);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const bool kept = i >= ids.size() - (capacity - 1);
    CHECK(table.find(MediaKind::vod, ids[i], kStart + 100).value.has_value() == kept);
  }
}

TEST_CASE("answers: another process finds the same table, wherever the memory is mapped") {
  Block block{65'536};
  block.create()->store(MediaKind::live, kA, "unix:/x", kStart, kStart);
  Block elsewhere{65'536};
  std::memcpy(elsewhere.memory.data(), block.memory.data(), 65'536);
  AnswerTable* adopted = AnswerTable::adopt(elsewhere.memory.data());
  REQUIRE(adopted != nullptr);
  CHECK(adopted->find(MediaKind::live, kA, kStart).value == "unix:/x");
  Block blank{65'536};
  CHECK(AnswerTable::adopt(blank.memory.data()) == nullptr);
}

TEST_CASE("answers: an entry whose writer was killed is not believed, and its place is used again") {
  Block block{4'096};
  AnswerTable& table = *block.create();
  table.store(MediaKind::live, kA, "unix:/x", kStart, kStart);
  // The first of the four bytes before the id says that the entry is being written: as a process killed there leaves
  // it.
  auto* bytes = reinterpret_cast<char*>(block.memory.data());
  auto* id = static_cast<char*>(memmem(bytes, block.memory.size() * 64, kA.data(), kA.size()));
  REQUIRE(id != nullptr);
  id[-4] = 1;
  CHECK(!table.find(MediaKind::live, kA, kStart).value);
  table.store(MediaKind::live, kA, "unix:/y", kStart, kStart);
  CHECK(table.find(MediaKind::live, kA, kStart).value == "unix:/y");
}

TEST_CASE("answers: too little memory for one row is refused") {
  Block block{256};
  CHECK(block.create() == nullptr);
}

TEST_CASE("verdict: only 'gone' and 'token' refuse; what is not known is the origin's to decide") {
  CHECK(decide("public", false) == Verdict::go);
  CHECK(decide(std::nullopt, false) == Verdict::go);
  CHECK(decide("something new", false) == Verdict::go);
  CHECK(decide("token", false) == Verdict::forbidden);
  CHECK(decide("token", true) == Verdict::go);
  CHECK(decide("gone", false) == Verdict::gone);
  CHECK(decide("gone", true) == Verdict::gone);
}

TEST_CASE("tag: of what is in the cache, by any key that was made for it") {
  const std::string paths[] = {"/v/" + kA + "/7/v720/3.m4s", "/v/" + kA + "/7/index.mpd",
                               "/live/" + kA + "/v720/1-2.m4s", "/live/" + kA + "/v720.m3u8?_HLS_msn=5&_HLS_part=1"};
  for (const std::string& path : paths) {
    for (const bool authorised : {false, true}) {
      for (const std::uint64_t generation : {std::uint64_t{0}, std::uint64_t{1'790'000'000'123}}) {
        const MediaTarget target = parse_media_target(path).value();
        const std::string key = cache_key(target, authorised, generation);
        CAPTURE(key);
        const auto tag = tag_of_cache_key(key);
        REQUIRE(tag);
        CHECK(tag_text(*tag) == (path.starts_with("/v/") ? "video:" : "stream:") + kA);
      }
    }
  }
  for (const char* key : {"", "/", "p|", "p|/", "p|/v/", "p|/assets/app.js", "x/v/0123456789abcdef/1/index.m3u8"}) {
    CHECK(!tag_of_cache_key(key));
  }
  CHECK(is_gone("gone"));
  CHECK(!is_gone("public"));
  CHECK(!is_gone(std::nullopt));
}

TEST_CASE("tag: streams and videos with an id, and nothing else") {
  CHECK(parse_tag("stream:" + kA)->kind == MediaKind::live);
  CHECK(parse_tag("video:" + kA)->kind == MediaKind::vod);
  CHECK(parse_tag("video:" + kA)->id == kA);
  for (const std::string& text : {std::string{}, std::string{"video:"}, "video:" + kA + "0", "user:" + kA, kA}) {
    CHECK(!parse_tag(text));
  }
}

}  // namespace
}  // namespace ribalta::edge
