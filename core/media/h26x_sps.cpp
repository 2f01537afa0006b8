// Sequence parameter sets of H.264 (ITU-T H.264 §7.3.2.1.1, Annex E) and HEVC (ITU-T H.265 §7.3.2.2, Annex E).
#include <algorithm>
#include <array>
#include <utility>

#include "core/media/bit_reader.h"
#include "core/media/bitstream.h"

namespace ribalta::media {
namespace {

/// Shapes of aspect_ratio_idc 1..16, table E-1 of both.
constexpr std::array<std::pair<std::uint16_t, std::uint16_t>, 17> kShapes{{{1, 1},
                                                                           {1, 1},
                                                                           {12, 11},
                                                                           {10, 11},
                                                                           {16, 11},
                                                                           {40, 33},
                                                                           {24, 11},
                                                                           {20, 11},
                                                                           {32, 11},
                                                                           {80, 33},
                                                                           {18, 11},
                                                                           {15, 11},
                                                                           {64, 33},
                                                                           {160, 99},
                                                                           {4, 3},
                                                                           {3, 2},
                                                                           {2, 1}}};

/// The part of the VUI that both standards begin with: shape, overscan, colour, chroma location.
void read_vui_picture(BitReader& bits, PictureFormat& format) {
  if (bits.bit()) {
    const std::uint32_t shape = bits.bits(8);
    std::uint32_t num = 1;
    std::uint32_t den = 1;
    if (shape == 255) {
      num = bits.bits(16);
      den = bits.bits(16);
    } else if (shape < kShapes.size()) {
      num = kShapes[shape].first;
      den = kShapes[shape].second;
    }
    if (num != 0 && den != 0) {  // 0 is "unspecified"
      format.sar_num = num;
      format.sar_den = den;
    }
  }
  if (bits.bit()) bits.skip(1);  // overscan
  if (bits.bit()) {              // video signal type
    bits.skip(3);
    Colour colour;
    colour.full_range = bits.bit();
    if (bits.bit()) {
      colour.primaries = bits.u8(8);
      colour.transfer = bits.u8(8);
      colour.matrix = bits.u8(8);
    }
    if (colour != Colour{}) format.colour = colour;
  }
  if (bits.bit()) {  // chroma location
    bits.ue();
    bits.ue();
  }
}

void skip_h264_hrd(BitReader& bits) {
  const std::uint32_t count = bits.ue();
  bits.skip(8);
  for (std::uint32_t i = 0; i <= count && i < 32; ++i) {
    bits.ue();
    bits.ue();
    bits.skip(1);
  }
  bits.skip(20);
}

void read_h264_vui(BitReader& bits, PictureFormat& format) {
  read_vui_picture(bits, format);
  if (bits.bit()) {
    const std::uint32_t units_in_tick = bits.bits(32);
    const std::uint32_t time_scale = bits.bits(32);
    // A tick is a field: two make a frame (§E.2.1).
    if (units_in_tick != 0 && time_scale != 0 && units_in_tick <= 0x7FFFFFFF) {
      format.fps_num = time_scale;
      format.fps_den = units_in_tick * 2;
    }
    bits.skip(1);
  }
  const bool nal_hrd = bits.bit();
  if (nal_hrd) skip_h264_hrd(bits);
  const bool vcl_hrd = bits.bit();
  if (vcl_hrd) skip_h264_hrd(bits);
  if (nal_hrd || vcl_hrd) bits.skip(1);
  bits.skip(1);  // pic_struct_present_flag
  if (bits.bit()) {
    bits.skip(1);
    for (int i = 0; i < 4; ++i) bits.ue();
    const std::uint32_t reorder = bits.ue();
    if (!bits.overrun()) format.reorder_frames = reorder;
  }
}

void skip_h264_scaling_list(BitReader& bits, int size) {
  std::int32_t last = 8;
  std::int32_t next = 8;
  for (int i = 0; i < size; ++i) {
    if (next != 0) next = static_cast<std::int32_t>((std::int64_t{last} + bits.se() + 256) & 255);
    if (next != 0) last = next;
  }
}

/// Profiles whose SPS has chroma format, depths and scaling lists (§7.3.2.1.1).
bool has_h264_chroma(std::uint8_t profile) {
  constexpr std::array kProfiles{100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135};
  return std::ranges::find(kProfiles, profile) != kProfiles.end();
}

void read_h264_chroma(BitReader& bits, PictureFormat& format) {
  format.chroma_format = static_cast<std::uint8_t>(std::min<std::uint32_t>(bits.ue(), 4));
  if (format.chroma_format == 3) bits.skip(1);  // separate_colour_plane_flag
  format.luma_bits = static_cast<std::uint8_t>(8 + std::min<std::uint32_t>(bits.ue(), 7));
  format.chroma_bits = static_cast<std::uint8_t>(8 + std::min<std::uint32_t>(bits.ue(), 7));
  bits.skip(1);
  if (!bits.bit()) return;
  const int lists = format.chroma_format == 3 ? 12 : 8;
  for (int i = 0; i < lists; ++i) {
    if (bits.bit()) skip_h264_scaling_list(bits, i < 6 ? 16 : 64);
  }
}

struct Crop {
  std::uint32_t left = 0;
  std::uint32_t right = 0;
  std::uint32_t top = 0;
  std::uint32_t bottom = 0;
};

/// The visible size of a coded picture. Units of cropping: one chroma sample across, one (two of fields) down.
Result<void> crop_to(std::uint64_t width, std::uint64_t height, const Crop& crop, std::uint32_t unit_x,
                     std::uint32_t unit_y, PictureFormat& format) {
  if (width > kPictureSideMax || height > kPictureSideMax) {
    return fail(Code::limit, "SPS: picture side", std::max(width, height));
  }
  const std::uint64_t cut_x = (std::uint64_t{crop.left} + crop.right) * unit_x;
  const std::uint64_t cut_y = (std::uint64_t{crop.top} + crop.bottom) * unit_y;
  if (cut_x >= width || cut_y >= height) return fail(Code::malformed, "SPS: cropped to nothing");
  format.width = static_cast<std::uint32_t>(width - cut_x);
  format.height = static_cast<std::uint32_t>(height - cut_y);
  return {};
}

Crop read_crop(BitReader& bits) {
  Crop crop;
  crop.left = bits.ue();
  crop.right = bits.ue();
  crop.top = bits.ue();
  crop.bottom = bits.ue();
  return crop;
}

/// profile_tier_level, ITU-T H.265 §7.3.3.
void read_hevc_profile(BitReader& bits, unsigned sub_layers, PictureFormat& format) {
  bits.skip(2);
  format.high_tier = bits.bit();
  format.profile = bits.u8(5);
  bits.skip(32 + 48);
  format.level = bits.u8(8);
  std::array<bool, 8> profile_present{};
  std::array<bool, 8> level_present{};
  for (unsigned i = 0; i < sub_layers; ++i) {
    profile_present[i] = bits.bit();
    level_present[i] = bits.bit();
  }
  if (sub_layers > 0) bits.skip(std::size_t{2} * (8 - sub_layers));
  for (unsigned i = 0; i < sub_layers; ++i) {
    if (profile_present[i]) bits.skip(88);
    if (level_present[i]) bits.skip(8);
  }
}

void skip_hevc_scaling_lists(BitReader& bits) {
  for (int size = 0; size < 4; ++size) {
    for (int matrix = 0; matrix < 6; matrix += size == 3 ? 3 : 1) {
      if (!bits.bit()) {
        bits.ue();
        continue;
      }
      if (size > 1) bits.se();
      const int count = std::min(64, 1 << (4 + (size << 1)));
      for (int i = 0; i < count; ++i) bits.se();
    }
  }
}

/// st_ref_pic_set, ITU-T H.265 §7.3.7. @return false: more pictures than any decoder holds.
bool skip_hevc_ref_pic_sets(BitReader& bits) {
  const std::uint32_t sets = bits.ue();
  if (sets > 64) return false;
  std::uint32_t before = 0;  // pictures in the set before
  for (std::uint32_t set = 0; set < sets && !bits.overrun(); ++set) {
    if (set > 0 && bits.bit()) {  // predicted from the set before
      bits.skip(1);
      bits.ue();
      std::uint32_t count = 0;
      for (std::uint32_t i = 0; i <= before; ++i) {
        const bool used = bits.bit();
        const bool use_delta = used || bits.bit();
        count += use_delta ? 1 : 0;
      }
      before = count;
      continue;
    }
    const std::uint32_t negative = bits.ue();
    const std::uint32_t positive = bits.ue();
    if (negative > 16 || positive > 16) return false;
    for (std::uint32_t i = 0; i < negative + positive; ++i) {
      bits.ue();
      bits.skip(1);
    }
    before = negative + positive;
  }
  return true;
}

/// Everything between the picture's size and the VUI.
bool skip_hevc_tools(BitReader& bits, unsigned sub_layers) {
  const std::uint32_t poc_bits = bits.ue() + 4;  // log2_max_pic_order_cnt_lsb
  if (poc_bits > 16) return false;
  const bool each_layer = bits.bit();
  for (unsigned i = each_layer ? 0 : sub_layers; i <= sub_layers; ++i) {
    for (int k = 0; k < 3; ++k) bits.ue();
  }
  for (int i = 0; i < 6; ++i) bits.ue();  // block sizes and depths
  if (bits.bit() && bits.bit()) skip_hevc_scaling_lists(bits);
  bits.skip(2);      // amp, sample adaptive offset
  if (bits.bit()) {  // pcm
    bits.skip(8);
    bits.ue();
    bits.ue();
    bits.skip(1);
  }
  if (!skip_hevc_ref_pic_sets(bits)) return false;
  if (bits.bit()) {  // long-term reference pictures
    const std::uint32_t count = bits.ue();
    if (count > 32) return false;
    bits.skip(std::size_t{count} * (poc_bits + 1));
  }
  bits.skip(2);  // temporal mvp, strong intra smoothing
  return true;
}

void read_hevc_vui(BitReader& bits, PictureFormat& format) {
  read_vui_picture(bits, format);
  bits.skip(3);                     // neutral chroma, field sequence, frame and field info
  if (bits.bit()) read_crop(bits);  // default display window: advice that players ignore
  if (!bits.bit()) return;
  const std::uint32_t units_in_tick = bits.bits(32);
  const std::uint32_t time_scale = bits.bits(32);
  if (bits.overrun() || units_in_tick == 0 || time_scale == 0) return;
  format.fps_num = time_scale;
  format.fps_den = units_in_tick;
}

}  // namespace

Result<PictureFormat> parse_h264_sps(ByteSpan nal_unit) {
  if (nal_unit.size() < 4) return fail(Code::malformed, "SPS: bytes", nal_unit.size());
  if ((read_u8(nal_unit) & 31) != 7) return fail(Code::malformed, "SPS: NAL unit type", read_u8(nal_unit) & 31);
  const Bytes plain = unescape_nal_unit(nal_unit.subspan(1));
  BitReader bits{plain};
  PictureFormat format;
  format.profile = bits.u8(8);
  bits.skip(8);
  format.level = bits.u8(8);
  if (bits.ue() > 31) return fail(Code::malformed, "SPS: id over 31");
  if (has_h264_chroma(format.profile)) read_h264_chroma(bits, format);
  if (format.chroma_format > 3) return fail(Code::malformed, "SPS: chroma format");
  bits.ue();  // log2_max_frame_num
  const std::uint32_t order_type = bits.ue();
  if (order_type == 0) {
    bits.ue();
  } else if (order_type == 1) {
    bits.skip(1);
    bits.se();
    bits.se();
    const std::uint32_t cycle = bits.ue();
    if (cycle > 255) return fail(Code::malformed, "SPS: frames in a picture order cycle", cycle);
    for (std::uint32_t i = 0; i < cycle; ++i) bits.se();
  }
  bits.ue();  // max_num_ref_frames
  bits.skip(1);
  const std::uint64_t width = (std::uint64_t{bits.ue()} + 1) * 16;
  const std::uint64_t map_units = std::uint64_t{bits.ue()} + 1;
  const bool frames_only = bits.bit();
  format.interlaced = !frames_only;
  if (!frames_only) bits.skip(1);
  bits.skip(1);  // direct_8x8_inference
  Crop crop;
  if (bits.bit()) crop = read_crop(bits);
  const bool vui = bits.bit();
  if (bits.overrun()) return fail(Code::malformed, "SPS: truncated");
  const std::uint32_t unit_x = format.chroma_format == 1 || format.chroma_format == 2 ? 2 : 1;
  const std::uint32_t unit_y = (format.chroma_format == 1 ? 2 : 1) * (frames_only ? 1 : 2);
  const auto cropped = crop_to(width, map_units * (frames_only ? 16 : 32), crop, unit_x, unit_y, format);
  if (!cropped) return pass(cropped);
  // Some encoders cut their VUI short; what came before holds.
  if (vui) read_h264_vui(bits, format);
  return format;
}

Result<PictureFormat> parse_hevc_sps(ByteSpan nal_unit) {
  if (nal_unit.size() < 4) return fail(Code::malformed, "SPS: bytes", nal_unit.size());
  if (((read_u8(nal_unit) >> 1) & 63) != 33)
    return fail(Code::malformed, "SPS: NAL unit type", (read_u8(nal_unit) >> 1) & 63);
  const Bytes plain = unescape_nal_unit(nal_unit.subspan(2));
  BitReader bits{plain};
  PictureFormat format;
  bits.skip(4);
  const unsigned sub_layers = bits.bits(3);
  if (sub_layers > 6) return fail(Code::malformed, "SPS: sub-layers");
  bits.skip(1);
  read_hevc_profile(bits, sub_layers, format);
  bits.ue();  // id
  const std::uint32_t chroma = bits.ue();
  if (chroma > 3) return fail(Code::malformed, "SPS: chroma format", chroma);
  format.chroma_format = static_cast<std::uint8_t>(chroma);
  if (chroma == 3) bits.skip(1);
  const std::uint32_t width = bits.ue();
  const std::uint32_t height = bits.ue();
  Crop crop;
  if (bits.bit()) crop = read_crop(bits);
  const std::uint32_t luma = bits.ue();
  const std::uint32_t chroma_depth = bits.ue();
  if (bits.overrun()) return fail(Code::malformed, "SPS: truncated");
  if (luma > 8 || chroma_depth > 8) return fail(Code::malformed, "SPS: bit depth");
  format.luma_bits = static_cast<std::uint8_t>(8 + luma);
  format.chroma_bits = static_cast<std::uint8_t>(8 + chroma_depth);
  const std::uint32_t unit_x = chroma == 1 || chroma == 2 ? 2 : 1;
  const auto cropped = crop_to(width, height, crop, unit_x, chroma == 1 ? 2 : 1, format);
  if (!cropped) return pass(cropped);
  if (!skip_hevc_tools(bits, sub_layers)) return fail(Code::malformed, "SPS: reference picture sets");
  const bool vui = bits.bit();
  if (bits.overrun()) return fail(Code::malformed, "SPS: truncated");
  if (vui) read_hevc_vui(bits, format);
  return format;
}

}  // namespace ribalta::media
