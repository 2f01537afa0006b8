// Inside the frames: NAL units in both spellings, sequence parameter sets, where decoding can start.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/bytes.h"
#include "core/media/track.h"
#include "core/result.h"

namespace ribalta::media {

/// NAL units in one frame: a 1080p frame has at most some tens; beyond this somebody sends something else.
inline constexpr std::size_t kFrameNalUnitsMax = 1024;

/// The NAL units of a frame with lengths of `length_bytes` (1, 2 or 4) before them. Empty units are passed over.
/// @error malformed: a length past the end; limit: kFrameNalUnitsMax.
Result<std::vector<ByteSpan>> split_nal_units(ByteSpan frame, std::uint8_t length_bytes);
/// The same from Annex B (start codes 00 00 01 or 00 00 00 01; H.264 Annex B). @error malformed: no start code first.
Result<std::vector<ByteSpan>> split_annex_b(ByteSpan frame);
/// True when the bytes begin with a start code. A 4-byte length of 1 looks the same: no coded frame is that short.
bool looks_like_annex_b(ByteSpan frame);
/// NAL units with lengths of 4 bytes.
Bytes join_nal_units(const std::vector<ByteSpan>& units);
/// Annex B to lengths of 4 bytes.
Result<Bytes> annex_b_to_lengths(ByteSpan frame);
/// Any length size to Annex B, for decoders and muxers that want it.
Result<Bytes> lengths_to_annex_b(ByteSpan frame, std::uint8_t length_bytes);

/// Whether decoding can start at a frame.
enum class RandomAccess : std::uint8_t {
  none,
  open,    ///< decodable from here, but frames shown before it need earlier ones (recovery point SEI, CRA): no rung may
           ///< cut here
  closed,  ///< IDR (H.264), IDR or BLA (HEVC), key frame (AV1, VP9)
};
/// @param nal_length_bytes  H.264 and HEVC; otherwise unused. Broken frames give `none`.
RandomAccess random_access(CodecId codec, ByteSpan frame, std::uint8_t nal_length_bytes = 4);

/// What a sequence header says about the pictures.
struct PictureFormat {
  std::uint8_t profile = 0;
  std::uint8_t level = 0;
  std::uint32_t width = 0;  ///< visible, after cropping
  std::uint32_t height = 0;
  std::uint32_t sar_num = 1;
  std::uint32_t sar_den = 1;
  std::uint8_t chroma_format = 1;  ///< 0 grey, 1 4:2:0, 2 4:2:2, 3 4:4:4
  std::uint8_t luma_bits = 8;
  std::uint8_t chroma_bits = 8;
  std::optional<Colour> colour;
  /// Frames a second as num/den where the header tells (H.264 VUI timing); encoders lie: measure where it matters.
  std::uint32_t fps_num = 0;
  std::uint32_t fps_den = 0;
  /// Most frames that may be shown later than decoded (VUI max_num_reorder_frames), where told.
  std::optional<std::uint32_t> reorder_frames;
  bool interlaced = false;           ///< H.264 frame_mbs_only_flag 0: fields may occur
  bool high_tier = false;            ///< HEVC, AV1
  std::uint8_t sample_position = 0;  ///< AV1 chroma_sample_position
};

/// H.264 SPS (ITU-T H.264 §7.3.2.1.1), with its NAL header byte. @error malformed; limit: kPictureSideMax;
Result<PictureFormat> parse_h264_sps(ByteSpan nal_unit);
/// HEVC SPS (ITU-T H.265 §7.3.2.2), with its two header bytes.
Result<PictureFormat> parse_hevc_sps(ByteSpan nal_unit);
/// The first sequence header in OBUs with size fields (AV1 §5.5). `level` is seq_level_idx_0; a frame may be smaller.
Result<PictureFormat> parse_av1_sequence(ByteSpan obus);
/// OBUs before which a search for a sequence header gives up.
inline constexpr std::size_t kObusSearchedMax = 64;
/// The whole sequence header OBU, as parse_av1_sequence finds it.
Result<ByteSpan> find_av1_sequence(ByteSpan obus);
/// The uncompressed header of a VP9 key frame (VP9 §6.2). @error unsupported: not a key frame.
Result<PictureFormat> parse_vp9_key_frame(ByteSpan frame);

}  // namespace ribalta::media
