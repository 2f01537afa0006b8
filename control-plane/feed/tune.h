// Settings chosen by what they are worth on validation, never on the test: all that evaluation tries stands here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "control-plane/feed/evaluate.h"
#include "control-plane/feed/models.h"
#include "control-plane/feed/ranking.h"
#include "control-plane/feed/score.h"

namespace ribalta::feed {

/// Three splits, one inside the other: `test` holds back what is measured, `validation` what settings are chosen on,
/// out of the test's training, and `lesson`, out of the validation's training, what the scorer learns from meanwhile.
struct Splits {
  Split test;
  Split validation;
  Split lesson;
};
/// The last of each viewer, the last but one, and the last but two.
Splits splits_by_time(std::span<const Interaction> events);
/// Random; those of the test may be somebody else's choice.
Splits splits_at_random(std::span<const Interaction> events, std::optional<std::span<const Pair>> test);

struct Settings {
  ModelOptions models;
  std::size_t sources = 8;  ///< how many of the models' the scorer listens to: all, or the timeless alone
  float scorer_rate = 0.02F;
  RankingOptions ranking;
};

/// The mean of NDCG at all cutoffs.
double worth(const Quality& quality);

/// What was tried on validation, and what it was worth there.
using Tried = std::function<void(std::string_view model, std::string_view setting, const Quality& quality)>;

/// Each model's settings for itself, by the mean of `validation` and `lesson`: one of them alone is mostly chance.
ModelOptions tune_models(const Splits& splits, const ModelOptions& begin, const Tried& tried);
/// The scorer's: learned from `lesson`, judged on `validation`, with models of each one's training.
Settings tune_ranking(const Splits& splits, const ModelOptions& models, const Tried& tried);

/// A scorer that has learned from `lesson` and then from `validation`, each with the models of its training.
Scorer learned_scorer(const Splits& splits, const Settings& settings);

}  // namespace ribalta::feed
