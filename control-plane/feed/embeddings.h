// Items that are like what a viewer watched last, by what is in them: nearest neighbours among embeddings. A new item
// is found as soon as it is there, without training.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "control-plane/feed/source.h"

namespace ribalta::feed {

inline constexpr std::size_t kEmbeddingDimensionsMax = 1024;
/// The last items of a history that are asked about; each costs a search.
inline constexpr std::size_t kEmbeddingQueries = 5;
/// How many are looked at in each search: more find the true neighbours more often, and cost more.
inline constexpr std::size_t kEmbeddingEffort = 64;
/// And how many where fewer than these of all that were found may be shown: the others were seen, or are gone.
inline constexpr std::size_t kEmbeddingFew = 16;
inline constexpr std::size_t kEmbeddingEffortMost = 512;

/// The same items in the same order make the same index. `add` is for one thread alone; the rest may be called from
/// many.
class Embeddings final : public Source {
 public:
  /// @param dimensions  1..kEmbeddingDimensionsMax
  explicit Embeddings(std::size_t dimensions);
  ~Embeddings() override;

  /// Adds an item or changes it. @return false, and nothing is changed: another number of dimensions, a value that is
  /// not finite, or all zeros.
  bool add(ItemIndex item, std::span<const float> embedding);

  [[nodiscard]] std::string_view name() const override { return "alike"; }
  void find(std::span<const Seen> history, std::int64_t now_ms, std::size_t limit, const Allowed& allowed,
            std::vector<Candidate>& out) const override;
  /// The mean of the cosines to the last of the history, by recency; what is unlike counts 0.
  void score(std::span<const Seen> history, std::int64_t now_ms, std::span<const ItemIndex> items,
             std::span<float> out) const override;

  [[nodiscard]] std::size_t size() const;

 private:
  struct Index;
  struct Query {
    const float* embedding = nullptr;
    float weight = 0;
  };
  [[nodiscard]] std::vector<Query> queries(std::span<const Seen> history) const;
  [[nodiscard]] float likeness(std::span<const Query> queries, ItemIndex item) const;

  std::size_t dimensions_;
  std::unique_ptr<Index> index_;
};

}  // namespace ribalta::feed
