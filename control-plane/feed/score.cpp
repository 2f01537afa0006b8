#include "control-plane/feed/score.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "control-plane/feed/score_model.h"

namespace ribalta::feed {
namespace {

constexpr std::size_t kChoice = static_cast<std::size_t>(Outcome::choice);
/// No feature ever weighs more, whatever was learned.
constexpr float kFeatureWeightMax = 8;
/// Past this a probability is 0 or 1 in a float.
constexpr float kLogitMax = 15;
/// How many events a feature needs until its own gradients set the pace.
constexpr float kBeta = 1;

float chance(float logit) { return 1 / (1 + std::exp(-std::clamp(logit, -kLogitMax, kLogitMax))); }

/// What a viewer thinks of a topic or an author is learned from a few events, and changes: its pace does not fall, and
/// each event leaves so much of what the earlier ones said.
constexpr float kPersonalRate = 4;
constexpr float kPersonalSquaresMax = 2;
constexpr float kPersonalKept = 0.9F;

bool finite_within(float value, float low, float high) { return std::isfinite(value) && value >= low && value <= high; }

}  // namespace

Result<void> check(const ScorerOptions& options) {
  const Weights& w = options.weights;
  for (const float weight : {w.complete, w.like, w.share, w.follow, w.skip, w.report, w.choice}) {
    if (!finite_within(weight, -kOutcomeWeightMax, kOutcomeWeightMax)) {
      return fail(Code::limit, "feed: weight of an outcome", weight);
    }
  }
  if (options.slots_log2 < kSlotsLog2Min || options.slots_log2 > kSlotsLog2Max) {
    return fail(Code::limit, "feed: logarithm of the scorer's slots", options.slots_log2);
  }
  if (!finite_within(options.rate, 1e-6F, 1)) return fail(Code::limit, "feed: rate of learning", options.rate);
  if (!finite_within(options.sparse_rate, 1e-6F, 1)) {
    return fail(Code::limit, "feed: rate of learning items", options.sparse_rate);
  }
  if (!finite_within(options.sparse_l1, 0, 100)) return fail(Code::limit, "feed: sparse_l1", options.sparse_l1);
  if (!finite_within(options.l2, 0, 100)) return fail(Code::limit, "feed: l2", options.l2);
  return {};
}

Scorer::Scorer(std::vector<std::string> sources, const ScorerOptions& options)
    : sources_(std::move(sources)), options_(options), slots_(std::size_t{1} << options.slots_log2) {
  assert(check(options));
  assert(sources_.size() <= kSourcesMax);
  for (const std::string& name : sources_) assert(name.size() <= kSourceNameBytesMax);
  const Weights& w = options_.weights;
  worth_ = {w.complete, w.like, w.share, w.follow, w.skip, w.report, w.choice};
  for (std::uint32_t slot = 0; slot < kDenseSlots; ++slot) slots_[slot].w = prior(slot);
}

Chances Scorer::logits(const Features& features, bool with_duration) const {
  const auto duration = static_cast<std::uint32_t>(sources_.size()) + kGroupDuration;
  Chances sums{};
  for (const Feature& feature : features.all()) {
    if (!with_duration && feature.group == duration) continue;
    const auto& w = slots_[feature.slot].w;
    for (std::size_t outcome = 0; outcome < kOutcomes; ++outcome) sums[outcome] += feature.value * w[outcome];
  }
  return sums;
}

float Scorer::rate(std::uint32_t slot) const {
  if (slot < kDenseSlots) return options_.rate;
  return slot < slots_.size() / 2 ? options_.sparse_rate : kPersonalRate;
}

/// The weight that follows from a slot's sums (McMahan et al., algorithm 1), pulled to its prior instead of to 0.
void Scorer::settle(std::uint32_t slot, std::size_t outcome) {
  Slot& s = slots_[slot];
  const bool dense = slot < kDenseSlots;
  const float l1 = dense ? 0 : options_.sparse_l1;
  const float z = s.z[outcome];
  const float pace = (kBeta + std::sqrt(s.n[outcome])) / rate(slot) + options_.l2;
  const float moved = std::abs(z) <= l1 ? 0 : -(z - std::copysign(l1, z)) / pace;
  s.w[outcome] = std::clamp((dense ? prior(slot)[outcome] : 0) + moved, -kFeatureWeightMax, kFeatureWeightMax);
}

void Scorer::update(const Features& features, std::size_t outcome, float gradient) {
  for (const Feature& feature : features.all()) {
    Slot& slot = slots_[feature.slot];
    const float g = gradient * feature.value;
    if (g == 0) continue;
    const bool dense = feature.slot < kDenseSlots;
    const float base = dense ? prior(feature.slot)[outcome] : 0;
    const float before = slot.n[outcome];
    const bool personal = feature.slot >= slots_.size() / 2;
    const float after = std::min(before + g * g, personal ? kPersonalSquaresMax : kSquaresMax);
    const float sigma = (std::sqrt(after) - std::sqrt(before)) / rate(feature.slot);
    const float kept = personal ? kPersonalKept : 1;
    const float z = kept * slot.z[outcome] + g - sigma * (slot.w[outcome] - base);
    slot.z[outcome] = std::clamp(z, -kGradientsMax, kGradientsMax);
    slot.n[outcome] = after;
    settle(feature.slot, outcome);
  }
}

void Scorer::learn(const Example& example, Outcomes came, float weight) {
  assert(weight > 0 && weight <= kLearnWeightMax);
  Features features;
  extract(example, features);
  const Chances sums = logits(features, true);
  for (std::size_t outcome = 0; outcome < kChoice; ++outcome) {
    update(features, outcome, weight * (chance(sums[outcome]) - (came[outcome] ? 1.0F : 0.0F)));
  }
  ++learned_;
}

void Scorer::learn_choice(std::span<const Example> list, std::size_t chosen, float weight) {
  assert(chosen < list.size());
  assert(weight > 0 && weight <= kLearnWeightMax);
  std::vector<Features> features(list.size());
  std::vector<float> odds(list.size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    extract(list[i], features[i]);
    odds[i] = logits(features[i], true)[kChoice];
  }
  const float largest = std::ranges::max(odds);
  float sum = 0;
  for (float& one : odds) sum += one = std::exp(one - largest);
  for (std::size_t i = 0; i < list.size(); ++i) {
    update(features[i], kChoice, weight * (odds[i] / sum - (i == chosen ? 1.0F : 0.0F)));
  }
  ++learned_;
}

Chances Scorer::predict(const Example& example) const {
  Features features;
  extract(example, features);
  Chances chances = logits(features, false);
  for (float& one : chances) one = chance(one);
  return chances;
}

float Scorer::score(const Example& example) const {
  const Chances chances = predict(example);
  float sum = 0;
  for (std::size_t outcome = 0; outcome < kOutcomes; ++outcome) sum += worth_[outcome] * chances[outcome];
  return sum;
}

float Scorer::choice_odds(const Example& example) const {
  Features features;
  extract(example, features);
  return logits(features, false)[kChoice];
}

/// A probability is no sum. Each group gets of an outcome's way from its usual value as large a share as it has of the
/// way in odds: so the terms add up to the score.
std::vector<Term> Scorer::explain(const Example& example) const {
  Features features;
  extract(example, features);
  const auto groups = static_cast<std::uint32_t>(sources_.size()) + kGroups;
  const std::uint32_t bias = groups - kGroups + kGroupBias;
  const std::uint32_t duration = groups - kGroups + kGroupDuration;
  std::vector<Chances> parts(groups);
  for (const Feature& feature : features.all()) {
    const auto& w = slots_[feature.slot].w;
    for (std::size_t o = 0; o < kOutcomes; ++o) parts[feature.group][o] += feature.value * w[o];
  }
  const Chances sums = logits(features, false);
  std::vector<float> amounts(groups);
  for (std::size_t o = 0; o < kOutcomes; ++o) {
    const float usual = parts[bias][o];
    const float way = sums[o] - usual;
    const float at = chance(usual);
    const float slope = std::abs(way) > 1e-3F ? (chance(sums[o]) - at) / way : at * (1 - at);
    for (std::uint32_t group = 0; group < groups; ++group) {
      if (group == duration) continue;
      amounts[group] += worth_[o] * (group == bias ? at : slope * parts[group][o]);
    }
  }
  std::vector<Term> terms;
  for (std::uint32_t group = 0; group < groups; ++group) {
    if (amounts[group] != 0) terms.push_back({group_name(group), amounts[group]});
  }
  std::ranges::sort(
      terms, [](const Term& a, const Term& b) { return a.amount != b.amount ? a.amount > b.amount : a.name < b.name; });
  return terms;
}

}  // namespace ribalta::feed
