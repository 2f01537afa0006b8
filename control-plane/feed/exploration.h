// New items get a guaranteed number of impressions, and more in stages as they earn them; which of those that wait
// comes next is drawn by Thompson sampling. No source: it spends slots of its own, and their share of a page is
// bounded.
//
// An item's worth is how long it is watched beside others of its length: a view counts as the share of the views of
// items of about that duration that it outlasts, so that short items have no advantage. At the end of a stage the
// item goes on if the lower bound of its worth beats what the middle of its cohort (items of about its duration that
// ended the same stage) had; otherwise exploration leaves it to the other sources.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

#include "control-plane/feed/source.h"

namespace ribalta::feed {

/// Bounds of what is kept: of an item 32 bytes.
inline constexpr std::size_t kCohortDurations = 8;
inline constexpr std::size_t kStagesMax = 6;
/// Ended items of a cohort that are compared with: the latest.
inline constexpr std::size_t kCohortMax = 256;
/// Open items that one draw compares, of those that wait for their guaranteed impressions and of those that are past
/// them: the ones that have waited longest and may be shown to this viewer. It looks at four times as many for them.
inline constexpr std::size_t kDrawnMax = 32;
/// The share of exploration's slots that goes to items past their first stage while others wait for their guarantee.
inline constexpr double kPromotedShare = 0.25;
/// A new item is open for so long, also where nobody came to see it.
inline constexpr std::chrono::hours kOpenFor{14 * 24};

struct ExplorationOptions {
  std::uint32_t first_impressions = 100;  ///< guaranteed, to different viewers
  std::uint32_t growth = 3;               ///< each stage is so many times the one before
  std::uint32_t stages = 4;               ///< at most kStagesMax
  float cohort_quantile = 0.5F;           ///< that the lower bound has to beat
  float share = 0.15F;                    ///< of a page's slots, at most; 0..0.5
};

class Exploration {
 public:
  explicit Exploration(const ExplorationOptions& options) : options_(options) {}

  /// A new item; its duration in ms. Known ones stay as they are.
  void open(ItemIndex item, std::int64_t duration_ms, std::int64_t now_ms);
  /// Closes what has been open for too long.
  void expire(std::int64_t now_ms);
  /// Removed, or nobody's business any more.
  void close(ItemIndex item);

  /// A viewer saw it for the first time.
  void impression(ItemIndex item);
  /// How much of it they watched; over 1: more than once. Each viewer once.
  void view(ItemIndex item, std::int64_t duration_ms, float watched);

  /// Slots of a page of `count`: the share, rounded up or down by the draw where it does not divide.
  [[nodiscard]] std::size_t slots(std::size_t count, std::uint64_t seed) const;
  /// `count` or fewer open items, by Thompson sampling.
  [[nodiscard]] std::vector<ItemIndex> draw(std::size_t count, std::uint64_t seed, const Allowed& allowed) const;

  [[nodiscard]] bool is_open(ItemIndex item) const;
  /// 0: its guaranteed one. Of an item that is closed, the one that it did not pass.
  [[nodiscard]] std::uint32_t stage(ItemIndex item) const;
  [[nodiscard]] std::uint32_t impressions(ItemIndex item) const;
  /// Open items that have not had their guaranteed impressions.
  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }
  /// The share of views of items of about that duration that such a view outlasts.
  [[nodiscard]] float worth(std::int64_t duration_ms, float watched) const;

 private:
  enum class State : std::uint8_t { unknown, open, closed };
  struct Trial {
    State state = State::unknown;
    std::uint8_t duration = 0;  ///< its cohort
    std::uint8_t stage = 0;
    std::uint32_t shown = 0;  ///< in this stage
    std::uint32_t shown_before = 0;
    std::uint32_t views = 0;
    float worth = 0;  ///< sum over the views
    std::int64_t since_ms = 0;
  };
  /// How long items of one duration are watched: counts of views by watched share.
  struct Watched {
    static constexpr std::size_t kBins = 32;
    std::array<float, kBins> counts{};
    float total = 0;
  };
  struct Cohort {
    std::vector<float> worths;  ///< of those that ended a stage; a ring
    std::size_t next = 0;
  };

  void end_stage(ItemIndex item);
  [[nodiscard]] std::vector<ItemIndex> best_drawn(std::span<const ItemIndex> open, std::uint64_t seed,
                                                  const Allowed& allowed) const;
  [[nodiscard]] std::uint32_t budget(std::uint32_t stage) const;
  [[nodiscard]] float bar(const Cohort& cohort) const;

  ExplorationOptions options_;
  std::vector<Trial> trials_;        ///< by item
  std::vector<ItemIndex> waiting_;   ///< for their guaranteed impressions, in the order in which they came
  std::vector<ItemIndex> promoted_;  ///< past them, in the order in which they got there
  std::array<Watched, kCohortDurations> watched_{};
  std::array<std::array<Cohort, kStagesMax>, kCohortDurations> cohorts_{};
};

}  // namespace ribalta::feed
