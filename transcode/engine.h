// What encodes a rung. The CPU engine (x264 through its own API) is always there; others would stand behind the same
// interface. An engine is held to the plan: the stream it makes has exactly the size and codec string of its rung, key
// frames exactly where they are asked for, and its bits stay under the rung's cap.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "core/bytes.h"
#include "core/media/ladder.h"
#include "core/result.h"

struct AVFrame;

namespace ribalta::transcode {

/// One coded picture, in decode order. NAL units with lengths of 4 bytes before them; valid until the callback returns.
struct EncodedFrame {
  std::int64_t pts = 0;  ///< as it was given
  bool key = false;      ///< IDR: nothing after it refers to anything before it
  ByteSpan data;
};
/// What is asked of a picture's coding.
enum class PictureKind : std::uint8_t {
  any,
  in_order,  ///< decoded when it is shown, not later: no B-frame
  key,       ///< IDR
};
using OnEncoded = std::function<Result<void>(const EncodedFrame& frame)>;

struct RungSettings {
  media::LadderVideo rung;
  bool live = false;    ///< each picture comes out before the next goes in
  std::string preset;   ///< x264's names; empty: veryfast
  double crf = 0;       ///< constant quality under the rung's cap; 0: the rung's mean bitrate is aimed for
  bool reorder = true;  ///< B-frames may be used; each is decoded at most one picture before it is shown
  int threads = 1;
};

class RungEncoder {
 public:
  virtual ~RungEncoder() = default;
  /// avcC payload (ISO/IEC 14496-15 §5.3.3.1).
  [[nodiscard]] virtual const Bytes& codec_config() const = 0;
  /// Takes a picture of the rung's size, 4:2:0 with 8 bits. Times rise strictly, in 90 kHz ticks.
  virtual Result<void> encode(const AVFrame& picture, std::int64_t pts, PictureKind kind,
                              const OnEncoded& on_encoded) = 0;
  /// Gives out what is still inside.
  virtual Result<void> finish(const OnEncoded& on_encoded) = 0;
};

class Engine {
 public:
  virtual ~Engine() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;
  /// @error malformed: a codec string that the engine cannot make; unsupported; limit: no memory.
  virtual Result<std::unique_ptr<RungEncoder>> open(const RungSettings& settings) = 0;
};

std::unique_ptr<Engine> make_cpu_engine();

}  // namespace ribalta::transcode
