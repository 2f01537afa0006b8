#include "control-plane/feed/simulator.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <numeric>

namespace ribalta::feed {
namespace {

constexpr std::size_t kDimensions = 16;
constexpr std::int64_t kBeginMs = 1'800'000'000'000;
constexpr std::int64_t kDayMs = 24LL * 3600 * 1000;
constexpr std::int64_t kItemMs = 20'000;
/// Each change of a taste, and each newcomer, is tried so often: with 30, chance alone moves a share by 0.06.
constexpr std::size_t kTried = 100;
constexpr std::size_t kSwipesMeasured = 30;
constexpr std::uint64_t kAuthorsBegin = 1'000'000;

FeedOptions with_embeddings(FeedOptions options) {
  options.embedding_dimensions = kDimensions;
  return options;
}

}  // namespace

Simulator::Simulator(const SimulatorOptions& options)
    : options_(options), feed_(with_embeddings(options.feed)), random_(options.seed), now_ms_(kBeginMs) {
  assert(options.page > 0 && options.visits >= 4 && options.tastes >= 4);
  for (std::size_t i = 0; i < options_.items; ++i) add_item(false);
}

void Simulator::add_item(bool fresh) {
  SimulatedItem made{.taste = random_.below(options_.tastes), .quality = 2 * random_.uniform() - 1};
  made.duration_ms = 5000 + static_cast<std::int64_t>(random_.below(85'000));
  made.published_ms = fresh ? now_ms_ : now_ms_ - 4 * kDayMs - static_cast<std::int64_t>(random_.below(60 * kDayMs));
  Item item{.id = ItemId{items_.size() + 1}, .author = UserId{kAuthorsBegin + random_.below(1 + options_.items / 8)}};
  item.topics = {TopicId{1 + made.taste}};
  item.duration_ms = made.duration_ms;
  item.published_ms = made.published_ms;
  Random centre{made.taste, 77};
  for (std::size_t i = 0; i < kDimensions; ++i) {
    item.embedding.push_back(static_cast<float>(centre.normal() + 0.7 * random_.normal()));
  }
  items_.push_back(made);
  feed_.upsert(std::array{item}, now_ms_);
}

Simulator::SimulatedViewer Simulator::new_viewer() {
  SimulatedViewer viewer;
  const std::size_t first = random_.below(options_.tastes);
  viewer.tastes = {first, (first + 1 + random_.below(options_.tastes - 1)) % options_.tastes};
  return viewer;
}

double Simulator::chance(const SimulatedViewer& viewer, const SimulatedItem& item) const {
  const bool fits = std::ranges::find(viewer.tastes, item.taste) != viewer.tastes.end();
  const double chance = std::clamp((fits ? 0.8 : 0.1) + 0.15 * item.quality, 0.02, 0.98);
  const bool tired = viewer.last.size() == 3 &&
                     std::ranges::all_of(viewer.last, [&](std::size_t taste) { return taste == item.taste; });
  return tired ? chance / 2 : chance;
}

void Simulator::watch(SimulatedViewer& viewer, std::uint64_t id, const Ranked& ranked) {
  const std::size_t index = ranked.item.value - 1;
  SimulatedItem& item = items_[index];
  now_ms_ += kItemMs / static_cast<std::int64_t>(std::max<std::size_t>(1, options_.viewers / 10));  // a tenth at once
  viewer.seen.resize(items_.size());
  report_.repeats += viewer.seen[index] ? 1 : 0;
  viewer.seen[index] = true;
  ++report_.impressions;
  explored_ += ranked.exploring ? 1 : 0;
  if (++item.impressions == options_.feed.exploration.first_impressions) item.guaranteed_ms = now_ms_;

  const bool likes = random_.uniform() < chance(viewer, item);
  liked_ += likes ? 1 : 0;
  const double longer = static_cast<double>(item.duration_ms) / 90'000;
  const double share = likes ? 0.6 + 0.5 * random_.uniform() : 0.5 * random_.uniform();
  const auto watched = static_cast<float>(share * (1 - 0.4 * longer));
  const auto say = [&](Action action) {
    feed_.learn(std::array{Event{UserId{id}, ranked.item, action, watched, now_ms_}}, now_ms_);
  };
  say(Action::impression);
  say(watched < 0.1F ? Action::skip : Action::view);
  if (likes && random_.below(6) == 0) say(Action::like);
  if (likes && random_.below(50) == 0) say(Action::share);
  if (viewer.last.size() == 3) viewer.last.erase(viewer.last.begin());
  viewer.last.push_back(item.taste);
}

std::size_t Simulator::visit(SimulatedViewer& viewer, std::uint64_t id) {
  Request request;
  request.audience.viewer = UserId{id};
  request.audience.now_ms = now_ms_;
  request.count = options_.page;
  request.seed = random_.bits();
  const std::vector<Ranked> page = feed_.rank(request);
  feed_.served(UserId{id}, page, now_ms_);
  std::size_t fitting = 0;
  for (const Ranked& ranked : page) {
    const std::size_t taste = items_[ranked.item.value - 1].taste;
    fitting += std::ranges::find(viewer.tastes, taste) != viewer.tastes.end() ? 1 : 0;
    watch(viewer, id, ranked);
  }
  return fitting;
}

/// The share of what fits, in the ten swipes before the thirtieth and it.
double Simulator::adaptation(SimulatedViewer& viewer, std::uint64_t id) {
  std::size_t fitting = 0;
  std::size_t measured = 0;
  for (std::size_t swipes = 0; swipes < kSwipesMeasured; swipes += options_.page) {
    const std::size_t found = visit(viewer, id);
    if (swipes + 10 < kSwipesMeasured) continue;
    fitting += found;
    measured += options_.page;
  }
  return static_cast<double>(fitting) / static_cast<double>(measured);
}

SimulatorReport Simulator::run() {
  std::vector<SimulatedViewer> viewers;
  for (std::size_t i = 0; i < options_.viewers; ++i) viewers.push_back(new_viewer());
  for (const SimulatedViewer& viewer : viewers) {
    for (const SimulatedItem& item : items_) report_.liked_at_random += chance(viewer, item);
  }
  report_.liked_at_random /= static_cast<double>(viewers.size() * items_.size());

  std::size_t liked_before = 0;
  std::size_t impressions_before = 0;
  for (std::size_t i = 0; i < options_.visits; ++i) {
    if (i % (options_.visits / (options_.trainings + 1) + 1) == 0 && i > 0) {
      const Result<void> installed = feed_.install(train(Matrix{feed_.interactions()}));
      assert(installed);
    }
    // New items come in the first half: the second is there to show them.
    const std::size_t due = std::min(options_.new_items, options_.new_items * i * 2 / options_.visits);
    while (items_.size() < options_.items + due) add_item(true);
    if (i == options_.visits * 3 / 4) {
      liked_before = liked_;
      impressions_before = report_.impressions;
    }
    const std::size_t viewer = random_.below(viewers.size());
    visit(viewers[viewer], 1 + viewer);
  }
  summarise(liked_before, impressions_before);

  for (std::size_t i = 0; i < kTried; ++i) {
    SimulatedViewer newcomer = new_viewer();
    report_.new_viewer_matching += adaptation(newcomer, 1 + viewers.size() + i) / kTried;
    SimulatedViewer& known = viewers[i % viewers.size()];
    for (std::size_t& taste : known.tastes) taste = (taste + options_.tastes / 2) % options_.tastes;
    report_.changed_matching += adaptation(known, 1 + i % viewers.size()) / kTried;
  }
  return report_;
}

void Simulator::summarise(std::size_t liked_before, std::size_t impressions_before) {
  const auto share = [](auto part, auto whole) { return static_cast<double>(part) / static_cast<double>(whole); };
  report_.liked = share(liked_ - liked_before, report_.impressions - impressions_before);
  report_.exploring = share(explored_, report_.impressions);
  std::vector<std::int64_t> waits;
  for (const SimulatedItem& item : std::span{items_}.subspan(options_.items)) {
    ++report_.new_items;
    if (item.guaranteed_ms > 0) waits.push_back(item.guaranteed_ms - item.published_ms);
  }
  report_.guaranteed = waits.size();
  std::ranges::sort(waits);
  if (!waits.empty()) report_.guaranteed_hours = static_cast<double>(waits[waits.size() / 2]) / 3'600'000;

  std::vector<std::size_t> counts;
  std::size_t brief = 0;
  for (const SimulatedItem& item : items_) {
    counts.push_back(item.impressions);
    if (item.duration_ms < 47'500) brief += item.impressions;
  }
  report_.short_share = share(brief, report_.impressions);
  report_.coverage = share(std::ranges::count_if(counts, [](std::size_t count) { return count > 0; }), counts.size());
  std::ranges::sort(counts);
  double weighted = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) weighted += static_cast<double>((i + 1) * counts[i]);
  const auto n = static_cast<double>(counts.size());
  report_.gini = 2 * weighted / (n * static_cast<double>(report_.impressions)) - (n + 1) / n;
}

}  // namespace ribalta::feed
