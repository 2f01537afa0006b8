#include "control-plane/feed/exploration.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>

#include "control-plane/feed/random.h"

namespace ribalta::feed {
namespace {

/// The one-sided 95 % bound of a normal distribution.
constexpr float kBoundDeviations = 1.645F;
/// Fewer ended items than these are no cohort; the bar is then the middle of all views.
constexpr std::size_t kCohortMin = 20;
constexpr float kBarWithoutCohort = 0.5F;
/// Watched shares are told apart up to twice the duration.
constexpr float kWatchedMax = 2;
/// Counts of views are halved at this many, so that what is usual follows the times.
constexpr float kViewsMax = 100'000;
/// Views that what is usual at a duration needs to be known.
constexpr float kUsualPrior = 50;
/// Before its first views every item is as good as any: one good and one bad view.
constexpr float kPriorViews = 1;

/// Doublings from 4 s on.
std::uint8_t cohort_of(std::int64_t duration_ms) {
  const auto units = static_cast<std::uint64_t>(std::max<std::int64_t>(duration_ms, 0)) / 4000;
  return static_cast<std::uint8_t>(std::min<std::size_t>(std::bit_width(units), kCohortDurations - 1));
}

std::size_t bin_of(float watched, std::size_t bins) {
  if (!(watched > 0)) return 0;
  return static_cast<std::size_t>(std::min(watched / kWatchedMax, 1.0F) * static_cast<float>(bins - 1));
}

}  // namespace

void Exploration::open(ItemIndex item, std::int64_t duration_ms, std::int64_t now_ms) {
  if (item >= trials_.size()) trials_.resize(item + std::size_t{1});
  Trial& trial = trials_[item];
  if (trial.state != State::unknown) return;
  trial.state = State::open;
  trial.duration = cohort_of(duration_ms);
  trial.since_ms = now_ms;
  waiting_.push_back(item);
}

void Exploration::close(ItemIndex item) {
  if (!is_open(item)) return;
  trials_[item].state = State::closed;
  std::erase(waiting_, item);
  std::erase(promoted_, item);
}

void Exploration::expire(std::int64_t now_ms) {
  const auto expired = [&](ItemIndex item) {
    if (trials_[item].since_ms >= now_ms - std::chrono::milliseconds{kOpenFor}.count()) return false;
    trials_[item].state = State::closed;
    return true;
  };
  std::erase_if(waiting_, expired);
  std::erase_if(promoted_, expired);
}

std::uint32_t Exploration::budget(std::uint32_t stage) const {
  std::uint64_t budget = options_.first_impressions;
  for (std::uint32_t i = 0; i < stage; ++i) budget *= options_.growth;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(budget, 1'000'000'000));
}

void Exploration::impression(ItemIndex item) {
  if (!is_open(item)) return;
  Trial& trial = trials_[item];
  if (++trial.shown >= budget(trial.stage)) end_stage(item);
}

float Exploration::worth(std::int64_t duration_ms, float watched) const {
  const Watched& usual = watched_[cohort_of(duration_ms)];
  const std::size_t bin = bin_of(watched, Watched::kBins);
  float below = 0;
  for (std::size_t i = 0; i < bin; ++i) below += usual.counts[i];
  below += usual.counts[bin] / 2;
  // Until views have come, as if all that one can watch of it were watched equally often.
  const float without_views = watched > 0 ? std::min(watched, 1.0F) : 0;
  return std::clamp((below + kUsualPrior * without_views) / (usual.total + kUsualPrior), 0.0F, 1.0F);
}

void Exploration::view(ItemIndex item, std::int64_t duration_ms, float watched) {
  const float worth_now = worth(duration_ms, watched);
  Watched& usual = watched_[cohort_of(duration_ms)];
  usual.counts[bin_of(watched, Watched::kBins)] += 1;
  if (++usual.total >= kViewsMax) {
    usual.total = 0;
    for (float& count : usual.counts) usual.total += count /= 2;
  }
  if (!is_open(item)) return;
  ++trials_[item].views;
  trials_[item].worth += worth_now;
}

float Exploration::bar(const Cohort& cohort) const {
  if (cohort.worths.size() < kCohortMin) return kBarWithoutCohort;
  std::vector<float> sorted = cohort.worths;
  const float place = std::clamp(options_.cohort_quantile, 0.0F, 1.0F) * static_cast<float>(sorted.size() - 1);
  const auto at = sorted.begin() + static_cast<std::ptrdiff_t>(place);
  std::ranges::nth_element(sorted, at);
  return *at;
}

void Exploration::end_stage(ItemIndex item) {
  Trial& trial = trials_[item];
  Cohort& cohort = cohorts_[trial.duration][trial.stage];
  // Whoever was shown it and left no view watched nothing of it.
  const auto tried = static_cast<float>(std::max(trial.shown_before + trial.shown, trial.views));
  const float mean = trial.worth / tried;
  const float deviation = std::sqrt(mean * (1 - mean) / tried);
  const bool passes = mean - kBoundDeviations * deviation > bar(cohort) && trial.stage + 1U < options_.stages;
  if (cohort.worths.size() < kCohortMax) {
    cohort.worths.push_back(mean);
  } else {
    cohort.worths[cohort.next++ % kCohortMax] = mean;
  }
  if (!passes) return close(item);
  trial.shown_before += trial.shown;
  trial.shown = 0;
  if (trial.stage++ > 0) return;
  std::erase(waiting_, item);
  promoted_.push_back(item);
}

std::size_t Exploration::slots(std::size_t count, std::uint64_t seed) const {
  const double wanted = static_cast<double>(count) * std::clamp(options_.share, 0.0F, 0.5F);
  const auto whole = static_cast<std::size_t>(wanted);
  return whole + (Random{seed, 1}.uniform() < wanted - static_cast<double>(whole) ? 1 : 0);
}

std::vector<ItemIndex> Exploration::best_drawn(std::span<const ItemIndex> open, std::uint64_t seed,
                                               const Allowed& allowed) const {
  std::vector<Candidate> drawn;
  for (const ItemIndex item : open.first(std::min(open.size(), 4 * kDrawnMax))) {
    if (drawn.size() == kDrawnMax) break;
    if (!allowed(item)) continue;
    // A beta distribution's mean and deviation, as a normal one: the tails do not matter to an order.
    const Trial& trial = trials_[item];
    const float views = static_cast<float>(trial.views) + 2 * kPriorViews;
    const float mean = (trial.worth + kPriorViews) / views;
    const float deviation = std::sqrt(mean * (1 - mean) / (views + 1));
    Random random{seed, 2 + std::uint64_t{item}};
    drawn.push_back({item, mean + deviation * static_cast<float>(random.normal())});
  }
  std::ranges::sort(drawn, better);
  std::vector<ItemIndex> items;
  for (const Candidate& one : drawn) items.push_back(one.item);
  return items;
}

std::vector<ItemIndex> Exploration::draw(std::size_t count, std::uint64_t seed, const Allowed& allowed) const {
  if (count == 0) return {};
  const std::vector<ItemIndex> waiting = best_drawn(waiting_, seed, allowed);
  const std::vector<ItemIndex> promoted = best_drawn(promoted_, seed, allowed);
  std::vector<ItemIndex> items;
  Random random{seed, 0};
  for (std::size_t w = 0, p = 0; items.size() < count && (w < waiting.size() || p < promoted.size());) {
    const bool wants_promoted = random.uniform() < kPromotedShare;
    const bool takes_promoted = p < promoted.size() && (wants_promoted || w == waiting.size());
    items.push_back(takes_promoted ? promoted[p++] : waiting[w++]);
  }
  return items;
}

bool Exploration::is_open(ItemIndex item) const { return item < trials_.size() && trials_[item].state == State::open; }

std::uint32_t Exploration::stage(ItemIndex item) const { return item < trials_.size() ? trials_[item].stage : 0; }

std::uint32_t Exploration::impressions(ItemIndex item) const {
  return item < trials_.size() ? trials_[item].shown_before + trials_[item].shown : 0;
}

}  // namespace ribalta::feed
