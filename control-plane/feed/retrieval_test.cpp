// Embeddings and the index over iALS: what they find beside what going through everything finds.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "control-plane/feed/embeddings.h"
#include "control-plane/feed/factor_index.h"
#include "control-plane/feed/random.h"

namespace ribalta::feed {
namespace {

constexpr std::size_t kDimensions = 16;
const Allowed kAll = [](ItemIndex) { return true; };

std::vector<float> embedding(std::uint64_t seed) {
  Random random{seed};
  std::vector<float> values(kDimensions);
  for (float& value : values) value = static_cast<float>(random.normal());
  return values;
}

std::vector<Candidate> found(const Source& source, std::vector<Seen> history, std::size_t limit = 20,
                             const Allowed& allowed = kAll) {
  std::vector<Candidate> out;
  source.find(history, 0, limit, allowed, out);
  return out;
}

TEST_CASE("embeddings: nearly all true neighbours are found, with the scores that `score` gives, best first") {
  Embeddings embeddings{kDimensions};
  std::vector<ItemIndex> all;
  for (ItemIndex i = 0; i < 3000; ++i) {
    REQUIRE(embeddings.add(i, embedding(i)));
    all.push_back(i);
  }
  int right = 0;
  for (ItemIndex query = 0; query < 20; ++query) {
    const std::vector<Seen> history{{query, 1, 0}};
    std::vector<float> scores(all.size());
    embeddings.score(history, 0, all, scores);
    std::vector<Candidate> exact;
    for (const ItemIndex i : all) exact.push_back({i, scores[i]});
    std::ranges::sort(exact, better);
    const auto near = found(embeddings, history, 10);
    CHECK(near.size() == 10);
    CHECK(std::ranges::is_sorted(near, better));
    for (const Candidate& one : near) {
      CHECK(one.score == scores[one.item]);
      right += std::ranges::find(exact.begin(), exact.begin() + 10, one) != exact.begin() + 10 ? 1 : 0;
    }
  }
  CHECK(right >= 180);  // of 200
}

TEST_CASE("embeddings: the same items in the same order answer the same; a changed one is found where it is now") {
  Embeddings one{kDimensions};
  Embeddings other{kDimensions};
  for (Embeddings* each : {&one, &other}) {
    for (ItemIndex i = 0; i < 500; ++i) each->add(i, embedding(i));
    for (int round = 0; round < 6; ++round) {  // more changes than items: made again in between
      for (ItemIndex i = 1; i < 500; ++i) each->add(i, embedding(1000 + static_cast<std::uint64_t>(round) * 500 + i));
    }
    each->add(7, embedding(0));
  }
  CHECK(one.size() == 500);
  const std::vector<Seen> history{{0, 1, 0}, {30, 1, 0}};
  CHECK(found(one, history) == found(other, history));
  const auto near = found(one, {{0, 1, 0}}, 2);
  REQUIRE(near.size() == 2);
  CHECK(std::set{near[0].item, near[1].item} == std::set<ItemIndex>{0, 7});
}

TEST_CASE("embeddings: where the nearest may not be shown, those behind them are found") {
  Embeddings embeddings{kDimensions};
  std::vector<float> near(kDimensions, 1);
  for (ItemIndex i = 0; i < 700; ++i) {
    near[0] = 1 + static_cast<float>(i) / 1000;  // the later, the farther
    REQUIRE(embeddings.add(i, near));
  }
  const std::vector<Seen> history{{0, 1, 0}};
  const auto allowed_from = [&](ItemIndex first) {
    return found(embeddings, history, 10, [first](ItemIndex item) { return item >= first; });
  };
  const auto far = allowed_from(200);
  REQUIRE(far.size() == 10);
  CHECK(far.front().item == 200);
  CHECK(allowed_from(699).size() <= 1);
}

TEST_CASE("embeddings: what is no embedding is refused, and no history finds nothing") {
  Embeddings embeddings{kDimensions};
  CHECK_FALSE(embeddings.add(0, std::vector<float>(kDimensions)));
  CHECK_FALSE(embeddings.add(0, std::vector<float>(kDimensions + 1, 1)));
  std::vector<float> bad(kDimensions, 1);
  bad[3] = std::nanf("");
  CHECK_FALSE(embeddings.add(0, bad));
  bad[3] = std::numeric_limits<float>::infinity();
  CHECK_FALSE(embeddings.add(0, bad));
  CHECK(found(embeddings, {{0, 1, 0}}).empty());
  CHECK(embeddings.add(4, std::vector<float>(kDimensions, 1e-3F)));
  CHECK(found(embeddings, {}).empty());
  CHECK(found(embeddings, {{4, 1, 0}}, 20, [](ItemIndex) { return false; }).empty());
  std::vector<float> scores{9, 9};
  embeddings.score({}, 0, std::vector<ItemIndex>{4, 900}, scores);
  CHECK(scores == std::vector<float>{0, 0});
}

/// Each viewer watched items of one of 40 groups.
std::unique_ptr<Ials> model(std::size_t items) {
  std::vector<Interaction> interactions;
  Random random{3};
  for (ItemIndex item = 0; item < items; ++item) {
    for (int i = 0; i < 3; ++i)
      interactions.push_back({static_cast<ViewerIndex>(item % 40 * 25 + random.below(25)), item});
  }
  return std::make_unique<Ials>(Matrix{interactions}, IalsOptions{.sweeps = 1});
}

TEST_CASE("factor index: of few items it answers what the model answers") {
  const auto plain = model(400);
  const FactorIndex index{model(400)};
  const std::vector<Seen> history{{5, 1, 0}, {45, 1, 0}};
  const auto expected = found(*plain, history);
  const auto answered = found(index, history);
  CHECK(answered == expected);
  CHECK(found(index, {}).empty());
}

TEST_CASE("factor index: of many items it reads a part, and finds nearly all of the best") {
  const std::size_t many = 4000;
  const auto plain = model(many);
  const FactorIndex index{model(many), many / 3};
  std::size_t right = 0;
  for (ItemIndex item = 0; item < 10; ++item) {
    const std::vector<Seen> history{{item, 1, 0}, {item + 40, 1, 0}, {item + 80, 1, 0}};
    std::set<ItemIndex> expected;
    for (const Candidate& one : found(*plain, history)) expected.insert(one.item);
    for (const Candidate& one : found(index, history)) right += expected.count(one.item);
  }
  CHECK(right >= 180);  // of 200
}

TEST_CASE("factor index: an item learned later is found, with the score that `score` gives; a trained one stays") {
  const std::size_t many = 4000;
  FactorIndex index{model(many), many / 3};
  const std::vector<Seen> history{{5, 1, 0}, {45, 1, 0}, {85, 1, 0}};
  const std::vector<std::span<const Seen>> histories(8, history);
  const auto before = found(index, history);
  index.learn_item(before.front().item, std::vector<std::span<const Seen>>(8, std::span{history}.first(1)));
  CHECK(found(index, history) == before);
  index.learn_item(9000, histories);
  index.learn_item(9000, histories);
  index.learn_item(9001, {});
  const auto after = found(index, history, 50);
  CHECK(std::ranges::count(after, ItemIndex{9000}, &Candidate::item) == 1);
  std::vector<ItemIndex> items;
  for (const Candidate& one : after) items.push_back(one.item);
  std::vector<float> scores(items.size());
  index.score(history, 0, items, scores);
  for (std::size_t i = 0; i < items.size(); ++i) CHECK(scores[i] == after[i].score);
}

TEST_CASE("factor index: so many items are read, and no more, however the lists fall") {
  const FactorIndex index{model(4000), 1000};
  const std::vector<Seen> history{{5, 1, 0}, {45, 1, 0}, {85, 1, 0}};
  CHECK(found(index, history, 4000).size() == 1000);
}

TEST_CASE("factor index: so many items are learned after the training, and no more") {
  FactorIndex index{model(400)};
  const std::vector<Seen> history{{5, 1, 0}, {45, 1, 0}};
  const std::vector<std::span<const Seen>> histories(1, history);
  for (ItemIndex item = 0; item <= kFactorItemsLearnedMax; ++item) index.learn_item(1000 + item, histories);
  std::vector<float> scores(2);
  const ItemIndex last = 1000 + kFactorItemsLearnedMax - 1;
  index.score(history, 0, std::array{last, last + 1}, scores);
  CHECK(scores[0] != 0);
  CHECK(scores[1] == 0);
}

}  // namespace
}  // namespace ribalta::feed
