// What the feed remembers of each viewer: what they liked, what they were shown lately, what they never want again.
#pragma once

#include <algorithm>
#include <bitset>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "control-plane/feed/evidence.h"
#include "control-plane/feed/score.h"
#include "control-plane/feed/source.h"
#include "control-plane/feed/terms.h"

namespace ribalta::feed {

/// Viewers that are remembered. For each who comes after them another is forgotten: of the next so many the one who has
/// not come for longest, and before all one of whom no taste is known.
inline constexpr std::size_t kViewersMax = std::size_t{1} << 20;
inline constexpr std::size_t kForgottenOf = 64;
/// Items of a taste: beyond them the oldest are forgotten. Some hours of watching.
inline constexpr std::size_t kTasteMax = 256;
/// What was liked once keeps at least this weight.
inline constexpr float kTasteWeightMin = 0.02F;
/// Items that a viewer was shown: 20 000 in a week are one every 30 s, day and night. Beyond them the oldest may come
/// again.
inline constexpr std::size_t kShownMax = 20'000;
/// "Not interested": beyond them the oldest may come again.
inline constexpr std::size_t kUnwantedMax = 2000;
/// Served items whose outcome is awaited: five pages of 20. Beyond them the oldest is learned from with what came so
/// far.
inline constexpr std::size_t kServedMax = 100;
/// The scorer learns what came of an item when its viewer asks for the next page and has left it, or so long after it
/// came on the screen. Before it does, it is not served again so long after it was.
inline constexpr std::chrono::minutes kOutcomeWindow{10};
/// What was served and never came on the screen is forgotten then: phones that had no network tell late.
inline constexpr std::chrono::hours kServedFor{24};
/// The last that were on the screen, oldest first: what diversity looks back on.
inline constexpr std::size_t kLastMax = 16;

/// An item that the feed served, with what the scorer saw when it did.
struct Served {
  ItemIndex item = 0;
  Evidence evidence;
  std::int64_t time_ms = 0;  ///< when it was served
  std::int64_t seen_ms = 0;  ///< when it came on the screen; 0: it has not
  Outcomes came;
};

/// When an item was shown last, and what has been counted of it: each viewer counts once. Kept by item.
struct Shown {
  ItemIndex item = 0;
  bool explored = false;  ///< it was served, and an impression was counted
  bool watched = false;   ///< a view of it was counted
  bool liked = false;     ///< so was that they liked it
  std::int64_t time_ms = 0;
};

class Viewer {
 public:
  /// @return what is remembered of it, until the next call.
  Shown& show(ItemIndex item, std::int64_t time_ms, std::int64_t window_ms);
  [[nodiscard]] bool was_shown(ItemIndex item, std::int64_t now_ms, std::int64_t window_ms) const;

  /// Liked it that much; the greatest of an item's weights stays.
  void like(ItemIndex item, float weight, std::int64_t time_ms);
  /// What of their taste is so counts that much less.
  template <class Is>
  void fade(float leaves, const Is& is) {
    for (Seen& seen : taste_) {
      if (is(seen.item)) seen.weight = std::max(seen.weight * leaves, kTasteWeightMin);
    }
  }
  /// Never again, and it says nothing of their taste.
  void unwant(ItemIndex item);
  [[nodiscard]] bool wants(ItemIndex item) const;
  [[nodiscard]] std::span<const ItemIndex> unwanted() const { return unwanted_; }

  /// What was served in the last minutes and has not been on the screen. Sorted.
  [[nodiscard]] std::vector<ItemIndex> awaited(std::int64_t now_ms) const;

  [[nodiscard]] std::span<const Seen> taste() const { return taste_; }
  [[nodiscard]] std::span<const ItemIndex> last() const { return last_; }

  std::vector<Served> served;        ///< oldest first, at most kServedMax
  std::optional<ItemIndex> watches;  ///< of those the one that came on the screen last
  UserId id;
  std::int64_t last_ms = 0;  ///< when they came

 private:
  void forget_shown(std::int64_t before_ms);

  std::vector<Seen> taste_;
  std::vector<Shown> shown_;
  std::vector<ItemIndex> unwanted_;
  std::vector<ItemIndex> last_;
};

class Viewers {
 public:
  explicit Viewers(std::size_t most = kViewersMax) : most_(most) {}
  /// Nothing for nobody (id 0). What was given out before may be gone.
  Viewer* remember(UserId id, std::int64_t now_ms);
  [[nodiscard]] const Viewer* find(UserId id) const;
  [[nodiscard]] std::size_t size() const { return viewers_.size(); }
  [[nodiscard]] std::uint64_t forgotten() const { return forgotten_; }
  /// By index.
  [[nodiscard]] std::span<const Viewer> all() const { return viewers_; }

 private:
  ViewerIndex forget();

  std::vector<Viewer> viewers_;
  std::unordered_map<UserId, ViewerIndex> indices_;
  std::size_t most_;
  std::size_t next_ = 0;  ///< where it is looked for one to forget
  std::uint64_t forgotten_ = 0;
};

}  // namespace ribalta::feed
