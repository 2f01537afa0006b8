// What a codec configuration means for a track, and how a playlist names it.
#include <array>
#include <cstdio>

#include "core/media/bitstream.h"
#include "core/media/codec_config.h"
#include "core/units.h"

namespace ribalta::media {
namespace {

template <class... Values>
std::string format(const char* pattern, Values... values) {
  std::array<char, 96> text{};
  const int size = std::snprintf(text.data(), text.size(), pattern, values...);
  assert(size > 0 && static_cast<std::size_t>(size) < text.size());
  return {text.data(), static_cast<std::size_t>(size)};
}

void take_picture(const PictureFormat& picture, TrackConfig& config) {
  config.width = picture.width;
  config.height = picture.height;
  config.sar_num = picture.sar_num;
  config.sar_den = picture.sar_den;
  config.colour = picture.colour;
}

/// Fills what the payload tells. @error what its parser says.
Result<void> describe_video(ByteSpan payload, TrackConfig& config) {
  switch (config.codec) {
    case CodecId::h264: {
      const auto avc = parse_avcc(payload);
      if (!avc) return pass(avc);
      const auto picture = parse_h264_sps(avc->sps[0]);
      if (!picture) return pass(picture);
      take_picture(*picture, config);
      return {};
    }
    case CodecId::hevc: {
      const auto hevc = parse_hvcc(payload);
      if (!hevc) return pass(hevc);
      for (const HevcConfig::Array& array : hevc->arrays) {
        if (array.type != 33 || array.units.empty()) continue;
        const auto picture = parse_hevc_sps(array.units[0]);
        if (!picture) return pass(picture);
        take_picture(*picture, config);
        return {};
      }
      return fail(Code::malformed, "hvcC: no SPS");
    }
    case CodecId::av1: {
      const auto av1 = parse_av1c(payload);
      if (!av1) return pass(av1);
      if (av1->obus.empty()) return {};  // allowed: the sequence header is then in the first frame
      const auto picture = parse_av1_sequence(av1->obus);
      if (!picture) return pass(picture);
      take_picture(*picture, config);
      return {};
    }
    case CodecId::vp9: {
      const auto vp9 = parse_vpcc(payload);
      if (!vp9) return pass(vp9);
      if (vp9->colour != Colour{}) config.colour = vp9->colour;
      return {};
    }
    case CodecId::aac:
    case CodecId::opus:
      break;
  }
  return fail(Code::malformed, "no video codec");
}

Result<std::string> hevc_string(ByteSpan payload) {
  const auto hevc = parse_hvcc(payload);
  if (!hevc) return pass(hevc);
  // ISO/IEC 14496-15:2019 §E.3: compatibility flags in reverse bit order, constraint bytes without trailing zeros.
  std::uint32_t reversed = 0;
  for (unsigned i = 0; i < 32; ++i) reversed |= ((hevc->compatibility >> i) & 1) << (31 - i);
  std::string text = "hvc1.";
  if (hevc->profile_space > 0) text.push_back(static_cast<char>('A' + hevc->profile_space - 1));
  text += format("%u.%X.%c%u", unsigned{hevc->profile}, reversed, hevc->high_tier ? 'H' : 'L', unsigned{hevc->level});
  std::uint64_t constraints = hevc->constraints & 0xFFFF'FFFF'FFFF;
  while (constraints != 0) {
    text += format(".%X", static_cast<unsigned>(constraints >> 40));
    constraints = (constraints << 8) & 0xFFFF'FFFF'FFFF;
  }
  return text;
}

/// Optional fields stand all or not at all; without them a player takes BT.709, limited range, 4:2:0.
bool is_default(const Colour& colour) {
  const auto plain = [](std::uint16_t value) { return value == 1 || value == 2; };
  return plain(colour.primaries) && plain(colour.transfer) && plain(colour.matrix) && !colour.full_range;
}

/// AV1 in ISOBMFF §5.
Result<std::string> av1_string(const TrackConfig& config) {
  const auto av1 = parse_av1c(config.codec_config);
  if (!av1) return pass(av1);
  std::string text = format("av01.%u.%02u%c.%02u", unsigned{av1->profile}, unsigned{av1->level},
                            av1->high_tier ? 'H' : 'M', unsigned{av1->bits});
  const Colour colour = config.colour.value_or(Colour{});
  if (is_default(colour) && !av1->monochrome && av1->subsampling_x && av1->subsampling_y) return text;
  const unsigned position = av1->subsampling_x && av1->subsampling_y ? av1->sample_position & 3U : 0;
  text += format(".%u.%u%u%u.%02u.%02u.%02u.%u", av1->monochrome ? 1U : 0U, av1->subsampling_x ? 1U : 0U,
                 av1->subsampling_y ? 1U : 0U, position, unsigned{colour.primaries}, unsigned{colour.transfer},
                 unsigned{colour.matrix}, colour.full_range ? 1U : 0U);
  return text;
}

/// VP Codec ISO Media File Format Binding, "Codecs Parameter String".
Result<std::string> vp9_string(ByteSpan payload) {
  const auto vp9 = parse_vpcc(payload);
  if (!vp9) return pass(vp9);
  std::string text = format("vp09.%02u.%02u.%02u", unsigned{vp9->profile}, unsigned{vp9->level}, unsigned{vp9->bits});
  if (is_default(vp9->colour) && vp9->chroma_subsampling <= 1) return text;
  text += format(".%02u.%02u.%02u.%02u.%02u", unsigned{vp9->chroma_subsampling}, unsigned{vp9->colour.primaries},
                 unsigned{vp9->colour.transfer}, unsigned{vp9->colour.matrix}, vp9->colour.full_range ? 1U : 0U);
  return text;
}

}  // namespace

Result<TrackConfig> track_from_codec_config(CodecId codec, ByteSpan codec_config) {
  TrackConfig config;
  config.codec = codec;
  config.kind = kind_of(codec);
  config.codec_config.assign(codec_config.begin(), codec_config.end());
  if (config.kind == TrackKind::video) {
    config.timescale = kVideoTimescale;
    const auto described = describe_video(codec_config, config);
    if (!described) return pass(described);
    return config;
  }
  if (codec == CodecId::aac) {
    const auto aac = parse_aac_config(codec_config);
    if (!aac) return pass(aac);
    config.sample_rate = aac->sample_rate;
    config.channels = aac->channels;
  } else {
    const auto opus = parse_dops(codec_config);
    if (!opus) return pass(opus);
    config.sample_rate = 48'000;  // Opus decodes at 48 kHz, whatever it was made from
    config.channels = opus->channels;
  }
  config.timescale = config.sample_rate;
  return config;
}

Result<std::string> codec_string(const TrackConfig& config) {
  switch (config.codec) {
    case CodecId::h264: {
      const auto avc = parse_avcc(config.codec_config);
      if (!avc) return pass(avc);
      return format("avc1.%02x%02x%02x", unsigned{avc->profile}, unsigned{avc->compatibility}, unsigned{avc->level});
    }
    case CodecId::hevc:
      return hevc_string(config.codec_config);
    case CodecId::av1:
      return av1_string(config);
    case CodecId::vp9:
      return vp9_string(config.codec_config);
    case CodecId::aac: {
      const auto aac = parse_aac_config(config.codec_config);
      if (!aac) return pass(aac);
      return format("mp4a.40.%u", aac->ps ? 29U : aac->sbr ? 5U : unsigned{aac->object_type});
    }
    case CodecId::opus:
      return std::string{"opus"};
  }
  return fail(Code::unsupported, "codec without a string");
}

}  // namespace ribalta::media
