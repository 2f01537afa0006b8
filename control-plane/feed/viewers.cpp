#include "control-plane/feed/viewers.h"

#include <algorithm>
#include <cassert>

namespace ribalta::feed {

Shown& Viewer::show(ItemIndex item, std::int64_t time_ms, std::int64_t window_ms, bool& first) {
  std::erase(last_, item);
  if (last_.size() == kLastMax) last_.erase(last_.begin());
  last_.push_back(item);
  auto place = std::ranges::lower_bound(shown_, item, {}, &Shown::item);
  first = place == shown_.end() || place->item != item;
  if (!first) {
    place->time_ms = std::max(place->time_ms, time_ms);
    return *place;
  }
  if (shown_.size() == kShownMax) {
    forget_shown(time_ms - window_ms);
    place = std::ranges::lower_bound(shown_, item, {}, &Shown::item);
  }
  return *shown_.insert(place, {.item = item, .time_ms = time_ms});
}

/// Those before a time; where that are less than an eighth of all, the oldest eighth: the next ones then come cheap.
void Viewer::forget_shown(std::int64_t before_ms) {
  std::vector<std::int64_t> times;
  times.reserve(shown_.size());
  for (const Shown& shown : shown_) times.push_back(shown.time_ms);
  const auto eighth = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 8);
  std::ranges::nth_element(times, eighth);
  const std::int64_t bound = std::max(before_ms, *eighth);
  std::erase_if(shown_, [bound](const Shown& shown) { return shown.time_ms < bound; });
  // All at one time: any of them.
  if (shown_.size() == kShownMax) shown_.resize(kShownMax - kShownMax / 8);
}

bool Viewer::was_shown(ItemIndex item, std::int64_t now_ms, std::int64_t window_ms) const {
  const auto place = std::ranges::lower_bound(shown_, item, {}, &Shown::item);
  return place != shown_.end() && place->item == item && place->time_ms >= now_ms - window_ms;
}

void Viewer::like(ItemIndex item, float weight, std::int64_t time_ms) {
  assert(weight > 0);
  Seen seen{item, weight, time_ms};
  const auto known = std::ranges::find(taste_, item, &Seen::item);
  if (known != taste_.end()) {
    seen.weight = std::max(seen.weight, known->weight);
    seen.time_ms = std::max(seen.time_ms, known->time_ms);
    taste_.erase(known);
  }
  // Events may come late: oldest first holds all the same.
  const auto place = std::ranges::upper_bound(taste_, seen.time_ms, {}, &Seen::time_ms);
  taste_.insert(place, seen);
  if (taste_.size() > kTasteMax) taste_.erase(taste_.begin());
}

void Viewer::unwant(ItemIndex item) {
  std::erase_if(taste_, [item](const Seen& seen) { return seen.item == item; });
  if (!wants(item)) return;
  if (unwanted_.size() == kUnwantedMax) unwanted_.erase(unwanted_.begin());
  unwanted_.push_back(item);
}

bool Viewer::wants(ItemIndex item) const { return std::ranges::find(unwanted_, item) == unwanted_.end(); }

Viewer* Viewers::remember(UserId id) {
  if (const auto found = indices_.find(id); found != indices_.end()) return &viewers_[found->second];
  if (id.value == 0 || viewers_.size() == kViewersMax) {
    ++left_out_;
    return nullptr;
  }
  indices_.emplace(id, static_cast<ViewerIndex>(viewers_.size()));
  return &viewers_.emplace_back();
}

const Viewer* Viewers::find(UserId id) const {
  const auto found = indices_.find(id);
  return found == indices_.end() ? nullptr : &viewers_[found->second];
}

}  // namespace ribalta::feed
