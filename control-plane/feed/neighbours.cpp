#include "control-plane/feed/neighbours.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

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
  for (const Neighbour& neighbour : row) all_.push_back({neighbour.item, neighbour.weight});
}

void Neighbours::finish(std::size_t items) {
  assert(begins_.size() <= items);
  begins_.resize(items + 1, all_.size());
  places_.assign(items, kNowhere);
  for (const Weight& one : all_) {
    assert(one.place < items);
    places_[one.place] = 0;
  }
  for (ItemIndex item = 0; item < items; ++item) {
    if (places_[item] == kNowhere) continue;
    places_[item] = static_cast<std::uint32_t>(named_.size());
    named_.push_back(item);
  }
  for (Weight& one : all_) one.place = places_[one.place];
}

std::span<const Neighbours::Weight> Neighbours::weights(ItemIndex item) const {
  if (item >= items()) return {};
  return std::span{all_}.subspan(begins_[item], begins_[item + std::size_t{1}] - begins_[item]);
}

std::vector<Neighbour> Neighbours::row(ItemIndex item) const {
  std::vector<Neighbour> row;
  for (const Weight& one : weights(item)) row.push_back({named_[one.place], one.weight});
  return row;
}

/// The sum over the history of weight × row. A question reaches few of all items, so the tables are kept by each
/// thread, and what was touched is cleared behind the question: fresh ones would cost more than the sums with a million
/// items.
class Neighbours::Sums {
 public:
  explicit Sums(const Neighbours& neighbours) : neighbours_(neighbours) {
    assert(table_.touched.empty());  // no question within a question
    const std::size_t places = neighbours.named_.size();
    if (table_.sums.size() >= places) return;
    table_.touched.reserve(places);  // so that what is touched is always noted
    table_.asked.resize(places);
    table_.sums.resize(places);
  }
  Sums(const Sums&) = delete;
  Sums& operator=(const Sums&) = delete;
  ~Sums() {
    for (const std::uint32_t place : table_.touched) {
      table_.sums[place] = {};
      table_.asked[place] = false;
    }
    table_.touched.clear();
  }

  /// For every item that any row names.
  void reach(std::span<const Seen> weighed) {
    for (const Seen& seen : weighed) {
      for (const Weight& one : neighbours_.weights(seen.item)) {
        Sum& sum = table_.sums[one.place];
        sum.value += seen.weight * one.weight;
        if (!std::exchange(sum.is_reached, true)) table_.touched.push_back(one.place);
      }
    }
  }
  /// For what is asked about alone: a bit for each place stays in the processor's cache where the sums would not.
  void ask(std::span<const Seen> weighed, std::span<const ItemIndex> items) {
    for (const ItemIndex item : items) {
      const std::uint32_t place = neighbours_.place(item);
      if (place == kNowhere || table_.asked[place]) continue;
      table_.asked[place] = true;
      table_.touched.push_back(place);
    }
    for (const Seen& seen : weighed) {
      for (const Weight& one : neighbours_.weights(seen.item)) {
        if (table_.asked[one.place]) table_.sums[one.place].value += seen.weight * one.weight;
      }
    }
  }

  /// Places, in no order.
  [[nodiscard]] std::span<const std::uint32_t> touched() const { return table_.touched; }
  [[nodiscard]] float operator[](std::uint32_t place) const { return table_.sums[place].value; }

 private:
  struct Sum {
    float value = 0;
    bool is_reached = false;
  };
  struct Table {
    std::vector<Sum> sums;  ///< by place
    std::vector<bool> asked;
    std::vector<std::uint32_t> touched;
  };
  static Table& of_thread() {
    thread_local Table table;
    return table;
  }

  const Neighbours& neighbours_;
  Table& table_ = of_thread();
};

void Neighbours::find(std::span<const Seen> weighed, std::size_t limit, const Allowed& allowed,
                      std::vector<Candidate>& out) const {
  Sums sums{*this};
  sums.reach(weighed);
  Best best{limit};
  for (const std::uint32_t place : sums.touched()) best.offer({named_[place], sums[place]}, allowed);
  best.take(out);
}

void Neighbours::score(std::span<const Seen> weighed, std::span<const ItemIndex> items_asked,
                       std::span<float> out) const {
  assert(items_asked.size() == out.size());
  Sums sums{*this};
  sums.ask(weighed, items_asked);
  for (std::size_t i = 0; i < items_asked.size(); ++i) {
    const std::uint32_t at = place(items_asked[i]);
    out[i] = at == kNowhere ? 0 : sums[at];
  }
}

}  // namespace ribalta::feed
