// The best so many of all that is offered, without sorting the rest.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "control-plane/feed/source.h"

namespace ribalta::feed {

class Best {
 public:
  explicit Best(std::size_t limit) : limit_(limit) {}

  /// `allowed` is asked only where the candidate would be among the best: it may be dear. Empty, it allows everything.
  void offer(Candidate candidate, const Allowed& allowed) {
    if (limit_ == 0 || !std::isfinite(candidate.score)) return;
    if (kept_.size() == limit_ && !better(candidate, kept_.front())) return;
    if (allowed && !allowed(candidate.item)) return;
    if (kept_.size() == limit_) {
      std::ranges::pop_heap(kept_, better);
      kept_.pop_back();
    }
    kept_.push_back(candidate);
    std::ranges::push_heap(kept_, better);  // the front is the worst of those kept
  }

  /// Appends them, best first.
  void take(std::vector<Candidate>& out) {
    std::ranges::sort(kept_, better);
    out.insert(out.end(), kept_.begin(), kept_.end());
    kept_.clear();
  }

 private:
  std::size_t limit_;
  std::vector<Candidate> kept_;
};

}  // namespace ribalta::feed
