#include "ingest/stream/source_track.h"

#include <algorithm>

#include "core/media/bitstream.h"
#include "core/media/cmaf_writer.h"
#include "core/media/codec_config.h"

namespace ribalta::ingest {
namespace {

constexpr std::int64_t kTicksPerMs = kVideoTimescale / 1000;
constexpr std::int64_t kDurationMax = kFrameDurationMaxMs * kTicksPerMs;

/// Parameter sets in Annex B, as some cameras send them where the configuration record belongs.
Result<media::AvcConfig> config_from_annex_b(ByteSpan record) {
  const Result<std::vector<ByteSpan>> units = media::split_annex_b(record);
  if (!units) return pass(units);
  std::vector<Bytes> sps;
  std::vector<Bytes> pps;
  for (const ByteSpan unit : *units) {
    if (unit.empty()) continue;
    const unsigned type = read_u8(unit) & 31;
    if (type == 7) sps.emplace_back(unit.begin(), unit.end());
    if (type == 8) pps.emplace_back(unit.begin(), unit.end());
  }
  return media::make_avc_config(std::move(sps), std::move(pps));
}

}  // namespace

Result<void> VideoSource::on_header(ByteSpan record) {
  if (config_ && std::ranges::equal(record, record_)) return {};
  Result<media::AvcConfig> avc =
      media::looks_like_annex_b(record) ? config_from_annex_b(record) : media::parse_avcc(record);
  if (!avc) return avc.error().in("H.264 configuration");
  const std::uint8_t nal_length_bytes = std::exchange(avc->nal_length_bytes, std::uint8_t{4});
  const Result<Bytes> avcc = media::write_avcc(*avc);
  if (!avcc) return avcc.error().in("H.264 configuration");
  Result<media::TrackConfig> config = media::track_from_codec_config(media::CodecId::h264, *avcc);
  if (!config) return config.error().in("H.264 configuration");
  Result<Bytes> init = media::write_init(*config);
  if (!init) return init.error().in("H.264 configuration");

  record_.assign(record.begin(), record.end());
  nal_length_bytes_ = nal_length_bytes;
  config_ = std::make_shared<const media::TrackConfig>(std::move(*config));
  init_ = std::make_shared<const Bytes>(std::move(*init));
  key_needed_ = true;  // frames between refer to pictures of the old parameters
  return {};
}

/// The frame with lengths of 4 bytes, every one of which fits. @error malformed, limit.
Result<Bytes> VideoSource::normalised(ByteSpan data) const {
  const Result<std::vector<ByteSpan>> units = media::split_nal_units(data, nal_length_bytes_);
  if (!units) return media::looks_like_annex_b(data) ? media::annex_b_to_lengths(data) : Result<Bytes>{pass(units)};
  if (units->empty()) return fail(Code::malformed, "video frame: no NAL unit");
  if (nal_length_bytes_ == 4) return Bytes{data.begin(), data.end()};
  return media::join_nal_units(*units);
}

void VideoSource::on_frame(const Placed& placed, std::int32_t composition_ms, ByteSpan data, WallTime arrival) {
  if (placed.discontinuity) period_pending_ = true;
  if (!config_) {
    ++counts_.dropped_before_key;
    return;
  }
  Result<Bytes> frame = normalised(data);
  if (!frame || frame->empty() || frame->size() > media::kChunkBytesMax) {
    ++counts_.dropped_broken;
    return;
  }
  // A recovery point counts as a key frame here: where a source has no other, the farm must be able to begin there.
  // Such a source is no rung, so that no viewer's player is cut in there.
  const media::RandomAccess access = media::random_access(media::CodecId::h264, *frame);
  const bool key = access != media::RandomAccess::none;
  if (key_needed_ && !key) {
    ++counts_.dropped_before_key;
    return;
  }
  key_needed_ = false;
  if (key && period_pending_) {
    period_pending_ = false;
    init_ = std::make_shared<const Bytes>(*init_);
  }

  const std::int64_t decode_time = std::max(placed.time_ms * kTicksPerMs, floor_);
  if (waiting_) write(decode_time);
  floor_ = decode_time + kTicksPerMs;  // times that stand still or go back are a millisecond apart
  ++counts_.frames;
  counts_.bytes += frame->size();
  seen_ = Seen{decode_time, frame->size(), key, access == media::RandomAccess::open};
  const auto composition = static_cast<std::int32_t>(composition_ms * kTicksPerMs);
  waiting_ = Waiting{decode_time, composition, key, std::move(*frame), arrival, init_, config_};
}

void VideoSource::write(std::int64_t decode_end) {
  assert(waiting_ && decode_end > waiting_->decode_time);
  const Waiting frame = std::move(*waiting_);
  waiting_.reset();
  if (decode_end - frame.decode_time > kDurationMax) decode_end = frame.decode_time + duration_;
  const std::int64_t duration = decode_end - frame.decode_time;
  if (duration <= kStepMaxMs * kTicksPerMs) duration_ = duration;
  const media::Sample sample{.dts = frame.decode_time,
                             .duration = static_cast<std::uint32_t>(duration),
                             .cts_offset = frame.composition,
                             .sync = frame.key,
                             .data = frame.data};
  media::ChunkExtras extras;
  if (frame.key) {
    extras.prft = media::ProducerReferenceTime{.ntp = media::to_ntp(frame.arrival),
                                               .media_time = static_cast<std::uint64_t>(frame.decode_time)};
  }
  Result<Bytes> chunk = media::write_chunk(*frame.config, ++sequence_, {&sample, 1}, extras);
  if (!chunk) {
    ++counts_.dropped_broken;
    return;
  }
  ring_.push({std::make_shared<const Bytes>(std::move(*chunk)), frame.init, frame.decode_time, decode_end, frame.key});
}

void VideoSource::flush() {
  if (!waiting_) return;
  const std::int64_t decode_end = waiting_->decode_time + duration_;
  write(decode_end);
  floor_ = std::max(floor_, decode_end);
}

Result<void> AudioSource::on_header(ByteSpan record) {
  if (config_ && std::ranges::equal(record, record_)) return {};
  const Result<media::AacConfig> aac = media::parse_aac_config(record);
  if (!aac) return aac.error().in("AAC configuration");
  Result<media::TrackConfig> config = media::track_from_codec_config(media::CodecId::aac, record);
  if (!config) return config.error().in("AAC configuration");
  if (timescale_ == 0) timescale_ = config->timescale;
  config->timescale = timescale_;
  Result<Bytes> init = media::write_init(*config);
  if (!init) return init.error().in("AAC configuration");

  flush();
  record_.assign(record.begin(), record.end());
  if (!ring_) ring_.emplace(timescale_);
  const std::int64_t floor = ring_->end() > ring_->first() ? ring_->at(ring_->end() - 1).decode_end : floor_;
  clock_.emplace(timescale_, config->sample_rate, floor);
  packet_samples_ = aac->frame_samples * (config->sample_rate / aac->core_sample_rate);
  config_ = std::make_shared<const media::TrackConfig>(std::move(*config));
  init_ = std::make_shared<const Bytes>(std::move(*init));
  return {};
}

std::int64_t AudioSource::on_frame(const Placed& placed, std::int64_t base_ms, ByteSpan data) {
  if (placed.discontinuity) period_pending_ = true;
  if (!config_ || placed.time_ms < base_ms) {
    ++counts_.dropped_before_key;
    return 0;
  }
  if (period_pending_) {
    flush();
    period_pending_ = false;
    init_ = std::make_shared<const Bytes>(*init_);
    clock_->restart();
  }
  const std::optional<AudioClock::Span> span = clock_->place(placed.time_ms, packet_samples_);
  if (!span || span->end <= span->begin) return 0;
  if (!packets_.empty() && packets_.back().span.end != span->begin) flush();
  ++counts_.frames;
  counts_.bytes += data.size();
  packets_.push_back({*span, Bytes{data.begin(), data.end()}});
  if (packets_.size() >= kAudioChunkPackets) flush();
  return span->end - span->begin;
}

void AudioSource::flush() {
  if (packets_.empty()) return;
  std::vector<media::Sample> samples;
  for (const Packet& packet : packets_) {
    const auto duration = static_cast<std::uint32_t>(packet.span.end - packet.span.begin);
    samples.push_back({.dts = packet.span.begin, .duration = duration, .sync = true, .data = packet.data});
  }
  Result<Bytes> chunk = media::write_chunk(*config_, ++sequence_, samples);
  const AudioClock::Span span{packets_.front().span.begin, packets_.back().span.end};
  if (chunk) {
    ring_->push({std::make_shared<const Bytes>(std::move(*chunk)), init_, span.begin, span.end, true});
  } else {
    ++counts_.dropped_broken;
  }
  packets_.clear();
}

}  // namespace ribalta::ingest
