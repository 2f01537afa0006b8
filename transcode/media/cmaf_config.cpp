#include "transcode/media/cmaf_config.h"

#include "core/units.h"
#include "transcode/media/audio.h"

namespace ribalta::transcode {

media::TrackConfig rung_config(ByteSpan codec_config, const media::LadderVideo& rung) {
  media::TrackConfig config;
  config.kind = media::TrackKind::video;
  config.codec = media::CodecId::h264;
  config.codec_config = Bytes{codec_config.begin(), codec_config.end()};
  config.timescale = kVideoTimescale;
  config.width = static_cast<std::uint32_t>(rung.width);
  config.height = static_cast<std::uint32_t>(rung.height);
  config.colour = media::Colour{.primaries = 1, .transfer = 1, .matrix = 1, .full_range = false};
  return config;
}

media::TrackConfig sound_config(ByteSpan codec_config, std::int64_t bitrate) {
  media::TrackConfig config;
  config.kind = media::TrackKind::audio;
  config.codec = media::CodecId::aac;
  config.codec_config = Bytes{codec_config.begin(), codec_config.end()};
  config.timescale = kAudioRate;
  config.sample_rate = kAudioRate;
  config.channels = 2;
  config.bitrate = static_cast<std::uint32_t>(bitrate);
  return config;
}

}  // namespace ribalta::transcode
