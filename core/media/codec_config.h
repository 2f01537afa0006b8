// Codec configurations: what decoders need before the first frame, as boxes and protocols carry it; what the bitstream
// itself says about size, shape, rate and profile; and the codec strings that playlists show (RFC 6381).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "core/media/track.h"
#include "core/result.h"

namespace ribalta::media {

/// Parameter sets of one kind in a configuration (SPS count is 5 bits in avcC; HEVC streams carry one or two).
inline constexpr std::size_t kParameterSetsMax = 32;
/// Samples in one AAC packet of the common kind.
inline constexpr std::uint32_t kAacFrameSamples = 1024;

/// avcC, ISO/IEC 14496-15:2019 §5.3.3.1.2. profile, compatibility and level are bytes 1..3 of the first SPS.
struct AvcConfig {
  std::uint8_t profile = 0;
  std::uint8_t compatibility = 0;
  std::uint8_t level = 0;
  std::uint8_t nal_length_bytes = 4;  ///< 1, 2 or 4
  std::vector<Bytes> sps;             ///< NAL units with their header byte
  std::vector<Bytes> pps;
  Bytes extension;  ///< what follows for High profiles (chroma format, depths, SPS extensions), as it came
};
/// @error malformed: truncated, version not 1, no SPS, a length size of 3; limit: kParameterSetsMax,
/// kCodecConfigBytesMax.
Result<AvcConfig> parse_avcc(ByteSpan payload);
/// The extension is made from the first SPS where a High profile needs it and `extension` is empty.
Result<Bytes> write_avcc(const AvcConfig& config);
/// From parameter sets in Annex B or one by one: the configuration with length fields of 4 bytes.
Result<AvcConfig> make_avc_config(std::vector<Bytes> sps, std::vector<Bytes> pps);

/// hvcC, ISO/IEC 14496-15:2019 §8.3.3.1.2.
struct HevcConfig {
  std::uint8_t profile_space = 0;
  bool high_tier = false;
  std::uint8_t profile = 0;
  std::uint32_t compatibility = 0;
  std::uint64_t constraints = 0;  ///< 48 bits
  std::uint8_t level = 0;         ///< 30 times the level's number
  std::uint8_t chroma_format = 1;
  std::uint8_t luma_bits = 8;
  std::uint8_t chroma_bits = 8;
  std::uint8_t nal_length_bytes = 4;
  struct Array {
    bool complete = true;
    std::uint8_t type = 0;  ///< NAL unit type: 32 VPS, 33 SPS, 34 PPS, 39 SEI
    std::vector<Bytes> units;
  };
  std::vector<Array> arrays;
};
/// @error malformed: truncated, version not 1; limit: kParameterSetsMax in all arrays together.
Result<HevcConfig> parse_hvcc(ByteSpan payload);
Result<Bytes> write_hvcc(const HevcConfig& config);
/// From parameter sets with their two header bytes; profile, level and depths from the first SPS.
Result<HevcConfig> make_hevc_config(std::vector<Bytes> vps, std::vector<Bytes> sps, std::vector<Bytes> pps);

/// av1C, AV1 in ISOBMFF §2.3.
struct Av1Config {
  std::uint8_t profile = 0;
  std::uint8_t level = 0;  ///< seq_level_idx_0
  bool high_tier = false;
  std::uint8_t bits = 8;  ///< 8, 10 or 12
  bool monochrome = false;
  bool subsampling_x = true;
  bool subsampling_y = true;
  std::uint8_t sample_position = 0;
  Bytes obus;  ///< the sequence header OBU, perhaps metadata
};
Result<Av1Config> parse_av1c(ByteSpan payload);
Result<Bytes> write_av1c(const Av1Config& config);
/// From OBUs with size fields that hold a sequence header (which alone is kept).
Result<Av1Config> make_av1_config(ByteSpan obus);

/// vpcC (VP codec ISO media file format binding), after version and flags.
struct VpConfig {
  std::uint8_t profile = 0;
  std::uint8_t level = 0;  ///< ten times the level's number
  std::uint8_t bits = 8;
  std::uint8_t chroma_subsampling = 1;  ///< 0 and 1: 4:2:0, 2: 4:2:2, 3: 4:4:4
  Colour colour;
};
Result<VpConfig> parse_vpcc(ByteSpan payload);
Result<Bytes> write_vpcc(const VpConfig& config);
/// From a key frame; the level from size and rate (VP9 levels, webmproject.org/vp9/levels).
Result<VpConfig> make_vp_config(ByteSpan key_frame, double fps);

/// AudioSpecificConfig, ISO/IEC 14496-3:2019 §1.6.2.1.
struct AacConfig {
  std::uint8_t object_type = 2;  ///< of the core: 2 is AAC-LC
  std::uint32_t core_sample_rate = 0;
  std::uint32_t core_channels = 0;  ///< 0: described inside (program config element)
  bool sbr = false;                 ///< HE-AAC, signalled explicitly (hierarchical or backward compatible)
  bool ps = false;                  ///< HE-AAC v2
  std::uint32_t sample_rate = 0;    ///< as it sounds
  std::uint32_t channels = 0;       ///< as it sounds
  std::uint32_t frame_samples = kAacFrameSamples;  ///< of the core, in each packet: 1024 or 960
  /// A core of at most 24 kHz without any word on SBR may carry it implicitly: only decoding shows.
  bool sbr_possible = false;
};
/// @error malformed: truncated, reserved rate or channel configuration; unsupported: object types that are not AAC.
Result<AacConfig> parse_aac_config(ByteSpan config);
/// AAC-LC without SBR. @error unsupported: other object types, or a channel count without a channel configuration.
Result<Bytes> write_aac_config(const AacConfig& config);

/// dOps, "Encapsulation of Opus in ISO BMFF" §4.3.2 (big endian, unlike OpusHead).
struct OpusConfig {
  std::uint8_t channels = 2;
  std::uint16_t pre_skip = 312;  ///< in samples at 48 kHz
  std::uint32_t input_sample_rate = 48'000;
  std::int16_t output_gain = 0;
  std::uint8_t mapping_family = 0;
  Bytes mapping;  ///< for families other than 0: stream count, coupled count, one byte a channel
};
Result<OpusConfig> parse_dops(ByteSpan payload);
Result<Bytes> write_dops(const OpusConfig& config);
/// From Ogg's and Matroska's OpusHead (RFC 7845 §5.1).
Result<OpusConfig> parse_opus_head(ByteSpan head);

/// The configuration of a whole track from a codec configuration alone: kind, size, shape, colour, rate, channels as
/// the bitstream has them; timescale 90 000 for video, sample rate for audio. VP9's has no size: 0 × 0 is left for the
/// caller (parse_vp9_key_frame in bitstream.h).
Result<TrackConfig> track_from_codec_config(CodecId codec, ByteSpan codec_config);

/// RFC 6381 and each codec's binding: `avc1.64001f`, `hvc1.1.6.L93.B0`, `av01.0.04M.08`, `vp09.00.31.08`, `mp4a.40.2`,
/// `opus`. From the codec configuration, not from hopes. @error what its parser says.
Result<std::string> codec_string(const TrackConfig& config);

}  // namespace ribalta::media
