// Which features an example has, and what each of them weighs before anything is learned.
#include <algorithm>
#include <bit>
#include <cassert>

#include "control-plane/feed/score_model.h"

namespace ribalta::feed {
namespace {

// Slots of the features that every example has; hashed ones come behind.
constexpr std::uint32_t kSlotBias = 0;
constexpr std::uint32_t kSlotScore = 1;
constexpr std::uint32_t kSlotPlace = kSlotScore + kSourcesMax;
constexpr std::uint32_t kSlotKnown = kSlotPlace + kSourcesMax;
constexpr std::uint32_t kSlotPair = kSlotKnown + kSourcesMax;
constexpr std::uint32_t kSlotDuration = kSlotPair + kSourcesMax * (kSourcesMax - 1) / 2;
constexpr std::uint32_t kDurationBuckets = 12;
constexpr std::uint32_t kSlotAge = kSlotDuration + kDurationBuckets;
constexpr std::uint32_t kAgeBuckets = 16;
constexpr std::uint32_t kSlotHour = kSlotAge + kAgeBuckets;
constexpr std::uint32_t kHourBuckets = 8;
static_assert(kSlotHour + kHourBuckets <= kDenseSlots);

/// An item that the sources agree on stands first before anything is learned; that is all the prior says.
constexpr float kPriorScore = 0.25F;
constexpr float kPriorPlace = 0.25F;
/// The logarithm of odds of each outcome where nothing is known.
constexpr std::array<float, kOutcomes> kPriorBias{-0.5F, -3, -4.5F, -5, -0.5F, -7, 0};
constexpr std::array<float, kOutcomes> kPriorSign{1, 1, 1, 1, -1, -0.5F, 1};

/// 0 below 1, then one more with each doubling.
std::uint32_t doublings(std::int64_t value, std::uint32_t buckets) {
  if (value <= 0) return 0;
  return std::min(static_cast<std::uint32_t>(std::bit_width(static_cast<std::uint64_t>(value))), buckets - 1);
}

std::uint64_t mixed(std::uint64_t x) {  // splitmix64's finaliser
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace

void Scorer::add_hashed(Features& out, std::uint32_t kind, std::uint64_t a, std::uint64_t b) const {
  const std::uint64_t hash = mixed(mixed(mixed(kind) + a) + b);
  const std::uint64_t half = slots_.size() / 2;
  const bool personal = kind == kGroupYourAuthor || kind == kGroupYourTopic;
  const std::uint64_t slot = personal ? half + hash % half : kDenseSlots + hash % (half - kDenseSlots);
  // Of viewers there are many, and their pairs may share a slot: what one learns is as often taken from another as
  // added.
  const float value = personal && (hash >> 63) != 0 ? -1.0F : 1.0F;
  out.add(static_cast<std::uint32_t>(slot), static_cast<std::uint32_t>(sources_.size()) + kind, value);
}

void Scorer::extract_evidence(const Example& example, Features& out) const {
  const auto& [score, place] = example.evidence;
  const auto count = static_cast<std::uint32_t>(sources_.size());
  std::array<float, kSourcesMax> sane{};
  for (std::uint32_t i = 0; i < count; ++i) {
    if (!(place[i] > 0 && place[i] <= 1)) continue;  // unknown to this source
    if (score[i] == score[i]) sane[i] = std::clamp(score[i], -kScoreDeviationsMax, kScoreDeviationsMax);
    out.add(kSlotScore + i, i, sane[i]);
    out.add(kSlotPlace + i, i, place[i]);
    out.add(kSlotKnown + i, i, 1);
  }
  for (std::uint32_t i = 0, slot = kSlotPair; i < kSourcesMax; ++i) {
    for (std::uint32_t j = i + 1; j < kSourcesMax; ++j, ++slot) {
      // Scaled so that a pair of outliers weighs as much as one of them.
      if (j < count && sane[i] != 0 && sane[j] != 0) {
        out.add(slot, count + kGroupAgreement, sane[i] * sane[j] / kScoreDeviationsMax);
      }
    }
  }
}

void Scorer::extract(const Example& example, Features& out) const {
  const auto own = [&](Group group) { return static_cast<std::uint32_t>(sources_.size()) + group; };
  const auto add_id = [&](Group group, std::uint64_t a, std::uint64_t b = 0) { add_hashed(out, group, a, b); };
  out.add(kSlotBias, own(kGroupBias), 1);
  extract_evidence(example, out);
  if (example.item.value != 0) add_id(kGroupItem, example.item.value);
  const std::uint64_t viewer = example.viewer.value;
  if (const std::uint64_t author = example.author.value; author != 0) {
    add_id(kGroupAuthor, author);
    if (viewer != 0) add_id(kGroupYourAuthor, viewer, author);
  }
  for (const TopicId topic : example.topics) {
    if (topic.value == 0) continue;
    add_id(kGroupTopic, topic.value);
    if (viewer != 0) add_id(kGroupYourTopic, viewer, topic.value);
  }
  if (example.duration_ms > 0) {
    out.add(kSlotDuration + doublings(example.duration_ms / 1000, kDurationBuckets), own(kGroupDuration), 1);
  }
  if (example.age_ms >= 0) {
    out.add(kSlotAge + doublings(example.age_ms / 3'600'000, kAgeBuckets), own(kGroupAge), 1);
  }
  if (example.hour >= 0 && example.hour < 24) {
    out.add(kSlotHour + static_cast<std::uint32_t>(example.hour) * kHourBuckets / 24, own(kGroupHour), 1);
  }
}

std::array<float, kOutcomes> Scorer::prior(std::uint32_t slot) const {
  if (slot == kSlotBias) return kPriorBias;
  std::array<float, kOutcomes> weights{};
  const bool score = slot >= kSlotScore && slot < kSlotPlace;
  const bool place = slot >= kSlotPlace && slot < kSlotKnown;
  if (!score && !place) return weights;
  for (std::size_t outcome = 0; outcome < kOutcomes; ++outcome) {
    weights[outcome] = kPriorSign[outcome] * (score ? kPriorScore : kPriorPlace);
  }
  return weights;
}

std::string_view Scorer::group_name(std::uint32_t group) const {
  if (group < sources_.size()) return sources_[group];
  switch (static_cast<Group>(group - sources_.size())) {
    case kGroupAgreement:
      return "sources_together";
    case kGroupItem:
      return "item";
    case kGroupAuthor:
      return "author";
    case kGroupTopic:
      return "topic";
    case kGroupYourAuthor:
      return "you_and_author";
    case kGroupYourTopic:
      return "you_and_topic";
    case kGroupDuration:
      return "duration";
    case kGroupAge:
      return "age";
    case kGroupHour:
      return "hour";
    case kGroupBias:
    case kGroups:
      break;
  }
  return "usual";
}

}  // namespace ribalta::feed
