// Codec configurations and headers: the first byte picks the reader. What reads well is written and read again.
#include <cstdlib>

#include "core/media/bitstream.h"
#include "core/media/cmaf_reader.h"
#include "core/media/codec_config.h"

using namespace ribalta;
using namespace ribalta::media;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void read_config(CodecId codec, ByteSpan bytes) {
  const auto config = track_from_codec_config(codec, bytes);
  if (!config) return;
  require(codec_string(*config).has_value());
}

void read_frame(ByteSpan bytes) {
  for (const std::uint8_t length : {1, 2, 4}) {
    const auto units = split_nal_units(bytes, length);
    if (!units) continue;
    const auto again = lengths_to_annex_b(bytes, length);
    require(again.has_value());
    for (const CodecId codec : {CodecId::h264, CodecId::hevc}) random_access(codec, bytes, length);
  }
  random_access(CodecId::av1, bytes);
  random_access(CodecId::vp9, bytes);
  if (const auto units = split_annex_b(bytes)) require(split_nal_units(join_nal_units(*units), 4).has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ByteSpan bytes{reinterpret_cast<const std::byte*>(data) + 1, size - 1};
  switch (data[0] % 12) {
    case 0:
      read_config(CodecId::h264, bytes);
      break;
    case 1:
      read_config(CodecId::hevc, bytes);
      break;
    case 2:
      read_config(CodecId::av1, bytes);
      break;
    case 3:
      read_config(CodecId::vp9, bytes);
      break;
    case 4:
      read_config(CodecId::aac, bytes);
      break;
    case 5:
      read_config(CodecId::opus, bytes);
      break;
    case 6:
      static_cast<void>(parse_h264_sps(bytes));
      break;
    case 7:
      static_cast<void>(parse_hevc_sps(bytes));
      break;
    case 8:
      read_frame(bytes);
      break;
    case 9:
      static_cast<void>(parse_opus_head(bytes));
      break;
    case 10:
      static_cast<void>(parse_sidx(bytes));
      break;
    default: {
      if (const auto avc = parse_avcc(bytes)) require(write_avcc(*avc).has_value() || avc->extension.empty());
      if (const auto hevc = parse_hvcc(bytes)) require(write_hvcc(*hevc).has_value());
      if (const auto opus = parse_dops(bytes)) require(write_dops(*opus).has_value());
    }
  }
  return 0;
}
