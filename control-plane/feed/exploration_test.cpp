#include "control-plane/feed/exploration.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <set>

#include "control-plane/feed/testing.h"

namespace ribalta::feed {
namespace {

using testing::kDayMs;
using testing::kNowMs;

constexpr std::int64_t kDuration = 20'000;
const Allowed kAll = [](ItemIndex) { return true; };

constexpr std::int64_t kAwaitedMs = std::chrono::milliseconds{kViewsAwaited}.count();

Exploration opened(ItemIndex items) {
  Exploration exploration{{}};
  for (ItemIndex i = 0; i < items; ++i) exploration.open(i, kDuration, kNowMs, kNowMs);
  return exploration;
}

/// What is usual: that each share of it is watched as often.
void watch_evenly(Exploration& exploration) {
  for (int i = 0; i < 1000; ++i) exploration.watched(kDuration, static_cast<float>(i % 100) / 100);
}

/// So many viewers see it, and then watch so much of it.
void show(Exploration& exploration, ItemIndex item, float watched, std::uint32_t impressions) {
  for (std::uint32_t i = 0; i < impressions; ++i) exploration.impression(item, kNowMs);
  for (std::uint32_t i = 0; i < impressions; ++i) exploration.view(item, exploration.worth(kDuration, watched));
}

TEST_CASE("exploration: a new item keeps its place until the last guaranteed impression, however bad it is") {
  Exploration exploration = opened(4);
  for (const ItemIndex other : {0, 1, 2}) exploration.hide(other);
  show(exploration, 3, 0, 99);
  CHECK(exploration.is_open(3));
  CHECK(exploration.waiting() == 1);
  CHECK(exploration.draw(1, 5, kAll) == std::vector<ItemIndex>{3});
  show(exploration, 3, 0, 1);
  CHECK(exploration.draw(1, 5, kAll).empty());
  CHECK(exploration.waiting() == 0);
  exploration.pass(kNowMs + kAwaitedMs);
  CHECK_FALSE(exploration.is_open(3));
  CHECK(exploration.impressions(3) == 100);
}

TEST_CASE("exploration: an item that is watched longer than others of its length goes on, one that is not stops") {
  Exploration exploration = opened(3);
  watch_evenly(exploration);
  show(exploration, 1, 0.9F, 100);
  show(exploration, 2, 0.45F, 100);
  exploration.pass(kNowMs + kAwaitedMs);
  CHECK(exploration.stage(1) == 1);
  CHECK(exploration.is_open(1));
  CHECK_FALSE(exploration.is_open(2));
  show(exploration, 1, 0.9F, 300);
  exploration.pass(kNowMs + 2 * kAwaitedMs);
  CHECK(exploration.stage(1) == 2);
}

TEST_CASE("exploration: views that come after the last impression count, those that come after the verdict do not") {
  for (const std::int64_t late_ms : {kAwaitedMs - 1, kAwaitedMs}) {
    Exploration exploration = opened(1);
    watch_evenly(exploration);
    for (int i = 0; i < 100; ++i) exploration.impression(0, kNowMs);
    exploration.pass(kNowMs + late_ms);
    for (int i = 0; i < 100; ++i) exploration.view(0, 0.9F);
    exploration.pass(kNowMs + kAwaitedMs);
    CHECK(exploration.is_open(0) == (late_ms < kAwaitedMs));
  }
}

TEST_CASE("exploration: what this viewer may not see stands before nothing, however much of it there is") {
  for (const ItemIndex blocked : {200U, 20'000U}) {
    const Exploration exploration = opened(blocked + 20);
    const Allowed rest = [blocked](ItemIndex item) { return item >= blocked; };
    std::set<ItemIndex> drawn;
    for (std::uint64_t seed = 0; seed < 1000; ++seed) {
      const auto items = exploration.draw(3, seed, rest);
      drawn.insert(items.begin(), items.end());
    }
    CHECK(drawn.size() == 20);
  }
}

TEST_CASE("exploration: an item is tried from its publication on, whatever that is set to before") {
  Exploration exploration{{}};
  constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
  exploration.open(0, kDuration, kNowMs + 1000, kNowMs);
  exploration.open(1, kDuration, kNever, kNowMs);
  exploration.open(2, kDuration, kNever, kNowMs);
  exploration.open(2, kDuration, kNowMs + 2000, kNowMs);
  exploration.pass(kNowMs + 999);
  CHECK(exploration.waiting() == 0);
  exploration.impression(0, kNowMs);  // somebody says so
  CHECK(exploration.impressions(0) == 0);
  exploration.pass(kNowMs + 1000);
  CHECK(exploration.draw(3, 1, kAll) == std::vector<ItemIndex>{0});
  exploration.pass(kNowMs + 2000);
  CHECK(exploration.waiting() == 2);
  exploration.pass(kNowMs + 1000 * kDayMs);
  CHECK(exploration.waiting() == 0);
  // The clock was ahead and is set back: what comes now is let go of after its days all the same.
  exploration.open(3, kDuration, kNowMs, kNowMs + 3000);
  exploration.pass(kNowMs + 15 * kDayMs);
  CHECK_FALSE(exploration.is_open(3));
}

TEST_CASE("exploration: what is judged while the clock is ahead is judged in time once it is set back") {
  Exploration exploration = opened(1);
  watch_evenly(exploration);
  for (int i = 0; i < 100; ++i) exploration.impression(0, kNowMs + 300 * kDayMs);
  exploration.pass(kNowMs + 300 * kDayMs);
  for (int i = 0; i < 100; ++i) exploration.view(0, 0.9F);
  exploration.pass(kNowMs);
  exploration.pass(kNowMs + kAwaitedMs);
  CHECK(exploration.stage(0) == 1);
}

TEST_CASE("exploration: what was hidden for a while goes on where it was") {
  Exploration exploration = opened(1);
  watch_evenly(exploration);
  show(exploration, 0, 0.9F, 60);
  exploration.hide(0);
  CHECK(exploration.draw(1, 1, kAll).empty());
  exploration.pass(kNowMs + 30 * kDayMs);
  exploration.open(0, kDuration, kNowMs, kNowMs + 30 * kDayMs);
  CHECK(exploration.draw(1, 1, kAll).size() == 1);
  CHECK(exploration.impressions(0) == 60);
  show(exploration, 0, 0.9F, 40);
  exploration.hide(0);  // while it is judged
  exploration.open(0, kDuration, kNowMs, kNowMs + 30 * kDayMs);
  exploration.pass(kNowMs + 30 * kDayMs + kAwaitedMs);
  CHECK(exploration.stage(0) == 1);
  CHECK(exploration.draw(1, 1, kAll).size() == 1);
}

TEST_CASE("exploration: options out of their range are brought into it") {
  Exploration exploration{
      {.first_impressions = 0, .growth = 0, .stages = 1000, .cohort_quantile = std::nanf(""), .share = std::nanf("")}};
  CHECK(exploration.slots(20, 1) == 0);
  exploration.open(0, kDuration, kNowMs, kNowMs);
  watch_evenly(exploration);
  for (std::int64_t i = 1; i < 20; ++i) {
    show(exploration, 0, 0.99F, 100);
    exploration.pass(kNowMs + i * kAwaitedMs);
  }
  CHECK(exploration.stage(0) == kStagesMax - 1);
  CHECK_FALSE(exploration.is_open(0));
}

TEST_CASE("exploration: half of a long video can be worth more than the whole of a short one") {
  Exploration exploration{{}};
  for (int i = 0; i < 1000; ++i) {
    exploration.watched(5000, i % 10 < 8 ? 1.0F : 0.5F);
    exploration.watched(120'000, i % 10 < 8 ? 0.2F : 0.6F);
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
  const Exploration exploration = opened(20);
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
  for (ItemIndex i = 0; i < 4; ++i) exploration.open(i, kDuration, kNowMs, kNowMs + i * kDayMs);
  exploration.hide(1);
  CHECK(exploration.draw(4, 1, [](ItemIndex item) { return item != 2; }).size() == 2);
  exploration.pass(kNowMs + 14 * kDayMs + 1);
  CHECK_FALSE(exploration.is_open(0));
  CHECK(exploration.is_open(3));
  exploration.open(0, kDuration, kNowMs, kNowMs + 15 * kDayMs);  // once is enough
  CHECK_FALSE(exploration.is_open(0));
}

TEST_CASE("exploration: items past their first stage get some slots while others wait, and all when none does") {
  Exploration exploration = opened(1);
  watch_evenly(exploration);
  show(exploration, 0, 0.95F, 100);
  exploration.pass(kNowMs + kAwaitedMs);
  REQUIRE(exploration.stage(0) == 1);
  CHECK(exploration.draw(1, 1, kAll).front() == 0);
  for (ItemIndex i = 1; i < 10; ++i) exploration.open(i, kDuration, kNowMs, kNowMs);
  int promoted = 0;
  for (std::uint64_t seed = 0; seed < 1000; ++seed) promoted += exploration.draw(1, seed, kAll).front() == 0 ? 1 : 0;
  CHECK(promoted > 150);
  CHECK(promoted < 350);
}

}  // namespace
}  // namespace ribalta::feed
