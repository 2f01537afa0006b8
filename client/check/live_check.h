// A live playlist over time: what a player that reloads must never see change (RFC 8216 §6.2.1 and §6.2.2).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "client/check/findings.h"
#include "client/check/hls.h"

namespace ribalta::check {

/// Segments that a history remembers: a day of 2 s segments.
inline constexpr std::size_t kHistoryMax = 50'000;

class PlaylistHistory {
 public:
  explicit PlaylistHistory(std::string location) : location_(std::move(location)) {}
  /// The playlist as it is now; `now_ms` on any clock that never goes back.
  void take(const HlsMedia& playlist, std::int64_t now_ms, Findings& findings);
  [[nodiscard]] bool ended() const { return ended_; }
  [[nodiscard]] std::int64_t target_ms() const { return target_s_ * 1'000; }

 private:
  struct Listed {
    std::string uri;
    std::int64_t duration_us = 0;
    bool discontinuity = false;
    bool gap = false;
    bool operator==(const Listed&) const = default;
  };
  std::string location_;
  std::map<std::int64_t, Listed> listed_;  ///< by media sequence number
  std::optional<std::int64_t> sequence_;
  std::int64_t discontinuity_sequence_ = 0;
  std::int64_t target_s_ = 0;
  std::int64_t newest_ = -1;
  std::int64_t moved_at_ms_ = 0;
  bool ended_ = false;
};

}  // namespace ribalta::check
