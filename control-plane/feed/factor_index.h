// The best items for a viewer's numbers without looking at all of them: items lie in lists by the nearest of some
// centres, and the lists whose centres promise most are read. How much is read does not grow with the catalogue.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "control-plane/feed/ials.h"
#include "control-plane/feed/source.h"

namespace ribalta::feed {

/// Items that one question reads: 6 MB.
inline constexpr std::size_t kFactorsRead = 24'000;
inline constexpr std::size_t kFactorCentresMax = 1024;
/// Items that are learned after the training: each question reads all of them, 1 MB. Further ones wait for the next
/// training.
inline constexpr std::size_t kFactorItemsLearnedMax = 4096;

/// iALS as a source, with the index before it. Holds the model. The same model gives the same index.
class FactorIndex final : public Source {
 public:
  /// @param read  items that one question reads; of fewer, all are read and the answer is exact
  explicit FactorIndex(std::unique_ptr<Ials> model, std::size_t read = kFactorsRead);

  /// As Ials::learn_item, for an item that was not in the training, as often as its audience has grown. What was
  /// trained stays as it is.
  void learn_item(ItemIndex item, std::span<const std::span<const Seen>> histories);

  [[nodiscard]] std::string_view name() const override { return model_->name(); }
  void find(std::span<const Seen> history, std::int64_t now_ms, std::size_t limit, const Allowed& allowed,
            std::vector<Candidate>& out) const override;
  void score(std::span<const Seen> history, std::int64_t now_ms, std::span<const ItemIndex> items,
             std::span<float> out) const override {
    model_->score(history, now_ms, items, out);
  }

 private:
  void place_centres(std::span<const ItemIndex> known);
  void fill_lists(std::span<const ItemIndex> known);

  std::unique_ptr<Ials> model_;
  std::size_t read_;
  std::vector<float> centres_;       ///< kFactors each; none: all items are read
  std::vector<std::size_t> begins_;  ///< of each centre's list, and the end
  std::vector<ItemIndex> items_;     ///< list by list
  std::vector<float> factors_;       ///< the same, kFactors each
  std::vector<ItemIndex> learned_;   ///< after the training, in no list
};

}  // namespace ribalta::feed
