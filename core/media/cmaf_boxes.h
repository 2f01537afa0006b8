// The boxes beside samples that reader and writer share: producer reference times and segment indexes.
#pragma once

#include <cstdint>
#include <vector>

#include "core/units.h"

namespace ribalta::media {

/// Samples in one chunk: 4 s of 240 frames a second, or 20 s of AAC at 48 kHz.
inline constexpr std::size_t kChunkSamplesMax = 1024;
/// Bytes of media in one chunk: 4 s at 100 Mb/s. Also what a reader accepts for `mdat`.
inline constexpr std::size_t kChunkBytesMax = 50 * 1024 * 1024;

/// Producer reference time (`prft`, ISO/IEC 14496-12:2015 §8.16.5): the wall clock when a decode time was reached.
struct ProducerReferenceTime {
  std::uint32_t track_id = 1;
  std::uint64_t ntp = 0;         ///< 32.32 fixed point seconds since 1900 (RFC 5905 §6)
  std::uint64_t media_time = 0;  ///< decode time of the next chunk's first sample, in its track's ticks
  std::uint32_t flags = 24;      ///< 24: wall clock at capture (amendment 2020); 0: at the encoder's input
  bool operator==(const ProducerReferenceTime&) const = default;
};
std::uint64_t to_ntp(WallTime time);
/// Rounded to the nearest millisecond. The 32 bits of seconds that NTP has are taken to lie in 1970 … 2106.
WallTime from_ntp(std::uint64_t ntp);

/// One segment of a track file, as its `sidx` has it (ISO/IEC 14496-12:2015 §8.16.3).
struct SegmentReference {
  std::uint32_t bytes = 0;     ///< under 2^31
  std::uint32_t duration = 0;  ///< in the index's timescale
  bool starts_with_sap = true;
  std::uint8_t sap_type = 1;  ///< 1: closed GOP, starts with an IDR frame (also all audio); 0 when unknown
  bool operator==(const SegmentReference&) const = default;
};

struct SegmentIndex {
  std::uint32_t track_id = 1;
  std::uint32_t timescale = 0;
  std::uint64_t earliest_presentation_time = 0;
  std::uint64_t first_offset = 0;  ///< bytes between the end of the index and the first segment
  std::vector<SegmentReference> references;
  bool operator==(const SegmentIndex&) const = default;
};
/// `sidx` counts references with 16 bits: 36 hours of 2 s segments.
inline constexpr std::size_t kSegmentReferencesMax = 0xFFFF;

}  // namespace ribalta::media
