#include "client/check/live_check.h"

#include <algorithm>

namespace ribalta::check {
namespace {

/// RFC 8216 §6.2.1: a new playlist within 1.5 targets of the last. A target more for who asks only twice in one.
constexpr std::int64_t kStaleTargetsMax = 3;

}  // namespace

void PlaylistHistory::take(const HlsMedia& playlist, std::int64_t now_ms, Findings& findings) {
  const std::int64_t sequence = playlist.media_sequence;
  if (ended_ && !playlist.ended) findings.add("endlist", location_, "EXT-X-ENDLIST is gone again");
  if (sequence_ && playlist.target_duration_s != target_s_) {
    findings.add("target-duration", location_, "EXT-X-TARGETDURATION changed");
  }
  if (sequence_ && sequence < *sequence_) {
    findings.add("media-sequence", location_,
                 "went back from " + std::to_string(*sequence_) + " to " + std::to_string(sequence));
  }
  if (sequence_ && sequence >= *sequence_) {
    // Each discontinuity that left the playlist, and the one of what is first now, is counted.
    std::int64_t left = 0;
    for (auto it = listed_.upper_bound(*sequence_); it != listed_.end() && it->first <= sequence; ++it) {
      left += it->second.discontinuity ? 1 : 0;
    }
    const bool known = listed_.empty() || sequence <= listed_.rbegin()->first;
    if (known && playlist.discontinuity_sequence != discontinuity_sequence_ + left) {
      findings.add("discontinuity-sequence", location_,
                   "is " + std::to_string(playlist.discontinuity_sequence) + " where " +
                       std::to_string(discontinuity_sequence_ + left) + " follows");
    }
  }
  std::int64_t msn = sequence;
  for (const HlsSegment& segment : playlist.segments) {
    const Listed now{segment.uri, segment.duration_us, segment.discontinuity, segment.gap};
    const auto before = listed_.find(msn);
    if (before != listed_.end()) {
      Listed then = before->second;
      if (msn == sequence) then.discontinuity = now.discontinuity;  // may stand before the first segment or be counted
      if (!(then == now)) {
        findings.add("segment-changed", location_ + " segment " + std::to_string(msn),
                     "was announced as something else");
      }
    } else if (!listed_.empty() && msn <= listed_.rbegin()->first && msn > listed_.begin()->first) {
      findings.add("segment-changed", location_ + " segment " + std::to_string(msn), "appeared behind the live edge");
    } else {
      listed_.emplace(msn, now);
    }
    ++msn;
  }
  while (listed_.size() > kHistoryMax) listed_.erase(listed_.begin());
  if (msn - 1 < newest_)
    findings.add("media-sequence", location_, "segments that were announced are gone from the end");
  if (msn - 1 > newest_ || !sequence_) moved_at_ms_ = now_ms;
  newest_ = std::max(newest_, msn - 1);
  sequence_ = sequence;
  discontinuity_sequence_ = playlist.discontinuity_sequence;
  target_s_ = playlist.target_duration_s;
  ended_ = playlist.ended;
  const std::int64_t still_ms = now_ms - moved_at_ms_;
  if (!ended_ && still_ms > kStaleTargetsMax * target_ms()) {
    findings.add("stale", location_, "no new segment for " + std::to_string(still_ms) + " ms");
    moved_at_ms_ = now_ms;
  }
}

}  // namespace ribalta::check
