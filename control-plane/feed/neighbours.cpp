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

/// The sum over the history of weight × row, for every item that any row names. A question reaches few of all items, so
/// the table of sums is kept by each thread, and what was reached is cleared behind the question: a fresh table would
/// cost more than the sums with a million items.
class Neighbours::Sums {
 public:
  Sums(const Neighbours& neighbours, std::span<const Seen> weighed) {
    assert(table_.reached.empty());  // no question within a question
    if (table_.value.size() < neighbours.items()) {
      table_.value.resize(neighbours.items());
      table_.is_reached.resize(neighbours.items());
    }
    for (const Seen& seen : weighed) {
      for (const Neighbour& neighbour : neighbours.row(seen.item)) {
        table_.value[neighbour.item] += seen.weight * neighbour.weight;
        if (table_.is_reached[neighbour.item] != 0) continue;
        table_.is_reached[neighbour.item] = 1;
        table_.reached.push_back(neighbour.item);
      }
    }
  }
  Sums(const Sums&) = delete;
  Sums& operator=(const Sums&) = delete;
  ~Sums() {
    for (const ItemIndex item : table_.reached) {
      table_.value[item] = 0;
      table_.is_reached[item] = 0;
    }
    table_.reached.clear();
  }

  /// Unsorted.
  [[nodiscard]] std::span<const ItemIndex> reached() const { return table_.reached; }
  /// 0 where nothing was reached.
  [[nodiscard]] float operator[](ItemIndex item) const { return table_.value[item]; }

 private:
  struct Table {
    std::vector<float> value;  ///< by item
    std::vector<std::uint8_t> is_reached;
    std::vector<ItemIndex> reached;
  };
  static Table& of_thread() {
    thread_local Table table;
    return table;
  }

  Table& table_ = of_thread();
};

void Neighbours::find(std::span<const Seen> weighed, std::size_t limit, const Allowed& allowed,
                      std::vector<Candidate>& out) const {
  const Sums sums{*this, weighed};
  Best best{limit};
  for (const ItemIndex item : sums.reached()) best.offer({item, sums[item]}, allowed);
  best.take(out);
}

void Neighbours::score(std::span<const Seen> weighed, std::span<const ItemIndex> items_asked,
                       std::span<float> out) const {
  assert(items_asked.size() == out.size());
  const Sums sums{*this, weighed};
  for (std::size_t i = 0; i < items_asked.size(); ++i) {
    out[i] = items_asked[i] < items() ? sums[items_asked[i]] : 0;
  }
}

}  // namespace ribalta::feed
