// All that is learned from histories, trained together from one matrix, as the sources of a feed. The feed serves what
// evaluation measures: both train it here.
#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <vector>

#include "control-plane/feed/ease.h"
#include "control-plane/feed/factor_index.h"
#include "control-plane/feed/ials.h"
#include "control-plane/feed/itemknn.h"
#include "control-plane/feed/matrix.h"
#include "control-plane/feed/popularity.h"
#include "control-plane/feed/recency.h"
#include "control-plane/feed/source.h"
#include "control-plane/feed/transitions.h"

namespace ribalta::feed {

/// The defaults are single values out of what validation chose, which docs/feed-quality.md explains.
struct ModelOptions {
  EaseOptions ease;
  IalsOptions ials;
  ItemKnnOptions itemknn;
  TransitionOptions transitions;
  std::chrono::milliseconds popularity_half_life{0};
  Recency recency{.half_life_items = 5, .floor = 0.1F};  ///< of those that are asked about now as well
};

inline constexpr std::size_t kTimelessSources = 3;

/// Items that iALS gives numbers to: the most watched, half an hour's work of a core for a million of them. The rest
/// are seen too seldom for numbers to say anything, and are found by what they are like, by what follows them, and by
/// being new.
inline constexpr std::size_t kFactorItemsMax = 200'000;

/// Sources that are trained together and replaced together.
struct Trained {
  /// First kTimelessSources to which the order of a history means nothing: EASE, iALS, neighbours; then the same asked
  /// about now, which hold on to the first.
  std::vector<std::unique_ptr<const Source>> sources;
  /// One of them, where new items can be learned; nothing else ever changes.
  FactorIndex* factors = nullptr;
  std::vector<bool> known;  ///< by item: somebody had watched it
};
/// It knows no feed: it may run beside anything.
Trained train(const Matrix& matrix, const ModelOptions& options = {});

/// With transitions and popularity, which a feed learns as it goes, learned from the matrix too.
class Models {
 public:
  Models(const Matrix& matrix, const ModelOptions& options);

  /// The timeless first; then popularity, those asked about now, and transitions.
  [[nodiscard]] std::span<const Source* const> sources() const { return sources_; }

 private:
  Trained trained_;
  Transitions transitions_;
  Popularity popularity_;
  std::vector<const Source*> sources_;
};

}  // namespace ribalta::feed
