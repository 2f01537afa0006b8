#include "control-plane/feed/embeddings.h"

// Its own loops for SSE and AVX prefetch with a link that they read behind the last one; ours are as fast, and the same
// on every machine.
#define NO_MANUAL_VECTORIZATION
#include <hnswlib/hnswlib.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <utility>

#include "control-plane/feed/best.h"

namespace ribalta::feed {
namespace {

constexpr std::size_t kLinks = 12;        ///< of each element: hnswlib's M
constexpr std::size_t kBuildEffort = 64;  ///< its efConstruction
constexpr std::size_t kCapacityFirst = 1024;
constexpr std::size_t kLevelSeed = 1;
/// What an older item of the last ones counts beside the one after it.
constexpr float kOlderCounts = 0.8F;
constexpr float kSeenCountsMin = 1e-3F;
constexpr std::uint32_t kNoLabel = 0xFFFFFFFF;

using Graph = hnswlib::HierarchicalNSW<float>;

constexpr std::size_t kLanes = 8;  // sums side by side, in one fixed order

float dot(const float* a, const float* b, std::size_t size) {
  std::array<float, kLanes> sums{};
  for (std::size_t i = 0; i < size; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  }
  return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

/// Vectors of a whole number of lanes, and one float more: behind it hnswlib puts 64-bit labels, which then are
/// aligned.
class Cosine final : public hnswlib::SpaceInterface<float> {
 public:
  explicit Cosine(std::size_t padded) : padded_(padded) {}
  size_t get_data_size() override { return (padded_ + 1) * sizeof(float); }
  hnswlib::DISTFUNC<float> get_dist_func() override {
    return [](const void* a, const void* b, const void* size) {
      return 1 -
             dot(static_cast<const float*>(a), static_cast<const float*>(b), *static_cast<const std::size_t*>(size));
    };
  }
  void* get_dist_func_param() override { return &padded_; }

 private:
  std::size_t padded_;
};

std::size_t padded(std::size_t dimensions) { return (dimensions + kLanes - 1) / kLanes * kLanes; }

}  // namespace

/// Labels are given out in order and never again, so they are hnswlib's own numbers too: an item that changed gets
/// a new one, and what was found under its old one is passed over.
struct Embeddings::Index {
  explicit Index(std::size_t dimensions, std::size_t capacity)
      : space(padded(dimensions)), graph(&space, capacity, kLinks, kBuildEffort, kLevelSeed) {
    graph.setEf(kEmbeddingEffort);
  }
  [[nodiscard]] const float* at(std::uint32_t label) const {
    return reinterpret_cast<const float*>(graph.getDataByInternalId(label));
  }

