// AV1: OBUs and the sequence header (AV1 Bitstream & Decoding Process Specification §5.3, §5.5).
#include <algorithm>

#include "core/media/bit_reader.h"
#include "core/media/bitstream.h"
#include "core/media/obu.h"

namespace ribalta::media {
namespace {

/// leb128, §4.10.5: at most eight bytes, at most 2^32 - 1.
Result<std::uint32_t> read_leb128(ByteReader& reader) {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < 8; ++i) {
    const auto byte = reader.u8();
    if (!byte) return pass(byte);
    value |= std::uint64_t{*byte & 0x7FU} << (7 * i);
    if ((*byte & 0x80) != 0) continue;
    if (value > 0xFFFFFFFF) break;
    return static_cast<std::uint32_t>(value);
  }
  return fail(Code::malformed, "leb128 too large");
}

/// uvlc, §4.10.3.
void skip_uvlc(BitReader& bits) {
  unsigned zeros = 0;
  while (!bits.bit()) {
    if (bits.overrun() || ++zeros >= 32) return;
  }
  bits.skip(zeros);
}

/// color_config, §5.5.2.
void read_color_config(BitReader& bits, PictureFormat& format) {
  const bool high_depth = bits.bit();
  std::uint8_t depth = high_depth ? 10 : 8;
  if (format.profile == 2 && high_depth) depth = bits.bit() ? 12 : 10;
  format.luma_bits = depth;
  format.chroma_bits = depth;
  const bool monochrome = format.profile == 1 ? false : bits.bit();
  Colour colour;
  const bool described = bits.bit();
  if (described) {
    colour.primaries = bits.u8(8);
    colour.transfer = bits.u8(8);
    colour.matrix = bits.u8(8);
  }
  bool subsampling_x = true;
  bool subsampling_y = true;
  if (monochrome) {
    colour.full_range = bits.bit();
  } else if (colour.primaries == 1 && colour.transfer == 13 && colour.matrix == 0) {  // sRGB
    colour.full_range = true;
    subsampling_x = subsampling_y = false;
  } else {
    colour.full_range = bits.bit();
    if (format.profile == 1) {
      subsampling_x = subsampling_y = false;
    } else if (format.profile == 2) {
      subsampling_x = depth == 12 ? bits.bit() : true;
      subsampling_y = depth == 12 && subsampling_x ? bits.bit() : false;
    }
    if (subsampling_x && subsampling_y) format.sample_position = bits.u8(2);
  }
  format.chroma_format = monochrome ? 0 : subsampling_y ? 1 : subsampling_x ? 2 : 3;
  if (described || colour.full_range) format.colour = colour;
}

/// timing_info and decoder_model_info, §5.5.3, §5.5.4. @return bits of buffer_delay_length, 0 without a model.
unsigned read_timing(BitReader& bits, PictureFormat& format) {
  const std::uint32_t units_in_tick = bits.bits(32);
  const std::uint32_t time_scale = bits.bits(32);
  if (bits.bit()) {  // equal_picture_interval; num_ticks_per_picture of 1 in practice
    format.fps_num = time_scale;
    format.fps_den = units_in_tick;
    skip_uvlc(bits);
  }
  if (!bits.bit()) return 0;
  const unsigned delay_bits = bits.bits(5) + 1;
  bits.skip(32 + 5 + 5);
  return delay_bits;
}

void read_operating_points(BitReader& bits, PictureFormat& format) {
  unsigned delay_bits = 0;
  bool model = false;
  if (bits.bit()) {
    delay_bits = read_timing(bits, format);
    model = delay_bits > 0;
  }
  const bool initial_delay = bits.bit();
  const unsigned points = bits.bits(5) + 1;
  for (unsigned i = 0; i < points; ++i) {
    bits.skip(12);
    const std::uint8_t level = bits.u8(5);
    const bool tier = level > 7 && bits.bit();
    if (i == 0) {
      format.level = level;
      format.high_tier = tier;
    }
    if (model && bits.bit()) bits.skip(std::size_t{2} * delay_bits + 1);
    if (initial_delay && bits.bit()) bits.skip(4);
  }
}

/// What stands between the frame size and color_config.
void skip_tools(BitReader& bits, bool reduced) {
  const bool frame_ids = reduced ? false : bits.bit();
  if (frame_ids) bits.skip(4 + 3);
  bits.skip(3);  // 128x128 superblocks, filter intra, intra edge filter
  if (!reduced) {
    bits.skip(4);  // interintra, masked, warped motion, dual filter
    const bool order_hint = bits.bit();
    if (order_hint) bits.skip(2);  // jnt_comp, ref_frame_mvs
    const bool choose_content_tools = bits.bit();
    const std::uint32_t screen_content = choose_content_tools ? 2 : bits.bits(1);
    if (screen_content > 0) {
      const bool choose_integer_mv = bits.bit();
      if (!choose_integer_mv) bits.skip(1);
    }
    if (order_hint) bits.skip(3);
  }
  bits.skip(3);  // superres, cdef, restoration
}

}  // namespace

Result<Obu> read_obu(ByteReader& reader) {
  const ByteSpan all = reader.rest();
  const std::size_t start = reader.position();
  const auto head = reader.u8();
  if (!head) return head.error().in("OBU");
  if ((*head & 0x80) != 0) return fail(Code::malformed, "OBU: forbidden bit set");
  Obu obu{.type = static_cast<std::uint8_t>((*head >> 3) & 15)};
  if ((*head & 4) != 0) {
    const auto extension = reader.u8();
    if (!extension) return extension.error().in("OBU");
  }
  std::size_t size = reader.left();
  if ((*head & 2) != 0) {
    const auto told = read_leb128(reader);
    if (!told) return told.error().in("OBU");
    size = *told;
  }
  const auto payload = reader.take(size);
  if (!payload) return payload.error().in("OBU");
  obu.payload = *payload;
  obu.whole = all.first(reader.position() - start);
  return obu;
}

Result<ByteSpan> find_av1_sequence(ByteSpan obus) {
  ByteReader reader{obus};
  for (std::size_t i = 0; i < kObusSearchedMax && !reader.done(); ++i) {
    const auto obu = read_obu(reader);
    if (!obu) return pass(obu);
    if (obu->type == 1) return obu->whole;
  }
  return fail(Code::malformed, "AV1: no sequence header");
}

Result<PictureFormat> parse_av1_sequence(ByteSpan obus) {
  const auto whole = find_av1_sequence(obus);
  if (!whole) return pass(whole);
  ByteReader reader{*whole};
  const auto obu = read_obu(reader);
  if (!obu) return pass(obu);
  BitReader bits{obu->payload};
  PictureFormat format;
  format.profile = bits.u8(3);
  if (format.profile > 2) return fail(Code::unsupported, "AV1: profile", format.profile);
  bits.skip(1);  // still picture
  const bool reduced = bits.bit();
  if (reduced) {
    format.level = bits.u8(5);
  } else {
    read_operating_points(bits, format);
  }
  const unsigned width_bits = bits.bits(4) + 1;
  const unsigned height_bits = bits.bits(4) + 1;
  format.width = bits.bits(width_bits) + 1;
  format.height = bits.bits(height_bits) + 1;
  skip_tools(bits, reduced);
  read_color_config(bits, format);
  if (bits.overrun()) return fail(Code::malformed, "AV1: sequence header truncated");
  if (format.width > kPictureSideMax || format.height > kPictureSideMax) {
    return fail(Code::limit, "AV1: picture side", std::max(format.width, format.height));
  }
  return format;
}

}  // namespace ribalta::media
