#include "control-plane/feed/neighbours.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "control-plane/feed/best.h"

namespace ribalta::feed {

void keep_strongest(std::vector<Neighbour>& row, std::size_t limit) {
  if (row.size() <= limit) return;
  const auto stronger = [](const Neighbour& a, const Neighbour& b) {
    const float left = std::abs(a.weight);
    const float right = std::abs(b.weight);
    return left != right ? left > right : a.item < b.item;
  };
  std::ranges::nth_element(row, row.begin() + static_cast<std::ptrdiff_t>(limit), stronger);
  row.resize(limit);
}

void Neighbours::append(ItemIndex item, std::vector<Neighbour> row) {
  assert(begins_.size() <= item + std::size_t{1});
  begins_.resize(item + std::size_t{1}, all_.size());
  std::ranges::sort(row, {}, &Neighbour::item);  // sums then walk memory in one direction
  all_.insert(all_.end(), row.begin(), row.end());
}

void Neighbours::finish(std::size_t items) {
  assert(begins_.size() <= items);
  begins_.resize(items + 1, all_.size());
}

std::span<const Neighbour> Neighbours::row(ItemIndex item) const {
  if (item >= items()) return {};
  return std::span{all_}.subspan(begins_[item], begins_[item + std::size_t{1}] - begins_[item]);
}

Neighbours::Sums Neighbours::sums(std::span<const Seen> weighed) const {
  Sums sums{.value = std::vector<float>(items()), .reached = {}};
  std::vector<bool> reached(items());
  for (const Seen& seen : weighed) {
    for (const Neighbour& neighbour : row(seen.item)) {
      sums.value[neighbour.item] += seen.weight * neighbour.weight;
      if (reached[neighbour.item]) continue;
      reached[neighbour.item] = true;
      sums.reached.push_back(neighbour.item);
    }
  }
  return sums;
}

void Neighbours::find(std::span<const Seen> weighed, std::size_t limit, const Allowed& allowed,
                      std::vector<Candidate>& out) const {
  const Sums found = sums(weighed);
  Best best{limit};
  for (const ItemIndex item : found.reached) best.offer({item, found.value[item]}, allowed);
  best.take(out);
}

void Neighbours::score(std::span<const Seen> weighed, std::span<const ItemIndex> items_asked,
                       std::span<float> out) const {
  assert(items_asked.size() == out.size());
  const Sums found = sums(weighed);
  for (std::size_t i = 0; i < items_asked.size(); ++i) {
    out[i] = items_asked[i] < items() ? found.value[items_asked[i]] : 0;
  }
}

}  // namespace ribalta::feed
