#include "control-plane/feed/models.h"

#include <string_view>
#include <utility>

namespace ribalta::feed {
namespace {

Matrix of_most_watched(const Matrix& whole) {
  std::vector<bool> kept(whole.items());
  for (const ItemIndex item : whole.most_watched(kFactorItemsMax)) kept[item] = true;
  std::vector<Interaction> some;
  for (ViewerIndex viewer = 0; viewer < whole.viewers(); ++viewer) {
    for (const Seen& seen : whole.history(viewer)) {
      if (kept[seen.item]) some.push_back({viewer, seen.item, seen.weight, seen.time_ms});
    }
  }
  return Matrix{some};
}

std::unique_ptr<Ials> factors(const Matrix& matrix, const IalsOptions& options) {
  if (matrix.items() <= kFactorItemsMax) return std::make_unique<Ials>(matrix, options);
  return std::make_unique<Ials>(of_most_watched(matrix), options);
}

}  // namespace

Trained train(const Matrix& matrix, const ModelOptions& options) {
  Trained trained;
  auto index = std::make_unique<FactorIndex>(factors(matrix, options.ials));
  trained.factors = index.get();
  trained.sources.push_back(std::make_unique<Ease>(matrix, options.ease));
  trained.sources.push_back(std::move(index));
  trained.sources.push_back(std::make_unique<ItemKnn>(matrix, options.itemknn));
  const auto now = [&](std::size_t timeless, std::string_view name) {
    trained.sources.push_back(std::make_unique<Recent>(*trained.sources[timeless], name, options.recency));
  };
  now(0, "taste_now");
  now(1, "factors_now");
  now(2, "watched_together_now");
  for (ItemIndex item = 0; item < matrix.items(); ++item) trained.known.push_back(!matrix.audience(item).empty());
  return trained;
}

Models::Models(const Matrix& matrix, const ModelOptions& options)
    : trained_(train(matrix, options)), transitions_(options.transitions), popularity_(options.popularity_half_life) {
  transitions_.learn(matrix);
  popularity_.learn(matrix);
  for (const auto& source : trained_.sources) sources_.push_back(source.get());
  sources_.insert(sources_.begin() + kTimelessSources, &popularity_);
  sources_.push_back(&transitions_);
}

}  // namespace ribalta::feed
