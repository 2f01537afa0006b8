// Where the media work puts what it makes. In production the other end is a pipe to the parent process; tests keep it.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "core/media/ladder.h"
#include "core/result.h"

namespace ribalta::transcode {

/// What an accepted file is and becomes. Tracks are numbered: the rungs in order, then the sound.
struct VodReport {
  std::int64_t width = 0;
  std::int64_t height = 0;
  double fps = 0;
  std::string format;
  std::string video_codec;
  std::string audio_codec;  ///< empty: silent
  bool hdr = false;
  std::vector<media::LadderVideo> rungs;
  std::vector<media::LadderAudio> audio;
};
BOOST_DESCRIBE_STRUCT(VodReport, (), (width, height, fps, format, video_codec, audio_codec, hdr, rungs, audio))

/// What has come of it.
struct VodSummary {
  std::int64_t duration_ms = 0;
  std::int64_t frames = 0;  ///< pictures in each rung
  std::int64_t decode_errors = 0;
  std::int64_t encode_ms = 0;  ///< wall time
};
BOOST_DESCRIBE_STRUCT(VodSummary, (), (duration_ms, frames, decode_errors, encode_ms))

/// Calls come from several threads, each track's in order; an implementation has its own lock.
class MediaSink {
 public:
  virtual ~MediaSink() = default;
  virtual Result<void> report(const VodReport& report) = 0;
  /// `ftyp moov` of a track.
  virtual Result<void> init(std::size_t track, Bytes bytes) = 0;
  /// One chunk (`moof mdat`); for VOD each is a whole segment.
  virtual Result<void> chunk(std::size_t track, Bytes bytes) = 0;
  virtual Result<void> poster(Bytes jpeg) = 0;
  /// 0..1.
  virtual Result<void> progress(double done) = 0;
};

}  // namespace ribalta::transcode
