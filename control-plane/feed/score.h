// The scorer: one model that learns from each event how likely a viewer completes, likes, shares, follows, skips or
// reports an item, from what the sources say of it and from whose and what it is. The same class serves the feed and
// its evaluation. Hashed features, a logistic regression for each outcome, FTRL-proximal (McMahan et al., KDD 2013).
#pragma once

#include <array>
#include <bitset>
#include <boost/describe/enum.hpp>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "control-plane/feed/evidence.h"
#include "control-plane/feed/terms.h"
#include "core/bytes.h"
#include "core/result.h"

namespace ribalta::feed {

/// What may come of showing an item. `complete`: watched to its end, or clearly longer than is usual at its duration;
/// `skip`: left at once, or clearly sooner than is usual. `choice` is learned from lists: that one of them was liked,
/// and the others not.
enum class Outcome : std::uint8_t { complete, like, share, follow, skip, report, choice };
BOOST_DESCRIBE_ENUM(Outcome, complete, like, share, follow, skip, report, choice)
inline constexpr std::size_t kOutcomes = 7;
using Outcomes = std::bitset<kOutcomes>;  ///< which of them came, by their number; `choice` is ignored
using Chances = std::array<float, kOutcomes>;

/// What each outcome is worth. The score is the sum of worth times probability.
struct Weights {
  float complete = 1;
  float like = 1.5F;
  float share = 2.5F;
  float follow = 3;
  float skip = -1;
  float report = -20;
  float choice = 1.5F;
};

struct ScorerOptions {
  Weights weights;
  std::uint32_t slots_log2 = 18;  ///< of the table of hashed features, 84 bytes each: kSlotsLog2Min..kSlotsLog2Max
  float rate = 0.08F;             ///< of learning what every example has, over 0 and at most 1
  float sparse_rate = 0.2F;       ///< of learning items, authors, topics: each is seen seldom
  float sparse_l1 = 0.15F;        ///< a hashed feature below it does not count: chance moves that much
  float l2 = 1;
};
inline constexpr std::uint32_t kSlotsLog2Min = 10;
inline constexpr std::uint32_t kSlotsLog2Max = 22;
inline constexpr float kOutcomeWeightMax = 1000;
inline constexpr float kLearnWeightMax = 10;
inline constexpr std::size_t kSourceNameBytesMax = 64;

/// For whoever reads them from a configuration. @error limit: which of them is out of its range.
Result<void> check(const ScorerOptions& options);

/// One item before one viewer, as the scorer sees it. Whatever is 0 or negative is unknown, and does not count.
struct Example {
  Evidence evidence;
  UserId viewer;
  ItemId item;
  UserId author;
  std::array<TopicId, kTopicsMax> topics{};
  std::int64_t duration_ms = 0;
  std::int64_t age_ms = -1;  ///< since it was published
  int hour = -1;             ///< of the day, UTC
};

/// Learning is for one thread alone; everything const may be called from many at once.
class Scorer {
 public:
  /// `sources`: names, in the order of the evidence; at most kSourcesMax. The options have been checked.
  explicit Scorer(std::vector<std::string> sources, const ScorerOptions& options = {});

  /// What came of showing this, all outcomes at once. `weight` over 0, at most kLearnWeightMax.
  void learn(const Example& example, Outcomes came, float weight = 1);
  /// One of a list was chosen before the others (a softmax over the list; two make a pair).
  void learn_choice(std::span<const Example> list, std::size_t chosen, float weight = 1);

  /// Of each outcome, as it would be at the usual duration: a short video is easily completed, and that says nothing of
  /// liking it, so the duration's share is learned and left out.
  [[nodiscard]] Chances predict(const Example& example) const;
  [[nodiscard]] float score(const Example& example) const;
  /// The logarithm of `choice`'s odds: where only the order counts, for a probability near 1 cannot tell the best
  /// apart.
  [[nodiscard]] float choice_odds(const Example& example) const;
  /// How much each thing moved the score from what it is for an item of which nothing is known; their sum is the score.
  /// Sorted, the largest first; what moved nothing is left out.
  [[nodiscard]] std::vector<Term> explain(const Example& example) const;

  [[nodiscard]] const std::vector<std::string>& sources() const { return sources_; }
  [[nodiscard]] std::uint64_t learned() const { return learned_; }

  /// Everything learned, as bytes that end in a checksum; the same for the same scorer.
  [[nodiscard]] Bytes snapshot() const;
  /// @error malformed: damaged, and how; unsupported: another version; conflict: of other sources, or another size.
  Result<void> restore(ByteSpan bytes);

 private:
  struct Slot {
    std::array<float, kOutcomes> z{};  ///< the gradients' sum, as FTRL corrects it
    std::array<float, kOutcomes> n{};  ///< the gradients' squares
    std::array<float, kOutcomes> w{};  ///< what follows from them, and the prior
    bool operator==(const Slot&) const = default;
  };
  static bool untouched(const Slot& slot) { return slot.z == Chances{} && slot.n == Chances{}; }
  struct Feature {
    std::uint32_t slot = 0;
    std::uint32_t group = 0;
    float value = 0;
  };
  struct Features;

  void extract(const Example& example, Features& out) const;
  void extract_evidence(const Example& example, Features& out) const;
  void add_hashed(Features& out, std::uint32_t kind, std::uint64_t a, std::uint64_t b) const;
  [[nodiscard]] Chances logits(const Features& features, bool with_duration) const;
  void update(const Features& features, std::size_t outcome, float gradient);
  [[nodiscard]] float rate(std::uint32_t slot) const;
  void settle(std::uint32_t slot, std::size_t outcome);
  [[nodiscard]] std::array<float, kOutcomes> prior(std::uint32_t slot) const;
  [[nodiscard]] std::string_view group_name(std::uint32_t group) const;
  Result<void> restore_slots(ByteReader& reader, std::vector<Slot>& slots) const;

  std::vector<std::string> sources_;
  ScorerOptions options_;
  std::array<float, kOutcomes> worth_{};
  std::vector<Slot> slots_;
  std::uint64_t learned_ = 0;
};

}  // namespace ribalta::feed
