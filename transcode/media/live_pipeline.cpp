#include "transcode/media/live_pipeline.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <variant>

#include "core/units.h"

namespace ribalta::transcode {
namespace {

constexpr double kFpsMax = 60;
constexpr std::int64_t kPixelsMax = std::int64_t{4096} * 4096;
/// Key frames that are decoded and not yet shown: a decoder holds back at most 16 pictures.
constexpr std::size_t kKeysMax = 64;
/// Pictures inside the filters; they hold none back for long.
constexpr std::size_t kMetasMax = 64;

AVCodecID av_codec(media::CodecId codec) {
  switch (codec) {
    case media::CodecId::h264:
      return AV_CODEC_ID_H264;
    case media::CodecId::hevc:
      return AV_CODEC_ID_HEVC;
    case media::CodecId::av1:
      return AV_CODEC_ID_AV1;
    case media::CodecId::vp9:
      return AV_CODEC_ID_VP9;
    case media::CodecId::aac:
      return AV_CODEC_ID_AAC;
    case media::CodecId::opus:
      return AV_CODEC_ID_OPUS;
  }
  return AV_CODEC_ID_NONE;
}

struct FreeParameters {
  void operator()(AVCodecParameters* parameters) const noexcept { avcodec_parameters_free(&parameters); }
};

/// A decoder for a CMAF track.
Result<Decoder> open_decoder(const media::TrackConfig& config, int threads) {
  const std::unique_ptr<AVCodecParameters, FreeParameters> parameters{avcodec_parameters_alloc()};
  if (!parameters) return fail(Code::limit, "no memory for a decoder");
  const bool video = config.kind == media::TrackKind::video;
  parameters->codec_type = video ? AVMEDIA_TYPE_VIDEO : AVMEDIA_TYPE_AUDIO;
  parameters->codec_id = av_codec(config.codec);
  parameters->width = static_cast<int>(config.width);
  parameters->height = static_cast<int>(config.height);
  parameters->sample_rate = static_cast<int>(config.sample_rate);
  if (!video) av_channel_layout_default(&parameters->ch_layout, static_cast<int>(config.channels));
  const std::size_t size = config.codec_config.size();
  if (size > 0) {
    parameters->extradata = static_cast<std::uint8_t*>(av_mallocz(size + AV_INPUT_BUFFER_PADDING_SIZE));
    if (!parameters->extradata) return fail(Code::limit, "no memory for a decoder");
    std::copy_n(reinterpret_cast<const std::uint8_t*>(config.codec_config.data()), size, parameters->extradata);
    parameters->extradata_size = static_cast<int>(size);
  }
  return Decoder::open(*parameters, AVRational{1, static_cast<int>(config.timescale)}, threads, kPixelsMax, true);
}

/// A sample as libav takes it.
Result<Packet> packet_of(const media::Sample& sample) {
  Packet packet = make_packet();
  if (!packet || av_new_packet(packet.get(), static_cast<int>(sample.data.size())) < 0) {
    return fail(Code::limit, "no memory for a packet");
  }
  std::copy_n(reinterpret_cast<const std::uint8_t*>(sample.data.data()), sample.data.size(), packet->data);
  packet->dts = sample.dts;
  packet->pts = sample.pts();
  packet->duration = sample.duration;
  if (sample.sync) packet->flags |= AV_PKT_FLAG_KEY;
  return packet;
}

/// Gives every item of what was fed to one of two functions.
template <class OnInit, class OnSample>
Result<void> for_each_item(media::CmafReader& reader, OnInit on_init, OnSample on_sample) {
  for (;;) {
    const Result<std::optional<media::CmafItem>> item = reader.next();
    if (!item) return pass(item);
    if (!*item) return {};
    if (const auto* init = std::get_if<media::InitItem>(&**item)) {
      if (const Result<void> done = on_init(init->config); !done) return done;
      continue;
    }
    for (const media::Sample& sample : std::get<media::ChunkItem>(**item).chunk.samples) {
      if (const Result<void> done = on_sample(sample); !done) return done;
    }
  }
}

}  // namespace

LivePipeline::LivePipeline(const LiveSettings& settings, MediaSink& sink)
    : settings_(settings), sink_(sink), limiter_(kFpsMax) {
  if (!settings.rungs.empty()) wanted_from_ = std::numeric_limits<std::int64_t>::max();
  for (const LiveRung& rung : settings.rungs) wanted_from_ = std::min(wanted_from_, rung.resume_at);
}

Result<void> LivePipeline::open() {
  std::vector<media::LadderVideo> rungs;
  for (const LiveRung& each : settings_.rungs) rungs.push_back(each.rung);
  for (std::size_t i = 0; i < rungs.size(); ++i) {
    auto output = std::make_unique<LiveTrackOutput>(i, sink_, settings_.rungs[i].resume_at);
    const int threads = settings_.cores >= 8 && i == 0 ? 2 : 1;
    const RungSettings rung{
        .rung = rungs[i], .live = true, .preset = settings_.preset, .crf = 0, .reorder = false, .threads = threads};
    if (const Result<void> opened = output->open(*engine_, rung); !opened) return opened;
    workers_.push_back(std::make_unique<RungWorker>(std::move(output)));
  }
  if (!rungs.empty()) graph_.emplace(VideoGraph::Options{std::move(rungs), {}, false});
  if (settings_.audio.empty()) return {};
  Result<AudioEncoder> encoder = AudioEncoder::open(settings_.audio[0].bitrate, 0);
  if (!encoder) return pass(encoder);
  audio_encoder_ = std::move(*encoder);
  audio_output_.emplace(settings_.rungs.size(), sink_);
  return audio_output_->open(audio_encoder_->codec_config(), settings_.audio[0].bitrate);
}

Result<void> LivePipeline::feed_video(ByteSpan bytes) {
  if (!graph_) return {};
  video_.feed(bytes);
  return for_each_item(
      video_, [this](const media::TrackConfig& config) { return on_video_init(config); },
      [this](const media::Sample& sample) { return on_video_sample(sample); });
}

Result<void> LivePipeline::on_video_init(const media::TrackConfig& config) {
  if (pictures_ && config.codec_config == video_codec_config_) return {};
  const Decoder::OnFrame on_frame = [this](Frame frame) { return on_picture(std::move(frame)); };
  if (pictures_) {
    if (const Result<void> flushed = pictures_->decode(nullptr, on_frame); !flushed) return flushed;
  }
  keys_.clear();
  period_begins_ = true;
  Result<Decoder> decoder = open_decoder(config, static_cast<int>(std::clamp<std::int64_t>(settings_.cores, 1, 4)));
  if (!decoder) return decoder.error().in("source");
  pictures_ = std::move(*decoder);
  video_codec_config_ = config.codec_config;
  return {};
}

Result<void> LivePipeline::on_video_sample(const media::Sample& sample) {
  if (!pictures_) return {};
  if (skipping_) {
    // Rungs go on at a key frame of the source: nothing before it needs to be decoded. Where the source's key frames
    // are not the rungs', decoding begins at the first.
    if (!sample.sync || (settings_.follow_source_keys && sample.dts < wanted_from_)) return {};
    skipping_ = false;
  }
  if (sample.sync) {
    if (keys_.size() >= kKeysMax) keys_.erase(keys_.begin());
    keys_[sample.pts()] = sample.cts_offset;
  }
  const Result<Packet> packet = packet_of(sample);
  if (!packet) return pass(packet);
  return pictures_->decode(packet->get(), [this](Frame frame) { return on_picture(std::move(frame)); });
}

/// Whether the picture at this time is a key picture in every rung. A key frame of the source that was lost or left out
/// leaves its duty to the next picture.
bool LivePipeline::take_key(std::int64_t time) {
  bool source_key = false;
  while (!keys_.empty() && keys_.begin()->first <= time) {
    later_ = keys_.begin()->second;
    keys_.erase(keys_.begin());
    source_key = true;
  }
  if (settings_.follow_source_keys) return source_key;
  const std::int64_t segment = settings_.segment_ms * 90;
  if (period_begins_) {
    period_begins_ = false;
    // Taken over in mid-stream, the grid is the one of whoever wrote before.
    cut_next_ = wanted_from_ > 0 && time < wanted_from_ + segment ? wanted_from_ : time;
  }
  if (time < cut_next_) return false;
  cut_next_ += ((time - cut_next_) / segment + 1) * segment;
  return true;
}

Result<void> LivePipeline::on_picture(Frame frame) {
  if (frame->pts == AV_NOPTS_VALUE) return {};
  const std::int64_t time = frame->pts;
  if (last_time_ && time <= *last_time_) return {};
  last_time_ = time;
  key_owed_ = take_key(time) || key_owed_;
  if (!limiter_.keep(time)) return {};
  if (metas_.size() >= kMetasMax) metas_.pop_front();
  metas_.push_back({time, std::exchange(key_owed_, false), later_});
  const Result<void> pushed = graph_->push(std::move(frame), [this](PictureSet set) { return on_set(std::move(set)); });
  if (!pushed && pushed.error().code == Code::malformed) {
    key_owed_ = true;  // the picture is lost, its duty not
    return {};
  }
  return pushed;
}

Result<void> LivePipeline::on_set(PictureSet set) {
  Showing showing{.time = set.time, .duration = 0, .key = false, .later = later_};
  while (!metas_.empty() && metas_.front().time <= set.time) {
    showing.key = showing.key || metas_.front().key;
    showing.later = metas_.front().later;
    metas_.pop_front();
  }
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    const Result<void> pushed = workers_[i]->push(std::move(set.rungs[i]), showing);
    if (!pushed) return pushed.error().in("rung", settings_.rungs[i].rung.track);
  }
  return {};
}

