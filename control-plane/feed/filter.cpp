#include "control-plane/feed/filter.h"

#include <algorithm>

namespace ribalta::feed {

Filter::Filter(const Items& items, const Viewer* viewer, const Audience& audience,
               std::chrono::milliseconds shown_window)
    : items_(items),
      viewer_(viewer),
      audience_(audience),
      blocked_(audience.blocked),
      shown_window_ms_(shown_window.count()) {
  std::ranges::sort(blocked_);
  if (viewer_) {
    served_ = viewer_->awaited(audience_.now_ms);
    unwanted_.assign(viewer_->unwanted().begin(), viewer_->unwanted().end());
    std::ranges::sort(unwanted_);
  }
  for (const std::string& name : audience.languages) languages_.push_back(items.language(name));
}

Refusal Filter::check(ItemIndex index) const {
  if (index >= items_.size()) return Refusal::unknown_item;
  const StoredItem& item = items_.at(index);
  if (!item.visible) return Refusal::not_visible;
  if (item.published_ms > audience_.now_ms) return Refusal::not_yet;
  if (audience_.viewer.value != 0 && item.author == audience_.viewer) return Refusal::own;
  if (std::ranges::binary_search(blocked_, item.author)) return Refusal::blocked_author;
  if (item.rating > audience_.age) return Refusal::age_rating;
  if (!languages_.empty() && item.language != 0 && std::ranges::find(languages_, item.language) == languages_.end()) {
    return Refusal::other_language;
  }
  if (!viewer_) return Refusal::none;
  if (std::ranges::binary_search(unwanted_, index)) return Refusal::not_interested;
  if (viewer_->was_shown(index, audience_.now_ms, shown_window_ms_)) return Refusal::shown_lately;
  if (std::ranges::binary_search(served_, index)) return Refusal::served_just_now;
  return Refusal::none;
}

}  // namespace ribalta::feed
