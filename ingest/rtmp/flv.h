// The bodies of RTMP's audio and video messages: FLV tags (Adobe Flash Video File Format Specification 10.1, §E.4).
#pragma once

#include <cstdint>

#include "core/bytes.h"
#include "core/result.h"

namespace ribalta::rtmp {

struct VideoTag {
  enum class Kind : std::uint8_t {
    header,   ///< AVCDecoderConfigurationRecord; empty with some encoders at a reconnect: to be passed over
    frame,    ///< length-prefixed NAL units
    end,      ///< end of sequence: nothing follows until the next header
    nothing,  ///< info frames and empty tags
  };
  Kind kind = Kind::nothing;
  bool key = false;                 ///< as the tag says; what the NAL units say counts more
  std::int32_t composition_ms = 0;  ///< presentation minus decode time: signed 24 bits
  ByteSpan data;                    ///< inside the message's payload
};

/// @error unsupported: another codec than H.264, named in words for the streamer; malformed: cut short.
Result<VideoTag> parse_video_tag(ByteSpan body);

struct AudioTag {
  enum class Kind : std::uint8_t {
    header,  ///< AudioSpecificConfig
    frame,   ///< one raw AAC access unit
    nothing,
  };
  Kind kind = Kind::nothing;
  ByteSpan data;
};

/// @error unsupported: another codec than AAC, named in words for the streamer; malformed: cut short.
Result<AudioTag> parse_audio_tag(ByteSpan body);

}  // namespace ribalta::rtmp
