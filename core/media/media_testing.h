// What the tests of core/media share: codec configurations that real encoders made, a shell, scratch folders.
#pragma once

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/media/track.h"

namespace ribalta::media::testing {

inline Bytes hex(std::string_view text) {
  auto bytes = from_hex(text);
  return bytes ? std::move(*bytes) : Bytes{};
}

/// x264 r3095, High, 322x182 at 30 fps, samples 4:3.
inline const std::string_view kAvcc =
    "0164000dffe1001e6764000dacd94151 9e226c39a808080a0000030002000003 0078 1e28532c 01000468ef8fcb fdf8f800";
/// x265 3.5, Main 10, 322x182, without its SEI.
inline const std::string_view kHvcc =
    "01022000000090000000 00003cf000fc fdfafa00000f03 a0000100184001 0c01ffff02200000 0300900000030000 03003c959409"
    "a10001002b4201010220 0000030090000003 000003003ca00a88 0c1c44cd965654a4 c2f0168080000003 00800000 0f04"
    "a2000100064401c073c189";
/// SVT-AV1 1.4.1, Main, 322x182.
inline const std::string_view kAv1c = "81000c00 0a0b0000 00043d06 d402f800 40";
/// libvpx 1.12 by way of FFmpeg: profile 0, level 1.1, 8 bits.
inline const std::string_view kVpcc = "000b820202020000";
/// FFmpeg's AAC-LC at 48 kHz, stereo, with its "no SBR" extension.
inline const std::string_view kAsc = "119056e500";
inline const std::string_view kDops = "00020138 0000bb80 0000 00";

inline TrackConfig video_config() {
  TrackConfig config;
  config.codec = CodecId::h264;
  config.codec_config = hex(kAvcc);
  config.timescale = 90'000;
  config.width = 322;
  config.height = 182;
  return config;
}

inline TrackConfig audio_config() {
  TrackConfig config;
  config.kind = TrackKind::audio;
  config.codec = CodecId::aac;
  config.codec_config = hex(kAsc);
  config.timescale = 48'000;
  config.sample_rate = 48'000;
  config.channels = 2;
  return config;
}

/// A folder that goes away with the test.
class Scratch {
 public:
  Scratch() {
    std::random_device random;
    path_ = std::filesystem::temp_directory_path() /
            ("ribalta-media-" + std::to_string(random()) + std::to_string(random()));
    std::filesystem::create_directories(path_);
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  [[nodiscard]] std::string file(std::string_view name) const { return (path_ / name).string(); }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// What a shell command wrote to its standard output; nothing when it failed.
inline std::string output_of(const std::string& command) {
  std::string out;
  std::FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return out;
  std::array<char, 4096> piece{};
  for (std::size_t n = 0; (n = std::fread(piece.data(), 1, piece.size(), pipe)) > 0;) out.append(piece.data(), n);
  return pclose(pipe) == 0 ? out : std::string{};
}

inline bool have_ffmpeg() {
  static const bool found =
      !output_of("ffmpeg -version 2>/dev/null").empty() && !output_of("ffprobe -version 2>/dev/null").empty();
  return found;
}

inline Bytes read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> chars{std::istreambuf_iterator<char>(file), {}};
  const ByteSpan bytes = as_bytes({chars.data(), chars.size()});
  return {bytes.begin(), bytes.end()};
}

inline void write_file(const std::string& path, ByteSpan bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

}  // namespace ribalta::media::testing
