#include "control-plane/feed/models.h"

namespace ribalta::feed {

Models::Models(const Matrix& matrix, const ModelOptions& options)
    : ease_(matrix, options.ease),
      ials_(matrix, options.ials),
      itemknn_(matrix, options.itemknn),
      transitions_(options.transitions),
      popularity_(options.popularity_half_life),
      ease_now_(ease_, "taste_now", options.recency),
      ials_now_(ials_, "factors_now", options.recency),
      itemknn_now_(itemknn_, "watched_together_now", options.recency),
      sources_{&ease_, &ials_, &itemknn_, &popularity_, &ease_now_, &ials_now_, &itemknn_now_, &transitions_} {
  transitions_.learn(matrix);
  popularity_.learn(matrix);
}

}  // namespace ribalta::feed
