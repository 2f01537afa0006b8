#include "control-plane/feed/evidence.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace ribalta::feed {
namespace {

/// Below it scores are all the same, and there is nothing to standardise.
constexpr double kDeviationMin = 1e-12;

float sane(float score) { return std::isfinite(score) ? std::clamp(score, -kScoreMax, kScoreMax) : 0; }

}  // namespace

void weigh(std::size_t source, std::span<const float> scores, std::span<Evidence> out) {
  assert(source < kSourcesMax);
  assert(scores.size() == out.size());
  if (scores.empty()) return;
  double sum = 0;
  double squares = 0;
  std::vector<float> sorted;
  sorted.reserve(scores.size());
  for (const float raw : scores) {
    const float score = sane(raw);
    sum += score;
    squares += double{score} * score;
    sorted.push_back(score);
  }
  std::ranges::sort(sorted, std::greater{});
  const auto count = static_cast<double>(scores.size());
  const double mean = sum / count;
  const double deviation = std::sqrt(std::max(0.0, squares / count - mean * mean));
  if (deviation <= kDeviationMin * std::max(1.0, std::abs(mean))) return;
  const double worst = std::log2(count + 1);
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const float score = sane(scores[i]);
    if (score == 0) continue;
    const auto better = std::ranges::lower_bound(sorted, score, std::greater{}) - sorted.begin();
    const double deviations = (score - mean) / deviation;
    out[i].score[source] =
        static_cast<float>(std::clamp<double>(deviations, -kScoreDeviationsMax, kScoreDeviationsMax));
    out[i].place[source] = static_cast<float>(1 - std::log2(static_cast<double>(better) + 1) / worst);
  }
}

std::vector<Evidence> gather(std::span<const Source* const> sources, std::span<const Seen> history, std::int64_t now_ms,
                             std::span<const ItemIndex> items) {
  assert(sources.size() <= kSourcesMax);
  std::vector<Evidence> evidence(items.size());
  std::vector<float> scores(items.size());
  for (std::size_t source = 0; source < sources.size(); ++source) {
    std::ranges::fill(scores, 0.0F);
    sources[source]->score(history, now_ms, items, scores);
    weigh(source, scores, evidence);
  }
  return evidence;
}

}  // namespace ribalta::feed
