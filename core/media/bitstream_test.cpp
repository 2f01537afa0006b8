#include <doctest/doctest.h>

#include "core/media/bit_reader.h"
#include "core/media/bitstream.h"
#include "core/media/codec_config.h"
#include "core/media/media_testing.h"

using namespace ribalta;
using namespace ribalta::media;
using namespace ribalta::media::testing;

namespace {

Bytes sps_of_x264() { return parse_avcc(hex(kAvcc))->sps[0]; }
Bytes sps_of_x265() { return parse_hvcc(hex(kHvcc))->arrays[1].units[0]; }

std::vector<Bytes> copies(const std::vector<ByteSpan>& spans) {
  std::vector<Bytes> out;
  for (const ByteSpan span : spans) out.emplace_back(span.begin(), span.end());
  return out;
}

}  // namespace

TEST_CASE("H.264 SPS: size after cropping, shape, rate, colour, depth") {
  const auto format = parse_h264_sps(sps_of_x264());
  REQUIRE(format);
  CHECK(format->profile == 100);
  CHECK(format->level == 13);
  CHECK(format->width == 322);
  CHECK(format->height == 182);
  CHECK(format->sar_num == 4);
  CHECK(format->sar_den == 3);
  CHECK(format->fps_num == 60);
  CHECK(format->fps_den == 2);
  CHECK(format->reorder_frames == 2U);
  CHECK(format->colour == Colour{.primaries = 1, .transfer = 1, .matrix = 1});
  CHECK(format->chroma_format == 1);
  CHECK_FALSE(format->interlaced);
}

TEST_CASE("HEVC SPS: size after cropping, depth, rate") {
  const auto format = parse_hevc_sps(sps_of_x265());
  REQUIRE(format);
  CHECK(format->profile == 2);
  CHECK(format->level == 60);
  CHECK(format->width == 322);
  CHECK(format->height == 182);
  CHECK(format->luma_bits == 10);
  CHECK(format->fps_num == 30);
  CHECK(format->fps_den == 1);
}

TEST_CASE("an SPS cut before its size is refused; cut anywhere, nothing reads past it") {
  const Bytes h264 = sps_of_x264();
  for (std::size_t size = 0; size < h264.size(); ++size) {
    const auto format = parse_h264_sps(ByteSpan{h264}.first(size));
    if (size < 9) CHECK_FALSE(format);
  }
  const Bytes hevc = sps_of_x265();
  for (std::size_t size = 0; size < hevc.size(); ++size) {
    const auto format = parse_hevc_sps(ByteSpan{hevc}.first(size));
    if (size < 24) CHECK_FALSE(format);
  }
}

TEST_CASE("an SPS of another type, or larger than the limit, is refused") {
  Bytes pps = sps_of_x264();
  pps[0] = std::byte{0x68};
  CHECK(parse_h264_sps(pps).error().code == Code::malformed);
  const auto make = [](std::uint32_t width_code) {
    std::uint64_t bits = 0;
    unsigned count = 0;
    const auto put = [&](std::uint64_t value, unsigned n) {
      bits = bits << n | value;
      count += n;
    };
    const auto ue = [&](std::uint32_t value) {
      unsigned length = 0;
      while (((value + 1) >> (length + 1)) != 0) ++length;
      put(value + 1, 2 * length + 1);
    };
    ue(0);           // id
    ue(0);           // log2_max_frame_num
    ue(2);           // order type
    ue(1);           // reference frames
    put(0, 1);       // gaps
    ue(width_code);  // macroblocks minus 1
    ue(0);
    put(1, 1);  // frames only
    put(1, 1);
    put(0, 1);  // no cropping
    put(0, 1);  // no VUI
    put(1, 1);  // stop bit
    const unsigned pad = (8 - count % 8) % 8;
    put(0, pad);
    ByteWriter out;
    out.u8(0x67);
    out.u8(66);
    out.u8(0);
    out.u8(51);
    for (unsigned i = count / 8; i-- > 0;) out.u8(static_cast<std::uint8_t>(bits >> (8 * i)));
    // Emulation prevention where the code needs it.
    Bytes escaped;
    unsigned zeros = 0;
    for (const std::byte byte : out.take()) {
      if (zeros >= 2 && byte <= std::byte{3}) {
        escaped.push_back(std::byte{3});
        zeros = 0;
      }
      zeros = byte == std::byte{0} ? zeros + 1 : 0;
      escaped.push_back(byte);
    }
    return escaped;
  };
  const auto widest = parse_h264_sps(make(kPictureSideMax / 16 - 1));
  REQUIRE_MESSAGE(widest, widest.error().message);
  CHECK(widest->width == kPictureSideMax);
  CHECK(widest->height == 16);
  CHECK(parse_h264_sps(make(kPictureSideMax / 16)).error().code == Code::limit);
}

