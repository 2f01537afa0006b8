#include "control-plane/feed/filter.h"

#include <doctest/doctest.h>

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
  bool first = false;
  viewer.show(0, kNowMs - 7 * kDayMs, 7 * kDayMs, first);
  CHECK(first);
  CHECK(checked(item(1), {.viewer = UserId{5}, .now_ms = kNowMs}, &viewer) == Refusal::shown_lately);
  CHECK(checked(item(1), {.viewer = UserId{5}, .now_ms = kNowMs + 1}, &viewer) == Refusal::none);
  viewer.unwant(0);
  CHECK(checked(item(1), {.viewer = UserId{5}, .now_ms = kNowMs + 99 * kDayMs}, &viewer) == Refusal::not_interested);
}

TEST_CASE("viewers: memory is bounded, and the oldest goes first") {
  Viewer viewer;
  bool first = false;
  for (ItemIndex i = 0; i <= kShownMax; ++i) viewer.show(i, kNowMs + i, 7 * kDayMs, first);
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
