// All that is learned from histories, trained together from one matrix, as the sources of a feed.
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <span>
#include <vector>

#include "control-plane/feed/ease.h"
#include "control-plane/feed/ials.h"
#include "control-plane/feed/itemknn.h"
#include "control-plane/feed/matrix.h"
#include "control-plane/feed/popularity.h"
#include "control-plane/feed/recency.h"
#include "control-plane/feed/source.h"
#include "control-plane/feed/transitions.h"

namespace ribalta::feed {

struct ModelOptions {
  EaseOptions ease;
  IalsOptions ials;
  ItemKnnOptions itemknn;
  TransitionOptions transitions{.reach = 8, .decay = 0.8F, .shrink = 5};
  std::chrono::milliseconds popularity_half_life{0};
  Recency recency{.half_life_items = 5, .floor = 0.1F};  ///< of those that are asked about now as well
};

inline constexpr std::size_t kTimelessSources = 3;

class Models {
 public:
  Models(const Matrix& matrix, const ModelOptions& options);

  /// First kTimelessSources to which the order of a history means nothing: EASE, iALS, neighbours; then popularity, the
  /// first three asked about now, and transitions.
  [[nodiscard]] std::span<const Source* const> sources() const { return sources_; }

 private:
  Ease ease_;
  Ials ials_;
  ItemKnn itemknn_;
  Transitions transitions_;
  Popularity popularity_;
  Recent ease_now_;
  Recent ials_now_;
  Recent itemknn_now_;
  std::array<const Source*, 8> sources_;
};

}  // namespace ribalta::feed