TEST_CASE("NAL units with lengths of 1, 2 and 4 bytes, and every cut of them") {
  for (const auto& [text, bytes] :
       {std::pair{"02 6501 01 41", 1}, std::pair{"0002 6501 0001 41", 2}, std::pair{"00000002 6501 00000001 41", 4}}) {
    const Bytes frame = hex(text);
    const auto units = split_nal_units(frame, static_cast<std::uint8_t>(bytes));
    REQUIRE(units);
    CHECK(copies(*units) == std::vector{hex("6501"), hex("41")});
    const auto whole_at = frame.size() - 1 - static_cast<std::size_t>(bytes);
    for (std::size_t size = 1; size < frame.size(); ++size) {
      if (size == whole_at) continue;
      CHECK_FALSE(split_nal_units(ByteSpan{frame}.first(size), static_cast<std::uint8_t>(bytes)));
    }
  }
  CHECK_FALSE(split_nal_units(hex("00"), 3));
  CHECK(split_nal_units({}, 4)->empty());
}

TEST_CASE("a frame of kFrameNalUnitsMax units is split, one of more is refused") {
  Bytes frame;
  for (std::size_t i = 0; i < kFrameNalUnitsMax; ++i) frame.insert(frame.end(), {std::byte{1}, std::byte{0x41}});
  CHECK(split_nal_units(frame, 1)->size() == kFrameNalUnitsMax);
  frame.insert(frame.end(), {std::byte{1}, std::byte{0x41}});
  CHECK(split_nal_units(frame, 1).error().code == Code::limit);
}

TEST_CASE("Annex B: start codes of three and four bytes, trailing zeros, and back again") {
  const Bytes frame = hex("00000001 6764 000001 68ee 00000001 650000030100 00 000001 41");
  const auto units = split_annex_b(frame);
  REQUIRE(units);
  CHECK(copies(*units) == std::vector{hex("6764"), hex("68ee"), hex("6500000301"), hex("41")});
  const auto lengths = annex_b_to_lengths(frame);
  REQUIRE(lengths);
  CHECK(*lengths == hex("00000002 6764 00000002 68ee 00000005 6500000301 00000001 41"));
  CHECK(*lengths_to_annex_b(*lengths, 4) == hex("00000001 6764 00000001 68ee 00000001 6500000301 00000001 41"));
  CHECK(looks_like_annex_b(frame));
  CHECK_FALSE(looks_like_annex_b(*lengths));
  CHECK(split_annex_b(hex("6764000001")).error().code == Code::malformed);
  CHECK(split_annex_b({}).error().code == Code::malformed);
}

