// The HTTP side of the live origin: the media bus for writers, workers and the control plane; playback for everybody.
#pragma once

#include <chrono>
#include <string>

#include "core/daemon.h"
#include "core/http/server.h"
#include "packager/live/hub.h"

namespace ribalta::packager {

inline constexpr std::chrono::seconds kTrackWait{30};  ///< a reader waits this long for a track that does not exist yet
inline constexpr std::chrono::seconds kFirstWait{5};   ///< a player waits this long for the first announcement

/// `/tracks/…`, `/streams/…`. Signed calls only.
void add_bus_routes(http::Router& router, Node& node, Hub& hub);
/// `/live/…`.
void add_playback_routes(http::Router& router, Hub& hub);

/// True when the call is signed by a node of ours; else it was answered 401.
Task<bool> signed_call(http::Exchange& exchange, const Node& node);

}  // namespace ribalta::packager
