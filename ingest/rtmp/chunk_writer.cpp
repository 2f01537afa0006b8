#include "ingest/rtmp/chunk_writer.h"

#include <algorithm>
#include <cassert>

namespace ribalta::rtmp {
namespace {

void write_basic(std::uint8_t format, std::uint32_t id, ByteWriter& out) {
  assert(id >= 2 && id <= 65'599);
  if (id < 64) {
    out.u8(static_cast<std::uint8_t>(format << 6 | id));
  } else if (id < 320) {
    out.u8(static_cast<std::uint8_t>(format << 6));
    out.u8(static_cast<std::uint8_t>(id - 64));
  } else {
    out.u8(static_cast<std::uint8_t>(format << 6 | 1));
    out.u8(static_cast<std::uint8_t>((id - 64) & 0xFF));
    out.u8(static_cast<std::uint8_t>((id - 64) >> 8));
  }
}

}  // namespace

void ChunkWriter::set_chunk_bytes(std::uint32_t size) {
  assert(size >= 1 && size <= kChunkBytesMax);
  chunk_bytes_ = size;
}

void ChunkWriter::write(const Message& message, std::uint32_t chunk_stream, Bytes& out) const {
  assert(message.payload.size() <= 0xFFFFFF);
  const auto time = static_cast<std::uint32_t>(message.time_ms);
  const bool extended = time >= 0xFFFFFF;
  ByteWriter chunks;
  write_basic(0, chunk_stream, chunks);
  chunks.be24(extended ? 0xFFFFFF : time);
  chunks.be24(static_cast<std::uint32_t>(message.payload.size()));
  chunks.u8(static_cast<std::uint8_t>(message.type));
  for (int i = 0; i < 4; ++i) chunks.u8(static_cast<std::uint8_t>(message.stream >> (8 * i)));
  if (extended) chunks.be32(time);

  ByteSpan left = message.payload;
  while (true) {
    const std::size_t count = std::min<std::size_t>(left.size(), chunk_bytes_);
    chunks.bytes(left.first(count));
    left = left.subspan(count);
    if (left.empty()) break;
    write_basic(3, chunk_stream, chunks);
    if (extended) chunks.be32(time);
  }
  const ByteSpan written = chunks.view();
  out.insert(out.end(), written.begin(), written.end());
}

}  // namespace ribalta::rtmp
