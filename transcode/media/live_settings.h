// How a live is worked on; part of the request to the child.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "core/media/ladder.h"

namespace ribalta::transcode {

/// One encoded rung of a live.
struct LiveRung {
  media::LadderVideo rung;
  /// The rung is whole up to here (decode time, 90 kHz): frames before it are decoded and not encoded, and the first
  /// one encoded is a key frame of the source at or after it. 0: from the start.
  std::int64_t resume_at = 0;
};
BOOST_DESCRIBE_STRUCT(LiveRung, (), (rung, resume_at))

struct LiveSettings {
  std::vector<LiveRung> rungs;            ///< encoded ones, highest first
  std::vector<media::LadderAudio> audio;  ///< encoded ones: none or one
  std::int64_t audio_resume_at = 0;       ///< decode time in samples
  bool follow_source_keys = true;         ///< IDR wherever the source has one; else every segment_ms
  std::int64_t segment_ms = 2'000;
  std::string preset = "veryfast";
  std::int64_t cores = 2;
};
BOOST_DESCRIBE_STRUCT(LiveSettings, (), (rungs, audio, audio_resume_at, follow_source_keys, segment_ms, preset, cores))

}  // namespace ribalta::transcode
