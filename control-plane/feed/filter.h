// What may not be shown to a viewer, whoever proposes it: the one place that decides it. Sources ask it while they
// search, and the feed asks it again of all that they answered.
#pragma once

#include <boost/describe/enum.hpp>
#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "control-plane/feed/items.h"
#include "control-plane/feed/viewers.h"

namespace ribalta::feed {

/// No item comes again within it.
inline constexpr std::chrono::hours kShownWindow{7 * 24};

/// In the order in which they are checked; `none`: it may be shown.
enum class Refusal : std::uint8_t {
  none,
  unknown_item,
  not_visible,
  not_yet,  ///< its time of publication has not come
  own,      ///< the viewer's own
  blocked_author,
  age_rating,
  other_language,  ///< in none of those that the viewer asked for
  not_interested,
  shown_lately,
  served_just_now,  ///< and may be on the screen any moment
};
BOOST_DESCRIBE_ENUM(Refusal, none, unknown_item, not_visible, not_yet, own, blocked_author, age_rating, other_language,
                    not_interested, shown_lately, served_just_now)

/// For whom it is, and when.
struct Audience {
  UserId viewer;  ///< 0: a stranger
  AgeRating age = AgeRating::everyone;
  std::vector<std::string> languages;  ///< empty: any
  std::vector<UserId> blocked;         ///< authors that the viewer blocked, or who blocked them
  std::int64_t now_ms = 0;
};

class Filter {
 public:
  /// @param viewer  nullptr: nothing is remembered of them. Items, viewer and audience outlive the filter.
  Filter(const Items& items, const Viewer* viewer, const Audience& audience,
         std::chrono::milliseconds shown_window = kShownWindow);

  /// By index, sorted: what `served_just_now` refuses.
  [[nodiscard]] std::span<const ItemIndex> served() const { return served_; }
  [[nodiscard]] Refusal check(ItemIndex item) const;
  [[nodiscard]] bool allows(ItemIndex item) const { return check(item) == Refusal::none; }

 private:
  const Items& items_;
  const Viewer* viewer_;
  const Audience& audience_;
  std::vector<UserId> blocked_;      ///< sorted
  std::vector<ItemIndex> served_;    ///< sorted
  std::vector<ItemIndex> unwanted_;  ///< sorted
  std::vector<Language> languages_;  ///< those that there are
  std::int64_t shown_window_ms_;
};

}  // namespace ribalta::feed
