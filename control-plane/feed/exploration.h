// New items get a guaranteed number of impressions, and more in stages as they earn them; which of those that wait
// comes next is drawn by Thompson sampling. No source: it spends slots of its own, and their share of a page is
// bounded.
//
// An item's worth is how long it is watched beside others of its length: a view counts as the share of the views of
// items of about that duration that it outlasts, so that short items have no advantage. At the end of a stage the
// item goes on if the lower bound of its worth beats what the middle of its cohort (items of about its duration that
// ended the same stage) had; otherwise exploration leaves it to the other sources. Views come after the impressions
// that they belong to, so a stage is judged a while after its last one; until then the item is not drawn.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "control-plane/feed/source.h"

namespace ribalta::feed {

/// Bounds of what is kept: of an item 32 bytes.
inline constexpr std::size_t kCohortDurations = 8;
inline constexpr std::size_t kStagesMax = 6;
/// Ended items of a cohort that are compared with: the latest.
inline constexpr std::size_t kCohortMax = 256;
/// Open items that one draw compares, of those that wait for their guaranteed impressions and of those that are past
/// them: the ones that have waited longest and may be shown to this viewer.
inline constexpr std::size_t kDrawnMax = 32;
/// Items that it looks at for them: half from the longest waiting on, half from a place that the seed chooses, so that
/// no number of items that this viewer may not see stands before the others for ever.
inline constexpr std::size_t kLookedAtMax = 4096;
/// A stage is judged so long after its last impression.
inline constexpr std::chrono::minutes kViewsAwaited{10};
/// The share of exploration's slots that goes to items past their first stage while others wait for their guarantee.
inline constexpr double kPromotedShare = 0.25;
/// A new item is open for so long, also where nobody came to see it.
inline constexpr std::chrono::hours kOpenFor{14 * 24};

struct ExplorationOptions {
  std::uint32_t first_impressions = 100;  ///< guaranteed, to different viewers; at least 1
  std::uint32_t growth = 3;               ///< each stage is so many times the one before; at least 1
  std::uint32_t stages = 4;               ///< 1..kStagesMax
  float cohort_quantile = 0.5F;           ///< that the lower bound has to beat
  float share = 0.15F;                    ///< of a page's slots, at most; 0..0.5
};

class Exploration {
 public:
  /// Options out of their range are brought into it.
  explicit Exploration(const ExplorationOptions& options);

  /// A new item, from its publication on; or one that was hidden, which goes on where it was. Others stay as they are.
  void open(ItemIndex item, std::int64_t duration_ms, std::int64_t published_ms, std::int64_t now_ms);
  /// It is not drawn until it is opened again: somebody has hidden it.
  void hide(ItemIndex item);
  /// It is so late: opens what is published, judges stages whose views have come, closes what was open for too long.
  void pass(std::int64_t now_ms);

  /// A viewer to whom it was served saw it for the first time.
  void impression(ItemIndex item, std::int64_t now_ms);
  /// What their watching of it was worth. Each viewer once, after their impression.
  void view(ItemIndex item, float worth);
  /// How much somebody watched of some item of that duration: what is usual. Over 1: more than once.
  void watched(std::int64_t duration_ms, float share);

  /// Slots of a page of `count`: the share, rounded up or down by the draw where it does not divide.
  [[nodiscard]] std::size_t slots(std::size_t count, std::uint64_t seed) const;
  /// `count` or fewer open items, by Thompson sampling.
  [[nodiscard]] std::vector<ItemIndex> draw(std::size_t count, std::uint64_t seed, const Allowed& allowed) const;

  /// It is tried now: drawn, or about to be judged.
  [[nodiscard]] bool is_open(ItemIndex item) const;
  [[nodiscard]] bool is_hidden(ItemIndex item) const;
  /// 0: its guaranteed one. Of an item that is closed, the one that it did not pass.
  [[nodiscard]] std::uint32_t stage(ItemIndex item) const;
  [[nodiscard]] std::uint32_t impressions(ItemIndex item) const;
  /// Open items that have not had their guaranteed impressions.
  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }
  /// The share of views of items of about that duration that such a view outlasts.
  [[nodiscard]] float worth(std::int64_t duration_ms, float watched) const;

 private:
  /// In this order, but for `hidden`, from which all go on that are not closed. `later`: not published yet; `judged`:
  /// its stage has all impressions, and some views may be on their way.
  enum class State : std::uint8_t { unknown, later, open, judged, hidden, closed };
  struct Trial {
    State state = State::unknown;
    std::uint8_t duration = 0;  ///< its cohort
    std::uint8_t stage = 0;
    std::uint32_t shown = 0;  ///< in this stage
    std::uint32_t shown_before = 0;
    std::uint32_t views = 0;
    float worth = 0;            ///< sum over the views
    std::int64_t since_ms = 0;  ///< when it was opened
    std::int64_t due_ms = 0;    ///< in `later` when it is published, in `judged` when it is
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

  void enter(ItemIndex item, std::int64_t published_ms, std::int64_t now_ms);
  void leave_lists(ItemIndex item);
  [[nodiscard]] bool is_tried(ItemIndex item) const;
  void await_views(ItemIndex item, std::int64_t now_ms);
  void judge(ItemIndex item);
  void turn_back(std::int64_t now_ms);
  [[nodiscard]] std::vector<ItemIndex> best_drawn(std::span<const ItemIndex> open, std::uint64_t seed,
                                                  const Allowed& allowed) const;
  [[nodiscard]] std::uint32_t budget(std::uint32_t stage) const;
  [[nodiscard]] float bar(const Cohort& cohort) const;

  ExplorationOptions options_;
  std::vector<Trial> trials_;        ///< by item
  std::vector<ItemIndex> waiting_;   ///< for their guaranteed impressions, in the order in which they came
  std::vector<ItemIndex> promoted_;  ///< past them, in the order in which they got there
  std::set<std::pair<std::int64_t, ItemIndex>> later_;   ///< by their publication
  std::set<std::pair<std::int64_t, ItemIndex>> judged_;  ///< by when they are
  std::int64_t passed_ms_ = 0;                           ///< the time that it was told last
  std::int64_t expired_ms_ = 0;                          ///< when it was last looked for what was open for too long
  std::array<Watched, kCohortDurations> watched_{};
  std::array<std::array<Cohort, kStagesMax>, kCohortDurations> cohorts_{};
};

}  // namespace ribalta::feed
