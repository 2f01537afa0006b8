#include "transcode/media/live_output.h"

#include <algorithm>
#include <utility>

#include "core/media/cmaf_writer.h"
#include "core/units.h"
#include "transcode/media/cmaf_config.h"

namespace ribalta::transcode {

Result<void> LiveTrackOutput::open(Engine& engine, const RungSettings& settings) {
  Result<std::unique_ptr<RungEncoder>> encoder = engine.open(settings);
  if (!encoder) return pass(encoder);
  encoder_ = std::move(*encoder);
  nominal_ = static_cast<std::int64_t>(kVideoTimescale / std::clamp(settings.rung.fps, 1.0, 120.0));
  config_ = rung_config(encoder_->codec_config(), settings.rung);
  Result<Bytes> init = media::write_init(config_);
  if (!init) return init.error().in("init segment", settings.rung.track);
  return sink_.init(track_, std::move(*init));
}

Result<void> LiveTrackOutput::push(const AVFrame& picture, const Showing& showing) {
  if (!started_) {
    if (!showing.key || showing.time - showing.later < resume_at_) return {};
    started_ = true;
  }
  inside_.push_back(showing);
  const PictureKind kind = showing.key ? PictureKind::key : PictureKind::any;
  return encoder_->encode(picture, showing.time, kind, [this](const EncodedFrame& frame) { return take(frame); });
}

Result<void> LiveTrackOutput::take(const EncodedFrame& frame) {
  if (inside_.empty()) return fail(Code::internal, "encoder gave more frames than it got");
  const Showing showing = inside_.front();
  inside_.pop_front();
  std::int64_t dts = frame.pts - showing.later;
  dts = std::max(dts, held_ ? held_->dts + 1 : end_);
  if (const Result<void> released = release(dts); !released) return released;
  held_ = Held{dts, frame.pts, frame.key, Bytes{frame.data.begin(), frame.data.end()}};
  return {};
}

Result<void> LiveTrackOutput::release(std::optional<std::int64_t> next) {
  if (!held_) return {};
  std::int64_t duration = next ? *next - held_->dts : nominal_;
  if (duration > kLiveGapTicks) duration = nominal_;
  const media::Sample sample{.dts = held_->dts,
                             .duration = static_cast<std::uint32_t>(duration),
                             .cts_offset = static_cast<std::int32_t>(held_->pts - held_->dts),
                             .sync = held_->key,
                             .data = held_->data};
  end_ = held_->dts + duration;
  Result<Bytes> chunk = media::write_chunk(config_, ++sequence_, std::span{&sample, 1});
  held_.reset();
  if (!chunk) return chunk.error().in("write chunk");
  return sink_.chunk(track_, std::move(*chunk));
}

Result<void> LiveTrackOutput::finish() {
  const Result<void> finished = encoder_->finish([this](const EncodedFrame& frame) { return take(frame); });
  if (!finished) return finished;
  return release(std::nullopt);
}

Result<void> LiveAudioOutput::open(ByteSpan codec_config, std::int64_t bitrate) {
  config_ = sound_config(codec_config, bitrate);
  Result<Bytes> init = media::write_init(config_);
  if (!init) return init.error().in("init segment of the sound");
  return sink_.init(track_, std::move(*init));
}

Result<void> LiveAudioOutput::push(std::int64_t pts, ByteSpan data) {
  if (!samples_.empty() && (samples_.back().dts + kAudioFrameSamples != pts || samples_.size() >= kLiveAudioPackets)) {
    if (const Result<void> written = finish(); !written) return written;
  }
  samples_.push_back({.dts = pts, .duration = kAudioFrameSamples, .cts_offset = 0, .sync = true, .data = {}});
  data_.emplace_back(data.begin(), data.end());
  return {};
}

Result<void> LiveAudioOutput::finish() {
  if (samples_.empty()) return {};
  for (std::size_t i = 0; i < samples_.size(); ++i) samples_[i].data = data_[i];
  Result<Bytes> chunk = media::write_chunk(config_, ++sequence_, samples_);
  samples_.clear();
  data_.clear();
  if (!chunk) return chunk.error().in("write chunk of the sound");
  return sink_.chunk(track_, std::move(*chunk));
}

}  // namespace ribalta::transcode
