#include "core/media/track.h"

#include <algorithm>

namespace ribalta::media {

std::string_view to_string(CodecId codec) {
  switch (codec) {
    case CodecId::h264:
      return "h264";
    case CodecId::hevc:
      return "hevc";
    case CodecId::av1:
      return "av1";
    case CodecId::vp9:
      return "vp9";
    case CodecId::aac:
      return "aac";
    case CodecId::opus:
      return "opus";
  }
  return "unknown";
}

Result<void> check(const TrackConfig& config) {
  if (config.kind != kind_of(config.codec)) return fail(Code::malformed, "track: codec of the other kind");
  if (config.timescale == 0) return fail(Code::malformed, "track: timescale of 0");
  if (config.timescale > kTimescaleMax) return fail(Code::limit, "track: timescale", config.timescale);
  if (config.codec_config.size() > kCodecConfigBytesMax) {
    return fail(Code::limit, "track: bytes of codec configuration", config.codec_config.size());
  }
  if (config.codec_config.empty()) return fail(Code::malformed, "track: no codec configuration");
  if (config.track_id == 0) return fail(Code::malformed, "track: id 0");
  if (config.kind == TrackKind::video) {
    if (config.width == 0 || config.height == 0) return fail(Code::malformed, "track: picture without size");
    if (config.width > kPictureSideMax || config.height > kPictureSideMax) {
      return fail(Code::limit, "track: picture side", std::max(config.width, config.height));
    }
    if (config.sar_num == 0 || config.sar_den == 0) return fail(Code::malformed, "track: sample aspect ratio of 0");
  } else {
    if (config.sample_rate == 0) return fail(Code::malformed, "track: sample rate of 0");
    if (config.sample_rate > kSampleRateMax) return fail(Code::limit, "track: sample rate", config.sample_rate);
    if (config.channels == 0) return fail(Code::malformed, "track: no channels");
    if (config.channels > kChannelsMax) return fail(Code::limit, "track: channels", config.channels);
  }
  if (config.language.size() != 3) return fail(Code::malformed, "track: language of other than three letters");
  for (const char c : config.language) {
    if (c < 'a' || c > 'z') return fail(Code::malformed, "track: language with something else than a-z");
  }
  return {};
}

}  // namespace ribalta::media
