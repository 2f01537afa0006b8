// What a track is, and the samples that it is made of: the words that CMAF reading and writing share. One track holds
// one elementary stream. Times are counted in the track's timescale from the stream's common zero; offsets between
// tracks live in decode times, never in edit lists (players read those differently).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/bytes.h"
#include "core/result.h"

namespace ribalta::media {

enum class TrackKind : std::uint8_t { video, audio };
enum class CodecId : std::uint8_t { h264, hevc, av1, vp9, aac, opus };

std::string_view to_string(CodecId codec);  ///< `h264`, `hevc`, `av1`, `vp9`, `aac`, `opus`
constexpr TrackKind kind_of(CodecId codec) {
  return codec == CodecId::aac || codec == CodecId::opus ? TrackKind::audio : TrackKind::video;
}

/// Colour as ISO/IEC 23091-2 counts it; 2 is "unspecified" in the first three.
struct Colour {
  std::uint16_t primaries = 2;
  std::uint16_t transfer = 2;
  std::uint16_t matrix = 2;
  bool full_range = false;
  bool operator==(const Colour&) const = default;
};

/// What samples have that say nothing themselves (`trex`). Writers here leave nothing unsaid; others do.
struct SampleDefaults {
  std::uint32_t duration = 0;
  std::uint32_t size = 0;
  std::uint32_t flags = 0;
  bool operator==(const SampleDefaults&) const = default;
};

/// Everything that an init segment says. Two equal configurations make the same init segment, byte for byte.
struct TrackConfig {
  TrackKind kind = TrackKind::video;
  CodecId codec = CodecId::h264;
  /// The payload (no box header; of vpcC without version and flags too) of avcC, hvcC, av1C, vpcC or dOps; for AAC the
  /// AudioSpecificConfig from esds.
  Bytes codec_config;
  std::uint32_t timescale = 0;  ///< ticks a second: 90 000 for video, the sample rate for audio (48 000 for Opus)

  std::uint32_t width = 0;  ///< of the visible picture (after cropping), in samples as coded: sar not applied
  std::uint32_t height = 0;
  std::uint32_t sar_num = 1;  ///< shape of one sample (`pasp`), 1:1 when unknown
  std::uint32_t sar_den = 1;
  std::optional<Colour> colour;  ///< `colr` of type nclx

  std::uint32_t sample_rate = 0;  ///< as it sounds: for HE-AAC the rate after SBR
  std::uint32_t channels = 0;     ///< as it sounds: for HE-AAC v2 after parametric stereo

  std::string language = "und";  ///< ISO 639-2/T, three letters a-z
  std::uint32_t track_id = 1;
  std::uint32_t bitrate = 0;      ///< mean, bits/s (`btrt`); 0 when unknown
  std::uint32_t bitrate_max = 0;  ///< over any second, bits/s; 0 when unknown
  SampleDefaults defaults;        ///< of chunks that others wrote

  bool operator==(const TrackConfig&) const = default;
};

/// Width and height beyond this are refused: no encoder here makes them, and their frames would not fit in memory
/// limits.
inline constexpr std::uint32_t kPictureSideMax = 16'384;
inline constexpr std::uint32_t kTimescaleMax = 1'000'000'000;
inline constexpr std::uint32_t kChannelsMax = 64;
inline constexpr std::uint32_t kSampleRateMax = 384'000;
/// An avcC with all parameter sets takes some hundred bytes; beyond this somebody sends something else.
inline constexpr std::size_t kCodecConfigBytesMax = 64 * 1024;

/// @error limit or malformed: a value outside the limits above, a codec of the other kind, a language of other letters.
Result<void> check(const TrackConfig& config);

/// One frame (video) or one packet (audio).
struct Sample {
  std::int64_t dts = 0;         ///< decode time in ticks, never negative
  std::uint32_t duration = 0;   ///< in ticks, over 0: the next sample's dts minus this one's
  std::int32_t cts_offset = 0;  ///< presentation minus decode time; negative is fine (`trun` version 1)
  bool sync = false;            ///< decoding can start here (a closed random access point); always true for audio
  ByteSpan data;                ///< H.264 and HEVC: NAL units with lengths before them, as codec_config says

  [[nodiscard]] std::int64_t pts() const { return dts + cts_offset; }
};

}  // namespace ribalta::media
