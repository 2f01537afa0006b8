#include "control-plane/feed/viewers.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace ribalta::feed {

Shown& Viewer::show(ItemIndex item, std::int64_t time_ms, std::int64_t window_ms) {
  std::erase(last_, item);
  if (last_.size() == kLastMax) last_.erase(last_.begin());
  last_.push_back(item);
  auto place = std::ranges::lower_bound(shown_, item, {}, &Shown::item);
  if (place != shown_.end() && place->item == item) {
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

std::vector<ItemIndex> Viewer::awaited(std::int64_t now_ms) const {
  std::vector<ItemIndex> items;
  for (const Served& one : served) {
    const bool lately = one.time_ms > now_ms - std::chrono::milliseconds{kOutcomeWindow}.count();
    if (lately && one.seen_ms == 0) items.push_back(one.item);
  }
  std::ranges::sort(items);
  return items;
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

Viewer* Viewers::remember(UserId id, std::int64_t now_ms) {
  if (id.value == 0) return nullptr;
  auto found = indices_.find(id);
  if (found == indices_.end()) {
    if (viewers_.size() < most_) viewers_.emplace_back();
    const auto index = viewers_.size() == indices_.size() ? forget() : static_cast<ViewerIndex>(viewers_.size() - 1);
    found = indices_.emplace(id, index).first;
    viewers_[index].id = id;
  }
  Viewer& viewer = viewers_[found->second];
  viewer.last_ms = std::max(viewer.last_ms, now_ms);
  return &viewer;
}

ViewerIndex Viewers::forget() {
  const auto standing = [this](std::size_t index) {
    return std::pair{!viewers_[index].taste().empty(), viewers_[index].last_ms};
  };
  std::size_t least = next_;
  for (std::size_t i = 0; i < std::min(kForgottenOf, viewers_.size()); ++i, next_ = (next_ + 1) % viewers_.size()) {
    if (standing(next_) < standing(least)) least = next_;
  }
  indices_.erase(viewers_[least].id);
  viewers_[least] = Viewer{};
  ++forgotten_;
  return static_cast<ViewerIndex>(least);
}

const Viewer* Viewers::find(UserId id) const {
  const auto found = indices_.find(id);
  return found == indices_.end() ? nullptr : &viewers_[found->second];
}

}  // namespace ribalta::feed
