#include "control-plane/feed/evaluate.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <map>
#include <numeric>

namespace ribalta::feed {
namespace {

/// The events without those of the pairs in `held`, which is by viewer.
std::vector<Interaction> without(std::span<const Interaction> events, std::span<const Held> held) {
  std::vector<Interaction> training;
  for (const Interaction& event : events) {
    const auto place = std::ranges::lower_bound(held, event.viewer, {}, &Held::viewer);
    const bool is_held =
        place != held.end() && place->viewer == event.viewer && std::ranges::binary_search(place->items, event.item);
    if (!is_held) training.push_back(event);
  }
  return training;
}

std::uint64_t mixed(std::uint64_t bits) {
  bits = (bits ^ (bits >> 30U)) * 0xBF58476D1CE4E5B9U;
  bits = (bits ^ (bits >> 27U)) * 0x94D049BB133111EBU;
  return bits ^ (bits >> 31U);
}

double gain(std::size_t rank) { return 1 / std::log2(static_cast<double>(rank) + 2); }

}  // namespace

Split split_last(std::span<const Interaction> events) {
  const Matrix matrix{events};
  Split split;
  for (ViewerIndex viewer = 0; viewer < matrix.viewers(); ++viewer) {
    const std::span<const Seen> history = matrix.history(viewer);
    if (history.size() > 1) split.held.push_back({viewer, {history.back().item}});
  }
  split.training = without(events, split.held);
  return split;
}

Split split_random(std::span<const Interaction> events, double share, std::uint64_t seed) {
  const Matrix matrix{events};
  Split split;
  for (ViewerIndex viewer = 0; viewer < matrix.viewers(); ++viewer) {
    std::vector<ItemIndex> items;
    for (const Seen& seen : matrix.history(viewer)) items.push_back(seen.item);
    const auto wanted = static_cast<std::size_t>(std::round(share * static_cast<double>(items.size())));
    if (wanted == 0 || wanted >= items.size()) continue;
    std::ranges::sort(items, {}, [&](ItemIndex item) {
      return std::pair{mixed(mixed(seed + viewer * std::uint64_t{0x9E3779B97F4A7C15}) + item), item};
    });
    items.resize(wanted);
    std::ranges::sort(items);
    split.held.push_back({viewer, std::move(items)});
  }
  split.training = without(events, split.held);
  return split;
}

Split split_pairs(std::span<const Interaction> events, std::span<const Pair> pairs) {
  std::map<ViewerIndex, std::vector<ItemIndex>> by_viewer;
  for (const Pair& pair : pairs) by_viewer[pair.viewer].push_back(pair.item);
  Split split;
  for (auto& [viewer, items] : by_viewer) {
    std::ranges::sort(items);
    split.held.push_back({viewer, std::move(items)});
  }
  split.training = without(events, split.held);
  return split;
}

void add_ranking(Quality& sums, std::span<const Candidate> ranking, std::span<const ItemIndex> held) {
  assert(!held.empty());
  ++sums.viewers;
  std::vector<std::size_t> ranks;
  for (std::size_t rank = 0; rank < ranking.size() && ranks.size() < held.size(); ++rank) {
    if (std::ranges::binary_search(held, ranking[rank].item)) ranks.push_back(rank);
  }
  if (ranks.empty()) return;
  sums.mrr += 1 / static_cast<double>(ranks.front() + 1);
  for (std::size_t i = 0; i < kCutoffs.size(); ++i) {
    const std::size_t cutoff = kCutoffs[i];
    double found = 0;
    double gained = 0;
    for (const std::size_t rank : ranks) {
      if (rank >= cutoff) break;
      found += 1;
      gained += gain(rank);
    }
    double ideal = 0;
    for (std::size_t rank = 0; rank < std::min(cutoff, held.size()); ++rank) ideal += gain(rank);
    sums.at[i].hits += found > 0 ? 1 : 0;
    sums.at[i].ndcg += gained / ideal;
    sums.at[i].precision += found / static_cast<double>(cutoff);
    sums.at[i].recall += found / static_cast<double>(held.size());
  }
}

Quality mean(const Quality& sums) {
  Quality quality = sums;
  const double count = static_cast<double>(std::max<std::size_t>(sums.viewers, 1));
  for (AtCutoff& at : quality.at) {
    for (double* value : {&at.hits, &at.ndcg, &at.precision, &at.recall}) *value /= count;
  }
  quality.mrr /= count;
  return quality;
}

Quality mean_of(std::span<const Quality> measured) {
  assert(!measured.empty());
  Quality quality;
  const double share = 1 / static_cast<double>(measured.size());
  for (const Quality& one : measured) {
    for (std::size_t i = 0; i < kCutoffs.size(); ++i) {
      quality.at[i].hits += share * one.at[i].hits;
      quality.at[i].ndcg += share * one.at[i].ndcg;
      quality.at[i].precision += share * one.at[i].precision;
      quality.at[i].recall += share * one.at[i].recall;
    }
    quality.mrr += share * one.mrr;
    quality.viewers = std::max(quality.viewers, one.viewers);
  }
  return quality;
}

Quality evaluate(const Source& source, const Matrix& training, std::span<const Held> held) {
  Quality sums;
  std::vector<Candidate> ranking;
  for (const Held& one : held) {
    const std::span<const Seen> history = training.history(one.viewer);
    std::vector<bool> seen(std::max(training.items(), std::size_t{1}));
    for (const Seen& item : history) seen[item.item] = true;
    const auto fresh = [&seen](ItemIndex item) { return item >= seen.size() || !seen[item]; };
    ranking.clear();
    source.find(history, history.empty() ? 0 : history.back().time_ms, training.items(), fresh, ranking);
    add_ranking(sums, ranking, one.items);
  }
  return mean(sums);
}

}  // namespace ribalta::feed
