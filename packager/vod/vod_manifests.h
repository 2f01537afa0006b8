// What players are told of a video: multivariant playlist, media playlists, MPD. Pure: an asset in, text out.
#pragma once

#include <string>
#include <string_view>

#include "packager/vod/vod_asset.h"

namespace ribalta::packager {

/// `index.m3u8`. BANDWIDTH is the densest segment of the video plus that of the densest audio track: what RFC 8216
/// §4.3.4.2 calls the peak is never more. AVERAGE-BANDWIDTH is the same sum of averages.
std::string vod_multivariant(const VodAsset& asset);
/// `{track}.m3u8`. All tracks have one EXT-X-TARGETDURATION.
std::string vod_media_playlist(const VodAsset& asset, const VodTrack& track);
/// `index.mpd`: one Period that begins at the earliest time of any track.
std::string vod_mpd(const VodAsset& asset);

/// `it` for `ita`: RFC 5646 wants the two letters where there are two. Empty for `und`.
std::string rfc5646_language(std::string_view three_letters);

}  // namespace ribalta::packager
