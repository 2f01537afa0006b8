#include "control-plane/feed/diversify.h"

#include <doctest/doctest.h>

#include "control-plane/feed/testing.h"

namespace ribalta::feed {
namespace {

using testing::item;

/// Ten items of one author, then ten of ten others; the first ones score higher.
struct Stage {
  Items items;
  std::vector<Candidate> scored;
  Stage() {
    for (std::uint64_t i = 0; i < 20; ++i) {
      items.upsert(item(1 + i, i < 10 ? 7 : 100 + i));
      scored.push_back({static_cast<ItemIndex>(i), 2 - 0.01F * static_cast<float>(i)});
    }
  }
};

TEST_CASE("diversify: without decay the order is that of the scores") {
  const Stage stage;
  const auto order = diversify(stage.items, stage.scored, {}, 20, {.author_decay = 1, .topic_decay = 1});
  REQUIRE(order.size() == 20);
  for (std::size_t i = 0; i < order.size(); ++i) CHECK(order[i] == i);
}

TEST_CASE("diversify: an author with the ten best items gets the first place and not the ten first") {
  const Stage stage;
  const auto order = diversify(stage.items, stage.scored, {}, 10, {});
  CHECK(order.front() == 0);
  int of_one = 0;
  for (const std::size_t at : order) of_one += at < 10 ? 1 : 0;
  CHECK(of_one <= 3);
}

TEST_CASE("diversify: what was seen before the page counts too") {
  const Stage stage;
  const std::vector<ItemIndex> before{3, 4};
  CHECK(diversify(stage.items, stage.scored, before, 1, {}).front() >= 10);
}

TEST_CASE("diversify: a topic decays where no author repeats, and negative scores are ordered as others are") {
  Items items;
  std::vector<Candidate> scored;
  for (std::uint64_t i = 0; i < 6; ++i) {
    items.upsert(item(1 + i, 100 + i, i < 4 ? 1 : 2));
    scored.push_back({static_cast<ItemIndex>(i), -5 - 0.01F * static_cast<float>(i)});
  }
  const auto order = diversify(items, scored, {}, 3, {.topic_decay = 0.2F});
  CHECK(order == std::vector<std::size_t>{0, 4, 1});
}

TEST_CASE("diversify: nothing to order, nothing asked for, more asked for than there is") {
  const Stage stage;
  CHECK(diversify(stage.items, {}, {}, 5, {}).empty());
  CHECK(diversify(stage.items, stage.scored, {}, 0, {}).empty());
  CHECK(diversify(stage.items, stage.scored, {}, 50, {}).size() == 20);
}

}  // namespace
}  // namespace ribalta::feed
