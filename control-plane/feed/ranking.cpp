#include "control-plane/feed/ranking.h"

#include <algorithm>
#include <cassert>
#include <numeric>
#include <utility>

#include "control-plane/feed/evidence.h"

namespace ribalta::feed {
namespace {

/// SplitMix64.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  /// 0 to below `count`; the bias is that of 64 bits.
  std::size_t below(std::size_t count) {
    std::uint64_t bits = state_ += 0x9E3779B97F4A7C15U;
    bits = (bits ^ (bits >> 30U)) * 0xBF58476D1CE4E5B9U;
    bits = (bits ^ (bits >> 27U)) * 0x94D049BB133111EBU;
    return static_cast<std::size_t>((bits ^ (bits >> 31U)) % count);
  }
  /// Puts `count` of the elements, drawn at random, first.
  template <class T>
  void draw(std::vector<T>& all, std::size_t count) {
    for (std::size_t i = 0; i < std::min(count, all.size()); ++i) std::swap(all[i], all[i + below(all.size() - i)]);
  }

 private:
  std::uint64_t state_;
};

std::vector<Example> examples_of(Sources sources, std::span<const Seen> history, std::int64_t now_ms,
                                 std::span<const ItemIndex> items) {
  const std::vector<Evidence> evidence = gather(sources, history, now_ms, items);
  std::vector<Example> examples(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) examples[i].evidence = evidence[i];
  return examples;
}

/// The items that a viewer has seen are allowed to nobody who asks.
class Fresh {
 public:
  Fresh(std::span<const Seen> history, std::size_t items) : seen_(items) {
    for (const Seen& one : history) seen_[one.item] = true;
  }
  bool operator()(ItemIndex item) const { return item >= seen_.size() || !seen_[item]; }

 private:
  std::vector<bool> seen_;
};

std::int64_t time_of(std::span<const Seen> history) { return history.empty() ? 0 : history.back().time_ms; }

/// One viewer's choices, once: each held item before candidates that were not held.
void learn_viewer(Scorer& scorer, std::span<const Example> examples, std::span<const ItemIndex> items,
                  std::span<const ItemIndex> held, std::size_t others_count, Random& random) {
  std::vector<std::size_t> others;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!std::ranges::binary_search(held, items[i])) others.push_back(i);
  }
  if (others.empty()) return;
  for (const ItemIndex chosen : held) {
    const auto place = std::ranges::lower_bound(items, chosen);
    if (place == items.end() || *place != chosen) continue;  // no source finds it: nothing to learn from
    random.draw(others, others_count);
    std::vector<Example> list{examples[static_cast<std::size_t>(place - items.begin())]};
    for (std::size_t i = 0; i < std::min(others_count, others.size()); ++i) list.push_back(examples[others[i]]);
    scorer.learn_choice(list, 0);
  }
}

}  // namespace

std::vector<ItemIndex> find_candidates(Sources sources, std::span<const Seen> history, std::int64_t now_ms,
                                       std::size_t per_source, const Allowed& allowed) {
  std::vector<Candidate> found;
  for (const Source* source : sources) source->find(history, now_ms, per_source, allowed, found);
  std::vector<ItemIndex> items;
  items.reserve(found.size());
  for (const Candidate& candidate : found) items.push_back(candidate.item);
  std::ranges::sort(items);
  const auto [begin, end] = std::ranges::unique(items);
  items.erase(begin, end);
  return items;
}

void learn_choices(Scorer& scorer, Sources sources, const Matrix& training, std::span<const Held> held,
                   const RankingOptions& options) {
  struct Lesson {
    std::vector<ItemIndex> items;
    std::vector<Example> examples;
  };
  std::vector<Lesson> lessons;
  for (const Held& one : held) {
    const std::span<const Seen> history = training.history(one.viewer);
    const std::int64_t now_ms = time_of(history);
    Lesson lesson;
    lesson.items =
        find_candidates(sources, history, now_ms, options.candidates_per_source, Fresh{history, training.items()});
    lesson.examples = examples_of(sources, history, now_ms, lesson.items);
    lessons.push_back(std::move(lesson));
  }
  Random random{options.seed};
  std::vector<std::size_t> order(held.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t pass = 0; pass < options.passes; ++pass) {
    random.draw(order, order.size());
    for (const std::size_t i : order) {
      learn_viewer(scorer, lessons[i].examples, lessons[i].items, held[i].items, options.others_per_choice, random);
    }
  }
}

std::vector<Candidate> rank(const Scorer& scorer, Sources sources, std::span<const Seen> history, std::int64_t now_ms,
                            const Allowed& allowed, const RankingOptions& options) {
  const std::vector<ItemIndex> items =
      find_candidates(sources, history, now_ms, options.candidates_per_source, allowed);
  const std::vector<Example> examples = examples_of(sources, history, now_ms, items);
  std::vector<Candidate> ranked;
  for (std::size_t i = 0; i < items.size(); ++i) ranked.push_back({items[i], scorer.choice_odds(examples[i])});
  std::ranges::sort(ranked, better);
  return ranked;
}

Quality evaluate(const Scorer& scorer, Sources sources, const Matrix& training, std::span<const Held> held,
                 const RankingOptions& options) {
  Quality sums;
  for (const Held& one : held) {
    const std::span<const Seen> history = training.history(one.viewer);
    const Fresh fresh{history, training.items()};
    add_ranking(sums, rank(scorer, sources, history, time_of(history), fresh, options), one.items);
  }
  return mean(sums);
}

}  // namespace ribalta::feed
