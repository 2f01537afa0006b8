#include <algorithm>

#include "control-plane/feed/ease.h"
#include "control-plane/feed/factor_index.h"
#include "control-plane/feed/feed.h"
#include "control-plane/feed/ials.h"
#include "control-plane/feed/itemknn.h"
#include "control-plane/feed/matrix.h"

namespace ribalta::feed {
namespace {

/// Items that iALS gives numbers to: the most watched, half an hour's work of a core for a million of them. The rest
/// are seen too seldom for numbers to say anything, and are found by what they are like, by what follows them, and by
/// being new.
constexpr std::size_t kFactorItemsMax = 200'000;

/// iALS holds a viewer's numbers down by λ α₀ times the number of items: a λ that is right for thousands of items lets
/// a million shrink to nothing. Above this many, λ falls as they grow.
constexpr float kItemsAtDefault = 4000;

Matrix of_most_watched(const Matrix& whole, std::span<const Interaction> interactions) {
  std::vector<bool> kept(whole.items());
  for (const ItemIndex item : whole.most_watched(kFactorItemsMax)) kept[item] = true;
  std::vector<Interaction> some;
  for (const Interaction& one : interactions) {
    if (one.item < kept.size() && kept[one.item]) some.push_back(one);
  }
  return Matrix{some};
}

}  // namespace

Trained train(std::span<const Interaction> interactions, const TrainOptions& options) {
  const Matrix matrix{interactions};
  IalsOptions ials;
  ials.threads = options.threads;
  ials.regularisation *= std::min(1.0F, kItemsAtDefault / static_cast<float>(std::max<std::size_t>(matrix.items(), 1)));
  Trained trained;
  trained.push_back(std::make_unique<Ease>(matrix, EaseOptions{}));
  const bool all = matrix.items() <= kFactorItemsMax;
  trained.push_back(std::make_unique<FactorIndex>(
      std::make_unique<Ials>(all ? matrix : of_most_watched(matrix, interactions), ials)));
  trained.push_back(std::make_unique<ItemKnn>(matrix, ItemKnnOptions{}));
  return trained;
}

}  // namespace ribalta::feed
