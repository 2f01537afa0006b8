#include "control-plane/feed/diversify.h"

#include <algorithm>
#include <cmath>

namespace ribalta::feed {
namespace {

/// The worst of a list keeps this share of the distance to the best, so that decay orders it too.
constexpr float kFloor = 0.05F;

/// How many of the window share author or topic with each candidate: counted as items come and go, not anew each time.
class Window {
 public:
  Window(const Items& items, std::span<const Candidate> scored, const DiversityOptions& options)
      : items_(items), scored_(scored), options_(options), authors_(scored.size()), topics_(scored.size()) {}

  void push(ItemIndex item) {
    if (options_.window == 0) return;
    if (shown_.size() == options_.window) {
      count(shown_.front(), -1);
      shown_.erase(shown_.begin());
    }
    shown_.push_back(item);
    count(item, 1);
  }
  [[nodiscard]] float decay(std::size_t i) const {
    float decay = 1;
    for (int k = 0; k < authors_[i]; ++k) decay *= options_.author_decay;
    for (int k = 0; k < topics_[i]; ++k) decay *= options_.topic_decay;
    return decay;
  }

 private:
  void count(ItemIndex index, int by) {
    const StoredItem& shown = items_.at(index);
    for (std::size_t i = 0; i < scored_.size(); ++i) {
      const StoredItem& item = items_.at(scored_[i].item);
      if (shown.author == item.author && item.author.value != 0) authors_[i] += by;
      if (share_topic(shown, item)) topics_[i] += by;
    }
  }

  const Items& items_;
  std::span<const Candidate> scored_;
  const DiversityOptions& options_;
  std::vector<int> authors_;
  std::vector<int> topics_;
  std::vector<ItemIndex> shown_;
};

}  // namespace

std::vector<std::size_t> diversify(const Items& items, std::span<const Candidate> scored,
                                   std::span<const ItemIndex> before, std::size_t count,
                                   const DiversityOptions& options) {
  if (scored.empty()) return {};
  const auto [worst, best] = std::ranges::minmax(scored, {}, &Candidate::score);
  const float floor = kFloor * (best.score - worst.score) + 1e-6F;

  Window window{items, scored, options};
  for (const ItemIndex item : before.last(std::min(before.size(), options.window))) window.push(item);
  std::vector<std::size_t> order;
  std::vector<bool> taken(scored.size());
  while (order.size() < std::min(count, scored.size())) {
    Candidate first{};
    std::size_t at = scored.size();
    for (std::size_t i = 0; i < scored.size(); ++i) {
      if (taken[i]) continue;
      const Candidate candidate{scored[i].item, (scored[i].score - worst.score + floor) * window.decay(i)};
      if (at == scored.size() || better(candidate, first)) {
        first = candidate;
        at = i;
      }
    }
    taken[at] = true;
    order.push_back(at);
    window.push(scored[at].item);
  }
  return order;
}

}  // namespace ribalta::feed
