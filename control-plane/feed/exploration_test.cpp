#include "control-plane/feed/exploration.h"

#include <doctest/doctest.h>

#include <set>

#include "control-plane/feed/testing.h"

namespace ribalta::feed {
namespace {

using testing::kDayMs;
using testing::kNowMs;

constexpr std::int64_t kDuration = 20'000;
const Allowed kAll = [](ItemIndex) { return true; };

/// A new item's whole first stage, each viewer watching so much of it.
void run_stage(Exploration& exploration, ItemIndex item, float watched, std::uint32_t impressions = 100) {
  for (std::uint32_t i = 0; i < impressions; ++i) {
    exploration.view(item, kDuration, watched);
    exploration.impression(item);
  }
}

TEST_CASE("exploration: a new item keeps its place until the last guaranteed impression, however bad it is") {
  Exploration exploration{{}};
  exploration.open(3, kDuration, kNowMs);
  run_stage(exploration, 3, 0, 99);
  CHECK(exploration.is_open(3));
  CHECK(exploration.waiting() == 1);
  CHECK(exploration.draw(1, 5, kAll) == std::vector<ItemIndex>{3});
  run_stage(exploration, 3, 0, 1);
  CHECK_FALSE(exploration.is_open(3));
  CHECK(exploration.impressions(3) == 100);
  CHECK(exploration.waiting() == 0);
}

TEST_CASE("exploration: an item that is watched longer than others of its length goes on, one that is not stops") {
  Exploration exploration{{}};
  Random random{7};
  for (int i = 0; i < 2000; ++i) exploration.view(99, kDuration, static_cast<float>(random.uniform()));
  exploration.open(1, kDuration, kNowMs);
  exploration.open(2, kDuration, kNowMs);
  run_stage(exploration, 1, 0.9F);
  run_stage(exploration, 2, 0.45F);
  CHECK(exploration.stage(1) == 1);
  CHECK(exploration.is_open(1));
  CHECK_FALSE(exploration.is_open(2));
  run_stage(exploration, 1, 0.9F, 300);
  CHECK(exploration.stage(1) == 2);
}

TEST_CASE("exploration: half of a long video can be worth more than the whole of a short one") {
  Exploration exploration{{}};
  for (int i = 0; i < 1000; ++i) {
    exploration.view(0, 5000, i % 10 < 8 ? 1.0F : 0.5F);
    exploration.view(0, 120'000, i % 10 < 8 ? 0.2F : 0.6F);
  }
  CHECK(exploration.worth(120'000, 0.5F) > exploration.worth(5000, 1));
}

TEST_CASE("exploration: its share of slots is bounded, and kept on average where it does not divide") {
  const Exploration exploration{{.share = 0.15F}};
  std::size_t given = 0;
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    CHECK(exploration.slots(20, seed) == 3);
    CHECK(exploration.slots(5, seed) <= 1);
    given += exploration.slots(5, seed);
  }
  CHECK(given / 2000.0 == doctest::Approx(0.75).epsilon(0.05));
  CHECK(Exploration{{.share = 7}}.slots(20, 1) == 10);
  CHECK(Exploration{{.share = -1}}.slots(20, 1) == 0);
}

TEST_CASE("exploration: a draw is the seed's alone, and different seeds draw different items") {
  Exploration exploration{{}};
  for (ItemIndex i = 0; i < 20; ++i) exploration.open(i, kDuration, kNowMs);
  std::set<ItemIndex> drawn;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const auto items = exploration.draw(3, seed, kAll);
    CHECK(items == exploration.draw(3, seed, kAll));
    drawn.insert(items.begin(), items.end());
  }
  CHECK(drawn.size() == 20);
}

TEST_CASE("exploration: what may not be shown is not drawn, what is closed or too old neither") {
  Exploration exploration{{}};
  for (ItemIndex i = 0; i < 4; ++i) exploration.open(i, kDuration, kNowMs + i * kDayMs);
  exploration.close(1);
  CHECK(exploration.draw(4, 1, [](ItemIndex item) { return item != 2; }).size() == 2);
  exploration.expire(kNowMs + 14 * kDayMs + 1);
  CHECK_FALSE(exploration.is_open(0));
  CHECK(exploration.is_open(3));
  exploration.open(0, kDuration, kNowMs + 15 * kDayMs);  // once is enough
  CHECK_FALSE(exploration.is_open(0));
}

TEST_CASE("exploration: items past their first stage get some slots while others wait, and all when none does") {
  Exploration exploration{{}};
  for (int i = 0; i < 1000; ++i) exploration.view(99, kDuration, static_cast<float>(i % 100) / 100);
  exploration.open(0, kDuration, kNowMs);
  run_stage(exploration, 0, 0.95F);
  REQUIRE(exploration.stage(0) == 1);
  CHECK(exploration.draw(1, 1, kAll).front() == 0);
  for (ItemIndex i = 1; i < 10; ++i) exploration.open(i, kDuration, kNowMs);
  int promoted = 0;
  for (std::uint64_t seed = 0; seed < 1000; ++seed) promoted += exploration.draw(1, seed, kAll).front() == 0 ? 1 : 0;
  CHECK(promoted > 150);
  CHECK(promoted < 350);
}

}  // namespace
}  // namespace ribalta::feed
