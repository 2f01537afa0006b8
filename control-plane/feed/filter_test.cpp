#include "control-plane/feed/filter.h"

#include <doctest/doctest.h>

#include <array>
#include <string>

#include "control-plane/feed/testing.h"

namespace ribalta::feed {
namespace {

using testing::item;
using testing::kDayMs;
using testing::kNowMs;

Refusal checked(const Item& one, const Audience& audience, const Viewer* viewer = nullptr) {
  Items items;
  items.upsert(one);
  return Filter{items, viewer, audience}.check(0);
}

TEST_CASE("filter: what nothing speaks against may be shown, and an index that nobody gave out may not") {
  CHECK(checked(item(1), {.viewer = UserId{5}, .now_ms = kNowMs}) == Refusal::none);
  const Items none;
  const Audience audience{.now_ms = kNowMs};
  CHECK(Filter{none, nullptr, audience}.check(0) == Refusal::unknown_item);
}

TEST_CASE("filter: each reason, and the step beside it") {
  const Audience audience{.viewer = UserId{5}, .now_ms = kNowMs};
  Item one = item(1);
  one.visible = false;
  CHECK(checked(one, audience) == Refusal::not_visible);
  one = item(1);
  one.published_ms = kNowMs + 1;
  CHECK(checked(one, audience) == Refusal::not_yet);
  one.published_ms = kNowMs;
  CHECK(checked(one, audience) == Refusal::none);
  CHECK(checked(item(1, 5), audience) == Refusal::own);
  CHECK(checked(item(1, 0), {.now_ms = kNowMs}) == Refusal::none);  // an unknown author is not the stranger
  CHECK(checked(item(1, 6), {.blocked = {UserId{9}, UserId{6}}, .now_ms = kNowMs}) == Refusal::blocked_author);
  one = item(1);
  one.rating = AgeRating::teenagers;
  CHECK(checked(one, audience) == Refusal::age_rating);
  CHECK(checked(one, {.age = AgeRating::teenagers, .now_ms = kNowMs}) == Refusal::none);
  one = item(1);
  one.language = "it";
  CHECK(checked(one, {.languages = {"en"}, .now_ms = kNowMs}) == Refusal::other_language);
  CHECK(checked(one, {.languages = {"en", "it"}, .now_ms = kNowMs}) == Refusal::none);
  one.language = "";
  CHECK(checked(one, {.languages = {"en"}, .now_ms = kNowMs}) == Refusal::none);
}

TEST_CASE("filter: what was shown comes again after seven days and not before; what was not wanted never") {
  Viewer viewer;
  viewer.show(0, kNowMs - 7 * kDayMs, 7 * kDayMs);
  CHECK(checked(item(1), {.viewer = UserId{5}, .now_ms = kNowMs}, &viewer) == Refusal::shown_lately);
  CHECK(checked(item(1), {.viewer = UserId{5}, .now_ms = kNowMs + 1}, &viewer) == Refusal::none);
  viewer.unwant(0);
  CHECK(checked(item(1), {.viewer = UserId{5}, .now_ms = kNowMs + 99 * kDayMs}, &viewer) == Refusal::not_interested);
}

TEST_CASE(
    "filter: what was served a moment ago does not come again, until it was on the screen or the moment is over") {
  Viewer viewer;
  viewer.served.push_back({.item = 0, .evidence = {}, .time_ms = kNowMs});
  const Audience audience{.viewer = UserId{5}, .now_ms = kNowMs + 1000};
  CHECK(checked(item(1), audience, &viewer) == Refusal::served_just_now);
  CHECK(checked(item(1), {.viewer = UserId{5}, .now_ms = kNowMs + 600'000}, &viewer) == Refusal::none);
  viewer.served.front().seen_ms = kNowMs + 500;
  CHECK(checked(item(1), audience, &viewer) == Refusal::none);
}

TEST_CASE("items: a topic counts once, however often it is named") {
  Items items;
  Item one = item(1);
  one.topics = {TopicId{7}, TopicId{7}, TopicId{0}, TopicId{7}, TopicId{8}, TopicId{7}, TopicId{9}};
  const StoredItem& stored = items.at(items.upsert(one).value());
  CHECK(stored.topics == std::array{TopicId{7}, TopicId{8}, TopicId{9}, TopicId{0}});
}

TEST_CASE("filter: a language beyond those that are told apart is none that anybody asked for") {
  Items items;
  for (std::uint64_t i = 0; i < kLanguagesMax + 5; ++i) {
    Item one = item(1 + i);
    one.language = "x" + std::to_string(i);
    items.upsert(one);
  }
  const auto check = [&](ItemIndex index, const std::vector<std::string>& languages) {
    const Audience audience{.languages = languages, .now_ms = kNowMs};
    return Filter{items, nullptr, audience}.check(index);
  };
  CHECK(check(kLanguagesMax - 1, {"x" + std::to_string(kLanguagesMax - 1)}) == Refusal::none);
  CHECK(check(kLanguagesMax + 1, {"x1"}) == Refusal::other_language);
  CHECK(check(kLanguagesMax + 1, {"x" + std::to_string(kLanguagesMax + 1)}) == Refusal::other_language);
  CHECK(check(kLanguagesMax + 1, {}) == Refusal::none);
}

TEST_CASE(
    "viewers: where there is no room for another, one is forgotten of whom least is known, or who came long ago") {
  Viewers viewers{4};
  const auto come = [&](std::uint64_t id, std::int64_t now_ms, bool likes = true) {
    Viewer* viewer = viewers.remember(UserId{id}, now_ms);
    REQUIRE(viewer);
    if (likes) viewer->like(1, 1, now_ms);
  };
  CHECK(viewers.remember(UserId{0}, kNowMs) == nullptr);
  for (std::uint64_t id = 1; id <= 4; ++id) come(id, kNowMs + static_cast<std::int64_t>(id), id != 3);
  come(1, kNowMs + 10);
  come(5, kNowMs + 11);
  CHECK(viewers.find(UserId{3}) == nullptr);  // likes nothing
  come(6, kNowMs + 12);
  CHECK(viewers.find(UserId{2}) == nullptr);  // came before 4, and 1 came again
  for (const std::uint64_t id : {1U, 4U, 5U, 6U}) CHECK(viewers.find(UserId{id})->id == UserId{id});
  CHECK(viewers.size() == 4);
  CHECK(viewers.forgotten() == 2);
  // Strangers without a taste do not wash out those who have one.
  for (std::uint64_t id = 100; id < 200; ++id) come(id, kNowMs + 1000, false);
  int kept = 0;
  for (const std::uint64_t id : {1U, 4U, 5U, 6U}) kept += viewers.find(UserId{id}) ? 1 : 0;
  CHECK(kept == 3);
}

TEST_CASE("viewers: memory is bounded, and the oldest goes first") {
  Viewer viewer;
  for (ItemIndex i = 0; i <= kShownMax; ++i) viewer.show(i, kNowMs + i, 7 * kDayMs);
  CHECK_FALSE(viewer.was_shown(0, kNowMs, 7 * kDayMs));
  CHECK(viewer.was_shown(kShownMax, kNowMs, 7 * kDayMs));
  CHECK(viewer.was_shown(kShownMax / 2, kNowMs, 7 * kDayMs));
  for (ItemIndex i = 0; i <= kTasteMax; ++i) viewer.like(i, 1, kNowMs + i);
  CHECK(viewer.taste().size() == kTasteMax);
  CHECK(viewer.taste().front().item == 1);
  viewer.like(500, 1, kNowMs);  // late: it is the oldest, and goes at once
  CHECK(viewer.taste().back().item == kTasteMax);
}

TEST_CASE("viewers: an item stands in a taste once, with its greatest weight and last time") {
  Viewer viewer;
  viewer.like(3, 1.5F, 10);
  viewer.like(4, 1, 20);
  viewer.like(3, 1, 30);
  REQUIRE(viewer.taste().size() == 2);
  CHECK(viewer.taste()[1] == Seen{3, 1.5F, 30});
}

}  // namespace
}  // namespace ribalta::feed
