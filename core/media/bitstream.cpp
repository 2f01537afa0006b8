// NAL units in both spellings, and where decoding can start.
#include "core/media/bitstream.h"

#include <algorithm>

#include "core/media/bit_reader.h"
#include "core/media/obu.h"

namespace ribalta::media {
namespace {

/// Position of the next start code 00 00 01 at or after `from`, or the end.
std::size_t find_start_code(ByteSpan bytes, std::size_t from) {
  for (std::size_t i = from; i + 3 <= bytes.size(); ++i) {
    if (bytes[i + 2] > std::byte{1}) {
      i += 2;  // neither a zero nor the code's one: no code begins in these three bytes
      continue;
    }
    if (bytes[i] == std::byte{0} && bytes[i + 1] == std::byte{0} && bytes[i + 2] == std::byte{1}) return i;
  }
  return bytes.size();
}

/// True when an SEI NAL unit (H.264) has a recovery point message (ITU-T H.264 §D.1.8, payload type 6).
bool has_recovery_point(ByteSpan sei) {
  const Bytes plain = unescape_nal_unit(sei);
  ByteReader reader{ByteSpan{plain}.subspan(1)};
  while (reader.left() > 2) {
    std::size_t type = 0;
    std::size_t size = 0;
    for (std::size_t* value : {&type, &size}) {
      for (;;) {
        const auto byte = reader.u8();
        if (!byte) return false;
        *value += *byte;
        if (*byte != 0xFF) break;
      }
    }
    if (type == 6) return true;
    if (!reader.skip(size)) return false;
  }
  return false;
}

RandomAccess h264_access(const std::vector<ByteSpan>& units) {
  bool recovery = false;
  for (const ByteSpan unit : units) {
    const int type = read_u8(unit) & 31;
    if (type == 5) return RandomAccess::closed;
    if (type == 1) break;
    if (type == 6) recovery = recovery || has_recovery_point(unit);
  }
  return recovery ? RandomAccess::open : RandomAccess::none;
}

RandomAccess hevc_access(const std::vector<ByteSpan>& units) {
  for (const ByteSpan unit : units) {
    const int type = (read_u8(unit) >> 1) & 63;
    if (type >= 16 && type <= 20) return RandomAccess::closed;  // BLA and IDR
    if (type == 21) return RandomAccess::open;                  // CRA
    if (type < 32) return RandomAccess::none;
  }
  return RandomAccess::none;
}

/// The first frame header's type (AV1 §5.9.2). A sequence header must come with the key frame for players to start.
RandomAccess av1_access(ByteSpan frame) {
  ByteReader reader{frame};
  bool reduced = false;
  for (std::size_t i = 0; i < kObusSearchedMax && !reader.done(); ++i) {
    const auto obu = read_obu(reader);
    if (!obu) return RandomAccess::none;
    if (obu->type == 1 && obu->payload.size() > 0) reduced = (read_u8(obu->payload) & 0x08) != 0;
    if (obu->type != 3 && obu->type != 6) continue;  // frame header, frame
    if (reduced) return RandomAccess::closed;        // still pictures are key frames
    if (obu->payload.empty()) return RandomAccess::none;
    const std::uint8_t head = read_u8(obu->payload);
    const bool show_existing = (head & 0x80) != 0;
    const int type = (head >> 5) & 3;
    const bool shown = (head & 0x10) != 0;
    return !show_existing && type == 0 && shown ? RandomAccess::closed : RandomAccess::none;
  }
  return RandomAccess::none;
}

RandomAccess vp9_access(ByteSpan frame) {
  return parse_vp9_key_frame(frame) ? RandomAccess::closed : RandomAccess::none;
}

}  // namespace

Result<std::vector<ByteSpan>> split_nal_units(ByteSpan frame, std::uint8_t length_bytes) {
  if (length_bytes != 1 && length_bytes != 2 && length_bytes != 4) {
    return fail(Code::malformed, "NAL unit length of bytes", length_bytes);
  }
  std::vector<ByteSpan> units;
  ByteReader reader{frame};
  while (!reader.done()) {
    const auto head = reader.take(length_bytes);
    if (!head) return head.error().in("NAL units");
    std::size_t size = 0;
    for (const std::byte byte : *head) size = (size << 8) | std::to_integer<std::size_t>(byte);
    const auto unit = reader.take(size);
    if (!unit) return unit.error().in("NAL units");
    if (unit->empty()) continue;
    if (units.size() == kFrameNalUnitsMax) return fail(Code::limit, "NAL units in a frame over", kFrameNalUnitsMax);
    units.push_back(*unit);
  }
  return units;
}

Result<std::vector<ByteSpan>> split_annex_b(ByteSpan frame) {
  std::vector<ByteSpan> units;
  std::size_t code = find_start_code(frame, 0);
  const ByteSpan before = frame.first(code);
  if (code == frame.size() || std::ranges::any_of(before, [](std::byte b) { return b != std::byte{0}; })) {
    return fail(Code::malformed, "Annex B: no start code first");
  }
  while (code < frame.size()) {
    const std::size_t begin = code + 3;
    code = find_start_code(frame, begin);
    std::size_t end = code;
    // Zeros before the next start code (its fourth byte, or trailing_zero_8bits) are no part of the unit.
    while (end > begin && frame[end - 1] == std::byte{0}) --end;
    if (end == begin) continue;
    if (units.size() == kFrameNalUnitsMax) return fail(Code::limit, "NAL units in a frame over", kFrameNalUnitsMax);
    units.push_back(frame.subspan(begin, end - begin));
  }
  return units;
}

bool looks_like_annex_b(ByteSpan frame) {
  if (frame.size() < 4 || frame[0] != std::byte{0} || frame[1] != std::byte{0}) return false;
  return frame[2] == std::byte{1} || (frame[2] == std::byte{0} && frame[3] == std::byte{1});
}

Bytes join_nal_units(const std::vector<ByteSpan>& units) {
  ByteWriter out;
  for (const ByteSpan unit : units) {
    out.be32(static_cast<std::uint32_t>(unit.size()));
    out.bytes(unit);
  }
  return out.take();
}

Result<Bytes> annex_b_to_lengths(ByteSpan frame) {
  const auto units = split_annex_b(frame);
  if (!units) return pass(units);
  return join_nal_units(*units);
}

Result<Bytes> lengths_to_annex_b(ByteSpan frame, std::uint8_t length_bytes) {
  const auto units = split_nal_units(frame, length_bytes);
  if (!units) return pass(units);
  ByteWriter out;
  for (const ByteSpan unit : *units) {
    out.be32(1);
    out.bytes(unit);
  }
  return out.take();
}

RandomAccess random_access(CodecId codec, ByteSpan frame, std::uint8_t nal_length_bytes) {
  switch (codec) {
    case CodecId::h264:
    case CodecId::hevc: {
      const auto units = split_nal_units(frame, nal_length_bytes);
      if (!units) return RandomAccess::none;
      return codec == CodecId::h264 ? h264_access(*units) : hevc_access(*units);
    }
    case CodecId::av1:
      return av1_access(frame);
    case CodecId::vp9:
      return vp9_access(frame);
    case CodecId::aac:
    case CodecId::opus:
      return RandomAccess::closed;
  }
  return RandomAccess::none;
}

}  // namespace ribalta::media
