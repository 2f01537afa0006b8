#include "control-plane/feed/items.h"

#include <algorithm>
#include <cassert>

namespace ribalta::feed {

bool share_topic(const StoredItem& a, const StoredItem& b) {
  return std::ranges::any_of(a.topics, [&b](TopicId topic) {
    return topic.value != 0 && std::ranges::find(b.topics, topic) != b.topics.end();
  });
}

std::optional<ItemIndex> Items::upsert(const Item& item) {
  auto found = indices_.find(item.id);
  if (found == indices_.end()) {
    if (item.id.value == 0 || items_.size() == kItemsMax) {
      ++left_out_;
      return {};
    }
    found = indices_.emplace(item.id, static_cast<ItemIndex>(items_.size())).first;
    items_.emplace_back();
  }
  StoredItem& stored = items_[found->second];
  stored = {.id = item.id,
            .author = item.author,
            .duration_ms = std::max<std::int64_t>(item.duration_ms, 0),
            .published_ms = std::max<std::int64_t>(item.published_ms, 0),
            .language = numbered(item.language),
            .rating = item.rating,
            .visible = item.visible};
  std::size_t topics = 0;
  for (const TopicId topic : item.topics) {
    if (topics == kTopicsMax) break;
    if (topic.value != 0 && std::ranges::find(stored.topics, topic) == stored.topics.end())
      stored.topics[topics++] = topic;
  }
  return found->second;
}

std::optional<ItemIndex> Items::find(ItemId id) const {
  const auto found = indices_.find(id);
  if (found == indices_.end()) return {};
  return found->second;
}

const StoredItem& Items::at(ItemIndex index) const {
  assert(index < items_.size());
  return items_[index];
}

Language Items::language(std::string_view name) const {
  const auto found = std::ranges::find(languages_, name);
  return found == languages_.end() ? Language{0} : static_cast<Language>(found - languages_.begin() + 1);
}

Language Items::numbered(std::string_view name) {
  if (name.empty()) return 0;
  if (const Language known = language(name); known != 0) return known;
  if (languages_.size() == kLanguagesMax) return kLanguagesMax + 1;
  languages_.emplace_back(name);
  return static_cast<Language>(languages_.size());
}

}  // namespace ribalta::feed
