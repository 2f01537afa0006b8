// The ladder plan as the packager takes it: read from the control plane's JSON and checked whole, or made from the
// source alone when no plan comes.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.h"
#include "core/media/ladder.h"
#include "core/result.h"
#include "packager/live/chunk.h"

namespace ribalta::packager {

inline constexpr std::size_t kPlanBytesMax = 64 * 1024;
/// Tracks of one stream, sources that are no rung included: a ladder has at most 6 rungs of video and 2 of audio.
inline constexpr std::size_t kLiveTracksMax = 16;
/// With no plan this long after the first media, the source is published alone.
inline constexpr std::chrono::seconds kPlanWait{5};

/// @error malformed: not such JSON, another stream, a track twice, text that could not stand in a playlist; limit:
/// values
///        out of range, kPlanBytesMax, kLiveTracksMax.
Result<media::LadderPlan> parse_plan(std::string_view json, std::string_view stream);
/// What a plan from anywhere (the wire, a record) must fulfil.
Result<void> check_plan(const media::LadderPlan& plan);

/// What was seen of a source track while no plan came.
struct SourceSeen {
  std::string track;
  SharedInit init;
  std::vector<Chunk> chunks;
};
/// The source tracks alone, as they came: sizes and codecs from their init segments, rates measured. Nothing when none
/// of them can be described.
std::optional<media::LadderPlan> fallback_plan(std::string_view stream, const std::vector<SourceSeen>& sources);

}  // namespace ribalta::packager
