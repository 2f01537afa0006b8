// Open bitstream units of AV1 (§5.3). For core/media's own files.
#pragma once

#include <cstdint>

#include "core/bytes.h"
#include "core/result.h"

namespace ribalta::media {

struct Obu {
  std::uint8_t type = 0;  ///< 1 sequence header, 2 temporal delimiter, 3 frame header, 6 frame
  ByteSpan whole;
  ByteSpan payload;
};

/// The next OBU; the last one may lack its size field. @error malformed.
Result<Obu> read_obu(ByteReader& reader);

}  // namespace ribalta::media
