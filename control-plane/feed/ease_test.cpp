#include "control-plane/feed/ease.h"

#include <doctest/doctest.h>

#include <cmath>

#include "control-plane/feed/source_check.h"

namespace ribalta::feed {

TEST_CASE("ease: two items, by hand") {
  // X'X + I = (4 2; 2 3), its inverse (3 -2; -2 4) / 8.
  const Matrix matrix{std::vector<Interaction>{{0, 0}, {0, 1}, {1, 0}, {1, 1}, {2, 0}}};
  const Ease ease{matrix, {.regularisation = 1}};
  REQUIRE(ease.weights(0).size() == 1);
  CHECK(ease.weights(0)[0].item == 1);
  CHECK(ease.weights(0)[0].weight == doctest::Approx(0.5));
  CHECK(ease.weights(1)[0].weight == doctest::Approx(2.0 / 3));
  const std::vector<Seen> history{{0, 2, 0}};
  CHECK(testing::scores_of(ease, history, 2)[1] == doctest::Approx(1.0));
  CHECK(testing::scores_of(ease, history, 2)[0] == 0);
}

TEST_CASE("ease: weights solve the normal equations, also where the inverse is made of blocks") {
  // (X'X + λI) B = diagonal, off the diagonal: sum over k of G(i,k) B(k,j) is 0 for i ≠ j, where G has λ and B(j,j) is
  // -1.
  constexpr ItemIndex kItems = 150;
  constexpr float kLambda = 5;
  const std::vector<Interaction> events = testing::small_world(60, kItems);
  const Matrix matrix{events};
  const Ease ease{matrix, {.regularisation = kLambda, .weights_per_item = kItems}};
  std::vector<std::vector<double>> b(kItems, std::vector<double>(kItems));
  std::vector<std::vector<double>> g = b;
  for (ItemIndex i = 0; i < kItems; ++i) {
    b[i][i] = -1;
    g[i][i] = double{kLambda};
    for (const Neighbour& neighbour : ease.weights(i)) b[i][neighbour.item] = static_cast<double>(neighbour.weight);
  }
  for (ViewerIndex viewer = 0; viewer < matrix.viewers(); ++viewer) {
    for (const Seen& one : matrix.history(viewer)) {
      for (const Seen& other : matrix.history(viewer)) g[one.item][other.item] += 1;
    }
  }
  double worst = 0;
  for (ItemIndex i = 0; i < kItems; ++i) {
    for (ItemIndex j = 0; j < kItems; ++j) {
      if (i == j) continue;
      double sum = 0;
      for (ItemIndex k = 0; k < kItems; ++k) sum += g[i][k] * b[k][j];
      worst = std::max(worst, std::abs(sum));
    }
  }
  CHECK(worst < 1e-3);
}

TEST_CASE("ease: only the most watched items take part, and only so many weights of each are kept") {
  const Matrix matrix{testing::small_world(40, 30)};
  const Ease ease{matrix, {.items = 10, .weights_per_item = 4}};
  const std::vector<ItemIndex> head = matrix.most_watched(10);
  for (ItemIndex item = 0; item < 30; ++item) {
    const bool in_head = std::ranges::find(head, item) != head.end();
    CHECK(ease.weights(item).size() == (in_head ? 4 : 0));
  }
}

TEST_CASE("ease: what it finds is what it scores, and strangers get nothing") {
  const Matrix matrix{testing::small_world(40, 30)};
  const Ease ease{matrix, {}};
  testing::check_agrees(ease, matrix.history(3), 30);
  CHECK(testing::found_by(ease, {}, 10).empty());
}

TEST_CASE("ease: withstands what nobody sane would train it on") {
  for (const float regularisation : {NAN, -1.0F, 0.0F, INFINITY}) {
    testing::check_withstands(Ease{Matrix{testing::hostile_events()}, {.regularisation = regularisation}}, 5);
    testing::check_withstands(Ease{Matrix{}, {.regularisation = regularisation}}, 0);
  }
}

}  // namespace ribalta::feed
