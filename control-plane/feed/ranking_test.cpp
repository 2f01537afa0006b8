#include "control-plane/feed/ranking.h"

#include <doctest/doctest.h>

#include "control-plane/feed/source_check.h"
#include "control-plane/feed/tune.h"

namespace ribalta::feed {
namespace {

/// Scores each item with a fixed number.
class Fixed final : public Source {
 public:
  Fixed(std::string_view name, std::vector<float> scores) : name_(name), scores_(std::move(scores)) {}
  [[nodiscard]] std::string_view name() const override { return name_; }
  void find(std::span<const Seen>, std::int64_t, std::size_t limit, const Allowed& allowed,
            std::vector<Candidate>& out) const override {
    std::vector<Candidate> all;
    for (ItemIndex item = 0; item < scores_.size(); ++item) {
      if (allowed(item)) all.push_back({item, scores_[item]});
    }
    std::ranges::sort(all, better);
    all.resize(std::min(all.size(), limit));
    out.insert(out.end(), all.begin(), all.end());
  }
  void score(std::span<const Seen>, std::int64_t, std::span<const ItemIndex> items,
             std::span<float> out) const override {
    for (std::size_t i = 0; i < items.size(); ++i) out[i] = items[i] < scores_.size() ? scores_[items[i]] : 0;
  }

 private:
  std::string_view name_;
  std::vector<float> scores_;
};

}  // namespace

TEST_CASE("ranking: candidates are what any source finds, once, and allowed") {
  const Fixed up{"up", {1, 2, 3, 4, 5}};
  const Fixed down{"down", {5, 4, 3, 2, 1}};
  const std::array<const Source*, 2> sources{&up, &down};
  const Allowed not_first = [](ItemIndex item) { return item != 0; };
  CHECK(find_candidates(sources, {}, 0, 2, not_first) == std::vector<ItemIndex>{1, 2, 3, 4});
  CHECK(find_candidates(sources, {}, 0, 1, not_first) == std::vector<ItemIndex>{1, 4});
  CHECK(find_candidates({}, {}, 0, 1, not_first).empty());
}

TEST_CASE("ranking: the scorer learns which source to believe") {
  const Fixed right{"right", {9, 8, 7, 6, 5, 4, 3, 2, 1, 0.5F}};
  const Fixed wrong{"wrong", {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}};
  const std::array<const Source*, 2> sources{&wrong, &right};
  std::vector<Interaction> events;
  std::vector<Held> held;
  for (ViewerIndex viewer = 0; viewer < 50; ++viewer) {
    events.push_back({viewer, 20, 1, 1});
    held.push_back({viewer, {viewer % 3}});
  }
  const Matrix training{events};
  Scorer scorer{{"wrong", "right"}, {.slots_log2 = kSlotsLog2Min}};
  const double before = evaluate(scorer, sources, training, held, {}).mrr;
  learn_choices(scorer, sources, training, held, {});
  const Quality after = evaluate(scorer, sources, training, held, {});
  CHECK(after.mrr > before);
  CHECK(after.at[0].hits == 1);
  const std::vector<Candidate> ranked =
      rank(scorer, sources, training.history(0), 0, [](ItemIndex) { return true; }, {});
  CHECK(ranked.size() == 10);
  CHECK(std::ranges::is_sorted(ranked, better));
}

TEST_CASE("ranking: splits lie one inside the other, so that nothing is learned from what it is judged by") {
  const std::vector<Interaction> events = testing::small_world(30, 40);
  for (const Splits& splits : {splits_by_time(events), splits_at_random(events, std::nullopt)}) {
    const Matrix test{splits.test.training};
    const Matrix validation{splits.validation.training};
    const Matrix lesson{splits.lesson.training};
    CHECK(test.pairs() > validation.pairs());
    CHECK(validation.pairs() > lesson.pairs());
    const auto has = [](const Matrix& matrix, const Held& held) {
      return std::ranges::any_of(matrix.history(held.viewer),
                                 [&](const Seen& seen) { return std::ranges::binary_search(held.items, seen.item); });
    };
    for (const Held& held : splits.test.held) CHECK_FALSE(has(test, held));
    for (const Held& held : splits.validation.held) CHECK_FALSE(has(validation, held));
    for (const Held& held : splits.lesson.held) CHECK_FALSE(has(lesson, held));
  }
}

}  // namespace ribalta::feed
