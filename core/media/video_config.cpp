// avcC, hvcC, av1C, vpcC.
#include <algorithm>
#include <array>

#include "core/media/bit_reader.h"
#include "core/media/bitstream.h"
#include "core/media/codec_config.h"

namespace ribalta::media {
namespace {

/// `count` parameter sets with 16-bit lengths before them; empty ones are refused.
Result<void> read_sets(ByteReader& reader, std::size_t count, std::vector<Bytes>& sets) {
  for (std::size_t i = 0; i < count; ++i) {
    const auto size = reader.be16();
    if (!size) return pass(size);
    const auto set = reader.take(*size);
    if (!set) return pass(set);
    if (set->empty()) return fail(Code::malformed, "empty parameter set");
    sets.emplace_back(set->begin(), set->end());
  }
  return {};
}

Result<void> write_sets(ByteWriter& out, const std::vector<Bytes>& sets) {
  for (const Bytes& set : sets) {
    if (set.size() > 0xFFFF) return fail(Code::limit, "parameter set: bytes", set.size());
    out.be16(static_cast<std::uint16_t>(set.size()));
    out.bytes(set);
  }
  return {};
}

Result<void> check_size(ByteSpan payload, std::string_view what) {
  if (payload.size() > kCodecConfigBytesMax) return fail(Code::limit, std::string{what} + ": bytes", payload.size());
  return {};
}

/// Baseline, Main and Extended have no extension (ISO/IEC 14496-15:2019 §5.3.3.1.2; decoders go by the same list).
bool needs_extension(std::uint8_t profile) { return profile != 66 && profile != 77 && profile != 88; }

/// The smallest level of VP9 that holds pictures of that size at that rate (webmproject.org/vp9/levels).
std::uint8_t vp9_level(const PictureFormat& format, double fps) {
  struct Level {
    std::uint8_t level;
    double samples_per_second;
    std::uint32_t samples;
    std::uint32_t side;
  };
  constexpr std::array kLevels{Level{10, 829'440, 36'864, 512},
                               Level{11, 2'764'800, 73'728, 768},
                               Level{20, 4'608'000, 122'880, 960},
                               Level{21, 9'216'000, 245'760, 1344},
                               Level{30, 20'736'000, 552'960, 2048},
                               Level{31, 36'864'000, 983'040, 2752},
                               Level{40, 83'558'400, 2'228'224, 4160},
                               Level{41, 160'432'128, 2'228'224, 4160},
                               Level{50, 311'951'360, 8'912'896, 8384},
                               Level{51, 588'251'136, 8'912'896, 8384},
                               Level{52, 1'176'502'272, 8'912'896, 8384},
                               Level{60, 1'176'502'272, 35'651'584, 16'832},
                               Level{61, 2'353'004'544, 35'651'584, 16'832}};
  const std::uint32_t samples = format.width * format.height;
  for (const Level& level : kLevels) {
    if (samples <= level.samples && std::max(format.width, format.height) <= level.side &&
        samples * fps <= level.samples_per_second) {
      return level.level;
    }
  }
  return 62;
}

}  // namespace

Result<AvcConfig> parse_avcc(ByteSpan payload) {
  if (const auto checked = check_size(payload, "avcC"); !checked) return pass(checked);
  ByteReader reader{payload};
  const auto head = reader.take(6);
  if (!head) return head.error().in("avcC");
  if (read_u8(*head) != 1) return fail(Code::malformed, "avcC: version", read_u8(*head));
  AvcConfig config;
  config.profile = read_u8(head->subspan(1));
  config.compatibility = read_u8(head->subspan(2));
  config.level = read_u8(head->subspan(3));
  config.nal_length_bytes = static_cast<std::uint8_t>((read_u8(head->subspan(4)) & 3) + 1);
  if (config.nal_length_bytes == 3) return fail(Code::malformed, "avcC: NAL unit length of 3 bytes");
  const std::size_t sps = read_u8(head->subspan(5)) & 31;
  if (sps == 0) return fail(Code::malformed, "avcC: no SPS");
  if (const auto read = read_sets(reader, sps, config.sps); !read) return read.error().in("avcC");
  const auto pps = reader.u8();
  if (!pps) return pps.error().in("avcC");
  if (*pps > kParameterSetsMax) return fail(Code::limit, "avcC: PPS", *pps);
  if (const auto read = read_sets(reader, *pps, config.pps); !read) return read.error().in("avcC");
  const ByteSpan rest = reader.rest();
  config.extension.assign(rest.begin(), rest.end());
  return config;
}

Result<Bytes> write_avcc(const AvcConfig& config) {
  if (config.sps.empty()) return fail(Code::malformed, "avcC: no SPS");
  if (config.sps.size() > 31 || config.pps.size() > kParameterSetsMax) return fail(Code::limit, "avcC: parameter sets");
  if (config.nal_length_bytes != 1 && config.nal_length_bytes != 2 && config.nal_length_bytes != 4) {
    return fail(Code::malformed, "avcC: NAL unit length of bytes", config.nal_length_bytes);
  }
  ByteWriter out;
  out.u8(1);
  out.u8(config.profile);
  out.u8(config.compatibility);
  out.u8(config.level);
  out.u8(static_cast<std::uint8_t>(0xFC | (config.nal_length_bytes - 1)));
  out.u8(static_cast<std::uint8_t>(0xE0 | config.sps.size()));
  if (const auto written = write_sets(out, config.sps); !written) return written.error().in("avcC");
  out.u8(static_cast<std::uint8_t>(config.pps.size()));
  if (const auto written = write_sets(out, config.pps); !written) return written.error().in("avcC");
  if (!config.extension.empty()) {
    out.bytes(config.extension);
  } else if (needs_extension(config.profile)) {
    const auto format = parse_h264_sps(config.sps[0]);
    if (!format) return format.error().in("avcC");
    out.u8(static_cast<std::uint8_t>(0xFC | format->chroma_format));
    out.u8(static_cast<std::uint8_t>(0xF8 | (format->luma_bits - 8)));
    out.u8(static_cast<std::uint8_t>(0xF8 | (format->chroma_bits - 8)));
    out.u8(0);
  }
  return out.take();
}

Result<AvcConfig> make_avc_config(std::vector<Bytes> sps, std::vector<Bytes> pps) {
  if (sps.empty() || sps[0].size() < 4) return fail(Code::malformed, "avcC: no SPS");
  AvcConfig config;
  const ByteSpan first{sps[0]};
  config.profile = read_u8(first.subspan(1));
  config.compatibility = read_u8(first.subspan(2));
  config.level = read_u8(first.subspan(3));
  config.sps = std::move(sps);
  config.pps = std::move(pps);
  return config;
}

Result<HevcConfig> parse_hvcc(ByteSpan payload) {
  if (const auto checked = check_size(payload, "hvcC"); !checked) return pass(checked);
  ByteReader reader{payload};
  const auto head = reader.take(23);
  if (!head) return head.error().in("hvcC");
  const auto at = [&](std::size_t i) { return read_u8(head->subspan(i)); };
  if (at(0) != 1) return fail(Code::malformed, "hvcC: version", at(0));
  HevcConfig config;
  config.profile_space = at(1) >> 6;
  config.high_tier = (at(1) & 0x20) != 0;
  config.profile = at(1) & 31;
  config.compatibility = read_be32(head->subspan(2));
  config.constraints = read_be<6>(head->subspan(6));
  config.level = at(12);
  config.chroma_format = at(16) & 3;
  config.luma_bits = static_cast<std::uint8_t>(8 + (at(17) & 7));
  config.chroma_bits = static_cast<std::uint8_t>(8 + (at(18) & 7));
  config.nal_length_bytes = static_cast<std::uint8_t>((at(21) & 3) + 1);
  if (config.nal_length_bytes == 3) return fail(Code::malformed, "hvcC: NAL unit length of 3 bytes");
  std::size_t sets = 0;
  for (std::uint8_t i = 0; i < at(22); ++i) {
    const auto kind = reader.u8();
    const auto count = reader.be16();
    if (!kind || !count) return fail(Code::malformed, "hvcC: truncated");
    sets += *count;
    if (sets > kParameterSetsMax || i >= kParameterSetsMax) return fail(Code::limit, "hvcC: parameter sets", sets);
    HevcConfig::Array array{
        .complete = (*kind & 0x80) != 0, .type = static_cast<std::uint8_t>(*kind & 63), .units = {}};
    if (const auto read = read_sets(reader, *count, array.units); !read) return read.error().in("hvcC");
    config.arrays.push_back(std::move(array));
  }
  return config;
}

Result<Bytes> write_hvcc(const HevcConfig& config) {
  std::size_t sets = 0;
  for (const HevcConfig::Array& array : config.arrays) sets += array.units.size();
  if (sets > kParameterSetsMax || config.arrays.size() > kParameterSetsMax)
    return fail(Code::limit, "hvcC: parameter sets", sets);
  if (config.nal_length_bytes != 1 && config.nal_length_bytes != 2 && config.nal_length_bytes != 4) {
    return fail(Code::malformed, "hvcC: NAL unit length of bytes", config.nal_length_bytes);
  }
  ByteWriter out;
  out.u8(1);
  out.u8(static_cast<std::uint8_t>(config.profile_space << 6 | (config.high_tier ? 0x20 : 0) | (config.profile & 31)));
  out.be32(config.compatibility);
  out.be16(static_cast<std::uint16_t>(config.constraints >> 32));
  out.be32(static_cast<std::uint32_t>(config.constraints));
  out.u8(config.level);
  out.be16(0xF000);  // min_spatial_segmentation_idc 0: unknown
  out.u8(0xFC);      // parallelismType 0: unknown
  out.u8(static_cast<std::uint8_t>(0xFC | config.chroma_format));
  out.u8(static_cast<std::uint8_t>(0xF8 | (config.luma_bits - 8)));
  out.u8(static_cast<std::uint8_t>(0xF8 | (config.chroma_bits - 8)));
  out.be16(0);                                                                         // average frame rate: unknown
  out.u8(static_cast<std::uint8_t>(1 << 3 | 1 << 2 | (config.nal_length_bytes - 1)));  // one temporal layer, nested
  out.u8(static_cast<std::uint8_t>(config.arrays.size()));
  for (const HevcConfig::Array& array : config.arrays) {
    out.u8(static_cast<std::uint8_t>((array.complete ? 0x80 : 0) | (array.type & 63)));
    out.be16(static_cast<std::uint16_t>(array.units.size()));
    if (const auto written = write_sets(out, array.units); !written) return written.error().in("hvcC");
  }
  return out.take();
}

Result<HevcConfig> make_hevc_config(std::vector<Bytes> vps, std::vector<Bytes> sps, std::vector<Bytes> pps) {
  if (sps.empty()) return fail(Code::malformed, "hvcC: no SPS");
  const auto format = parse_hevc_sps(sps[0]);
  if (!format) return format.error().in("hvcC");
  // After the header: 4 bits VPS id, 3 bits sub-layers, 1 bit nesting, then profile_tier_level as hvcC has it.
  const Bytes plain = unescape_nal_unit(ByteSpan{sps[0]}.subspan(2));
  if (plain.size() < 13) return fail(Code::malformed, "hvcC: SPS truncated");
  const ByteSpan general = ByteSpan{plain}.subspan(1);
  HevcConfig config;
  config.profile_space = read_u8(general) >> 6;
  config.high_tier = (read_u8(general) & 0x20) != 0;
  config.profile = read_u8(general) & 31;
  config.compatibility = read_be32(general.subspan(1));
  config.constraints = read_be<6>(general.subspan(5));
  config.level = read_u8(general.subspan(11));
  config.chroma_format = format->chroma_format;
  config.luma_bits = format->luma_bits;
  config.chroma_bits = format->chroma_bits;
  if (!vps.empty()) config.arrays.push_back({.complete = true, .type = 32, .units = std::move(vps)});
  config.arrays.push_back({.complete = true, .type = 33, .units = std::move(sps)});
  if (!pps.empty()) config.arrays.push_back({.complete = true, .type = 34, .units = std::move(pps)});
  return config;
}

Result<Av1Config> parse_av1c(ByteSpan payload) {
  if (const auto checked = check_size(payload, "av1C"); !checked) return pass(checked);
  if (payload.size() < 4) return fail(Code::malformed, "av1C: bytes", payload.size());
  const auto at = [&](std::size_t i) { return read_u8(payload.subspan(i)); };
  if (at(0) != 0x81) return fail(Code::malformed, "av1C: marker and version", at(0));
  Av1Config config;
  config.profile = at(1) >> 5;
  config.level = at(1) & 31;
  config.high_tier = (at(2) & 0x80) != 0;
  const bool high_depth = (at(2) & 0x40) != 0;
  const bool twelve = (at(2) & 0x20) != 0;
  if (twelve && !high_depth) return fail(Code::malformed, "av1C: 12 bits without high depth");
  config.bits = twelve ? 12 : high_depth ? 10 : 8;
  config.monochrome = (at(2) & 0x10) != 0;
  config.subsampling_x = (at(2) & 0x08) != 0;
  config.subsampling_y = (at(2) & 0x04) != 0;
  config.sample_position = at(2) & 3;
  config.obus.assign(payload.begin() + 4, payload.end());
  return config;
}

Result<Bytes> write_av1c(const Av1Config& config) {
  if (config.profile > 2 || config.level > 31) return fail(Code::malformed, "av1C: profile or level");
  if (config.bits != 8 && config.bits != 10 && config.bits != 12)
    return fail(Code::malformed, "av1C: bits", config.bits);
  ByteWriter out;
  out.u8(0x81);
  out.u8(static_cast<std::uint8_t>(config.profile << 5 | config.level));
  out.u8(static_cast<std::uint8_t>((config.high_tier ? 0x80 : 0) | (config.bits > 8 ? 0x40 : 0) |
                                   (config.bits == 12 ? 0x20 : 0) | (config.monochrome ? 0x10 : 0) |
                                   (config.subsampling_x ? 8 : 0) | (config.subsampling_y ? 4 : 0) |
                                   (config.sample_position & 3)));
  out.u8(0);
  out.bytes(config.obus);
  return out.take();
}

Result<Av1Config> make_av1_config(ByteSpan obus) {
  const auto whole = find_av1_sequence(obus);
  if (!whole) return pass(whole);
  const auto format = parse_av1_sequence(*whole);
  if (!format) return pass(format);
  Av1Config config;
  config.profile = format->profile;
  config.level = format->level;
  config.high_tier = format->high_tier;
  config.bits = format->luma_bits;
  config.monochrome = format->chroma_format == 0;
  config.subsampling_x = format->chroma_format != 3;
  config.subsampling_y = format->chroma_format <= 1;
  config.sample_position = format->sample_position;
  config.obus.assign(whole->begin(), whole->end());
  return config;
}

Result<VpConfig> parse_vpcc(ByteSpan payload) {
  if (payload.size() < 8) return fail(Code::malformed, "vpcC: bytes", payload.size());
  const auto at = [&](std::size_t i) { return read_u8(payload.subspan(i)); };
  VpConfig config;
  config.profile = at(0);
  config.level = at(1);
  config.bits = at(2) >> 4;
  config.chroma_subsampling = (at(2) >> 1) & 7;
  if (config.profile > 3 || config.chroma_subsampling > 3) return fail(Code::malformed, "vpcC: profile or subsampling");
  if (config.bits != 8 && config.bits != 10 && config.bits != 12)
    return fail(Code::malformed, "vpcC: bits", config.bits);
  config.colour = {.primaries = at(3), .transfer = at(4), .matrix = at(5), .full_range = (at(2) & 1) != 0};
  return config;
}

Result<Bytes> write_vpcc(const VpConfig& config) {
  if (config.colour.primaries > 255 || config.colour.transfer > 255 || config.colour.matrix > 255) {
    return fail(Code::malformed, "vpcC: colour");
  }
  ByteWriter out;
  out.u8(config.profile);
  out.u8(config.level);
  out.u8(static_cast<std::uint8_t>(config.bits << 4 | (config.chroma_subsampling & 7) << 1 |
                                   (config.colour.full_range ? 1 : 0)));
  out.u8(static_cast<std::uint8_t>(config.colour.primaries));
  out.u8(static_cast<std::uint8_t>(config.colour.transfer));
  out.u8(static_cast<std::uint8_t>(config.colour.matrix));
  out.be16(0);  // no initialisation data for VP9
  return out.take();
}

Result<VpConfig> make_vp_config(ByteSpan key_frame, double fps) {
  const auto format = parse_vp9_key_frame(key_frame);
  if (!format) return pass(format);
  VpConfig config;
  config.profile = format->profile;
  config.level = vp9_level(*format, fps);
  config.bits = format->luma_bits;
  config.chroma_subsampling = format->chroma_format;
  if (format->colour) config.colour = *format->colour;
  return config;
}

}  // namespace ribalta::media
