// How well a source guesses what was held back from it. Every item that it gives a score is ranked, except those that
// the viewer has already in training; of two with one score the lower index first. Nobody is left out, and no negatives
// are sampled.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "control-plane/feed/dataset.h"
#include "control-plane/feed/matrix.h"
#include "control-plane/feed/source.h"

namespace ribalta::feed {

/// What one viewer should be shown, and is not in the training.
struct Held {
  ViewerIndex viewer = 0;
  std::vector<ItemIndex> items;  ///< sorted, at least one
  bool operator==(const Held&) const = default;
};

struct Split {
  std::vector<Interaction> training;
  std::vector<Held> held;  ///< by viewer
};

/// Each viewer's last item by time (of one time, the one with the highest index) is held back; whoever has only one
/// stays in training.
Split split_last(std::span<const Interaction> events);
/// A share of each viewer's items, chosen by the seed; at least one stays in training.
Split split_random(std::span<const Interaction> events, double share, std::uint64_t seed);
/// Those pairs that somebody else has chosen.
Split split_pairs(std::span<const Interaction> events, std::span<const Pair> pairs);

inline constexpr std::array<std::size_t, 3> kCutoffs{5, 10, 20};

/// Means over viewers.
struct AtCutoff {
  double hits = 0;       ///< HR@k: a hit at all
  double ndcg = 0;       ///< NDCG@k, an ideal list having all hits first
  double precision = 0;  ///< P@k
  double recall = 0;     ///< R@k
};
struct Quality {
  std::array<AtCutoff, kCutoffs.size()> at{};  ///< as kCutoffs
  double mrr = 0;                              ///< of the first hit, however far down
  std::size_t viewers = 0;
};

/// Adds one viewer's list, best first; `mean` makes means of the sums.
void add_ranking(Quality& sums, std::span<const Candidate> ranking, std::span<const ItemIndex> held);
Quality mean(const Quality& sums);
/// Of several measurements, each as heavy as the others.
Quality mean_of(std::span<const Quality> measured);

/// The source must have seen the training only.
Quality evaluate(const Source& source, const Matrix& training, std::span<const Held> held);

}  // namespace ribalta::feed