TEST_CASE("H.264: an IDR is closed, a recovery point open, anything else none") {
  const auto access = [](std::string_view annex_b) {
    return random_access(CodecId::h264, *annex_b_to_lengths(hex(annex_b)));
  };
  CHECK(access("00000001 09f0 00000001 6588") == RandomAccess::closed);
  CHECK(access("00000001 0606 01c480 00000001 4188") == RandomAccess::open);
  CHECK(access("00000001 0605 01aa80 00000001 4188") == RandomAccess::none);
  CHECK(access("00000001 0605 01aa 0601c4 80 00000001 4188") == RandomAccess::open);  // second message
  CHECK(access("00000001 4188") == RandomAccess::none);
  CHECK(random_access(CodecId::h264, hex("0000ffff65"), 4) == RandomAccess::none);
  CHECK(random_access(CodecId::h264, hex("0265880141"), 1) == RandomAccess::closed);
}

TEST_CASE("HEVC: IDR and BLA are closed, CRA is open") {
  const auto access = [](std::string_view annex_b) {
    return random_access(CodecId::hevc, *annex_b_to_lengths(hex(annex_b)));
  };
  CHECK(access("00000001 4001aa 00000001 2601aa") == RandomAccess::closed);  // VPS, IDR_W_RADL
  CHECK(access("00000001 2001aa") == RandomAccess::closed);                  // BLA_W_LP
  CHECK(access("00000001 2a01aa") == RandomAccess::open);                    // CRA
  CHECK(access("00000001 0201aa") == RandomAccess::none);                    // TRAIL_R
}

TEST_CASE("AV1: a sequence header cut at any byte is refused") {
  const Bytes obus = parse_av1c(hex(kAv1c))->obus;
  const auto format = parse_av1_sequence(obus);
  REQUIRE(format);
  CHECK(format->width == 322);
  CHECK(format->luma_bits == 8);
  for (std::size_t size = 0; size < obus.size(); ++size) CHECK_FALSE(parse_av1_sequence(ByteSpan{obus}.first(size)));
  CHECK(parse_av1_sequence(hex("1200")).error().code == Code::malformed);  // a delimiter alone
}

TEST_CASE("VP9: a key frame tells its size, another frame does not") {
  // Marker 2, profile 0, not existing, key frame, shown; sync code; BT.601-ish 0, limited; 322x182.
  const Bytes key = hex("82 49 83 42 00 14 10 0b 50");
  const auto format = parse_vp9_key_frame(key);
  REQUIRE(format);
  CHECK(format->width == 322);
  CHECK(format->height == 182);
  CHECK(random_access(CodecId::vp9, key) == RandomAccess::closed);
  CHECK(random_access(CodecId::vp9, hex("86 49 83 42 00 14 10 0b 50")) == RandomAccess::none);
  for (std::size_t size = 0; size < 8; ++size) {
    CHECK_FALSE(parse_vp9_key_frame(ByteSpan{key}.first(size)));
  }
}

TEST_CASE("bits: Exp-Golomb codes, and reading past the end gives zeros") {
  const Bytes bytes =
      hex("a6 42 98 e2 04 8a");  // the example of ITU-T H.264 §9.1: 1 010 011 00100 00101 00110 00111 0001000 …
  BitReader bits{bytes};
  for (std::uint32_t expected = 0; expected < 9; ++expected) CHECK(bits.ue() == expected);
  CHECK_FALSE(bits.overrun());
  BitReader end{ByteSpan{bytes}.first(1)};
  CHECK(end.bits(8) == 0xA6);
  CHECK(end.bits(1) == 0);
  CHECK(end.overrun());
  const Bytes largest = hex("00000001 ffffffff");  // 31 zeros, then 1 and 31 ones
  BitReader wide{largest};
  CHECK(wide.ue() == 0xFFFFFFFE);
  CHECK_FALSE(wide.overrun());
  const Bytes more = hex("00000000 ffffffff");
  BitReader beyond{more};
  CHECK(beyond.ue() == 0);
  CHECK(beyond.overrun());
}

TEST_CASE("emulation prevention bytes go, and only those") {
  CHECK(unescape_nal_unit(hex("67 000003 01 000003 000003 02")) == hex("67 0000 01 0000 0000 02"));
  CHECK(unescape_nal_unit(hex("000002 0003 03")) == hex("000002 0003 03"));
}
