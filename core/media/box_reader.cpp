#include "core/media/box_reader.h"

#include <array>
#include <cstdio>

namespace ribalta::media {
namespace {

struct Header {
  std::uint32_t type = 0;
  std::uint64_t size = 0;  ///< of the whole box
  std::size_t header_bytes = 0;
};

/// The header at the start of `bytes`, or nothing while it has not all come.
Result<std::optional<Header>> read_header(ByteSpan bytes) {
  if (bytes.size() < 8) return std::nullopt;
  Header header{.type = read_be32(bytes.subspan(4)), .size = read_be32(bytes), .header_bytes = 8};
  if (header.size == 0) return fail(Code::unsupported, "box of unknown size:", box_name(header.type));
  if (header.size == 1) {
    if (bytes.size() < 16) return std::nullopt;
    header.size = read_be64(bytes.subspan(8));
    header.header_bytes = 16;
  }
  if (header.size < header.header_bytes) {
    return fail(Code::malformed, "box smaller than its header:", box_name(header.type));
  }
  return header;
}

}  // namespace

std::string box_name(std::uint32_t type) {
  std::string name;
  for (int shift = 24; shift >= 0; shift -= 8) {
    const std::uint32_t c = (type >> shift) & 0xFF;
    if (c > 0x20 && c < 0x7F) {
      name.push_back(static_cast<char>(c));
      continue;
    }
    std::array<char, 8> hex{};
    std::snprintf(hex.data(), hex.size(), "\\x%02X", c);
    name += hex.data();
  }
  return name;
}

Result<Box> read_box(ByteReader& reader) {
  const ByteSpan rest = reader.rest();
  const auto header = read_header(rest);
  if (!header) return pass(header);
  if (!*header) return fail(Code::malformed, "truncated box header at byte", reader.position());
  const Header& found = **header;
  if (found.size > rest.size()) {
    return fail(Code::malformed, "box " + box_name(found.type) + " runs past its end: bytes", found.size);
  }
  const auto size = static_cast<std::size_t>(found.size);
  const auto skipped = reader.skip(size);
  if (!skipped) return pass(skipped);
  return Box{.type = found.type,
             .whole = rest.first(size),
             .payload = rest.subspan(found.header_bytes, size - found.header_bytes)};
}

std::uint64_t BoxLimits::of(std::uint32_t type) const {
  switch (type) {
    case box_type("ftyp"):
    case box_type("moov"):
      return init_bytes_max;
    case box_type("moof"):
      return moof_bytes_max;
    case box_type("mdat"):
      return mdat_bytes_max;
    case box_type("sidx"):
      return sidx_bytes_max;
    default:
      return other_bytes_max;
  }
}

void BoxReader::feed(ByteSpan bytes) {
  if (error_) return;
  // What was handed out goes first, so that the buffer holds one unfinished box and this piece at most.
  if (position_ > 0) {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(position_));
    position_ = 0;
  }
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

Result<std::optional<Bytes>> BoxReader::next() {
  if (error_) return std::unexpected<Error>{*error_};
  const ByteSpan held = ByteSpan{buffer_}.subspan(position_);
  const auto header = read_header(held);
  if (!header) {
    error_ = header.error();
    return pass(header);
  }
  if (!*header) return std::nullopt;
  const Header& found = **header;
  if (found.size > limits_.of(found.type)) {
    const auto over = fail(Code::limit, "box " + box_name(found.type) + ": bytes", found.size);
    error_ = over.error();
    return over;
  }
  const auto size = static_cast<std::size_t>(found.size);
  if (held.size() < size) return std::nullopt;
  Bytes box{held.begin(), held.begin() + static_cast<std::ptrdiff_t>(size)};
  position_ += size;
  return box;
}

}  // namespace ribalta::media
