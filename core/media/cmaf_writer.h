// Writes CMAF (ISO/IEC 23000-19): init segments, chunks, segment indexes. Bytes in, bytes out; the caller decides where
// segments begin. A track file for VOD is write_init + write_sidx + its segments, each one or more chunks.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "core/bytes.h"
#include "core/media/cmaf_boxes.h"
#include "core/media/track.h"
#include "core/result.h"

namespace ribalta::media {

/// `ftyp` (cmfc, iso6) and `moov` with one track, empty sample tables and `mvex`; no edit list; `colr` and
/// `btrt` where known. The same configuration gives the same bytes (no creation times).
/// @error what check(config) says.
Result<Bytes> write_init(const TrackConfig& config);

struct ChunkExtras {
  std::optional<ProducerReferenceTime> prft;  ///< written before the chunk
  std::span<const ByteSpan> emsg;             ///< whole `emsg` boxes, written before the chunk
};

/// One CMAF chunk: [prft] [emsg…] moof (mfhd, one traf: tfhd default-base-is-moof, tfdt version 1, one trun) mdat.
/// `trun` has version 1 exactly when some composition offset is negative (readers take version 0 as unsigned).
/// @param sequence  of the moof, counting from 1 in each track; players do not depend on it.
/// @param samples  in decode order; each begins where the one before it ends.
/// @error malformed: no samples, a negative dts, a gap or overlap inside the chunk, a sample without bytes or duration;
///        limit: kChunkSamplesMax, kChunkBytesMax.
Result<Bytes> write_chunk(const TrackConfig& config, std::uint32_t sequence, std::span<const Sample> samples,
                          const ChunkExtras& extras = {});

/// The `sidx` box. @error limit: kSegmentReferencesMax, or a reference of 2^31 bytes or more.
Result<Bytes> write_sidx(const SegmentIndex& index);
/// Bytes that write_sidx makes for `references` entries.
constexpr std::size_t sidx_bytes(std::size_t references) { return 40 + 12 * references; }

Bytes write_prft(const ProducerReferenceTime& time);

}  // namespace ribalta::media
