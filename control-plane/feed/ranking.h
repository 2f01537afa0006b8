// The feed's way from sources to a list, as evaluation walks it: candidates of all sources, scored by the scorer, which
// has learned from what viewers chose next. What the feed adds (exploration, filters, diversity) changes no score.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "control-plane/feed/evaluate.h"
#include "control-plane/feed/matrix.h"
#include "control-plane/feed/score.h"
#include "control-plane/feed/source.h"

namespace ribalta::feed {

struct RankingOptions {
  std::size_t candidates_per_source = 100;
  std::size_t others_per_choice = 60;  ///< candidates that a chosen item is learned against, drawn at random
  std::size_t passes = 4;              ///< over all choices
  std::uint64_t seed = 1;
};

using Sources = std::span<const Source* const>;

/// What any of the sources finds, by index, each once.
std::vector<ItemIndex> find_candidates(Sources sources, std::span<const Seen> history, std::int64_t now_ms,
                                       std::size_t per_source, const Allowed& allowed);

/// Learns that each viewer chose the held items, from candidates that the sources find for the training's histories.
/// The sources must not have seen the held items with these viewers.
void learn_choices(Scorer& scorer, Sources sources, const Matrix& training, std::span<const Held> held,
                   const RankingOptions& options);

/// Best first.
std::vector<Candidate> rank(const Scorer& scorer, Sources sources, std::span<const Seen> history, std::int64_t now_ms,
                            const Allowed& allowed, const RankingOptions& options);

/// As `evaluate` of a source.
Quality evaluate(const Scorer& scorer, Sources sources, const Matrix& training, std::span<const Held> held,
                 const RankingOptions& options);

}  // namespace ribalta::feed
