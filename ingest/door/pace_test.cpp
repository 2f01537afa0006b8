#include "ingest/door/pace.h"

#include <doctest/doctest.h>

using namespace ribalta::ingest;
using namespace std::chrono_literals;

namespace {

SteadyTime at(std::chrono::milliseconds time) { return SteadyTime{time}; }

}  // namespace

TEST_CASE("pace: few publishers on a loop are read as their bytes come") {
  Pace pace{2};
  for (std::size_t i = 0; i < 2 * kUnhurriedPublishers; ++i) pace.joined();
  CHECK(pace.next(at(1'003ms)) == at(1'003ms));
}

TEST_CASE("pace: each publisher beyond adds to the pause, up to the longest, and pauses end together") {
  Pace pace{2};
  for (std::size_t i = 0; i < 2 * (kUnhurriedPublishers + 15); ++i) pace.joined();
  CHECK(pace.next(at(1'003ms)) == at(1'020ms));  // 15 ms, and to the grid
  CHECK(pace.next(at(1'005ms)) == at(1'020ms));
  CHECK(pace.next(at(1'006ms)) == at(1'030ms));
  for (int i = 0; i < 1'000; ++i) pace.joined();
  CHECK(pace.next(at(1'000ms)) == at(1'080ms));
  CHECK(pace.next(at(1'001ms)) == at(1'090ms));
}

TEST_CASE("pace: those who leave are no longer waited for") {
  Pace pace{1};
  for (int i = 0; i < 100; ++i) pace.joined();
  CHECK(pace.next(at(0ms)) == at(80ms));
  for (int i = 0; i < 95; ++i) pace.left();
  CHECK(pace.next(at(0ms)) == at(0ms));
}
