// The feed: which items a viewer sees next, and why. Sources propose, the filter refuses, the scorer weighs, diversity
// orders, and exploration has slots of its own. No clock, no threads, no SQL and no HTTP in here: times and seeds are
// passed in, and the same calls in the same order give the same answers.
//
// Threads: everything const may be called from many at once. `upsert`, `served`, `learn`, `install` and `restore` are
// for one alone, while nobody else calls anything. `train` (models.h) touches no feed: it runs beside all of them.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "control-plane/feed/diversify.h"
#include "control-plane/feed/embeddings.h"
#include "control-plane/feed/exploration.h"
#include "control-plane/feed/filter.h"
#include "control-plane/feed/items.h"
#include "control-plane/feed/models.h"
#include "control-plane/feed/newcomers.h"
#include "control-plane/feed/online.h"
#include "control-plane/feed/score.h"
#include "control-plane/feed/terms.h"
#include "control-plane/feed/transitions.h"
#include "control-plane/feed/viewers.h"
#include "core/result.h"

namespace ribalta::feed {

/// Items of one page; more are not given.
inline constexpr std::size_t kPageMax = 50;
static_assert(2 * kPageMax <= kServedMax);
/// An event counts as of when it happened, as its sender says, but not of earlier than this before it came.
inline constexpr std::chrono::hours kEventLateMax = kServedFor;

struct FeedOptions {
  ScorerOptions scorer;
  DiversityOptions diversity;
  ExplorationOptions exploration;
  std::chrono::milliseconds shown_window = kShownWindow;
  std::chrono::milliseconds popularity_half_life = std::chrono::hours{24};
  std::chrono::milliseconds new_for = std::chrono::hours{72};  ///< a later item gets exploration's guarantee
  std::size_t embedding_dimensions = 0;                        ///< 0: items have no embeddings
  std::size_t candidates_per_source = 100;
  TransitionOptions transitions = ModelOptions{}.transitions;
  /// The names of what `train` gives, or of what else is installed.
  std::vector<std::string> trained{"taste",     "factors",     "watched_together",
                                   "taste_now", "factors_now", "watched_together_now"};
};

struct Request {
  Audience audience;
  std::size_t count = 20;
  std::uint64_t seed = 0;
};

/// One item of a page. The terms are what "why am I seeing this" shows; the evidence goes back to `served`.
struct Ranked {
  ItemId item;
  float score = 0;
  bool exploring = false;  ///< in one of exploration's slots
  std::vector<Term> terms;
  Evidence evidence;
};

class Feed {
 public:
  explicit Feed(const FeedOptions& options = {});

  /// Adds items or changes them. Give old ones first: what came last counts as newest.
  void upsert(std::span<const Item> items, std::int64_t now_ms);
  /// What viewers did, oldest first, and when we heard of it. Unknown items, nobody's events and an author's own are
  /// ignored, and counted. Exploration learns of what was served alone. An item that was not in the training is learned
  /// from those who like it (newcomers.h).
  void learn(std::span<const Event> events, std::int64_t now_ms);
  /// A page went out: what comes of it teaches the scorer.
  void served(UserId viewer, std::span<const Ranked> page, std::int64_t now_ms);

  /// The best `count` or fewer that this viewer may see, in the order to show them. What was served to them in the last
  /// minutes and has not been on the screen comes last, where there is too little else.
  [[nodiscard]] std::vector<Ranked> rank(const Request& request) const;

  /// What models are trained from: `install(train(Matrix{interactions()}))`.
  [[nodiscard]] std::vector<Interaction> interactions() const;
  /// In place of those installed before. What was liked since they were trained is learned again: most of it with
  /// the events that follow, so that this takes a moment only. @error not_found: a
  /// name that is not among `trained`; nothing is changed.
  Result<void> install(Trained trained);

  [[nodiscard]] Bytes snapshot() const { return scorer_.snapshot(); }
  /// What the scorer has learned; the rest comes again from the catalogue and from events. @error as Scorer::restore.
  Result<void> restore(ByteSpan bytes) { return scorer_.restore(bytes); }

  [[nodiscard]] const Items& items() const { return items_; }
  [[nodiscard]] const Viewers& viewers() const { return viewers_; }
  [[nodiscard]] const Exploration& exploration() const { return exploration_; }
  [[nodiscard]] const Scorer& scorer() const { return scorer_; }
  [[nodiscard]] std::uint64_t ignored() const { return ignored_; }

 private:
  void learn(const Event& event, std::int64_t now_ms);
  void fade_taste(Viewer& viewer, ItemIndex skipped);
  void like(Viewer& viewer, Shown& shown, const Seen& liked);
  [[nodiscard]] bool is_newcomer(ItemIndex item) const;
  void learn_newcomer(ItemIndex item);
  void list_newcomers();
  void learn_due(std::size_t most);
  void take_outcome(Viewer& viewer, ItemIndex item, const Event& event, float worth);
  template <class Is>
  void learn_served(Viewer& viewer, UserId id, const Is& known);
  void learn_outcomes(UserId id, std::span<const Served> known);
  [[nodiscard]] Example example(UserId viewer, ItemIndex item, const Evidence& evidence, std::int64_t now_ms) const;
  [[nodiscard]] std::vector<ItemIndex> candidates(std::span<const Seen> taste, const Filter& filter,
                                                  std::int64_t now_ms) const;
  [[nodiscard]] std::vector<ItemIndex> explored(const Request& request, const Filter& filter) const;
  [[nodiscard]] std::vector<Ranked> arranged(const Request& request, std::vector<ItemIndex> items,
                                             std::span<const ItemIndex> exploring, std::size_t count) const;
  void list_sources();

  FeedOptions options_;
  Items items_;
  Viewers viewers_;
  Exploration exploration_;
  Transitions transitions_;
  Popular popular_;
  Newest newest_;
  std::unique_ptr<Embeddings> embeddings_;
  Trained trained_;
  Newcomers newcomers_;
  std::vector<ItemIndex> due_;  ///< newcomers whose viewers are enough, and who have no numbers yet; the next is last
  std::vector<std::unique_ptr<const Source>> absent_;  ///< stand in for what is not installed
  std::vector<const Source*> sources_;                 ///< in the order of the scorer's names
  Scorer scorer_;
  std::uint64_t ignored_ = 0;
};

}  // namespace ribalta::feed
