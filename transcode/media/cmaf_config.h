// What the init segments of our own tracks say.
#pragma once

#include <cstdint>

#include "core/bytes.h"
#include "core/media/ladder.h"
#include "core/media/track.h"

namespace ribalta::transcode {

media::TrackConfig rung_config(ByteSpan codec_config, const media::LadderVideo& rung);
media::TrackConfig sound_config(ByteSpan codec_config, std::int64_t bitrate);

}  // namespace ribalta::transcode
