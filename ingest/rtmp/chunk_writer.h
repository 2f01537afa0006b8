// Messages to chunks (RTMP 1.0 §5.3): each message begins with a type 0 header, whose size does not matter in what a
// server answers, and is carried on with type 3.
#pragma once

#include <cstdint>

#include "core/bytes.h"
#include "ingest/rtmp/chunk_reader.h"

namespace ribalta::rtmp {

/// Chunk streams that we send on: 2 is for protocol control (§5.4), the others are as Adobe's server has them.
inline constexpr std::uint32_t kControlChunkStream = 2;
inline constexpr std::uint32_t kCommandChunkStream = 3;
inline constexpr std::uint32_t kStatusChunkStream = 5;

class ChunkWriter {
 public:
  /// Appends `message` to `out` as chunks of chunk stream `chunk_stream` (2..65599). Times over 24 bits are extended
  /// and repeated in each chunk. The payload is under 2^24 bytes.
  void write(const Message& message, std::uint32_t chunk_stream, Bytes& out) const;
  /// Takes effect with the next chunk: call it after writing the Set Chunk Size message.
  void set_chunk_bytes(std::uint32_t size);

 private:
  std::uint32_t chunk_bytes_ = kChunkBytesDefault;
};

}  // namespace ribalta::rtmp
