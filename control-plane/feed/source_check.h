// For tests: what any source must keep to.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <vector>

#include "control-plane/feed/source.h"

namespace ribalta::feed::testing {

inline std::vector<float> scores_of(const Source& source, std::span<const Seen> history, std::size_t items,
                                    std::int64_t now_ms = 0) {
  std::vector<ItemIndex> all(items);
  std::iota(all.begin(), all.end(), ItemIndex{0});
  std::vector<float> scores(items, -1);
  source.score(history, now_ms, all, scores);
  return scores;
}

inline std::vector<Candidate> found_by(const Source& source, std::span<const Seen> history, std::size_t limit,
                                       const Allowed& allowed = {}, std::int64_t now_ms = 0) {
  std::vector<Candidate> found;
  source.find(history, now_ms, limit, allowed, found);
  return found;
}

/// What is found is what sorting all scores would give; nothing that is not allowed is; all is finite.
inline void check_agrees(const Source& source, std::span<const Seen> history, std::size_t items,
                         std::int64_t now_ms = 0) {
  const Allowed allowed = [](ItemIndex item) { return item % 3 != 1; };
  std::vector<Candidate> expected;
  const std::vector<float> scores = scores_of(source, history, items, now_ms);
  for (ItemIndex item = 0; item < items; ++item) {
    CHECK(std::isfinite(scores[item]));
    if (scores[item] != 0 && allowed(item)) expected.push_back({item, scores[item]});
  }
  std::ranges::sort(expected, better);
  CHECK(found_by(source, history, items, allowed, now_ms) == expected);
  expected.resize(std::min<std::size_t>(expected.size(), 3));
  CHECK(found_by(source, history, 3, allowed, now_ms) == expected);
  CHECK(found_by(source, history, 0, allowed, now_ms).empty());
}

/// A small world: `viewers` who watched some of `items`, by a fixed rule; viewers of one kind like alike.
inline std::vector<Interaction> small_world(ViewerIndex viewers, ItemIndex items) {
  std::vector<Interaction> events;
  for (ViewerIndex viewer = 0; viewer < viewers; ++viewer) {
    for (ItemIndex item = 0; item < items; ++item) {
      const bool same_kind = viewer % 2 == item % 2;
      if ((viewer * 7 + item * 5) % (same_kind ? 3 : 11) != 0) continue;
      events.push_back({viewer, item, 1, static_cast<std::int64_t>((viewer * 13 + item * 17) % 29)});
    }
  }
  return events;
}

/// Histories that nobody sane would send.
inline std::vector<Seen> hostile_history() {
  std::vector<Seen> history{{0xFFFFFFFF, 1, 0}, {0, NAN, 1},   {1, INFINITY, 2}, {2, -INFINITY, 3},
                            {3, -1, 4},         {4, 1e38F, 5}, {5, 1e-38F, 6},   {1U << 22U, 1, 7}};
  for (int i = 0; i < 5'000; ++i) history.push_back({6, 1e38F, INT64_MIN});
  return history;
}

/// Events of the same kind.
inline std::vector<Interaction> hostile_events() {
  std::vector<Interaction> events{{0, 0xFFFFFFFF, 1, 0}, {0xFFFFFFFF, 0, 1, 0}, {0, 0, NAN, INT64_MAX},
                                  {0, 1, INFINITY, 0},   {1, 1, 1e38F, 0},      {1, 2, 1e-38F, INT64_MIN},
                                  {2, 2, -5, 0},         {2, 3, 0, 0}};
  for (int i = 0; i < 5'000; ++i) events.push_back({3, 4, 1e38F, INT64_MAX - i});
  return events;
}

/// A source that has learned from those answers as any other.
inline void check_withstands(const Source& source, std::size_t items) {
  check_agrees(source, {}, items);
  check_agrees(source, hostile_history(), items, INT64_MAX);
  check_agrees(source, hostile_history(), items, INT64_MIN);
  const std::vector<ItemIndex> beyond{0xFFFFFFFF, 1U << 22U, static_cast<ItemIndex>(items)};
  std::vector<float> scores(beyond.size(), -1);
  source.score(hostile_history(), 0, beyond, scores);
  CHECK(scores == std::vector<float>{0, 0, 0});
}

}  // namespace ribalta::feed::testing
