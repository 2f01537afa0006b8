#include "control-plane/feed/ials.h"

#include <doctest/doctest.h>

#include <cmath>

#include "control-plane/feed/source_check.h"

namespace ribalta::feed {
namespace {

float distance(const Factors& a, const Factors& b) {
  float sum = 0;
  for (std::size_t i = 0; i < kFactors; ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum);
}
float length(const Factors& a) { return distance(a, Factors{}); }

}  // namespace

TEST_CASE("ials: two tastes that never meet stay apart") {
  std::vector<Interaction> events;
  for (ViewerIndex viewer = 0; viewer < 20; ++viewer) {
    for (ItemIndex item = 0; item < 10; ++item) {
      if (viewer % 2 == item % 2 && item != viewer % 10) events.push_back({viewer, item});
    }
  }
  const Ials ials{Matrix{events}, {}};
  const std::vector<Seen> history{{0, 1, 0}, {2, 1, 1}};
  const std::vector<float> scores = testing::scores_of(ials, history, 10);
  for (ItemIndex item = 4; item < 10; item += 2) CHECK(scores[item] > 4 * std::abs(scores[item + 1]));
}

TEST_CASE("ials: any number of threads makes the same, bit for bit, and another seed something else") {
  const Matrix matrix{testing::small_world(61, 37)};
  const Ials one{matrix, {.sweeps = 4, .threads = 1}};
  const Ials two{matrix, {.sweeps = 4, .threads = 2}};
  const Ials many{matrix, {.sweeps = 4, .threads = 100}};
  const Ials other{matrix, {.sweeps = 4, .seed = 2}};
  for (ItemIndex item = 0; item < 37; ++item) {
    CHECK(one.item(item) == two.item(item));
    CHECK(one.item(item) == many.item(item));
  }
  CHECK(one.item(0) != other.item(0));
}

TEST_CASE("ials: an item folded in from its audience gets what training gave it") {
  const Matrix matrix{testing::small_world(60, 40)};
  Ials ials{matrix, {.sweeps = 60}};
  for (const ItemIndex item : {ItemIndex{0}, ItemIndex{7}, ItemIndex{39}}) {
    std::vector<std::span<const Seen>> histories;
    for (const Watcher& watcher : matrix.audience(item)) histories.push_back(matrix.history(watcher.viewer));
    const Factors trained = ials.item(item);
    ials.learn_item(item, histories);
    CHECK(distance(ials.item(item), trained) < 0.05F * length(trained));
  }
}

TEST_CASE("ials: a new item is found by those who resemble its first viewers") {
  const Matrix matrix{testing::small_world(60, 40)};
  Ials ials{matrix, {}};
  std::vector<std::span<const Seen>> histories;
  for (ViewerIndex viewer = 0; viewer < 20; viewer += 2) histories.push_back(matrix.history(viewer));
  CHECK(ials.item(100) == Factors{});
  ials.learn_item(100, histories);
  CHECK(ials.item(100) != Factors{});
  CHECK(testing::scores_of(ials, matrix.history(40), 101)[100] >
        testing::scores_of(ials, matrix.history(41), 101)[100]);
  ials.learn_item(kMatrixItemsMax, histories);
  ials.learn_item(200, {});
  CHECK(ials.item(kMatrixItemsMax) == Factors{});
  CHECK(ials.item(200) == Factors{});
  const std::vector<Seen> of_it{{100, 1, 0}};
  CHECK(ials.viewer(of_it) != Factors{});
  CHECK(testing::found_by(ials, matrix.history(40), 101).size() == 41);  // each once, the new one too
  CHECK(ials.items() == 40);
}

TEST_CASE("ials: what is found of a taste does not shrink to nothing where there are many more items") {
  std::vector<Interaction> events = testing::small_world(60, 40);
  events.push_back({60, kIalsItemsWhole - 1});
  const auto best = [&events] {
    const Matrix matrix{events};
    const Ials ials{matrix, {.regularisation = 0.03F, .sweeps = 4}};
    return testing::found_by(ials, matrix.history(3), 1).at(0).score;
  };
  const float among_few = best();
  events.push_back({60, 20 * kIalsItemsWhole});
  CHECK(best() > among_few / 2);
}

TEST_CASE("ials: what it finds is what it scores, and strangers get nothing") {
  const Matrix matrix{testing::small_world(40, 30)};
  const Ials ials{matrix, {}};
  testing::check_agrees(ials, matrix.history(3), 30);
  CHECK(testing::found_by(ials, {}, 10).empty());
}

TEST_CASE("ials: withstands what nobody sane would train it on") {
  for (const float value : {NAN, -1.0F, 0.0F, INFINITY}) {
    const IalsOptions options{.regularisation = value, .unobserved_weight = value, .sweeps = 3, .threads = 0};
    Ials ials{Matrix{testing::hostile_events()}, options};
    testing::check_withstands(ials, 5);
    const std::vector<Seen> history = testing::hostile_history();
    const std::vector<std::span<const Seen>> histories(3, history);
    ials.learn_item(2, histories);
    testing::check_withstands(ials, 5);
    testing::check_withstands(Ials{Matrix{}, options}, 0);
  }
}

}  // namespace ribalta::feed
