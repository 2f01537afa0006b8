#include "control-plane/feed/score.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

namespace ribalta::feed {
namespace {

const ScorerOptions kSmall{.slots_log2 = kSlotsLog2Min};

Outcomes only(Outcome outcome) { return Outcomes{}.set(static_cast<std::size_t>(outcome)); }

/// What two sources say, each on its own scale: from 0 (knows nothing) to 1 (the best of the list).
Example said(float first, float second) {
  Example example;
  example.evidence.score = {4 * first - 2, 4 * second - 2};
  example.evidence.place = {first, second};
  return example;
}

float chance_of(const Scorer& scorer, const Example& example, Outcome outcome) {
  return scorer.predict(example)[static_cast<std::size_t>(outcome)];
}

TEST_CASE("score: before anything is learned, what the sources agree on stands first") {
  const Scorer scorer{{"near", "popular"}, kSmall};
  CHECK(scorer.score(said(0.9F, 0.9F)) > scorer.score(said(0.9F, 0.1F)));
  CHECK(scorer.score(said(0.9F, 0.1F)) > scorer.score(said(0, 0)));
}

TEST_CASE("score: the source that is right is believed, the one that guesses is not") {
  Scorer scorer{{"right", "guesses"}, kSmall};
  std::minstd_rand random{1};
  std::uniform_real_distribution<float> any{0.01F, 1};
  for (int i = 0; i < 3000; ++i) {
    const float right = any(random);
    scorer.learn(said(right, any(random)), right > 0.6F ? only(Outcome::complete) : only(Outcome::skip));
  }
  CHECK(chance_of(scorer, said(0.9F, 0.1F), Outcome::complete) > 0.8F);
  CHECK(chance_of(scorer, said(0.1F, 0.9F), Outcome::complete) < 0.2F);
  CHECK(chance_of(scorer, said(0.1F, 0.9F), Outcome::skip) > 0.8F);
}

TEST_CASE("score: a choice from a list is learned, also one that only two sources together tell") {
  Scorer scorer{{"one", "other"}, kSmall};
  std::minstd_rand random{2};
  std::uniform_real_distribution<float> any{0.01F, 1};
  // Chosen is where both say the same: neither alone says anything.
  const auto worth = [](const Example& example) { return example.evidence.score[0] * example.evidence.score[1]; };
  const auto draw = [&] {
    std::vector<Example> list;
    for (int i = 0; i < 8; ++i) list.push_back(said(any(random), any(random)));
    return list;
  };
  const auto best = [&](const std::vector<Example>& list) {
    return static_cast<std::size_t>(std::ranges::max_element(list, {}, worth) - list.begin());
  };
  for (int i = 0; i < 2000; ++i) {
    const auto list = draw();
    scorer.learn_choice(list, best(list));
  }
  int found = 0;
  for (int i = 0; i < 200; ++i) {
    const auto list = draw();
    const auto first = std::ranges::max_element(
        list, {}, [&](const Example& example) { return chance_of(scorer, example, Outcome::choice); });
    if (static_cast<std::size_t>(first - list.begin()) == best(list)) ++found;
  }
  CHECK(found > 150);
}

TEST_CASE("score: an author whose items are reported falls, for everybody; one that a viewer likes rises for them") {
  Scorer scorer{{"near"}, {.slots_log2 = 16}};
  const Example usual = said(0.5F, 0);
  Example reported = usual;
  reported.author = UserId{7};
  Example liked = usual;
  liked.author = UserId{8};
  liked.viewer = UserId{100};
  for (int i = 0; i < 50; ++i) {
    scorer.learn(usual, only(Outcome::complete));
    scorer.learn(reported, only(Outcome::report));
    scorer.learn(liked, only(Outcome::complete) | only(Outcome::like));
    Example stranger = liked;
    stranger.viewer = UserId{200 + static_cast<std::uint64_t>(i)};
    scorer.learn(stranger, only(Outcome::skip));
  }
  CHECK(scorer.score(reported) < scorer.score(usual) - 0.5F);
  Example stranger = liked;
  stranger.viewer = UserId{999};
  CHECK(scorer.score(liked) > scorer.score(stranger) + 0.3F);
}

TEST_CASE("score: that short videos are completed more often does not put them first") {
  Scorer scorer{{"near"}, kSmall};
  Example brief = said(0.5F, 0);
  brief.duration_ms = 5000;
  Example lengthy = said(0.5F, 0);
  lengthy.duration_ms = 180'000;
  for (int i = 0; i < 400; ++i) {
    scorer.learn(brief, i % 10 < 9 ? only(Outcome::complete) : only(Outcome::skip));
    scorer.learn(lengthy, i % 10 < 2 ? only(Outcome::complete) : Outcomes{});
  }
  CHECK(scorer.score(brief) == doctest::Approx(scorer.score(lengthy)));
}

TEST_CASE("score: the terms add up to the score, the largest first") {
  Scorer scorer{{"near", "popular"}, kSmall};
  std::minstd_rand random{3};
  std::uniform_real_distribution<float> any{0, 1};
  const auto draw = [&] {
    Example example = said(any(random), any(random));
    example.viewer = UserId{1 + random() % 5};
    example.item = ItemId{1 + random() % 30};
    example.author = UserId{1 + random() % 10};
    example.topics = {TopicId{1 + random() % 4}};
    example.duration_ms = static_cast<std::int64_t>(random() % 90'000);
    example.age_ms = static_cast<std::int64_t>(random() % 90'000'000);
    example.hour = static_cast<int>(random() % 24);
    return example;
  };
  for (int i = 0; i < 500; ++i) scorer.learn(draw(), Outcomes{random() % 64});
  for (int i = 0; i < 50; ++i) {
    const Example example = draw();
    const auto terms = scorer.explain(example);
    const float sum = std::accumulate(terms.begin(), terms.end(), 0.0F,
                                      [](float all, const Term& term) { return all + term.amount; });
    CHECK(sum == doctest::Approx(scorer.score(example)).epsilon(1e-3));
    CHECK(std::ranges::is_sorted(terms, std::greater{}, &Term::amount));
  }
}

TEST_CASE("score: whatever an example holds, and however often, scores stay finite") {
  Scorer scorer{{"near", "popular"}, {.slots_log2 = kSlotsLog2Min, .rate = 1, .sparse_rate = 1}};
  const float infinity = std::numeric_limits<float>::infinity();
  const std::array<float, 6> hostile{infinity, -infinity, std::nanf(""), 1e38F, -1e38F, 0};
  std::minstd_rand random{4};
  for (int i = 0; i < 5000; ++i) {
    Example example = said(hostile[random() % 6], hostile[random() % 6]);
    example.evidence.place = {hostile[random() % 6], 1};
    example.item = ItemId{~std::uint64_t{0}};
    example.duration_ms = std::numeric_limits<std::int64_t>::min() + static_cast<std::int64_t>(random() % 2);
    example.age_ms = std::numeric_limits<std::int64_t>::max();
    example.hour = static_cast<int>(random());
    scorer.learn(example, Outcomes{random() % 64}, kLearnWeightMax);
    scorer.learn_choice(std::array{example, said(1, 1)}, random() % 2, kLearnWeightMax);
    REQUIRE(std::isfinite(scorer.score(example)));
    REQUIRE(std::isfinite(scorer.score(said(0.5F, 0.5F))));
  }
}

Scorer learned() {
  Scorer scorer{{"near", "popular"}, kSmall};
  std::minstd_rand random{5};
  for (int i = 0; i < 6; ++i) {
    Example example = said(0.2F, static_cast<float>(i) / 6);
    example.item = ItemId{1 + random()};
    scorer.learn(example, Outcomes{random() % 64});
  }
  return scorer;
}

TEST_CASE("score: a snapshot makes the same scorer again, which goes on learning the same") {
  Scorer one = learned();
  Scorer other{{"near", "popular"}, kSmall};
  REQUIRE(other.restore(one.snapshot()));
  CHECK(other.learned() == one.learned());
  CHECK(other.snapshot() == one.snapshot());
  one.learn(said(0.3F, 0.3F), only(Outcome::like));
  other.learn(said(0.3F, 0.3F), only(Outcome::like));
  CHECK(other.snapshot() == one.snapshot());
  CHECK(other.score(said(0.5F, 0.1F)) == one.score(said(0.5F, 0.1F)));
}

TEST_CASE("score: a damaged snapshot is refused, and the scorer stays as it was") {
  const Bytes whole = learned().snapshot();
  Scorer scorer{{"near", "popular"}, kSmall};
  const Bytes before = scorer.snapshot();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    REQUIRE(scorer.restore(ByteSpan{whole}.first(size)).error().code == Code::malformed);
  }
  for (std::size_t at = 0; at < whole.size(); ++at) {
    Bytes damaged = whole;
    damaged[at] ^= std::byte{0x10};
    REQUIRE(scorer.restore(damaged).error().code == Code::malformed);
  }
  CHECK(scorer.snapshot() == before);
}

TEST_CASE("score: a snapshot of other sources or of another size is refused") {
  const Bytes whole = learned().snapshot();
  CHECK(Scorer({"near"}, kSmall).restore(whole).error().code == Code::conflict);
  CHECK(Scorer({"near", "other"}, kSmall).restore(whole).error().code == Code::conflict);
  const ScorerOptions larger{.slots_log2 = kSlotsLog2Min + 1};
  CHECK(Scorer({"near", "popular"}, larger).restore(whole).error().code == Code::conflict);
}

TEST_CASE("score: options are checked at the bound and one past it") {
  CHECK(check(ScorerOptions{}));
  CHECK(check({.slots_log2 = kSlotsLog2Max}));
  CHECK_FALSE(check({.slots_log2 = kSlotsLog2Max + 1}));
  CHECK_FALSE(check({.slots_log2 = kSlotsLog2Min - 1}));
  CHECK(check({.weights = {.like = kOutcomeWeightMax}}));
  CHECK_FALSE(check({.weights = {.like = kOutcomeWeightMax + 1}}));
  CHECK_FALSE(check({.weights = {.report = std::nanf("")}}));
  CHECK_FALSE(check({.rate = 0}));
  CHECK_FALSE(check({.rate = 1.1F}));
  CHECK_FALSE(check({.sparse_rate = 0}));
  CHECK_FALSE(check({.sparse_l1 = -1}));
}

TEST_CASE("scorer: what viewers teach of authors moves others' as often up as down, where they share a slot") {
  Scorer scorer{{"a"}, {.slots_log2 = kSlotsLog2Min}};
  const auto pair = [](std::uint64_t number) {
    Example example;
    example.viewer = UserId{1'000'000 + number};
    example.author = UserId{2'000'000 + number};
    return example;
  };
  Outcomes liked;
  liked.set(static_cast<std::size_t>(Outcome::like));
  for (std::uint64_t i = 0; i < 3000; ++i) scorer.learn(pair(i), liked);
  int up = 0;
  int down = 0;
  for (std::uint64_t i = 5000; i < 6000; ++i) {
    for (const Term& term : scorer.explain(pair(i))) {
      if (term.name == "you_and_author") ++(term.amount > 0 ? up : down);
    }
  }
  CHECK(up + down > 500);
  CHECK(std::min(up, down) > 200);
}

}  // namespace
}  // namespace ribalta::feed
