// Sound from decoded frames to AAC-LC stereo at 48 kHz, without gaps, from the file's zero; and how loud it is.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "core/bytes.h"
#include "core/result.h"
#include "core/units.h"
#include "transcode/media/av.h"
#include "transcode/media/input.h"

namespace ribalta::transcode {

inline constexpr int kAudioRate = 48'000;
inline constexpr int kAudioFrameSamples = 1024;

/// One AAC packet.
struct EncodedAudio {
  std::int64_t pts = 0;  ///< samples from zero, the first packet's negative; each packet lasts kAudioFrameSamples
  ByteSpan data;         ///< valid until the callback returns
};
using OnAudio = std::function<Result<void>(const EncodedAudio& packet)>;

/// A sound track while it is encoded. Silence stands where the source has none: before its first frame, and in gaps.
/// The first packet holds the encoder's priming alone and begins kAudioFrameSamples before zero.
class AudioEncoder {
 public:
  /// @param gain_db  applied to every sample; clipping is prevented by whoever measured it.
  static Result<AudioEncoder> open(std::int64_t bitrate, double gain_db);
  [[nodiscard]] ByteSpan codec_config() const;

  /// Takes a decoded frame whose first sample sounds at `time` (90 kHz from zero; AV_NOPTS_VALUE: after the last).
  /// A frame of another rate, format or layout than before is fine. One that no filter takes is passed over.
  Result<void> push(Frame frame, std::int64_t time, const OnAudio& on_audio);
  Result<void> finish(const OnAudio& on_audio);
  /// The next frame's time is not off by a source's small change, but another clock's: sound is cut, or silence put
  /// before it, so that it sounds exactly then.
  Result<void> restart(const OnAudio& on_audio);
  /// Before the first push: sound begins at this sample instead of at zero; what sounds earlier is left out.
  void begin_at(std::int64_t sample) { samples_in_ = sample; }

 private:
  explicit AudioEncoder(CodecContext encoder, double gain_db) : encoder_(std::move(encoder)), gain_db_(gain_db) {}
  Result<void> build(const AVFrame& frame);
  Result<void> drain(const OnAudio& on_audio);
  Result<void> encode(const AVFrame* frame, const OnAudio& on_audio);

  struct Format {
    int rate = 0;
    int sample = -1;
    int channels = 0;
    bool operator==(const Format&) const = default;
  };
  CodecContext encoder_;
  double gain_db_ = 0;
  Format format_;
  FilterGraph graph_;
  AVFilterContext* source_ = nullptr;
  AVFilterContext* sink_ = nullptr;
  std::int64_t samples_in_ = 0;  ///< at the encoder's door
  std::int64_t next_time_ = 0;   ///< in the source's samples, for frames without a time
};

/// What the whole track sounds like (EBU R 128).
struct Loudness {
  double integrated_lufs = -70;
  double peak_dbfs = -70;  ///< sample peak
};
inline constexpr double kLoudnessTargetLufs = -14;
inline constexpr double kPeakMaxDbfs = -1;
inline constexpr double kGainMaxDb = 12;
/// Gain towards the target, so far as peaks allow; 0 for silence.
double gain_for(const Loudness& loudness);
/// Decodes the audio stream from start to end. @error as decoding; a track that cannot be measured needs no gain.
Result<Loudness> measure_loudness(MediaInput& input, int audio_stream);

}  // namespace ribalta::transcode
