// The small sources: neighbours, transitions, popularity, and any of them asked about now.
#include <doctest/doctest.h>

#include <cmath>
#include <stdexcept>

#include "control-plane/feed/itemknn.h"
#include "control-plane/feed/models.h"
#include "control-plane/feed/neighbours.h"
#include "control-plane/feed/popularity.h"
#include "control-plane/feed/recency.h"
#include "control-plane/feed/source_check.h"
#include "control-plane/feed/transitions.h"

namespace ribalta::feed {

TEST_CASE("itemknn: cosine and shrinking, by hand") {
  const Matrix matrix{std::vector<Interaction>{{0, 0}, {0, 1}, {1, 0}, {1, 1}, {2, 0}, {2, 2}}};
  const std::vector<Seen> history{{1, 1, 0}};
  const ItemKnn cosine{matrix, {.neighbours = 10, .shrink = 0}};
  CHECK(testing::scores_of(cosine, history, 3)[0] == doctest::Approx(2 / std::sqrt(6.0)));
  CHECK(testing::scores_of(cosine, history, 3)[2] == 0);
  const ItemKnn shrunk{matrix, {.neighbours = 10, .shrink = 5}};
  CHECK(testing::scores_of(shrunk, history, 3)[0] == doctest::Approx(2 / (std::sqrt(6.0) + 5)));
}

TEST_CASE("itemknn: an item listens to its nearest alone") {
  const Matrix matrix{std::vector<Interaction>{{0, 0}, {0, 1}, {1, 0}, {1, 1}, {2, 0}, {2, 2}}};
  const ItemKnn nearest{matrix, {.neighbours = 1, .shrink = 0}};
  CHECK(testing::scores_of(nearest, std::vector<Seen>{{2, 1, 0}}, 3)[0] == 0);  // 0 listens to 1
  CHECK(testing::scores_of(nearest, std::vector<Seen>{{0, 1, 0}}, 3)[2] > 0);
}

TEST_CASE("neighbours: items that no row names are passed over, and one question leaves nothing to the next") {
  Neighbours few;  // of 1000 items three are named
  few.append(2, {{900, 4}, {7, -1}});
  few.append(900, {{7, 1}, {500, 2}});
  few.finish(1000);
  CHECK(few.row(2) == std::vector<Neighbour>{{7, -1}, {900, 4}});
  CHECK(few.row(7).empty());
  CHECK(few.row(1000).empty());
  Neighbours many;
  for (ItemIndex item = 0; item < 2000; ++item) many.append(item, {{(item + 1) % 2000, 1}});
  many.finish(2000);

  const std::vector<Seen> history{{2, 0.5F, 0}, {900, 1, 0}, {7, 1, 0}, {1500, 1, 0}, {0, 1, 0}, {1, 1, 0}};
  const std::vector<ItemIndex> asked{900, 3, 7, 999, 900, 500, 1000, 0xFFFFFFFF, 0, 1, 2};  // both use places 0 to 2
  const Allowed throws = [](ItemIndex) -> bool { throw std::runtime_error{"says the test"}; };
  for (int again = 0; again < 2; ++again) {
    std::vector<float> scores(asked.size(), -1);
    few.score(history, asked, scores);
    CHECK(scores == std::vector<float>{2, 0, 0.5F, 0, 2, 2, 0, 0, 0, 0, 0});
    std::vector<Candidate> found;
    CHECK_THROWS(few.find(history, 10, throws, found));
    few.find(history, 10, {}, found);
    CHECK(found == std::vector<Candidate>{{500, 2}, {900, 2}, {7, 0.5F}});
    found.clear();
    many.find(history, 10, {}, found);
    CHECK(found == std::vector<Candidate>{{1, 1}, {2, 1}, {8, 1}, {901, 1}, {1501, 1}, {3, 0.5F}});
    many.score(history, asked, scores);
    CHECK(scores == std::vector<float>{0, 0.5F, 0, 0, 0, 0, 0, 0, 0, 1, 1});
  }
}

TEST_CASE("transitions: counts of the last items, by hand") {
  Transitions transitions{{.reach = 3, .decay = 0.5F, .shrink = 1}};
  transitions.learn(Matrix{std::vector<Interaction>{{0, 0, 1, 1}, {0, 1, 1, 2}, {0, 2, 1, 3}}});
  // 0 → 1 once, 1 → 2 once, 0 → 2 half.
  CHECK(testing::scores_of(transitions, std::vector<Seen>{{1, 1, 0}}, 3) == std::vector<float>{0, 0, 0.5F});
  const std::vector<float> both = testing::scores_of(transitions, std::vector<Seen>{{0, 1, 0}, {1, 1, 1}}, 3);
  CHECK(both[1] == doctest::Approx(0.5 * 1 / 2.5));
  CHECK(both[2] == doctest::Approx(0.5 + 0.5 * 0.5 / 2.5));
}

TEST_CASE("transitions: event by event is the same as all at once") {
  const Matrix matrix{testing::small_world(30, 20)};
  Transitions at_once{{}};
  at_once.learn(matrix);
  Transitions one_by_one{{}};
  for (ViewerIndex viewer = 0; viewer < matrix.viewers(); ++viewer) {
    const std::span<const Seen> history = matrix.history(viewer);
    for (std::size_t i = 0; i < history.size(); ++i) one_by_one.learn(history.first(i), history[i]);
  }
  CHECK(testing::scores_of(at_once, matrix.history(2), 20) == testing::scores_of(one_by_one, matrix.history(2), 20));
}

TEST_CASE("transitions: a new follower takes the rarest one's place once it has come more often") {
  Transitions transitions{{.reach = 1, .decay = 1, .shrink = 0}};
  const std::vector<Seen> from{{0, 1, 0}};
  for (ItemIndex item = 1; item <= kFollowersMax; ++item) transitions.learn(from, {item, 2, 0});
  const ItemIndex late = kFollowersMax + 1;
  transitions.learn(from, {late, 1, 0});
  CHECK(testing::scores_of(transitions, from, late + 1)[late] == 0);
  transitions.learn(from, {late, 1, 0});
  CHECK(testing::scores_of(transitions, from, late + 1)[late] > 0);
  CHECK(testing::found_by(transitions, from, 1000).size() == kFollowersMax);
}

TEST_CASE("popularity: half of what counts is gone after each half-life, in any order of events") {
  const std::vector<Interaction> events{{0, 0, 1, 0}, {1, 0, 1, 1000}, {0, 1, 2, 1000}};
  for (const bool backwards : {false, true}) {
    Popularity popularity{std::chrono::seconds{1}};
    for (std::size_t i = 0; i < events.size(); ++i) popularity.learn(events[backwards ? events.size() - 1 - i : i]);
    const std::vector<float> now = testing::scores_of(popularity, {}, 2, 1000);
    CHECK(now[0] == doctest::Approx(std::log1p(1.5)));
    CHECK(now[1] == doctest::Approx(std::log1p(2)));
    CHECK(testing::scores_of(popularity, {}, 2, 3000)[0] == doctest::Approx(std::log1p(1.5 / 4)));
    CHECK(testing::found_by(popularity, {}, 1, {}, 1000) == std::vector<Candidate>{{1, now[1]}});
  }
}

TEST_CASE("recency: the newest counts whole, what is a half-life older half, and all at least the floor") {
  CHECK(recency_weight({}, 100) == 1);
  CHECK(recency_weight({.half_life_items = NAN}, 100) == 1);
  CHECK(recency_weight({.half_life_items = 2}, 0) == 1);
  CHECK(recency_weight({.half_life_items = 2}, 2) == 0.5F);
  CHECK(recency_weight({.half_life_items = 2, .floor = 0.5F}, 2) == 0.75F);
  CHECK(recency_weight({.half_life_items = 2, .floor = 0.5F}, 10'000) == 0.5F);
}

TEST_CASE("recency: a source asked about now weighs its history") {
  const Matrix matrix{testing::small_world(30, 20)};
  const ItemKnn plain{matrix, {}};
  const Recent now{plain, "now", {.half_life_items = 1}};
  const std::vector<Seen> history{{0, 1, 0}, {1, 1, 1}};
  const std::vector<Seen> weighted{{0, 0.5F, 0}, {1, 1, 1}};
  CHECK(testing::scores_of(now, history, 20) == testing::scores_of(plain, weighted, 20));
  CHECK(now.name() == "now");
  testing::check_agrees(now, history, 20);
}

TEST_CASE("models: every source finds what it scores, and withstands what nobody sane would train it on") {
  const Matrix matrix{testing::small_world(40, 30)};
  const Models models{matrix, {}};
  for (const Source* source : models.sources()) {
    CAPTURE(source->name());
    testing::check_agrees(*source, matrix.history(3), 30);
    for (const char letter : source->name()) CHECK((letter == '_' || (letter >= 'a' && letter <= 'z')));
  }
  const Models hostile{Matrix{testing::hostile_events()}, {}};
  const Models nothing{Matrix{}, {}};
  for (const Source* source : hostile.sources()) testing::check_withstands(*source, 5);
  for (const Source* source : nothing.sources()) testing::check_withstands(*source, 0);
}

}  // namespace ribalta::feed
