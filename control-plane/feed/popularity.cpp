#include "control-plane/feed/popularity.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "control-plane/feed/best.h"

namespace ribalta::feed {
namespace {

/// More than all events of a platform's life: a sum stays finite whatever is put in.
constexpr double kCountMax = 1e15;

}  // namespace

/// At most 1: an event from the future counts whole.
double Popularity::decay(std::int64_t from_ms, std::int64_t to_ms) const {
  if (half_life_ms_ <= 0) return 1;
  // In floating point: times from outside may be as far apart as two 64-bit numbers can be.
  const double age = static_cast<double>(to_ms) - static_cast<double>(from_ms);
  return std::min(1.0, std::exp2(-age / static_cast<double>(half_life_ms_)));
}

void Popularity::learn(const Interaction& event) {
  const float weight = sane_weight(event.weight);
  if (weight == 0 || event.item >= kMatrixItemsMax) return;
  if (event.item >= counts_.size()) counts_.resize(event.item + std::size_t{1});
  Count& count = counts_[event.item];
  if (count.value == 0) count.time_ms = event.time_ms;
  if (event.time_ms >= count.time_ms) {
    count.value = count.value * decay(count.time_ms, event.time_ms) + static_cast<double>(weight);
    count.time_ms = event.time_ms;
  } else {
    count.value += static_cast<double>(weight) * decay(event.time_ms, count.time_ms);
  }
  count.value = std::min(count.value, kCountMax);
}

void Popularity::learn(const Matrix& matrix) {
  for (ViewerIndex viewer = 0; viewer < matrix.viewers(); ++viewer) {
    for (const Seen& seen : matrix.history(viewer)) learn({viewer, seen.item, seen.weight, seen.time_ms});
  }
}

float Popularity::value(const Count& count, std::int64_t now_ms) const {
  return static_cast<float>(std::log1p(count.value * decay(count.time_ms, now_ms)));
}

void Popularity::find(std::span<const Seen> /*history*/, std::int64_t now_ms, std::size_t limit, const Allowed& allowed,
                      std::vector<Candidate>& out) const {
  Best best{limit};
  for (ItemIndex item = 0; item < counts_.size(); ++item) {
    if (counts_[item].value > 0) best.offer({item, value(counts_[item], now_ms)}, allowed);
  }
  best.take(out);
}

void Popularity::score(std::span<const Seen> /*history*/, std::int64_t now_ms, std::span<const ItemIndex> items,
                       std::span<float> out) const {
  assert(items.size() == out.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    out[i] = items[i] < counts_.size() ? value(counts_[items[i]], now_ms) : 0;
  }
}

}  // namespace ribalta::feed
