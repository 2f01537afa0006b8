// Bytes on the wire: big-endian reads and writes, a bounded reader that never runs past its span, a growing writer.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace ribalta {

using Bytes = std::vector<std::byte>;
using ByteSpan = std::span<const std::byte>;

inline ByteSpan as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteSpan bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

/// Big-endian integer of Size bytes (1..8) at the start of `bytes`. The caller has checked the length.
template <std::size_t Size>
constexpr std::uint64_t read_be(ByteSpan bytes) {
  static_assert(Size >= 1 && Size <= 8);
  assert(bytes.size() >= Size);
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < Size; ++i) value = (value << 8) | std::to_integer<std::uint64_t>(bytes[i]);
  return value;
}
constexpr std::uint8_t read_u8(ByteSpan bytes) { return static_cast<std::uint8_t>(read_be<1>(bytes)); }
constexpr std::uint16_t read_be16(ByteSpan bytes) { return static_cast<std::uint16_t>(read_be<2>(bytes)); }
constexpr std::uint32_t read_be24(ByteSpan bytes) { return static_cast<std::uint32_t>(read_be<3>(bytes)); }
constexpr std::uint32_t read_be32(ByteSpan bytes) { return static_cast<std::uint32_t>(read_be<4>(bytes)); }
constexpr std::uint64_t read_be64(ByteSpan bytes) { return read_be<8>(bytes); }

/// Reads a span from its start to its end; every read says whether it fitted. Never copies.
class ByteReader {
 public:
  explicit constexpr ByteReader(ByteSpan bytes) : bytes_(bytes) {}

  [[nodiscard]] constexpr std::size_t position() const { return position_; }
  [[nodiscard]] constexpr std::size_t left() const { return bytes_.size() - position_; }
  [[nodiscard]] constexpr bool done() const { return left() == 0; }
  [[nodiscard]] constexpr ByteSpan rest() const { return bytes_.subspan(position_); }

  /// The next `size` bytes. @error malformed: fewer are left.
  Result<ByteSpan> take(std::size_t size) {
    if (size > left()) return truncated(size);
    const ByteSpan taken = bytes_.subspan(position_, size);
    position_ += size;
    return taken;
  }
  Result<void> skip(std::size_t size) {
    if (size > left()) return truncated(size);
    position_ += size;
    return {};
  }
  Result<std::uint8_t> u8() { return integer<1, std::uint8_t>(); }
  Result<std::uint16_t> be16() { return integer<2, std::uint16_t>(); }
  Result<std::uint32_t> be24() { return integer<3, std::uint32_t>(); }
  Result<std::uint32_t> be32() { return integer<4, std::uint32_t>(); }
  Result<std::uint64_t> be64() { return integer<8, std::uint64_t>(); }

 private:
  template <std::size_t Size, class T>
  Result<T> integer() {
    if (Size > left()) return truncated(Size);
    const auto value = static_cast<T>(read_be<Size>(rest()));
    position_ += Size;
    return value;
  }
  [[nodiscard]] std::unexpected<Error> truncated(std::size_t wanted) const {
    return fail(Code::malformed, "truncated at byte " + std::to_string(position_) + ": wanted", wanted);
  }

  ByteSpan bytes_;
  std::size_t position_ = 0;
};

/// Appends to a growing buffer; sizes that are known only later are patched in.
class ByteWriter {
 public:
  void u8(std::uint8_t value) { be<1>(value); }
  void be16(std::uint16_t value) { be<2>(value); }
  void be24(std::uint32_t value) { be<3>(value); }
  void be32(std::uint32_t value) { be<4>(value); }
  void be64(std::uint64_t value) { be<8>(value); }
  void bytes(ByteSpan data) { buffer_.insert(buffer_.end(), data.begin(), data.end()); }
  void text(std::string_view data) { bytes(as_bytes(data)); }
  void zeros(std::size_t count) { buffer_.resize(buffer_.size() + count); }

  /// Overwrites four bytes that were written earlier.
  void patch_be32(std::size_t position, std::uint32_t value) {
    assert(position + 4 <= buffer_.size());
    for (std::size_t i = 0; i < 4; ++i) buffer_[position + i] = static_cast<std::byte>(value >> (8 * (3 - i)));
  }

  [[nodiscard]] std::size_t size() const { return buffer_.size(); }
  [[nodiscard]] ByteSpan view() const { return buffer_; }
  [[nodiscard]] Bytes take() { return std::move(buffer_); }

 private:
  template <std::size_t Size>
  void be(std::uint64_t value) {
    for (std::size_t i = 0; i < Size; ++i) buffer_.push_back(static_cast<std::byte>(value >> (8 * (Size - 1 - i))));
  }
  Bytes buffer_;
};

/// True for well-formed UTF-8 (RFC 3629 §4): no overlong forms, no surrogates, nothing over U+10FFFF.
bool is_utf8(std::string_view text);

std::string to_hex(ByteSpan bytes);
/// @error malformed: an odd count, or a character that is no hexadecimal digit. White space is passed over.
Result<Bytes> from_hex(std::string_view text);
/// Base64url without padding (RFC 4648 §5).
std::string to_base64url(ByteSpan bytes);
Result<Bytes> from_base64url(std::string_view text);
/// Base64 with padding (RFC 4648 §4), as tus metadata and checksums have it.
std::string to_base64(ByteSpan bytes);
Result<Bytes> from_base64(std::string_view text);

}  // namespace ribalta
