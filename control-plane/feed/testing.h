// What tests of the feed share.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "control-plane/feed/feed.h"
#include "control-plane/feed/random.h"

namespace ribalta::feed::testing {

inline constexpr std::int64_t kDayMs = 24LL * 3600 * 1000;
inline constexpr std::int64_t kNowMs = 1'800'000'000'000;

inline Item item(std::uint64_t id, std::uint64_t author = 1000, std::uint64_t topic = 0) {
  Item made{.id = ItemId{id}, .author = UserId{author}};
  if (topic != 0) made.topics = {TopicId{topic}};
  made.duration_ms = 20'000;
  made.published_ms = kNowMs - 30 * kDayMs;
  return made;
}

inline Event event(std::uint64_t viewer, std::uint64_t of, Action action, std::int64_t time_ms = kNowMs,
                   float watched = 0) {
  return {UserId{viewer}, ItemId{of}, action, watched, time_ms};
}

/// Heard of as it happens.
inline void tell(Feed& feed, const Event& event) { feed.learn(std::array{event}, event.time_ms); }

inline Request request(std::uint64_t viewer, std::int64_t now_ms = kNowMs, std::uint64_t seed = 1) {
  Request made;
  made.audience.viewer = UserId{viewer};
  made.audience.now_ms = now_ms;
  made.seed = seed;
  return made;
}

/// Small tables: a test makes many feeds.
inline FeedOptions options() {
  FeedOptions made;
  made.scorer.slots_log2 = kSlotsLog2Min;
  return made;
}

}  // namespace ribalta::feed::testing
