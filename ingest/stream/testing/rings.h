// What a source wrote, read back with the reader of core/media.
#pragma once

#include <cstdlib>
#include <vector>

#include "core/media/cmaf_reader.h"
#include "ingest/stream/source.h"

namespace ribalta::ingest::testing {

struct RingRead {
  std::vector<media::Chunk> chunks;
  std::vector<bool> begins;   ///< for each chunk: an init segment goes before it
  media::TrackConfig config;  ///< the newest
};

/// Aborts where a chunk cannot be read, is not what the ring says of it, or begins before the one before it ended.
inline RingRead read_ring(Ring& ring) {
  const auto must = [](bool holds) {
    if (!holds) std::abort();
  };
  RingRead read;
  std::int64_t end = 0;
  const Bytes* init = nullptr;
  for (std::uint64_t i = ring.first(); i < ring.end(); ++i) {
    const RingChunk& chunk = ring.at(i);
    Result<media::TrackConfig> config = media::parse_init(*chunk.init);
    must(config.has_value());
    Result<media::Chunk> parsed = media::parse_chunk(*chunk.bytes, *config);
    must(parsed.has_value());
    must(parsed->decode_time == chunk.decode_time && parsed->decode_end() == chunk.decode_end);
    must(chunk.decode_time >= end);
    end = chunk.decode_end;
    read.begins.push_back(chunk.init.get() != init);
    init = chunk.init.get();
    read.chunks.push_back(std::move(*parsed));
    read.config = std::move(*config);
  }
  return read;
}

inline void check_rings(Source& source) {
  read_ring(*source.ring(TrackSide::video));
  if (Ring* audio = source.ring(TrackSide::audio); audio != nullptr) read_ring(*audio);
}

}  // namespace ribalta::ingest::testing
