// Sources that need no training: what is popular now, cut to a short list, and what came last.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "control-plane/feed/items.h"
#include "control-plane/feed/popularity.h"
#include "control-plane/feed/source.h"

namespace ribalta::feed {

/// The most popular items that are offered: whoever has been shown all of them in a week gets other things.
inline constexpr std::size_t kPopularMax = 2000;
/// The latest items that are offered, of those that the viewer may see, and how many are looked at for them.
inline constexpr std::size_t kNewestMax = 1000;
inline constexpr std::size_t kNewestLookedAtMax = 10'000;

/// Popularity without going through the whole catalogue for each question. All events decay alike, so the order of what
/// is there already does not change with time, only with events: the list is made anew after some of them.
class Popular final : public Source {
 public:
  explicit Popular(std::chrono::milliseconds half_life) : counts_(half_life) {}

  void learn(const Interaction& event);

  [[nodiscard]] std::string_view name() const override { return counts_.name(); }
  void find(std::span<const Seen> history, std::int64_t now_ms, std::size_t limit, const Allowed& allowed,
            std::vector<Candidate>& out) const override;
  void score(std::span<const Seen> history, std::int64_t now_ms, std::span<const ItemIndex> items,
             std::span<float> out) const override {
    counts_.score(history, now_ms, items, out);
  }

 private:
  Popularity counts_;
  std::vector<ItemIndex> list_;  ///< the most popular first
  std::size_t items_ = 0;        ///< one past the highest that had an event
  std::uint64_t events_ = 0;
  std::uint64_t events_in_list_ = 0;
  std::int64_t latest_ms_ = 0;  ///< of all events: late ones do not turn back the clock
};

/// What the feed was told of last; half as good after each two days. It is what a feed without any events consists of.
class Newest final : public Source {
 public:
  explicit Newest(const Items& items) : items_(items) {}

  [[nodiscard]] std::string_view name() const override { return "newest"; }
  void find(std::span<const Seen> history, std::int64_t now_ms, std::size_t limit, const Allowed& allowed,
            std::vector<Candidate>& out) const override;
  void score(std::span<const Seen> history, std::int64_t now_ms, std::span<const ItemIndex> items,
             std::span<float> out) const override;

 private:
  [[nodiscard]] float freshness(ItemIndex item, std::int64_t now_ms) const;

  const Items& items_;
};

}  // namespace ribalta::feed
