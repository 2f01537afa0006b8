#include "control-plane/feed/matrix.h"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <tuple>

namespace ribalta::feed {
namespace {

/// What can be used, an item once for each viewer, by viewer and item.
std::vector<Interaction> pairs_of(std::span<const Interaction> interactions) {
  std::vector<Interaction> events;
  events.reserve(interactions.size());
  for (const Interaction& event : interactions) {
    const float weight = sane_weight(event.weight);
    if (weight == 0 || event.viewer >= kMatrixViewersMax || event.item >= kMatrixItemsMax) continue;
    events.push_back({event.viewer, event.item, weight, event.time_ms});
  }
  std::ranges::sort(events, {}, [](const Interaction& event) { return std::pair{event.viewer, event.item}; });
  std::vector<Interaction> pairs;
  for (const Interaction& event : events) {
    if (pairs.empty() || pairs.back().viewer != event.viewer || pairs.back().item != event.item) {
      pairs.push_back(event);
      continue;
    }
    pairs.back().time_ms = std::max(pairs.back().time_ms, event.time_ms);
    pairs.back().weight = std::max(pairs.back().weight, event.weight);
  }
  return pairs;
}

bool of_one_viewer(const Interaction& a, const Interaction& b) { return a.viewer == b.viewer; }

}  // namespace

std::vector<Seen> usable(std::span<const Seen> history, std::size_t items) {
  if (history.size() > kHistoryItemsMax) history = history.last(kHistoryItemsMax);
  std::vector<Seen> found;
  found.reserve(history.size());
  for (const Seen& seen : history) {
    const float weight = sane_weight(seen.weight);
    if (seen.item < items && weight > 0) found.push_back({seen.item, weight, seen.time_ms});
  }
  return found;
}

Matrix::Matrix(std::span<const Interaction> interactions) {
  std::vector<Interaction> pairs = pairs_of(interactions);
  if (pairs.empty()) {
    left_out_ = interactions.size();
    return;
  }
  std::ranges::sort(pairs, {},
                    [](const Interaction& event) { return std::tuple{event.viewer, event.time_ms, event.item}; });
  std::vector<Interaction> kept;
  kept.reserve(pairs.size());
  for (auto begin = pairs.begin(); begin != pairs.end();) {
    const auto end = std::find_if_not(begin, pairs.end(), [&](const auto& one) { return of_one_viewer(*begin, one); });
    const auto length = static_cast<std::size_t>(end - begin);
    const auto newest = length > kHistoryItemsMax ? end - static_cast<std::ptrdiff_t>(kHistoryItemsMax) : begin;
    std::copy(newest, end, std::back_inserter(kept));
    begin = end;
  }
  left_out_ = interactions.size() - kept.size();

  history_begins_.assign(kept.back().viewer + std::size_t{2}, 0);
  ItemIndex item_last = 0;
  for (const Interaction& event : kept) {
    ++history_begins_[event.viewer + std::size_t{1}];
    item_last = std::max(item_last, event.item);
    seen_.push_back({event.item, event.weight, event.time_ms});
  }
  audience_begins_.assign(item_last + std::size_t{2}, 0);
  for (const Seen& seen : seen_) ++audience_begins_[seen.item + std::size_t{1}];
  for (std::size_t i = 1; i < history_begins_.size(); ++i) history_begins_[i] += history_begins_[i - 1];
  for (std::size_t i = 1; i < audience_begins_.size(); ++i) audience_begins_[i] += audience_begins_[i - 1];

  watchers_.resize(seen_.size());
  std::vector<std::size_t> next = audience_begins_;
  for (const Interaction& event : kept) watchers_[next[event.item]++] = {event.viewer, event.weight};
  assert(history_begins_.back() == seen_.size());
  assert(audience_begins_.back() == watchers_.size());
}

std::span<const Seen> Matrix::history(ViewerIndex viewer) const {
  if (viewer >= viewers()) return {};
  const std::size_t begin = history_begins_[viewer];
  return std::span{seen_}.subspan(begin, history_begins_[viewer + std::size_t{1}] - begin);
}

std::span<const Watcher> Matrix::audience(ItemIndex item) const {
  if (item >= items()) return {};
  const std::size_t begin = audience_begins_[item];
  return std::span{watchers_}.subspan(begin, audience_begins_[item + std::size_t{1}] - begin);
}

std::vector<ItemIndex> Matrix::most_watched(std::size_t limit) const {
  std::vector<ItemIndex> found;
  for (ItemIndex item = 0; item < items(); ++item) {
    if (!audience(item).empty()) found.push_back(item);
  }
  std::ranges::sort(found, [this](ItemIndex a, ItemIndex b) {
    const std::size_t left = audience(a).size();
    const std::size_t right = audience(b).size();
    return left != right ? left > right : a < b;
  });
  if (found.size() > limit) found.resize(limit);
  return found;
}

}  // namespace ribalta::feed
