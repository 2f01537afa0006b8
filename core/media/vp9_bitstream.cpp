// VP9: the uncompressed header of a key frame (VP9 Bitstream & Decoding Process Specification §6.2, §7.2).
#include "core/media/bit_reader.h"
#include "core/media/bitstream.h"

namespace ribalta::media {
namespace {

/// color_config, §6.2.2. @return false: reserved values.
bool read_color(BitReader& bits, PictureFormat& format) {
  if (format.profile >= 2) format.luma_bits = bits.bit() ? 12 : 10;
  format.chroma_bits = format.luma_bits;
  const std::uint32_t space = bits.bits(3);
  Colour colour;
  // color_space (§7.2.2) to ISO/IEC 23091-2: BT.601, BT.709, SMPTE 170M, SMPTE 240M, BT.2020; 7 is sRGB.
  switch (space) {
    case 1:
      colour = {.primaries = 5, .transfer = 6, .matrix = 5};
      break;
    case 2:
      colour = {.primaries = 1, .transfer = 1, .matrix = 1};
      break;
    case 3:
      colour = {.primaries = 6, .transfer = 6, .matrix = 6};
      break;
    case 4:
      colour = {.primaries = 7, .transfer = 7, .matrix = 7};
      break;
    case 5:
      colour = {.primaries = 9, .transfer = 14, .matrix = 9};
      break;
    case 7:
      colour = {.primaries = 1, .transfer = 13, .matrix = 0};
      break;
    default:
      break;
  }
  const bool other_subsampling = format.profile == 1 || format.profile == 3;
  if (space != 7) {
    colour.full_range = bits.bit();
    if (other_subsampling) {
      const bool x = bits.bit();
      const bool y = bits.bit();
      if (bits.bit() || (x && y)) return false;
      format.chroma_format = x ? 2 : 3;  // 4:4:0 (y alone) counts as 4:4:4: nobody makes it
    }
  } else {
    colour.full_range = true;
    if (!other_subsampling || bits.bit()) return false;
    format.chroma_format = 3;
  }
  if (space != 0 || colour.full_range) format.colour = colour;
  return true;
}

}  // namespace

Result<PictureFormat> parse_vp9_key_frame(ByteSpan frame) {
  BitReader bits{frame};
  if (bits.bits(2) != 2) return fail(Code::malformed, "VP9: frame marker");
  PictureFormat format;
  const std::uint32_t low = bits.bits(1);
  format.profile = static_cast<std::uint8_t>(low | bits.bits(1) << 1);
  if (format.profile == 3 && bits.bit()) return fail(Code::unsupported, "VP9: reserved profile");
  if (bits.bit()) return fail(Code::unsupported, "VP9: not a key frame");  // shows an existing frame
  if (bits.bit()) return fail(Code::unsupported, "VP9: not a key frame");
  bits.skip(2);  // show_frame, error_resilient_mode
  if (bits.bits(24) != 0x498342) return fail(Code::malformed, "VP9: sync code");
  if (!read_color(bits, format)) return fail(Code::malformed, "VP9: colour");
  format.width = bits.bits(16) + 1;
  format.height = bits.bits(16) + 1;
  if (bits.overrun()) return fail(Code::malformed, "VP9: header truncated");
  if (format.width > kPictureSideMax || format.height > kPictureSideMax) return fail(Code::limit, "VP9: picture side");
  return format;
}

}  // namespace ribalta::media
