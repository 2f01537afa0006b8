#include "control-plane/feed/matrix.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "control-plane/feed/source_check.h"

namespace ribalta::feed {

TEST_CASE("matrix: a history is oldest first, an item once with its last time and its greatest weight") {
  const std::vector<Interaction> events{{1, 5, 2, 30}, {1, 3, 1, 20}, {1, 5, 1, 10}, {1, 4, 1, 20}};
  const Matrix matrix{events};
  CHECK(matrix.viewers() == 2);
  CHECK(matrix.items() == 6);
  CHECK(matrix.history(0).empty());
  CHECK(std::ranges::equal(matrix.history(1), std::vector<Seen>{{3, 1, 20}, {4, 1, 20}, {5, 2, 30}}));
  CHECK(std::ranges::equal(matrix.audience(5), std::vector<Watcher>{{1, 2}}));
  CHECK(matrix.left_out() == 1);
  CHECK(matrix.history(2).empty());
  CHECK(matrix.audience(6).empty());
}

TEST_CASE("matrix: the order in which events come changes nothing") {
  std::vector<Interaction> events = testing::small_world(20, 15);
  const Matrix forward{events};
  std::ranges::reverse(events);
  const Matrix backward{events};
  for (ViewerIndex viewer = 0; viewer < 20; ++viewer) {
    CHECK(std::ranges::equal(forward.history(viewer), backward.history(viewer)));
  }
  for (ItemIndex item = 0; item < 15; ++item) {
    CHECK(std::ranges::equal(forward.audience(item), backward.audience(item)));
  }
}

TEST_CASE("matrix: what no model could use is left out") {
  const Matrix nothing{std::vector<Interaction>{}};
  CHECK(nothing.viewers() == 0);
  CHECK(nothing.items() == 0);
  const Matrix bad{std::vector<Interaction>{
      {0, 0, NAN, 0}, {0, 0, -1, 0}, {0, 0, 0, 0}, {kMatrixViewersMax, 0, 1, 0}, {0, kMatrixItemsMax, 1, 0}}};
  CHECK(bad.pairs() == 0);
  CHECK(bad.left_out() == 5);
  const Matrix last{std::vector<Interaction>{{0, kMatrixItemsMax - 1, INFINITY, 0}}};
  CHECK(last.items() == kMatrixItemsMax);
  CHECK(last.history(0)[0].weight == kWeightMax);
}

TEST_CASE("matrix: of a history beyond the limit the newest stay") {
  std::vector<Interaction> events;
  for (ItemIndex item = 0; item <= kHistoryItemsMax; ++item) events.push_back({0, item, 1, item});
  const Matrix matrix{events};
  CHECK(matrix.history(0).size() == kHistoryItemsMax);
  CHECK(matrix.history(0).front().item == 1);
}

TEST_CASE("matrix: the most watched, of two alike the lower index") {
  const Matrix matrix{std::vector<Interaction>{{0, 2, 1, 0}, {1, 2, 1, 0}, {0, 4, 1, 0}, {1, 1, 1, 0}}};
  CHECK(matrix.most_watched(9) == std::vector<ItemIndex>{2, 1, 4});
  CHECK(matrix.most_watched(2) == std::vector<ItemIndex>{2, 1});
}

}  // namespace ribalta::feed
