#include "control-plane/feed/ease.h"
#include "control-plane/feed/factor_index.h"
#include "control-plane/feed/feed.h"
#include "control-plane/feed/ials.h"
#include "control-plane/feed/itemknn.h"
#include "control-plane/feed/matrix.h"

namespace ribalta::feed {

Trained train(std::span<const Interaction> interactions, const TrainOptions& options) {
  const Matrix matrix{interactions};
  IalsOptions ials;
  ials.threads = options.threads;
  Trained trained;
  trained.push_back(std::make_unique<Ease>(matrix, EaseOptions{}));
  trained.push_back(std::make_unique<FactorIndex>(std::make_unique<Ials>(matrix, ials)));
  trained.push_back(std::make_unique<ItemKnn>(matrix, ItemKnnOptions{}));
  return trained;
}

}  // namespace ribalta::feed
