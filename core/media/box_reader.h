// Cuts a byte stream into whole top-level boxes (ISO/IEC 14496-12:2015 §4.2) as bytes come, within limits that are
// checked on the declared size, before its bytes come; memory grows only with bytes that came.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/bytes.h"
#include "core/result.h"

namespace ribalta::media {

/// A box type: `box_type("moof")`.
constexpr std::uint32_t box_type(const char (&name)[5]) {
  std::uint32_t type = 0;
  for (int i = 0; i < 4; ++i) type = (type << 8) | static_cast<std::uint8_t>(name[i]);
  return type;
}
std::string box_name(std::uint32_t type);  ///< for messages: letters as they are, others as \xNN

/// A box inside bytes that somebody else holds.
struct Box {
  std::uint32_t type = 0;
  ByteSpan whole;    ///< with its header
  ByteSpan payload;  ///< without
};

/// Reads one box header and its payload from the start of `reader`. For boxes inside boxes.
/// @error malformed: truncated, or a size smaller than its header; unsupported: size 0 ("to the end of the file").
Result<Box> read_box(ByteReader& reader);

struct BoxLimits {
  std::uint64_t init_bytes_max = 256 * 1024;             ///< ftyp, moov: one track without samples takes about 1 KiB
  std::uint64_t moof_bytes_max = 64 * 1024;              ///< 1024 samples of 16 bytes, and room
  std::uint64_t mdat_bytes_max = 50 * 1024 * 1024 + 16;  ///< kChunkBytesMax and the header
  std::uint64_t sidx_bytes_max = 1024 * 1024;            ///< 65 535 references of 12 bytes
  std::uint64_t other_bytes_max = 64 * 1024;             ///< styp, prft, emsg, free, and what we do not know
  [[nodiscard]] std::uint64_t of(std::uint32_t type) const;
};

class BoxReader {
 public:
  explicit BoxReader(BoxLimits limits = {}) : limits_(limits) {}

  /// Takes in bytes in any cut. At most one feed's bytes and one unfinished box are held.
  void feed(ByteSpan bytes);
  /// The next whole box with its header, or nothing until more is fed. After an error every later call gives the same
  /// error. @error malformed, unsupported: see read_box; limit: a declared size over `limits`.
  Result<std::optional<Bytes>> next();
  /// Bytes that are held and belong to no whole box: 0 at a clean end.
  [[nodiscard]] std::size_t pending() const { return buffer_.size() - position_; }

 private:
  BoxLimits limits_;
  Bytes buffer_;
  std::size_t position_ = 0;
  std::optional<Error> error_;
};

}  // namespace ribalta::media
