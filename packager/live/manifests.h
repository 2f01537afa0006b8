// What players are told of a live window: the multivariant playlist from the plan, each track's media playlist and the
// MPD from the announced rows. Pure: values in, text out.
#pragma once

#include <cstdint>
#include <string>

#include "core/units.h"
#include "packager/live/window.h"

namespace ribalta::packager {

/// `{epoch}-{msn}.m4s` and `init-{number}.mp4`: names of a track's objects, in URLs and in the store alike.
std::string segment_name(Epoch epoch, std::int64_t msn);
std::string init_name(std::int64_t number);

/// `index.m3u8`: the whole plan, from the first answer on the same.
std::string live_multivariant(const media::LadderPlan& plan);

struct LiveTimes {
  std::int64_t start_unix_ms = 0;  ///< the wall clock at time 0 of the stream
  bool ended = false;              ///< nothing will be added to what is announced
};
/// `{track}.m3u8`: the rows that are listed now.
std::string live_media_playlist(const Window& window, std::size_t track, const LiveTimes& times);
/// `index.mpd`.
std::string live_mpd(const Window& window, const LiveTimes& times, WallTime now);

}  // namespace ribalta::packager
