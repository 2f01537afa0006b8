// Made-up viewers before the real feed, for what only behaviour over time can show: whether new items get their
// impressions, how soon a taste is found, what is never shown. What comes out says how the feed behaves under these
// assumptions, and nothing of what people would do.
//
// Assumptions. There are `tastes` kinds of items. Each viewer likes two of them, chance of liking an item of them 0.8,
// of others 0.1. Items have a quality that moves that chance by up to 0.15, and embeddings that lie around their kind's
// centre. Who likes an item watches 0.6 to 1.1 of it, who does not 0 to 0.5, both less the longer it is: that is the
// bias of duration. One liked item in six gets a like, one in fifty a share. Who has just seen three items of one kind
// likes the fourth half as often: fatigue. Viewers come in turn, for five items at a time, one item each 20 s; new
// items come evenly over the time.
#pragma once

#include <cstdint>
#include <vector>

#include "control-plane/feed/feed.h"
#include "control-plane/feed/random.h"

namespace ribalta::feed {

struct SimulatorOptions {
  std::size_t viewers = 150;
  std::size_t items = 800;
  std::size_t new_items = 6;
  std::size_t tastes = 10;
  std::size_t visits = 2400;  ///< pages, of all viewers together
  std::size_t page = 5;
  std::size_t trainings = 2;  ///< evenly over the visits
  std::uint64_t seed = 1;
  FeedOptions feed;
};

struct SimulatorReport {
  std::size_t impressions = 0;
  double liked = 0;            ///< share of impressions, in the last quarter
  double liked_at_random = 0;  ///< what items drawn at random would get under the same assumptions
  double exploring = 0;        ///< share of impressions
  std::size_t new_items = 0;
  std::size_t guaranteed = 0;      ///< new items that had their guaranteed impressions at the end
  double guaranteed_hours = 0;     ///< median of simulated hours until they had them
  double coverage = 0;             ///< share of items that had an impression
  double gini = 0;                 ///< of impressions over items: 0 all the same, 1 one has all
  std::size_t repeats = 0;         ///< shown twice to one viewer
  double short_share = 0;          ///< of impressions that went to the shorter half of the items
  double new_viewer_matching = 0;  ///< share that fits their taste, of a new viewer's items 21 to 30
  double changed_matching = 0;     ///< the same for a viewer whose taste has just become another one
};

class Simulator {
 public:
  explicit Simulator(const SimulatorOptions& options);
  /// Once.
  SimulatorReport run();

 private:
  struct SimulatedItem {
    std::size_t taste = 0;
    double quality = 0;
    std::int64_t duration_ms = 0;
    std::int64_t published_ms = 0;
    std::size_t impressions = 0;
    std::int64_t guaranteed_ms = 0;
  };
  struct SimulatedViewer {
    std::vector<std::size_t> tastes;
    std::vector<bool> seen;  ///< by item
    std::vector<std::size_t> last;
  };

  void add_item(bool fresh);
  SimulatedViewer new_viewer();
  /// How many of the page's items fit the viewer's taste.
  std::size_t visit(SimulatedViewer& viewer, std::uint64_t id);
  [[nodiscard]] double chance(const SimulatedViewer& viewer, const SimulatedItem& item) const;
  void watch(SimulatedViewer& viewer, std::uint64_t id, const Ranked& ranked);
  double adaptation(SimulatedViewer& viewer, std::uint64_t id);
  void summarise(std::size_t liked_before, std::size_t impressions_before);

  SimulatorOptions options_;
  Feed feed_;
  Random random_;
  std::int64_t now_ms_;
  std::vector<SimulatedItem> items_;
  std::size_t liked_ = 0;
  std::size_t explored_ = 0;
  SimulatorReport report_;
};

}  // namespace ribalta::feed
