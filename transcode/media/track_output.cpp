#include "transcode/media/track_output.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

#include "core/media/cmaf_writer.h"
#include "transcode/media/audio.h"
#include "transcode/media/cmaf_config.h"

namespace ribalta::transcode {
namespace {

/// Writes the gathered samples as one chunk and forgets them.
Result<void> write_segment(MediaSink& sink, std::size_t track, const media::TrackConfig& config,
                           std::uint32_t& sequence, std::vector<media::Sample>& samples, std::vector<Bytes>& data) {
  if (samples.empty()) return {};
  for (std::size_t i = 0; i < samples.size(); ++i) samples[i].data = data[i];
  Result<Bytes> chunk = media::write_chunk(config, ++sequence, samples);
  samples.clear();
  data.clear();
  if (!chunk) return chunk.error().in("write segment");
  return sink.chunk(track, std::move(*chunk));
}

}  // namespace

std::int64_t shown_later(double fps) {
  constexpr double kRoom = 1.1;
  constexpr std::int64_t kPrimingTicks = 1'920;
  const double picture = fps >= kReorderFpsMin ? kRoom * kVideoTimescale / fps : 0;
  const std::int64_t ticks = std::max(kPrimingTicks, static_cast<std::int64_t>(std::ceil(picture)));
  return (ticks + 14) / 15 * 15;
}

Result<void> VideoTrackOutput::open(Engine& engine, const RungSettings& settings) {
  Result<std::unique_ptr<RungEncoder>> encoder = engine.open(settings);
  if (!encoder) return pass(encoder);
  encoder_ = std::move(*encoder);
  config_ = rung_config(encoder_->codec_config(), settings.rung);
  Result<Bytes> init = media::write_init(config_);
  if (!init) return init.error().in("init segment", settings.rung.track);
  return sink_.init(track_, std::move(*init));
}

Result<void> VideoTrackOutput::push(const AVFrame& picture, const Showing& showing) {
  assert(slots_.empty() || showing.time > slots_.back().time);
  slots_.push_back({showing.time, showing.duration});
  const OnEncoded on_encoded = [this](const EncodedFrame& frame) { return take(frame); };
  // Shown after a longer picture, a B-frame would be decoded too late.
  const PictureKind kind = showing.key                 ? PictureKind::key
                           : showing.duration > later_ ? PictureKind::in_order
                                                       : PictureKind::any;
  return encoder_->encode(picture, showing.time, kind, on_encoded);
}

Result<void> VideoTrackOutput::take(const EncodedFrame& frame) {
  if (slots_.empty()) return fail(Code::internal, "encoder gave more frames than it got");
  if (frame.key || samples_.size() == media::kChunkSamplesMax) {
    if (const Result<void> flushed = flush_segment(); !flushed) return flushed;
  }
  const Slot slot = slots_.front();
  if (frame.pts + later_ < slot.time)
    return fail(Code::internal, "a frame is decoded after it is shown, at", slot.time);
  slots_.pop_front();
  samples_.push_back({.dts = slot.time,
                      .duration = slot.duration,
                      .cts_offset = static_cast<std::int32_t>(frame.pts + later_ - slot.time),
                      .sync = frame.key,
                      .data = {}});
  data_.emplace_back(frame.data.begin(), frame.data.end());
  return {};
}

Result<void> VideoTrackOutput::flush_segment() {
  return write_segment(sink_, track_, config_, sequence_, samples_, data_);
}

Result<void> VideoTrackOutput::finish() {
  const OnEncoded on_encoded = [this](const EncodedFrame& frame) { return take(frame); };
  if (const Result<void> finished = encoder_->finish(on_encoded); !finished) return finished;
  if (!slots_.empty()) return fail(Code::internal, "encoder kept frames", slots_.size());
  return flush_segment();
}

Result<void> AudioTrackOutput::open(ByteSpan codec_config, std::int64_t bitrate) {
  config_ = sound_config(codec_config, bitrate);
  Result<Bytes> init = media::write_init(config_);
  if (!init) return init.error().in("init segment of the sound");
  return sink_.init(track_, std::move(*init));
}

Result<void> AudioTrackOutput::push(std::int64_t pts, ByteSpan data) {
  const std::int64_t time = pts + later_samples_;
  const std::int64_t segment = std::max<std::int64_t>(pts, 0) * 1000 / (segment_ms_ * kAudioRate);
  if (segment != segment_) {
    if (const Result<void> flushed = write_segment(sink_, track_, config_, sequence_, samples_, data_); !flushed) {
      return flushed;
    }
    segment_ = segment;
  }
  samples_.push_back({.dts = time, .duration = kAudioFrameSamples, .cts_offset = 0, .sync = true, .data = {}});
  data_.emplace_back(data.begin(), data.end());
  return {};
}

Result<void> AudioTrackOutput::finish() { return write_segment(sink_, track_, config_, sequence_, samples_, data_); }

}  // namespace ribalta::transcode
