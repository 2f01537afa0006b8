// Bounds on how the feed behaves before made-up viewers (simulator.h has the assumptions). None of it is a promise of
// what people would do. RIBALTA_FEED_VISITS: how many pages, in whole times the usual 2400.
#include "control-plane/feed/simulator.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace ribalta::feed {
namespace {

TEST_CASE("simulator: new items get their impressions, tastes are found and followed, nothing comes twice") {
  SimulatorOptions options;
  if (const char* visits = std::getenv("RIBALTA_FEED_VISITS")) {
    // As many items for each visit: nothing comes twice, so a longer run of the same items would run out of them.
    const std::size_t times = std::strtoull(visits, nullptr, 10) / options.visits;
    options.items *= std::clamp<std::size_t>(times, 1, 100);
    options.new_items *= std::clamp<std::size_t>(times, 1, 100);
    options.visits *= std::clamp<std::size_t>(times, 1, 100);
  }
  const SimulatorReport report = Simulator{options}.run();
  std::printf(
      "simulated, under the assumptions in simulator.h: %zu impressions\n"
      "  liked in the last quarter    %.3f (items at random: %.3f)\n"
      "  exploration's share          %.3f\n"
      "  guaranteed impressions       %zu of %zu new items, median after %.2f h\n"
      "  coverage, Gini               %.3f, %.3f\n"
      "  shorter half's share         %.3f\n"
      "  matching, swipes 21 to 30    %.2f of a new viewer's, %.2f after a change of taste\n",
      report.impressions, report.liked, report.liked_at_random, report.exploring, report.guaranteed, report.new_items,
      report.guaranteed_hours, report.coverage, report.gini, report.short_share, report.new_viewer_matching,
      report.changed_matching);

  CHECK(report.repeats == 0);
  CHECK(report.exploring <= options.feed.exploration.share + 0.01);
  CHECK(report.new_items == options.new_items);
  CHECK(report.guaranteed == report.new_items);
  CHECK(report.coverage > 0.5);
  CHECK(report.gini < 0.85);
  CHECK(report.liked > 1.5 * report.liked_at_random);
  CHECK(report.short_share < 0.65);
  CHECK(report.new_viewer_matching > 0.5);  // a fifth fits anybody by chance
  CHECK(report.changed_matching > 0.4);     // twice that: 0.48 here
}

}  // namespace
}  // namespace ribalta::feed
