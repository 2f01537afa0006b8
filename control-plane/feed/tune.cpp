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
constexpr std::array<std::size_t, 2> kPasses{1, 4};
constexpr std::array<std::size_t, 2> kSources{kTimelessSources, 8};

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
  bool consider(const T& value, const Quality& quality) {
    const double found = worth(quality);
    if (found <= worth_best) return false;
    best = value;
    worth_best = found;
    return true;
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

/// Tries on several splits at once: what is worth most in their mean.
class Trial {
 public:
  Trial(std::span<const Split* const> splits, const Tried& tried) : tried_(tried) {
    for (const Split* split : splits) parts_.push_back({split, Matrix{split->training}});
  }

  struct Part {
    const Split* split;
    Matrix matrix;
  };
  [[nodiscard]] std::span<const Part> parts() const { return parts_; }

  /// `source` makes the source for the number of a part.
  template <class MakeSource>
  Quality measure(std::string_view model, const std::string& setting, const MakeSource& source) const {
    std::vector<Quality> found;
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      found.push_back(evaluate(*source(i), parts_[i].matrix, parts_[i].split->held));
    }
    const Quality quality = mean_of(found);
    tried_(model, setting, quality);
    return quality;
  }

 private:
  const Tried& tried_;
  std::vector<Part> parts_;
};

void tune_ease(const Trial& trial, ModelOptions& chosen) {
  Choice<EaseOptions> ease;
  std::vector<std::unique_ptr<Ease>> best;
  for (const float regularisation : kEaseRegularisations) {
    chosen.ease.regularisation = regularisation;
    std::vector<std::unique_ptr<Ease>> models;
    for (const auto& part : trial.parts()) models.push_back(std::make_unique<Ease>(part.matrix, chosen.ease));
    const auto source = [&](std::size_t i) { return models[i].get(); };
    if (ease.consider(chosen.ease, trial.measure("ease", "λ " + text(regularisation), source)))
      best = std::move(models);
  }
  chosen.ease = *ease.best;
  Choice<Recency> recency;
  for (const Recency& one : kRecencies) {
    const auto source = [&](std::size_t i) { return std::make_unique<Recent>(*best[i], "taste_now", one); };
    recency.consider(one, trial.measure("ease, recent", "half-life " + text(one.half_life_items), source));
  }
  chosen.recency = *recency.best;
}

void tune_ials(const Trial& trial, ModelOptions& chosen) {
  Choice<IalsOptions> choice;
  for (const float regularisation : kIalsRegularisations) {
    for (const float unobserved : kIalsUnobservedWeights) {
      chosen.ials.regularisation = regularisation;
      chosen.ials.unobserved_weight = unobserved;
      const auto source = [&](std::size_t i) { return std::make_unique<Ials>(trial.parts()[i].matrix, chosen.ials); };
      const std::string setting = "λ " + text(regularisation) + ", α₀ " + text(unobserved);
      choice.consider(chosen.ials, trial.measure("ials", setting, source));
    }
  }
  chosen.ials = *choice.best;
}

void tune_itemknn(const Trial& trial, ModelOptions& chosen) {
  Choice<ItemKnnOptions> choice;
  for (const std::size_t neighbours : kNeighbours) {
    for (const float shrink : kShrinks) {
      chosen.itemknn = {.neighbours = neighbours, .shrink = shrink};
      const auto source = [&](std::size_t i) {
        return std::make_unique<ItemKnn>(trial.parts()[i].matrix, chosen.itemknn);
      };
      const std::string setting = "k " + std::to_string(neighbours) + ", shrink " + text(shrink);
      choice.consider(chosen.itemknn, trial.measure("itemknn", setting, source));
    }
  }
  chosen.itemknn = *choice.best;
}

void tune_transitions(const Trial& trial, ModelOptions& chosen) {
  Choice<TransitionOptions> choice;
  for (const std::size_t reach : kReaches) {
    for (const float decay : kDecays) {
      chosen.transitions.reach = reach;
      chosen.transitions.decay = decay;
      const auto source = [&](std::size_t i) {
        auto model = std::make_unique<Transitions>(chosen.transitions);
        model->learn(trial.parts()[i].matrix);
        return model;
      };
      const std::string setting = "reach " + std::to_string(reach) + ", decay " + text(decay);
      choice.consider(chosen.transitions, trial.measure("transitions", setting, source));
    }
  }
  chosen.transitions = *choice.best;
}

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

ModelOptions tune_models(const Splits& splits, const ModelOptions& begin, const Tried& tried) {
  const std::array<const Split*, 2> on{&splits.validation, &splits.lesson};
  const Trial trial{on, tried};
  ModelOptions chosen = begin;
  tune_ease(trial, chosen);
  tune_ials(trial, chosen);
  tune_itemknn(trial, chosen);
  tune_transitions(trial, chosen);
  return chosen;
}

Settings tune_ranking(const Splits& splits, const ModelOptions& models, const Tried& tried) {
  const Matrix earlier{splits.lesson.training};
  const Matrix later{splits.validation.training};
  const Models earlier_models{earlier, models};
  const Models later_models{later, models};
  Choice<Settings> choice;
  const auto consider = [&](const Settings& settings) {
    const Sources before = earlier_models.sources().first(settings.sources);
    const Sources after = later_models.sources().first(settings.sources);
    Scorer scorer = new_scorer(before, settings.scorer_rate);
    learn_choices(scorer, before, earlier, splits.lesson.held, settings.ranking);
    const Quality quality = evaluate(scorer, after, later, splits.validation.held, settings.ranking);
    tried("ranker",
          std::to_string(settings.sources) + " sources, rate " + text(settings.scorer_rate) + ", passes " +
              std::to_string(settings.ranking.passes),
          quality);
    choice.consider(settings, quality);
  };
  for (const std::size_t sources : kSources) {
    for (const float rate : kScorerRates) {
      for (const std::size_t passes : kPasses) {
        consider({.models = models, .sources = sources, .scorer_rate = rate, .ranking = {.passes = passes}});
      }
    }
  }
  return *choice.best;
}

Scorer learned_scorer(const Splits& splits, const Settings& settings) {
  std::optional<Scorer> scorer;
  for (const Split* split : {&splits.lesson, &splits.validation}) {
    const Matrix matrix{split->training};
    const Models models{matrix, settings.models};
    const Sources sources = models.sources().first(settings.sources);
    if (!scorer) scorer.emplace(new_scorer(sources, settings.scorer_rate));
    learn_choices(*scorer, sources, matrix, split->held, settings.ranking);
  }
  return std::move(*scorer);
}

}  // namespace ribalta::feed
