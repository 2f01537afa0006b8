#include "control-plane/feed/online.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "control-plane/feed/best.h"

namespace ribalta::feed {
namespace {

constexpr double kFreshnessHalfLifeMs = 2 * 24 * 3600 * 1000.0;

}  // namespace

void Popular::learn(const Interaction& event) {
  counts_.learn(event);
  latest_ms_ = std::max(latest_ms_, event.time_ms);
  items_ = std::max(items_, event.item + std::size_t{1});
  ++events_;
  // A list costs a pass over the catalogue: a fiftieth of it for each event, and at first after each.
  const std::uint64_t due = std::min<std::uint64_t>(events_ / 20, items_ / 50) + 1;
  if (events_ - events_in_list_ < due) return;
  events_in_list_ = events_;
  std::vector<Candidate> best;
  counts_.find({}, latest_ms_, kPopularMax, {}, best);
  list_.clear();
  for (const Candidate& candidate : best) list_.push_back(candidate.item);
}

void Popular::find(std::span<const Seen> history, std::int64_t now_ms, std::size_t limit, const Allowed& allowed,
                   std::vector<Candidate>& out) const {
  std::vector<ItemIndex> found;
  for (const ItemIndex item : list_) {
    if (found.size() == limit) break;
    if (allowed(item)) found.push_back(item);
  }
  std::vector<float> scores(found.size());
  counts_.score(history, now_ms, found, scores);
  Best best{limit};
  for (std::size_t i = 0; i < found.size(); ++i) best.offer({found[i], scores[i]}, {});
  best.take(out);
}

float Newest::freshness(ItemIndex item, std::int64_t now_ms) const {
  const auto age_ms = static_cast<double>(now_ms) - static_cast<double>(items_.at(item).published_ms);
  return static_cast<float>(std::exp2(-std::max(age_ms, 0.0) / kFreshnessHalfLifeMs));
}

void Newest::find(std::span<const Seen> /*history*/, std::int64_t now_ms, std::size_t limit, const Allowed& allowed,
                  std::vector<Candidate>& out) const {
  Best best{limit};
  const std::size_t end = items_.size() - std::min(items_.size(), kNewestLookedAtMax);
  std::size_t offered = 0;
  for (std::size_t item = items_.size(); item > end && offered < kNewestMax; --item) {
    const auto index = static_cast<ItemIndex>(item - 1);
    if (allowed && !allowed(index)) continue;
    best.offer({index, freshness(index, now_ms)}, {});
    ++offered;
  }
  best.take(out);
}

void Newest::score(std::span<const Seen> /*history*/, std::int64_t now_ms, std::span<const ItemIndex> items,
                   std::span<float> out) const {
  assert(items.size() == out.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    out[i] = items[i] < items_.size() ? freshness(items[i], now_ms) : 0;
  }
}

}  // namespace ribalta::feed
