// The catalogue as the feed keeps it: each item under a dense index, in the order in which they came.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "control-plane/feed/source.h"
#include "control-plane/feed/terms.h"

namespace ribalta::feed {

/// 100 bytes each, without embeddings and models. Further ones are not taken, and counted.
inline constexpr std::size_t kItemsMax = std::size_t{1} << 22;
/// Languages that are told apart; items in further ones are shown to those alone who asked for no language.
inline constexpr std::size_t kLanguagesMax = 1000;

/// A language's number; 0: unknown; kLanguagesMax + 1: one of those that are not told apart.
using Language = std::uint16_t;

struct StoredItem {
  ItemId id;
  UserId author;
  std::array<TopicId, kTopicsMax> topics{};  ///< each once; 0 behind the last
  std::int64_t duration_ms = 0;
  std::int64_t published_ms = 0;
  Language language = 0;
  AgeRating rating = AgeRating::everyone;
  bool visible = true;
};

bool share_topic(const StoredItem& a, const StoredItem& b);

class Items {
 public:
  /// Adds it or changes it; negative times count as 0. Nothing where it is no item (id 0) or no room is left.
  std::optional<ItemIndex> upsert(const Item& item);

  [[nodiscard]] std::optional<ItemIndex> find(ItemId id) const;
  /// The index is one that was given out.
  [[nodiscard]] const StoredItem& at(ItemIndex index) const;
  [[nodiscard]] std::size_t size() const { return items_.size(); }
  [[nodiscard]] std::uint64_t left_out() const { return left_out_; }
  /// 0 for one that no item is in.
  [[nodiscard]] Language language(std::string_view name) const;

 private:
  Language numbered(std::string_view name);

  std::vector<StoredItem> items_;
  std::unordered_map<ItemId, ItemIndex> indices_;
  std::vector<std::string> languages_;  ///< by number less 1
  std::uint64_t left_out_ = 0;
};

}  // namespace ribalta::feed
