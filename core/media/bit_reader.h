// Bits of parameter sets and headers. For core/media's own files.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/bytes.h"

namespace ribalta::media {

/// Reads bits from the top of each byte, with Exp-Golomb codes; past the end it reads zeros and `overrun` turns true.
class BitReader {
 public:
  explicit BitReader(ByteSpan bytes) : bytes_(bytes) {}
  std::uint32_t bits(unsigned count);  ///< 0..32
  bool bit() { return bits(1) != 0; }
  std::uint8_t u8(unsigned count) { return static_cast<std::uint8_t>(bits(count)); }
  std::uint32_t ue();  ///< unsigned Exp-Golomb (ITU-T H.264 §9.1), at most 2^32 - 2
  std::int32_t se();   ///< signed Exp-Golomb, -2^31 + 1 … 2^31 - 1
  void skip(std::size_t count);
  [[nodiscard]] bool overrun() const { return overrun_; }
  [[nodiscard]] std::size_t left() const { return bytes_.size() * 8 - position_; }

 private:
  ByteSpan bytes_;
  std::size_t position_ = 0;
  bool overrun_ = false;
};

/// A NAL unit without emulation prevention bytes (00 00 03 → 00 00; ITU-T H.264 §7.3.1).
Bytes unescape_nal_unit(ByteSpan nal_unit);

}  // namespace ribalta::media
