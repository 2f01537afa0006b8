// An uploaded file from its descriptor to every track of its ladder: decoded once, encoded N times.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <expected>
#include <string>

#include "transcode/media/acceptance.h"
#include "transcode/media/sink.h"
#include "transcode/refusal.h"

namespace ribalta::transcode {

/// How an upload is worked on; part of the request to the child.
struct VodSettings {
  SourceLimits limits;
  std::int64_t segment_ms = 2'000;
  std::int64_t short_side_max = 1'080;
  std::int64_t rungs_max = 6;
  std::string preset = "veryfast";
  double crf = 23;  ///< under each rung's cap; 0: each rung's mean bitrate
  std::int64_t cores = 2;
  bool loudness = true;
};
BOOST_DESCRIBE_STRUCT(VodSettings, (), (limits, segment_ms, short_side_max, rungs_max, preset, crf, cores, loudness))

/// Accepts the file and transcodes it into `sink`. A refusal speaks of the file; an error inside it (`detail`) names
/// what failed. When the sink fails, the refusal's detail says so and its kind is `corrupt`: callers know their own
/// sink.
std::expected<VodSummary, Refusal> transcode_file(int descriptor, std::uint64_t bytes, const VodSettings& settings,
                                                  MediaSink& sink);

}  // namespace ribalta::transcode