  Cosine space;
  Graph graph;
  std::vector<ItemIndex> items;       ///< by label
  std::vector<std::uint32_t> labels;  ///< by item
  std::size_t live = 0;
};

Embeddings::Embeddings(std::size_t dimensions)
    : dimensions_(dimensions), index_(std::make_unique<Index>(dimensions, kCapacityFirst)) {
  assert(dimensions > 0 && dimensions <= kEmbeddingDimensionsMax);
}

Embeddings::~Embeddings() = default;

std::size_t Embeddings::size() const { return index_->live; }

bool Embeddings::add(ItemIndex item, std::span<const float> embedding) {
  if (embedding.size() != dimensions_) return false;
  double squares = 0;
  for (const float value : embedding) squares += static_cast<double>(value) * static_cast<double>(value);
  if (!(squares > 0) || !std::isfinite(squares)) return false;
  std::vector<float> unit(padded(dimensions_) + 1);
  const double norm = std::sqrt(squares);
  std::ranges::transform(embedding, unit.begin(), [norm](float value) { return static_cast<float>(value / norm); });

  Index& index = *index_;
  if (item >= index.labels.size()) index.labels.resize(item + std::size_t{1}, kNoLabel);
  const std::uint32_t known = index.labels[item];
  if (known != kNoLabel && std::equal(unit.begin(), unit.end(), index.at(known))) return true;
  if (index.items.size() == index.graph.max_elements_) {
    if (index.live * 2 < index.items.size()) {
      // Mostly what has changed since: made again of what is left.
      auto fresh = std::make_unique<Index>(dimensions_, index.items.size());
      fresh->labels.resize(index.labels.size(), kNoLabel);
      for (std::uint32_t label = 0; label < index.items.size(); ++label) {
        const ItemIndex owner = index.items[label];
        if (index.labels[owner] != label || owner == item) continue;
        fresh->labels[owner] = static_cast<std::uint32_t>(fresh->items.size());
        fresh->graph.addPoint(index.at(label), fresh->items.size());
        fresh->items.push_back(owner);
        ++fresh->live;
      }
      index_ = std::move(fresh);
      return add(item, embedding);
    }
    index.graph.resizeIndex(2 * index.items.size());
  }
  const auto label = static_cast<std::uint32_t>(index.items.size());
  index.graph.addPoint(unit.data(), label);
  index.items.push_back(item);
  index.live += known == kNoLabel ? 1 : 0;
  index.labels[item] = label;
  return true;
}

std::vector<Embeddings::Query> Embeddings::queries(std::span<const Seen> history) const {
  const Index& index = *index_;
  std::vector<Query> queries;
  float weight = 1;
  float sum = 0;
  for (std::size_t i = history.size(); i-- > 0 && queries.size() < kEmbeddingQueries;) {
    const ItemIndex item = history[i].item;
    if (item >= index.labels.size() || index.labels[item] == kNoLabel) continue;
    const float counts = weight * std::clamp(history[i].weight, kSeenCountsMin, 1.0F);
    queries.push_back({index.at(index.labels[item]), counts});
    sum += counts;
    weight *= kOlderCounts;
  }
  for (Query& query : queries) query.weight /= sum;
  return queries;
}

float Embeddings::likeness(std::span<const Query> queries, ItemIndex item) const {
  const Index& index = *index_;
  if (item >= index.labels.size() || index.labels[item] == kNoLabel) return 0;
  const float* embedding = index.at(index.labels[item]);
  float sum = 0;
  for (const Query& query : queries) {
    const float cosine = dot(query.embedding, embedding, padded(dimensions_));
    sum += query.weight * std::max(cosine, 0.0F);
  }
  return sum;
}

void Embeddings::find(std::span<const Seen> history, std::int64_t /*now_ms*/, std::size_t limit, const Allowed& allowed,
                      std::vector<Candidate>& out) const {
  const Index& index = *index_;
  const std::vector<Query> asked = queries(history);
  std::vector<ItemIndex> found;
  for (const std::size_t effort : {kEmbeddingEffort, kEmbeddingEffortMost}) {
    found.clear();
    for (const Query& query : asked) {
      auto nearest = index.graph.searchKnn(query.embedding, effort);
      for (; !nearest.empty(); nearest.pop()) {
        const auto label = static_cast<std::uint32_t>(nearest.top().second);
        if (index.labels[index.items[label]] == label) found.push_back(index.items[label]);
      }
    }
    std::ranges::sort(found);
    found.erase(std::unique(found.begin(), found.end()), found.end());
    std::erase_if(found, [&](ItemIndex item) { return allowed && !allowed(item); });
    if (found.size() >= std::min(limit, kEmbeddingFew) || index.items.size() <= effort) break;
  }
  Best best{limit};
  for (const ItemIndex item : found) best.offer({item, likeness(asked, item)}, {});
  best.take(out);
}

void Embeddings::score(std::span<const Seen> history, std::int64_t /*now_ms*/, std::span<const ItemIndex> items,
                       std::span<float> out) const {
  assert(items.size() == out.size());
  const std::vector<Query> asked = queries(history);
  for (std::size_t i = 0; i < items.size(); ++i) out[i] = likeness(asked, items[i]);
}

}  // namespace ribalta::feed
