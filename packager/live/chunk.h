// What the live origin keeps: init segments and chunks of a track, as they came, shared between the window, the readers
// and the object store.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/bytes.h"
#include "core/media/track.h"
#include "core/units.h"

namespace ribalta::packager {

using SharedBytes = std::shared_ptr<const Bytes>;

/// An init segment with the number that stands in its name: `live/{stream}/{track}/init-{number}.mp4`.
struct InitSegment {
  std::int64_t number = 0;
  SharedBytes bytes;
  media::TrackConfig config;
};
using SharedInit = std::shared_ptr<const InitSegment>;

/// One chunk after it was accepted. Times in ticks of `init->config.timescale`.
struct Chunk {
  SharedBytes bytes;
  std::int64_t decode_time = 0;        ///< of its first frame
  std::int64_t duration = 0;           ///< of all its frames
  std::int64_t presentation_time = 0;  ///< the earliest of its frames
  bool key = false;                    ///< decoding can begin here
  bool init_repeated = false;          ///< its writer sent the init segment again before it: a source's new period
  Epoch epoch;
  SharedInit init;

  [[nodiscard]] std::int64_t decode_end() const { return decode_time + duration; }
  [[nodiscard]] std::uint32_t timescale() const { return init->config.timescale; }
  [[nodiscard]] MediaTime presentation() const { return {presentation_time, timescale()}; }
};

}  // namespace ribalta::packager
