// One elementary stream from packets to frames. Damage is counted and passed over; only what stops everything is an
// error.
#pragma once

#include <cstdint>
#include <functional>

#include "core/result.h"
#include "transcode/media/av.h"

namespace ribalta::transcode {

class Decoder {
 public:
  using OnFrame = std::function<Result<void>(Frame frame)>;

  /// @param pixels_max  a larger picture is refused by the decoder, also when the size changes in mid-stream.
  /// @param live  threads share a picture instead of taking one each: none waits for the next.
  /// @error unsupported: no decoder; limit: no memory.
  static Result<Decoder> open(const AVCodecParameters& parameters, AVRational time_base, int threads,
                              std::int64_t pixels_max, bool live = false);

  /// Decodes one packet, or what is left (nullptr). Frames have `pts` in the stream's time base, or AV_NOPTS_VALUE.
  /// @error what on_frame returned, or limit: memory.
  Result<void> decode(const AVPacket* packet, const OnFrame& on_frame);
  [[nodiscard]] std::uint64_t frames() const { return frames_; }
  /// Packets and frames that could not be decoded.
  [[nodiscard]] std::uint64_t errors() const { return errors_; }

 private:
  explicit Decoder(CodecContext context) : context_(std::move(context)) {}
  Result<bool> receive(const OnFrame& on_frame);

  CodecContext context_;
  std::uint64_t frames_ = 0;
  std::uint64_t errors_ = 0;
};

}  // namespace ribalta::transcode
