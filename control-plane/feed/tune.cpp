#include "control-plane/feed/tune.h"

#include <algorithm>
#include <array>
#include <memory>
#include <string>

namespace ribalta::feed {
namespace {

// The grids: few points each, so that what is chosen is not chance.
constexpr std::array<float, 3> kEaseRegularisations{100, 300, 1000};
constexpr std::array<float, 3> kIalsRegularisations{0.003F, 0.01F, 0.03F};
constexpr std::array<float, 3> kIalsUnobservedWeights{0.03F, 0.1F, 0.3F};
constexpr std::array<std::size_t, 2> kNeighbours{100, 400};
constexpr std::array<float, 3> kShrinks{0, 20, 50};
constexpr std::array<std::size_t, 2> kReaches{3, 8};
constexpr std::array<float, 2> kDecays{0.5F, 0.8F};
constexpr std::array<Recency, 4> kRecencies{{{0, 0}, {2, 0.1F}, {5, 0.1F}, {20, 0.1F}}};
constexpr std::array<float, 3> kScorerRates{0.005F, 0.02F, 0.08F};
constexpr std::array<std::size_t, 3> kPasses{1, 4, 8};

/// Of a viewer's items in a random split of the training. Small, so that models have nearly what the test's will have.
constexpr double kHeldShare = 0.1;
constexpr double kTestShare = 0.25;
constexpr std::uint64_t kTestSeed = 42;
constexpr std::uint64_t kValidationSeed = 43;
constexpr std::uint64_t kLessonSeed = 44;

/// Keeps the better of what it is shown, the first of equals.
template <class T>
struct Choice {
  std::optional<T> best;
  double worth_best = -1;
  void consider(const T& value, const Quality& quality) {
    const double found = worth(quality);
    if (found <= worth_best) return;
    best = value;
    worth_best = found;
  }
};

std::string text(double value) {
  std::string digits = std::to_string(value);
  digits.erase(digits.find_last_not_of('0') + 1);
  if (digits.ends_with('.')) digits.pop_back();
  return digits;
}

std::vector<std::string> names(Sources sources) {
  std::vector<std::string> found;
  for (const Source* source : sources) found.emplace_back(source->name());
  return found;
}

Scorer new_scorer(Sources sources, float rate) { return Scorer{names(sources), ScorerOptions{.rate = rate}}; }

}  // namespace

double worth(const Quality& quality) {
  double sum = 0;
  for (const AtCutoff& at : quality.at) sum += at.ndcg;
  return sum / static_cast<double>(quality.at.size());
}

Splits splits_by_time(std::span<const Interaction> events) {
  Splits splits;
  splits.test = split_last(events);
  splits.validation = split_last(splits.test.training);
  splits.lesson = split_last(splits.validation.training);
  return splits;
}

Splits splits_at_random(std::span<const Interaction> events, std::optional<std::span<const Pair>> test) {
  Splits splits;
  splits.test = test ? split_pairs(events, *test) : split_random(events, kTestShare, kTestSeed);
  splits.validation = split_random(splits.test.training, kHeldShare, kValidationSeed);
  splits.lesson = split_random(splits.validation.training, kHeldShare, kLessonSeed);
  return splits;
}

ModelOptions tune_models(const Split& validation, const ModelOptions& begin, const Tried& tried) {
  const Matrix matrix{validation.training};
  ModelOptions chosen = begin;
  Choice<EaseOptions> ease;
  std::unique_ptr<Ease> ease_best;
  for (const float regularisation : kEaseRegularisations) {
    chosen.ease.regularisation = regularisation;
    auto model = std::make_unique<Ease>(matrix, chosen.ease);
    const Quality quality = evaluate(*model, matrix, validation.held);
    tried("ease", "λ " + text(regularisation), quality);
    ease.consider(chosen.ease, quality);
    if (ease.best->regularisation == regularisation) ease_best = std::move(model);
  }
  chosen.ease = *ease.best;

  Choice<Recency> recency;
  for (const Recency& one : kRecencies) {
    const Quality quality = evaluate(Recent{*ease_best, "taste_now", one}, matrix, validation.held);
    tried("ease, recent", "half-life " + text(one.half_life_items), quality);
    recency.consider(one, quality);
  }
  chosen.recency = *recency.best;

  Choice<IalsOptions> ials;
  for (const float regularisation : kIalsRegularisations) {
    for (const float unobserved : kIalsUnobservedWeights) {
      chosen.ials.regularisation = regularisation;
      chosen.ials.unobserved_weight = unobserved;
      const Quality quality = evaluate(Ials{matrix, chosen.ials}, matrix, validation.held);
      tried("ials", "λ " + text(regularisation) + ", α₀ " + text(unobserved), quality);
      ials.consider(chosen.ials, quality);
    }
  }
  chosen.ials = *ials.best;

  Choice<ItemKnnOptions> itemknn;
  for (const std::size_t neighbours : kNeighbours) {
    for (const float shrink : kShrinks) {
      chosen.itemknn.neighbours = neighbours;
      chosen.itemknn.shrink = shrink;
      const Quality quality = evaluate(ItemKnn{matrix, chosen.itemknn}, matrix, validation.held);
      tried("itemknn", "k " + std::to_string(neighbours) + ", shrink " + text(shrink), quality);
      itemknn.consider(chosen.itemknn, quality);
    }
  }
  chosen.itemknn = *itemknn.best;

  Choice<TransitionOptions> transitions;
  for (const std::size_t reach : kReaches) {
    for (const float decay : kDecays) {
      chosen.transitions.reach = reach;
      chosen.transitions.decay = decay;
      Transitions model{chosen.transitions};
      model.learn(matrix);
      const Quality quality = evaluate(model, matrix, validation.held);
      tried("transitions", "reach " + std::to_string(reach) + ", decay " + text(decay), quality);
      transitions.consider(chosen.transitions, quality);
    }
  }
  chosen.transitions = *transitions.best;
  return chosen;
}

Settings tune_ranking(const Splits& splits, const ModelOptions& models, const Tried& tried) {
  const Matrix earlier{splits.lesson.training};
  const Matrix later{splits.validation.training};
  const Models earlier_models{earlier, models};
  const Models later_models{later, models};
  Settings settings{.models = models};
  Choice<Settings> choice;
  for (const float rate : kScorerRates) {
    for (const std::size_t passes : kPasses) {
      settings.scorer_rate = rate;
      settings.ranking.passes = passes;
      Scorer scorer = new_scorer(earlier_models.sources(), rate);
      learn_choices(scorer, earlier_models.sources(), earlier, splits.lesson.held, settings.ranking);
      const Quality quality = evaluate(scorer, later_models.sources(), later, splits.validation.held, settings.ranking);
      tried("ranker", "rate " + text(rate) + ", passes " + std::to_string(passes), quality);
      choice.consider(settings, quality);
    }
  }
  return *choice.best;
}

Scorer learned_scorer(const Splits& splits, const Settings& settings) {
  std::optional<Scorer> scorer;
  for (const Split* split : {&splits.lesson, &splits.validation}) {
    const Matrix matrix{split->training};
    const Models models{matrix, settings.models};
    if (!scorer) scorer.emplace(new_scorer(models.sources(), settings.scorer_rate));
    learn_choices(*scorer, models.sources(), matrix, split->held, settings.ranking);
  }
  return std::move(*scorer);
}

}  // namespace ribalta::feed
