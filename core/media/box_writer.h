// Boxes inside boxes, written in order; sizes are patched in when a box ends. For core/media's own files.
#pragma once

#include <cstdint>

#include "core/bytes.h"
#include "core/media/box_reader.h"

namespace ribalta::media {

/// `box(out, "trak", [&] { … });` – the body writes the payload.
template <class Body>
void box(ByteWriter& out, const char (&name)[5], Body body) {
  const std::size_t start = out.size();
  out.be32(0);
  out.be32(box_type(name));
  body();
  out.patch_be32(start, static_cast<std::uint32_t>(out.size() - start));
}

/// A box that begins with version and flags (ISO/IEC 14496-12:2015 §4.2, FullBox).
template <class Body>
void full_box(ByteWriter& out, const char (&name)[5], std::uint8_t version, std::uint32_t flags, Body body) {
  box(out, name, [&] {
    out.u8(version);
    out.be24(flags);
    body();
  });
}

}  // namespace ribalta::media
