#include "control-plane/feed/transitions.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <map>

#include "control-plane/feed/best.h"

namespace ribalta::feed {
namespace {

constexpr std::size_t kReachMax = 16;
/// More than anybody's events: sums stay finite.
constexpr double kTotalMax = 1e12;

float between(float value, float low, float high) { return value > low ? std::min(value, high) : low; }

}  // namespace

Transitions::Transitions(const TransitionOptions& options)
    : options_{.reach = std::clamp<std::size_t>(options.reach, 1, kReachMax),
               .decay = between(options.decay, 0, 1),
               .shrink = between(options.shrink, 0, kWeightMax)} {}

void Transitions::count(ItemIndex from, ItemIndex to, float weight) {
  if (from >= from_.size()) from_.resize(from + std::size_t{1});
  From& counts = from_[from];
  if (counts.total >= kTotalMax) return;
  counts.total += static_cast<double>(weight);
  const auto place = std::ranges::lower_bound(counts.followers, to, {}, &Follower::item);
  if (place != counts.followers.end() && place->item == to) {
    place->count += weight;
    return;
  }
  if (counts.followers.size() < kFollowersMax) {
    counts.followers.insert(place, {to, weight});
    return;
  }
  const auto rarest = std::ranges::min_element(counts.followers, {}, &Follower::count);
  rarest->count -= weight;
  if (rarest->count > 0) return;
  counts.followers.erase(rarest);
  counts.followers.insert(std::ranges::lower_bound(counts.followers, to, {}, &Follower::item), {to, weight});
}

void Transitions::learn(std::span<const Seen> before, const Seen& next) {
  float weight = sane_weight(next.weight);
  if (weight == 0 || next.item >= kMatrixItemsMax) return;
  for (std::size_t back = 1; back <= std::min(options_.reach, before.size()); ++back) {
    const ItemIndex from = before[before.size() - back].item;
    if (from < kMatrixItemsMax && from != next.item && weight > 0) count(from, next.item, weight);
    weight *= options_.decay;
  }
}

void Transitions::learn(const Matrix& matrix) {
  for (ViewerIndex viewer = 0; viewer < matrix.viewers(); ++viewer) {
    const std::span<const Seen> history = matrix.history(viewer);
    for (std::size_t i = 1; i < history.size(); ++i) learn(history.first(i), history[i]);
  }
}

/// Calls with each follower of the last items, and what it adds.
template <class Take>
void Transitions::each(std::span<const Seen> history, const Take& take) const {
  float weight = 1;
  for (std::size_t back = 1; back <= std::min(options_.reach, history.size()); ++back) {
    const ItemIndex item = history[history.size() - back].item;
    if (item < from_.size() && from_[item].total > 0) {
      const float scale = weight / (static_cast<float>(from_[item].total) + options_.shrink);
      for (const Follower& follower : from_[item].followers) take(follower.item, follower.count * scale);
    }
    weight *= options_.decay;
  }
}

void Transitions::find(std::span<const Seen> history, std::int64_t /*now_ms*/, std::size_t limit,
                       const Allowed& allowed, std::vector<Candidate>& out) const {
  std::map<ItemIndex, float> sums;
  each(history, [&sums](ItemIndex item, float value) { sums[item] += value; });
  Best best{limit};
  for (const auto& [item, sum] : sums) best.offer({item, sum}, allowed);
  best.take(out);
}

void Transitions::score(std::span<const Seen> history, std::int64_t /*now_ms*/, std::span<const ItemIndex> items,
                        std::span<float> out) const {
  assert(items.size() == out.size());
  std::map<ItemIndex, float> sums;
  each(history, [&sums](ItemIndex item, float value) { sums[item] += value; });
  for (std::size_t i = 0; i < items.size(); ++i) {
    const auto found = sums.find(items[i]);
    out[i] = found == sums.end() ? 0 : found->second;
  }
}

}  // namespace ribalta::feed
