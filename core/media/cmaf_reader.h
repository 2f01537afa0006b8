// Reads CMAF: init segments, chunks, segment indexes; whole (parse_…) or as a byte stream in any cut (CmafReader: what
// a PUT or a GET on the media bus carries). Strangers' bytes: every count and size has a limit.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "core/bytes.h"
#include "core/media/box_reader.h"
#include "core/media/cmaf_boxes.h"
#include "core/media/track.h"
#include "core/result.h"

namespace ribalta::media {

/// Boxes inside one container box: a moov of one track has under 20 in each.
inline constexpr std::size_t kBoxChildrenMax = 64;
/// `trun` boxes in one `traf`: writers here make one; FFmpeg some.
inline constexpr std::size_t kTrackRunsMax = 64;
/// `emsg` boxes before one chunk.
inline constexpr std::size_t kEventsMax = 16;
/// Decode times from outside stay under this many seconds of their clock, so that they can be rescaled without
/// overflow.
inline constexpr std::uint64_t kDecodeSecondsMax = std::uint64_t{1} << 32;

/// A chunk that lasts longer (a still picture may last) comes from a broken clock.
inline constexpr std::uint64_t kChunkSecondsMax = 3600;

/// Reads `ftyp` (may be absent) and `moov`. Unknown boxes are passed over. Also fills what the codec configuration
/// knows better than the boxes (sample rate and channels of HE-AAC).
/// @error malformed; limit; unsupported: not exactly one track, an encrypted or unknown sample entry, or an edit list
///        that moves or trims the track (offsets belong in decode times).
Result<TrackConfig> parse_init(ByteSpan init);

/// One chunk whose samples point into the bytes that were parsed.
struct Chunk {
  std::uint32_t sequence = 0;          ///< of its moof
  std::int64_t decode_time = 0;        ///< of its first sample (`tfdt`)
  std::uint64_t duration = 0;          ///< sum of its samples' durations
  std::int64_t presentation_time = 0;  ///< the earliest of its samples
  bool first_is_sync = false;          ///< decoding can start at its first sample: CMAF's "chunk begins with a SAP"
  std::vector<Sample> samples;
  std::optional<ProducerReferenceTime> prft;
  std::vector<ByteSpan> emsg;  ///< whole boxes, as they came

  [[nodiscard]] std::int64_t decode_end() const { return decode_time + static_cast<std::int64_t>(duration); }
};

/// Reads [prft] [emsg…] moof mdat; `styp`, `sidx` and unknown boxes before the moof are passed over.
/// A composition offset over 2^31 in a version 0 `trun` is read as the negative number that its writer meant (Shaka
/// Packager before 2.6 and others wrote such).
/// @error malformed; limit: kChunkSamplesMax, kTrackRunsMax, kEventsMax, kChunkSecondsMax, kDecodeSecondsMax;
///        unsupported: more than one `traf`, data outside this chunk's mdat.
Result<Chunk> parse_chunk(ByteSpan bytes, const TrackConfig& config);

/// Reads one `sidx` box. @error malformed; unsupported: references to other indexes.
Result<SegmentIndex> parse_sidx(ByteSpan box);

/// What a stream of CMAF consists of. `raw` are the item's bytes as they came (without what is passed over: styp, sidx,
/// free, unknown boxes); shared, since an origin keeps them while many readers send them.
struct InitItem {
  TrackConfig config;
  std::shared_ptr<const Bytes> raw;  ///< ftyp moov
};
struct ChunkItem {
  Chunk chunk;                       ///< its spans point into `raw`
  std::shared_ptr<const Bytes> raw;  ///< [prft] [emsg…] moof mdat
};
using CmafItem = std::variant<InitItem, ChunkItem>;

/// The byte stream of one track: init segment, chunks, perhaps another init segment, chunks, …
///   reader.feed(piece);
///   for (;;) { auto item = reader.next(); if (!item) …error…; if (!*item) break; …**item… }
class CmafReader {
 public:
  explicit CmafReader(BoxLimits limits = {}) : boxes_(limits) {}

  void feed(ByteSpan bytes) { boxes_.feed(bytes); }
  /// The next whole item, or nothing until more is fed. After an error every later call gives the same error.
  /// @error what parse_init and parse_chunk say; malformed: a chunk before any init segment, or a moof that no mdat
  ///        follows.
  Result<std::optional<CmafItem>> next();
  /// At the end of the bytes. @error malformed: they end inside an item.
  [[nodiscard]] Result<void> finish() const;
  /// The newest init segment's configuration.
  [[nodiscard]] const std::optional<TrackConfig>& config() const { return config_; }

 private:
  Result<std::optional<CmafItem>> take(Bytes box);
  BoxReader boxes_;
  Bytes item_;  ///< the boxes of the item that is being put together
  bool after_moof_ = false;
  bool after_ftyp_ = false;
  std::size_t events_ = 0;  ///< prft and emsg boxes in `item_`
  std::optional<TrackConfig> config_;
  std::optional<Error> error_;
};

}  // namespace ribalta::media
