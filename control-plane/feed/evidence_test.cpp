#include "control-plane/feed/evidence.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

namespace ribalta::feed {
namespace {

std::vector<Evidence> weighed(const std::vector<float>& scores) {
  std::vector<Evidence> evidence(scores.size());
  weigh(0, scores, evidence);
  return evidence;
}

TEST_CASE("evidence: two sources on different scales say the same where their order and distances are the same") {
  const auto small = weighed({1, 2, 3, 5});
  const auto large = weighed({1000, 2000, 3000, 5000});
  for (std::size_t i = 0; i < small.size(); ++i) {
    CHECK(small[i].score[0] == doctest::Approx(large[i].score[0]));
    CHECK(small[i].place == large[i].place);
  }
}

TEST_CASE("evidence: the best has place 1, equals share one, and what the source does not know has none") {
  const auto evidence = weighed({3, 0, 7, 3});
  CHECK(evidence[2].place[0] == 1);
  CHECK(evidence[0].place[0] == evidence[3].place[0]);
  CHECK(evidence[0].place[0] < 1);
  CHECK(evidence[1].place[0] == 0);
  CHECK(evidence[1].score[0] == 0);
}

TEST_CASE("evidence: scores that are all the same, one alone, or none say nothing") {
  for (const Evidence& one : weighed({4, 4, 4})) CHECK(one == Evidence{});
  for (const Evidence& one : weighed({4})) CHECK(one == Evidence{});
  CHECK(weighed({}).empty());
}

TEST_CASE("evidence: what is not finite counts as unknown, what is huge is cut off") {
  const float infinity = std::numeric_limits<float>::infinity();
  const auto evidence = weighed({std::nanf(""), infinity, -infinity, 3e38F, 1, 2});
  for (std::size_t i = 0; i < 3; ++i) CHECK(evidence[i] == Evidence{});
  for (const Evidence& one : evidence) CHECK(std::abs(one.score[0]) <= kScoreDeviationsMax);
  CHECK(evidence[3].place[0] == 1);
}

}  // namespace
}  // namespace ribalta::feed
