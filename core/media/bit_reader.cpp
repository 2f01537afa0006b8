#include "core/media/bit_reader.h"

#include <algorithm>
#include <cassert>

namespace ribalta::media {

std::uint32_t BitReader::bits(unsigned count) {
  assert(count <= 32);
  if (count > left()) {
    overrun_ = true;
    position_ = bytes_.size() * 8;
    return 0;
  }
  std::uint32_t value = 0;
  while (count > 0) {
    const auto byte = std::to_integer<std::uint32_t>(bytes_[position_ / 8]);
    const auto available = static_cast<unsigned>(8 - position_ % 8);
    const unsigned taken = std::min(available, count);
    value = (value << taken) | ((byte >> (available - taken)) & ((1U << taken) - 1));
    position_ += taken;
    count -= taken;
  }
  return value;
}

std::uint32_t BitReader::ue() {
  unsigned zeros = 0;
  while (!bit()) {
    if (overrun_) return 0;
    if (++zeros > 31) {  // 2^32 - 1 and more: in no valid header
      overrun_ = true;
      return 0;
    }
  }
  return static_cast<std::uint32_t>((std::uint64_t{1} << zeros) - 1 + bits(zeros));
}

std::int32_t BitReader::se() {
  const std::uint32_t code = ue();
  const auto magnitude = static_cast<std::int64_t>((std::uint64_t{code} + 1) / 2);
  return static_cast<std::int32_t>(code % 2 == 1 ? magnitude : -magnitude);
}

void BitReader::skip(std::size_t count) {
  if (count > left()) {
    overrun_ = true;
    position_ = bytes_.size() * 8;
    return;
  }
  position_ += count;
}

Bytes unescape_nal_unit(ByteSpan nal_unit) {
  Bytes out;
  out.reserve(nal_unit.size());
  std::size_t zeros = 0;
  for (const std::byte byte : nal_unit) {
    if (zeros >= 2 && byte == std::byte{3}) {
      zeros = 0;
      continue;
    }
    zeros = byte == std::byte{0} ? zeros + 1 : 0;
    out.push_back(byte);
  }
  return out;
}

}  // namespace ribalta::media
