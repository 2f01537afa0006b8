#include "ingest/stream/key_memory.h"

#include <doctest/doctest.h>

#include <fstream>
#include <iterator>

#include "ingest/stream/publish_auth.h"
#include "ingest/testing/fakes.h"

using namespace ribalta;
using namespace ribalta::ingest;

namespace {

constexpr std::int64_t kNow = 1'700'000'000'000;
constexpr std::string_view kStream = "0123456789abcdef";

RememberedKey known(const KeyMemory& memory, std::string_view key, std::int64_t accepted = kNow) {
  return {memory.hash(key), "user", std::string{kStream}, 3, kNow - 60'000, accepted, kNow, true};
}

}  // namespace

TEST_CASE("remembered keys: they survive in a file that never holds the key, readable by its owner alone") {
  const ingest::testing::TemporaryFolder folder;
  const std::filesystem::path file = folder.path() / "keys.json";
  KeyMemory memory{file, "secret"};
  memory.remember(known(memory, "live_secretkey"));
  REQUIRE(memory.save().has_value());
  std::ifstream in{file};
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  CHECK(text.find("live_secretkey") == std::string::npos);
  CHECK(std::filesystem::status(file).permissions() ==
        (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
  KeyMemory again{file, "secret"};
  REQUIRE(again.load().has_value());
  const auto found = again.find(again.hash("live_secretkey"), from_unix_ms(kNow + 1000));
  REQUIRE(found.has_value());
  CHECK(found->stream == kStream);
  CHECK(again.lost().size() == 1);
  CHECK_FALSE(again.find(again.hash("other"), from_unix_ms(kNow)).has_value());
}

TEST_CASE("remembered keys: twelve hours after the control plane accepted it, a key is no longer known") {
  KeyMemory memory{"/nonexistent/keys.json", "secret"};
  memory.remember(known(memory, "k"));
  const std::int64_t life = std::chrono::milliseconds{kKeyLifetime}.count();
  CHECK(memory.find(memory.hash("k"), from_unix_ms(kNow + life)).has_value());
  CHECK_FALSE(memory.find(memory.hash("k"), from_unix_ms(kNow + life + 1)).has_value());
  CHECK_FALSE(memory.find(memory.hash("k"), from_unix_ms(kNow - 1)).has_value());
}

TEST_CASE("remembered keys: a refused key is forgotten, a stopped one is not lost") {
  KeyMemory memory{"/nonexistent/keys.json", "secret"};
  memory.remember(known(memory, "k"));
  memory.stopped(memory.hash("k"), from_unix_ms(kNow));
  CHECK(memory.lost().empty());
  memory.forget(memory.hash("k"));
  CHECK_FALSE(memory.find(memory.hash("k"), from_unix_ms(kNow)).has_value());
}

TEST_CASE("remembered keys: the one seen longest ago goes when there are too many") {
  KeyMemory memory{"/nonexistent/keys.json", "secret"};
  for (std::size_t i = 0; i <= kKeysMax; ++i) {
    RememberedKey key{std::to_string(i), "u", std::string{kStream}, 1, 0, kNow, static_cast<std::int64_t>(i), false};
    memory.remember(std::move(key));
  }
  CHECK_FALSE(memory.find("0", from_unix_ms(kNow)).has_value());
  CHECK(memory.find("1", from_unix_ms(kNow)).has_value());
}

TEST_CASE("remembered keys: a broken file is an error, a missing one is not") {
  const ingest::testing::TemporaryFolder folder;
  KeyMemory missing{folder.path() / "none.json", "secret"};
  CHECK(missing.load().has_value());
  std::ofstream{folder.path() / "broken.json"} << "{\"keys\":[";
  KeyMemory broken{folder.path() / "broken.json", "secret"};
  CHECK_FALSE(broken.load().has_value());
}

TEST_CASE("publish from memory: within the grace period the same stream with the next epoch, later a new one") {
  KeyMemory memory{"/nonexistent/keys.json", "secret"};
  const RememberedKey key = known(memory, "k");
  const std::int64_t grace = std::chrono::milliseconds{kGrace}.count();
  const auto soon = grant_from_memory(key, from_unix_ms(kNow + grace));
  REQUIRE(soon.has_value());
  CHECK(soon->stream.view() == kStream);
  CHECK(soon->epoch.value == 4);
  CHECK(soon->resumed);
  CHECK(soon->start_unix_ms == kNow - 60'000);
  const auto later = grant_from_memory(key, from_unix_ms(kNow + grace + 1));
  REQUIRE(later.has_value());
  CHECK(later->stream.view() != kStream);
  CHECK(later->epoch.value == 1);
  CHECK_FALSE(later->resumed);
  CHECK(later->start_unix_ms == kNow + grace + 1);
  CHECK(grant_from_memory(std::nullopt, from_unix_ms(kNow)).error().code == Code::unavailable);
}