Result<void> LivePipeline::feed_audio(ByteSpan bytes) {
  if (!audio_encoder_) return {};
  audio_.feed(bytes);
  return for_each_item(
      audio_, [this](const media::TrackConfig& config) { return on_audio_init(config); },
      [this](const media::Sample& sample) { return on_audio_sample(sample); });
}

Result<void> LivePipeline::on_audio_init(const media::TrackConfig& config) {
  if (sound_ && config.codec_config == audio_codec_config_) return {};
  Result<Decoder> decoder = open_decoder(config, 1);
  if (!decoder) return decoder.error().in("source sound");
  sound_ = std::move(*decoder);
  audio_codec_config_ = config.codec_config;
  audio_base_ = {1, static_cast<int>(config.timescale)};
  return {};
}

Result<void> LivePipeline::on_audio_sample(const media::Sample& sample) {
  if (!sound_) return {};
  if (!audio_begin_) {
    audio_begin_ = std::max(settings_.audio_resume_at, av_rescale_q(sample.pts(), audio_base_, {1, kAudioRate}));
    audio_encoder_->begin_at(*audio_begin_);
  }
  const OnAudio on_audio = [this](const EncodedAudio& out) -> Result<void> {
    if (out.pts < *audio_begin_) return {};  // priming
    return audio_output_->push(out.pts, out.data);
  };
  const Result<Packet> packet = packet_of(sample);
  if (!packet) return pass(packet);
  return sound_->decode(packet->get(), [&](Frame frame) {
    if (frame->pts == AV_NOPTS_VALUE) return Result<void>{};
    // The filter cuts the first frame exactly; what lies wholly before must not reach it.
    const std::int64_t ends = av_rescale_q(frame->pts + frame->nb_samples, audio_base_, {1, kAudioRate});
    if (ends <= *audio_begin_) return Result<void>{};
    const std::int64_t time = av_rescale_q(frame->pts, audio_base_, kVideoTimeBase);
    return audio_encoder_->push(std::move(frame), time, on_audio);
  });
}

Result<void> LivePipeline::idle() {
  for (const auto& worker : workers_) {
    if (const Result<void> done = worker->idle(); !done) return done;
  }
  return {};
}

Result<void> LivePipeline::finish() {
  Result<void> done;
  if (pictures_) done = pictures_->decode(nullptr, [this](Frame frame) { return on_picture(std::move(frame)); });
  if (done && graph_) done = graph_->finish([this](PictureSet set) { return on_set(std::move(set)); });
  for (std::size_t i = 0; done && i < workers_.size(); ++i) done = workers_[i]->finish();
  if (done && audio_encoder_) {
    done = audio_encoder_->finish([this](const EncodedAudio& out) { return audio_output_->push(out.pts, out.data); });
    if (done) done = audio_output_->finish();
  }
  return done;
}

}  // namespace ribalta::transcode
