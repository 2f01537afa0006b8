// `ribalta check`: holds what a site serves, or a folder has, against the specifications that players are written to.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "client/check/findings.h"
#include "core/result.h"

namespace ribalta::check {

struct Checked {
  Findings findings;
  std::size_t playlists = 0;
  std::size_t segments = 0;
  std::uint64_t bytes = 0;
};

/// @param location  a playlist (.m3u8) or manifest (.mpd), of which the other one beside it is looked at too; a page of
/// a
///                  Ribalta site (/watch/ID, /l/ID); a folder with playlists, or of the object store (video.json).
/// @param follow    how long a live's playlists are watched after the first look.
/// @error not_found, malformed: there is nothing here that could be looked into.
Result<Checked> check_location(const std::string& location, std::chrono::seconds follow);

}  // namespace ribalta::check
