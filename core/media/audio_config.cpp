// AudioSpecificConfig (ISO/IEC 14496-3:2019 §1.6.2.1) and dOps.
#include <algorithm>
#include <array>

#include "core/media/bit_reader.h"
#include "core/media/codec_config.h"

namespace ribalta::media {
namespace {

constexpr std::array<std::uint32_t, 13> kSampleRates{96'000, 88'200, 64'000, 48'000, 44'100, 32'000, 24'000,
                                                     22'050, 16'000, 12'000, 11'025, 8'000,  7'350};
/// Channels of channelConfiguration 0..15; 0 where reserved (and for 0: described inside).
constexpr std::array<std::uint8_t, 16> kChannels{0, 1, 2, 3, 4, 5, 6, 8, 0, 0, 0, 7, 8, 24, 8, 0};

std::uint8_t read_object_type(BitReader& bits) {
  const std::uint32_t type = bits.bits(5);
  return static_cast<std::uint8_t>(type == 31 ? 32 + bits.bits(6) : type);
}

/// 0: reserved.
std::uint32_t read_sample_rate(BitReader& bits) {
  const std::uint32_t index = bits.bits(4);
  if (index == 15) return bits.bits(24);
  return index < kSampleRates.size() ? kSampleRates[index] : 0;
}

bool is_aac(std::uint8_t type) { return type >= 1 && type <= 4; }

/// Channels that a program_config_element describes (§4.4.1.1).
std::uint32_t read_program_channels(BitReader& bits) {
  bits.skip(4 + 2 + 4);
  std::array<std::uint32_t, 3> elements{};  // front, side, back
  for (std::uint32_t& count : elements) count = bits.bits(4);
  const std::uint32_t low_frequency = bits.bits(2);
  const std::uint32_t associated = bits.bits(3);
  const std::uint32_t coupling = bits.bits(4);
  if (bits.bit()) bits.skip(4);
  if (bits.bit()) bits.skip(4);
  if (bits.bit()) bits.skip(3);
  std::uint32_t channels = low_frequency;
  for (const std::uint32_t count : elements) {
    for (std::uint32_t i = 0; i < count; ++i) {
      channels += bits.bit() ? 2 : 1;
      bits.skip(4);
    }
  }
  bits.skip(std::size_t{4} * low_frequency + std::size_t{4} * associated + std::size_t{5} * coupling);
  return channels;
}

/// Backward compatible signalling: an extension after the core's own configuration.
void read_extension(BitReader& bits, AacConfig& config, bool& told) {
  if (bits.left() < 16 || bits.bits(11) != 0x2B7) return;
  if (read_object_type(bits) != 5) return;
  told = true;
  if (!bits.bit()) return;
  const std::uint32_t rate = read_sample_rate(bits);
  if (bits.overrun() || rate == 0) return;
  config.sbr = true;
  config.sample_rate = rate;
  if (bits.left() >= 12 && bits.bits(11) == 0x548) config.ps = bits.bit();
}

}  // namespace

Result<AacConfig> parse_aac_config(ByteSpan payload) {
  if (payload.size() > kCodecConfigBytesMax) return fail(Code::limit, "AudioSpecificConfig: bytes", payload.size());
  BitReader bits{payload};
  AacConfig config;
  config.object_type = read_object_type(bits);
  config.core_sample_rate = read_sample_rate(bits);
  const std::uint32_t channel_configuration = bits.bits(4);
  if (bits.overrun()) return fail(Code::malformed, "AudioSpecificConfig: truncated");
  config.sample_rate = config.core_sample_rate;
  bool told = false;  // whether there is SBR
  if (config.object_type == 5 || config.object_type == 29) {
    config.sbr = true;
    config.ps = config.object_type == 29;
    told = true;
    config.sample_rate = read_sample_rate(bits);
    config.object_type = read_object_type(bits);
  }
  if (!bits.overrun() && !is_aac(config.object_type)) {
    return fail(Code::unsupported, "AudioSpecificConfig: object type", config.object_type);
  }
  if (config.core_sample_rate == 0 || config.sample_rate == 0) {
    return fail(Code::malformed, "AudioSpecificConfig: reserved sample rate");
  }
  if (config.core_sample_rate > kSampleRateMax || config.sample_rate > kSampleRateMax) {
    return fail(Code::limit, "AudioSpecificConfig: sample rate", std::max(config.core_sample_rate, config.sample_rate));
  }
  // GASpecificConfig, §4.4.1.
  config.frame_samples = bits.bit() ? 960 : 1024;
  if (bits.bit()) bits.skip(14);
  const bool extension_flag = bits.bit();
  config.core_channels = kChannels[channel_configuration];
  if (channel_configuration == 0) {
    config.core_channels = read_program_channels(bits);
  } else if (config.core_channels == 0) {
    return fail(Code::malformed, "AudioSpecificConfig: reserved channel configuration", channel_configuration);
  }
  if (bits.overrun()) return fail(Code::malformed, "AudioSpecificConfig: truncated");
  if (config.core_channels == 0) return fail(Code::malformed, "AudioSpecificConfig: no channels");
  // After a program config element come alignment and a comment: nobody puts an extension behind those.
  if (!told && !extension_flag && channel_configuration != 0) read_extension(bits, config, told);
  config.channels = config.ps && config.core_channels == 1 ? 2 : config.core_channels;
  config.sbr_possible = !told && config.core_sample_rate <= 24'000;
  return config;
}

Result<Bytes> write_aac_config(const AacConfig& config) {
  if (config.object_type != 2 || config.sbr || config.ps)
    return fail(Code::unsupported, "AudioSpecificConfig: not AAC-LC");
  if (config.frame_samples != 1024 && config.frame_samples != 960) {
    return fail(Code::unsupported, "AudioSpecificConfig: samples in a frame", config.frame_samples);
  }
  const std::uint32_t channels = config.core_channels;
  if (channels == 0 || (channels > 6 && channels != 8)) {
    return fail(Code::unsupported, "AudioSpecificConfig: channels", channels);
  }
  const std::uint32_t configuration = channels == 8 ? 7 : channels;
  const auto* rate = std::ranges::find(kSampleRates, config.core_sample_rate);
  const std::uint32_t frame_flag = config.frame_samples == 960 ? 4 : 0;
  ByteWriter out;
  if (rate != kSampleRates.end()) {
    const auto index = static_cast<std::uint32_t>(rate - kSampleRates.begin());
    out.be16(static_cast<std::uint16_t>(2U << 11 | index << 7 | configuration << 3 | frame_flag));
    return out.take();
  }
  if (config.core_sample_rate == 0 || config.core_sample_rate > kSampleRateMax) {
    return fail(Code::unsupported, "AudioSpecificConfig: sample rate", config.core_sample_rate);
  }
  // 5 bits type, 4 bits escape, 24 bits rate, 4 bits channels, 3 bits flags: exactly five bytes.
  const std::uint64_t all = std::uint64_t{2} << 35 | std::uint64_t{15} << 31 |
                            std::uint64_t{config.core_sample_rate} << 7 | configuration << 3 | frame_flag;
  out.u8(static_cast<std::uint8_t>(all >> 32));
  out.be32(static_cast<std::uint32_t>(all));
  return out.take();
}

Result<OpusConfig> parse_dops(ByteSpan payload) {
  ByteReader reader{payload};
  const auto head = reader.take(11);
  if (!head) return head.error().in("dOps");
  if (read_u8(*head) != 0) return fail(Code::unsupported, "dOps: version", read_u8(*head));
  OpusConfig config;
  config.channels = read_u8(head->subspan(1));
  config.pre_skip = read_be16(head->subspan(2));
  config.input_sample_rate = read_be32(head->subspan(4));
  config.output_gain = static_cast<std::int16_t>(read_be16(head->subspan(8)));
  config.mapping_family = read_u8(head->subspan(10));
  if (config.channels == 0) return fail(Code::malformed, "dOps: no channels");
  if (config.mapping_family == 0) {
    if (config.channels > 2) return fail(Code::malformed, "dOps: family 0 with channels", config.channels);
    return config;
  }
  const auto mapping = reader.take(std::size_t{2} + config.channels);
  if (!mapping) return mapping.error().in("dOps");
  config.mapping.assign(mapping->begin(), mapping->end());
  return config;
}

Result<Bytes> write_dops(const OpusConfig& config) {
  const bool mapped = config.mapping_family != 0;
  if (config.channels == 0 || (!mapped && config.channels > 2))
    return fail(Code::malformed, "dOps: channels", config.channels);
  if (config.mapping.size() != (mapped ? std::size_t{2} + config.channels : 0)) {
    return fail(Code::malformed, "dOps: bytes of channel mapping", config.mapping.size());
  }
  ByteWriter out;
  out.u8(0);
  out.u8(config.channels);
  out.be16(config.pre_skip);
  out.be32(config.input_sample_rate);
  out.be16(static_cast<std::uint16_t>(config.output_gain));
  out.u8(config.mapping_family);
  out.bytes(config.mapping);
  return out.take();
}

Result<OpusConfig> parse_opus_head(ByteSpan head) {
  if (head.size() < 19 || as_text(head.first(8)) != "OpusHead")
    return fail(Code::malformed, "OpusHead: bytes", head.size());
  const auto at = [&](std::size_t i) { return read_u8(head.subspan(i)); };
  if (at(8) == 0 || at(8) > 15) return fail(Code::unsupported, "OpusHead: version", at(8));  // RFC 7845 §5.1
  ByteWriter dops;
  dops.u8(0);
  dops.u8(at(9));
  for (const std::size_t i : {11, 10, 15, 14, 13, 12, 17, 16}) dops.u8(at(i));  // little endian there
  dops.bytes(head.subspan(18));
  return parse_dops(dops.view());
}

}  // namespace ribalta::media
