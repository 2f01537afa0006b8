#include "control-plane/feed/evaluate.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

#include "control-plane/feed/ease.h"
#include "control-plane/feed/ials.h"
#include "control-plane/feed/itemknn.h"
#include "control-plane/feed/popularity.h"
#include "control-plane/feed/source_check.h"

namespace ribalta::feed {
namespace {

/// A file in RIBALTA_TEST_DATA or its folder `recsys`; nothing, with a message, where there is none.
std::optional<std::string> data_file(const std::string& name) {
  const char* folder = std::getenv("RIBALTA_TEST_DATA");  // NOLINT(concurrency-mt-unsafe): one thread
  for (const char* within : {"/", "/recsys/"}) {
    std::ifstream file{std::string{folder == nullptr ? "" : folder} + within + name, std::ios::binary};
    if (file) return std::string{std::istreambuf_iterator<char>{file}, {}};
  }
  REQUIRE_MESSAGE(folder == nullptr, "RIBALTA_TEST_DATA has no ", name);
  MESSAGE("skipped: RIBALTA_TEST_DATA names no folder with ", name);
  return std::nullopt;
}

/// By which share of the figure found elsewhere ours is another.
double off(double ours, double elsewhere) { return std::abs(ours / elsewhere - 1); }

}  // namespace

TEST_CASE("evaluate: one held item, by hand") {
  const std::vector<Candidate> ranking{{3, 9}, {1, 8}, {2, 7}};
  Quality sums;
  add_ranking(sums, ranking, std::vector<ItemIndex>{1});
  add_ranking(sums, ranking, std::vector<ItemIndex>{7});
  const Quality quality = mean(sums);
  CHECK(quality.viewers == 2);
  CHECK(quality.mrr == doctest::Approx(0.25));
  for (const AtCutoff& at : quality.at) {
    CHECK(at.hits == doctest::Approx(0.5));
    CHECK(at.ndcg == doctest::Approx(0.5 / std::log2(3.0)));
    CHECK(at.recall == doctest::Approx(0.5));
  }
  CHECK(quality.at[0].precision == doctest::Approx(0.1));
}

TEST_CASE("evaluate: many held items, of which the cutoff sees some") {
  std::vector<Candidate> ranking;
  for (ItemIndex item = 0; item < 30; ++item) ranking.push_back({item, -static_cast<float>(item)});
  Quality quality;
  add_ranking(quality, ranking, std::vector<ItemIndex>{0, 4, 5, 19, 20});
  CHECK(quality.at[0].precision == doctest::Approx(2.0 / 5));
  CHECK(quality.at[1].recall == doctest::Approx(3.0 / 5));
  CHECK(quality.at[2].precision == doctest::Approx(4.0 / 20));
  const double ideal = 1 + 1 / std::log2(3.0) + 0.5 + 1 / std::log2(5.0) + 1 / std::log2(6.0);
  CHECK(quality.at[0].ndcg == doctest::Approx((1 + 1 / std::log2(6.0)) / ideal));
}

TEST_CASE("evaluate: the last item is held back, and whoever has only one keeps it") {
  const std::vector<Interaction> events{{0, 1, 1, 5}, {0, 2, 1, 9}, {0, 3, 1, 9}, {1, 1, 1, 1}};
  const Split split = split_last(events);
  CHECK(split.held == std::vector<Held>{{0, {3}}});
  CHECK(split.training.size() == 3);
}

TEST_CASE("evaluate: an event that comes twice is held back twice") {
  const std::vector<Interaction> events{{0, 1, 1, 5}, {0, 2, 1, 9}, {0, 2, 1, 3}};
  CHECK(split_last(events).training.size() == 1);
}

TEST_CASE("evaluate: a random split holds the share, is the same for the same seed, and empties nobody") {
  const std::vector<Interaction> events = testing::small_world(30, 40);
  const Split split = split_random(events, 0.25, 1);
  CHECK(split.held == split_random(events, 0.25, 1).held);
  CHECK(split.held != split_random(events, 0.25, 2).held);
  const Matrix all{events};
  const Matrix training{split.training};
  for (const Held& held : split.held) {
    const std::size_t count = all.history(held.viewer).size();
    CHECK(held.items.size() == static_cast<std::size_t>(std::round(0.25 * static_cast<double>(count))));
    CHECK(training.history(held.viewer).size() == count - held.items.size());
  }
  CHECK(split_random(events, 1, 1).held.empty());
  CHECK(split_random({}, 0.25, 1).held.empty());
}

TEST_CASE("evaluate: what a viewer has seen in training is not ranked") {
  const std::vector<Interaction> events{{0, 0, 1, 1}, {0, 1, 1, 2}, {1, 0, 1, 1}, {2, 0, 1, 1}};
  Popularity popularity{std::chrono::milliseconds{0}};
  const Split split = split_last(events);
  const Matrix training{split.training};
  popularity.learn(Matrix{events});
  CHECK(evaluate(popularity, training, split.held).mrr == 1);
}

TEST_CASE("evaluate: leaving the last of ml-100k out is what others have left out") {
  const auto text = data_file("ml-100k/ml-100k.inter");
  const auto held_text = data_file("ml-100k/loo-temporal.tsv");
  if (!text || !held_text) return;
  const Result<Dataset> dataset = read_dataset(*text);
  REQUIRE(dataset);
  const Split test = split_last(dataset->events);
  const Split validation = split_last(test.training);
  REQUIRE(test.held.size() == 943);
  std::string lines;
  for (std::size_t i = 0; i < test.held.size(); ++i) {
    lines += dataset->viewers[test.held[i].viewer] + '\t' + dataset->items[validation.held[i].items[0]] + '\t' +
             dataset->items[test.held[i].items[0]] + '\n';
  }
  CHECK(lines == *held_text);
}

TEST_CASE("evaluate: the models' figures on ml-100k are what they were found to be elsewhere") {
  const auto text = data_file("ml-100k/ml-100k.inter");
  const auto pairs_text = data_file("ml-100k/random-75-25-seed42-test.tsv");
  if (!text || !pairs_text) return;
  const Result<Dataset> dataset = read_dataset(*text);
  REQUIRE(dataset);
  const Result<std::vector<Pair>> pairs = read_pairs(*pairs_text, *dataset);
  REQUIRE(pairs);
  const Split split = split_pairs(dataset->events, *pairs);
  const Matrix training{split.training};
  Popularity popularity{std::chrono::milliseconds{0}};
  popularity.learn(training);
  const Quality popular = evaluate(popularity, training, split.held);
  CHECK(off(popular.at[1].ndcg, 0.2504) < 0.01);
  CHECK(off(popular.at[1].precision, 0.2290) < 0.01);
  CHECK(off(popular.at[1].recall, 0.1133) < 0.01);
  const Quality near = evaluate(ItemKnn{training, {.neighbours = 100, .shrink = 50}}, training, split.held);
  CHECK(off(near.at[1].ndcg, 0.4225) < 0.01);
  CHECK(off(near.at[1].precision, 0.3694) < 0.01);
  CHECK(off(near.at[1].recall, 0.1953) < 0.01);
  const Quality ease = evaluate(Ease{training, {.weights_per_item = kEaseItemsMax}}, training, split.held);
  CHECK(off(ease.at[1].ndcg, 0.4796) < 0.01);
  const Quality ials = evaluate(Ials{training, {.unobserved_weight = 0.1F, .threads = 2}}, training, split.held);
  CHECK(off(ials.at[1].ndcg, 0.4306) < 0.04);
}

}  // namespace ribalta::feed
