#include "control-plane/feed/exploration.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <limits>

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
constexpr float kShareMax = 0.5F;
constexpr std::int64_t kExpireEveryMs = 60'000;
/// Calls may come a little out of order.
constexpr std::int64_t kSetBackMs = 60'000;
/// Of a seed's random numbers; items have those from 2 on.
constexpr std::uint64_t kPlaceStream = std::numeric_limits<std::uint64_t>::max();

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

Exploration::Exploration(const ExplorationOptions& options) : options_(options) {
  options_.first_impressions = std::max(options_.first_impressions, 1U);
  options_.growth = std::max(options_.growth, 1U);
  options_.stages = std::clamp<std::uint32_t>(options_.stages, 1, kStagesMax);
  options_.cohort_quantile = options_.cohort_quantile > 0 ? std::min(options_.cohort_quantile, 1.0F) : 0;
  options_.share = options_.share > 0 ? std::min(options_.share, kShareMax) : 0;  // not a number: none
}

void Exploration::open(ItemIndex item, std::int64_t duration_ms, std::int64_t published_ms, std::int64_t now_ms) {
  if (item >= trials_.size()) trials_.resize(item + std::size_t{1});
  Trial& trial = trials_[item];
  if (trial.state == State::unknown) {
    trial.duration = cohort_of(duration_ms);
  } else if (trial.state == State::later) {
    leave_lists(item);  // another time may have been set
  } else if (trial.state != State::hidden) {
    return;
  }
  enter(item, published_ms, now_ms);
}

void Exploration::enter(ItemIndex item, std::int64_t published_ms, std::int64_t now_ms) {
  Trial& trial = trials_[item];
  if (published_ms > now_ms) {
    trial.state = State::later;
    trial.due_ms = published_ms;
    later_.emplace(published_ms, item);
    return;
  }
  trial.since_ms = now_ms;
  if (trial.shown >= budget(trial.stage)) return await_views(item, now_ms);
  trial.state = State::open;
  (trial.stage == 0 ? waiting_ : promoted_).push_back(item);
}

void Exploration::leave_lists(ItemIndex item) {
  switch (trials_[item].state) {
    case State::later:
      later_.erase({trials_[item].due_ms, item});
      break;
    case State::open:
      std::erase(trials_[item].stage == 0 ? waiting_ : promoted_, item);
      break;
    case State::judged:
      judged_.erase({trials_[item].due_ms, item});
      break;
    case State::unknown:
    case State::hidden:
    case State::closed:
      break;
  }
}

void Exploration::hide(ItemIndex item) {
  if (item >= trials_.size()) return;
  Trial& trial = trials_[item];
  if (trial.state == State::unknown || trial.state == State::closed) return;
  leave_lists(item);
  trial.state = State::hidden;
}

void Exploration::pass(std::int64_t now_ms) {
  if (now_ms < passed_ms_ - kSetBackMs) turn_back(now_ms);
  passed_ms_ = now_ms;
  while (!later_.empty() && later_.begin()->first <= now_ms) {
    const auto [published_ms, item] = *later_.begin();
    later_.erase(later_.begin());
    enter(item, published_ms, now_ms);
  }
  while (!judged_.empty() && judged_.begin()->first <= now_ms) {
    const ItemIndex item = judged_.begin()->second;
    judged_.erase(judged_.begin());
    judge(item);
  }
  if (now_ms >= expired_ms_ && now_ms - expired_ms_ < kExpireEveryMs) return;  // clocks are set back, too
  expired_ms_ = now_ms;
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

void Exploration::impression(ItemIndex item, std::int64_t now_ms) {
  if (!is_tried(item)) return;
  Trial& trial = trials_[item];
  if (++trial.shown < budget(trial.stage) || trial.state != State::open) return;
  leave_lists(item);
  await_views(item, now_ms);
}

void Exploration::await_views(ItemIndex item, std::int64_t now_ms) {
  Trial& trial = trials_[item];
  trial.state = State::judged;
  trial.due_ms = now_ms + std::chrono::milliseconds{kViewsAwaited}.count();
  judged_.emplace(trial.due_ms, item);
}

/// The clock was set back: nothing waits for a time that it had been ahead.
void Exploration::turn_back(std::int64_t now_ms) {
  const auto judged = std::exchange(judged_, {});
  for (const auto& [due_ms, item] : judged) await_views(item, now_ms);
  for (const auto* list : {&waiting_, &promoted_}) {
    for (const ItemIndex item : *list) trials_[item].since_ms = std::min(trials_[item].since_ms, now_ms);
  }
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

void Exploration::watched(std::int64_t duration_ms, float share) {
  Watched& usual = watched_[cohort_of(duration_ms)];
  usual.counts[bin_of(share, Watched::kBins)] += 1;
  if (++usual.total >= kViewsMax) {
    usual.total = 0;
    for (float& count : usual.counts) usual.total += count /= 2;
  }
}

void Exploration::view(ItemIndex item, float worth) {
  if (!is_tried(item)) return;
  ++trials_[item].views;
  trials_[item].worth += worth;
}

float Exploration::bar(const Cohort& cohort) const {
  if (cohort.worths.size() < kCohortMin) return kBarWithoutCohort;
  std::vector<float> sorted = cohort.worths;
  const float place = options_.cohort_quantile * static_cast<float>(sorted.size() - 1);
  const auto at = sorted.begin() + static_cast<std::ptrdiff_t>(place);
  std::ranges::nth_element(sorted, at);
  return *at;
}

void Exploration::judge(ItemIndex item) {
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
  if (!passes) {
    trial.state = State::closed;
    return;
  }
  trial.shown_before += trial.shown;
  trial.shown = 0;
  ++trial.stage;
  trial.state = State::open;
  promoted_.push_back(item);
}

std::size_t Exploration::slots(std::size_t count, std::uint64_t seed) const {
  const double wanted = static_cast<double>(count) * options_.share;
  const auto whole = static_cast<std::size_t>(wanted);
  return whole + (Random{seed, 1}.uniform() < wanted - static_cast<double>(whole) ? 1 : 0);
}

std::vector<ItemIndex> Exploration::best_drawn(std::span<const ItemIndex> open, std::uint64_t seed,
                                               const Allowed& allowed) const {
  std::vector<Candidate> drawn;
  const std::size_t first = std::min(open.size(), kLookedAtMax / 2);
  const std::size_t rest = open.size() - first;
  const std::size_t from = rest == 0 ? 0 : Random{seed, kPlaceStream}.below(rest);
  for (std::size_t i = 0; i < first + std::min(rest, kLookedAtMax / 2) && drawn.size() < kDrawnMax; ++i) {
    const ItemIndex item = open[i < first ? i : first + (from + i - first) % rest];
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

bool Exploration::is_open(ItemIndex item) const {
  return item < trials_.size() && (trials_[item].state == State::open || trials_[item].state == State::judged);
}

bool Exploration::is_hidden(ItemIndex item) const {
  return item < trials_.size() && trials_[item].state == State::hidden;
}

/// What was on its way when it was hidden counts, too.
bool Exploration::is_tried(ItemIndex item) const { return is_open(item) || is_hidden(item); }

std::uint32_t Exploration::stage(ItemIndex item) const { return item < trials_.size() ? trials_[item].stage : 0; }

std::uint32_t Exploration::impressions(ItemIndex item) const {
  return item < trials_.size() ? trials_[item].shown_before + trials_[item].shown : 0;
}

}  // namespace ribalta::feed
