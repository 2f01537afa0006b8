#include "transcode/media/vod_pipeline.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "transcode/media/audio.h"
#include "transcode/media/decoder.h"
#include "transcode/media/poster.h"
#include "transcode/media/rung_worker.h"
#include "transcode/media/timeline.h"
#include "transcode/media/track_output.h"
#include "transcode/media/video_graph.h"

namespace ribalta::transcode {
namespace {

constexpr double kFpsMax = 60;
/// Progress is told in steps of so much.
constexpr double kProgressStep = 0.005;
/// The poster is taken from the largest rung whose short side is at most this.
constexpr std::int64_t kPosterShortSideMax = 720;

class VodPipeline {
 public:
  VodPipeline(int descriptor, std::uint64_t bytes, const VodSettings& settings, const SourceInfo& info, MediaSink& sink)
      : descriptor_(descriptor),
        bytes_(bytes),
        settings_(settings),
        info_(info),
        sink_(sink),
        schedule_(settings.segment_ms),
        limiter_(kFpsMax) {}

  Result<VodSummary> run();

 private:
  Result<void> plan();
  Result<void> open();
  Result<void> read_all();
  Result<void> finish();
  Result<void> on_picture(Frame frame);
  Result<void> on_sound(Frame frame);
  Result<void> on_set(PictureSet set);
  Result<void> show(const PictureSet& set, const std::vector<Showing>& showings);
  Result<void> tell_progress(std::int64_t time);

  int descriptor_;
  std::uint64_t bytes_;
  const VodSettings& settings_;
  const SourceInfo& info_;
  MediaSink& sink_;

  std::vector<media::LadderVideo> rungs_;
  std::size_t poster_rung_ = 0;
  std::unique_ptr<Engine> engine_ = make_cpu_engine();
  std::unique_ptr<MediaInput> input_;
  std::optional<Decoder> pictures_;
  std::optional<Decoder> sound_;
  std::optional<SourceClock> clock_;
  std::optional<VideoGraph> graph_;
  std::vector<std::unique_ptr<RungWorker>> workers_;
  std::optional<AudioEncoder> audio_encoder_;
  std::optional<AudioTrackOutput> audio_output_;
  Schedule schedule_;
  FrameLimiter limiter_;
  std::optional<PictureSet> held_;  ///< waits for its duration
  std::int64_t last_duration_ = 0;  ///< of the newest decoded frame, as its source said
  PosterChooser poster_;
  double told_ = 0;
  std::int64_t frames_ = 0;
  std::uint64_t filter_errors_ = 0;
};

/// Threads for one rung: its share of all pixels, of all cores.
int threads_for(const media::LadderVideo& rung, const std::vector<media::LadderVideo>& rungs, std::int64_t cores) {
  double all = 0;
  for (const media::LadderVideo& each : rungs) all += static_cast<double>(each.width * each.height);
  const double share = static_cast<double>(rung.width * rung.height) / all;
  return static_cast<int>(std::clamp(std::floor(share * static_cast<double>(cores) + 0.5), 1.0, 16.0));
}

Result<void> VodPipeline::plan() {
  media::LadderOptions options;
  options.short_side_max = settings_.short_side_max;
  options.fps_max = kFpsMax;
  options.rungs_max = static_cast<std::size_t>(std::max<std::int64_t>(1, settings_.rungs_max));
  const std::int64_t width = std::max(info_.width, media::kSideMin);
  const std::int64_t height = std::max(info_.height, media::kSideMin);
  Result<std::vector<media::LadderVideo>> rungs = media::vod_ladder({width, height, info_.fps}, options);
  if (!rungs) return pass(rungs);
  rungs_ = std::move(*rungs);
  while (poster_rung_ + 1 < rungs_.size() &&
         std::min(rungs_[poster_rung_].width, rungs_[poster_rung_].height) > kPosterShortSideMax) {
    ++poster_rung_;
  }
  VodReport report{.width = info_.width,
                   .height = info_.height,
                   .fps = info_.fps,
                   .format = info_.format,
                   .video_codec = info_.video_codec,
                   .audio_codec = info_.audio_codec,
                   .hdr = info_.hdr,
                   .rungs = rungs_,
                   .audio = {}};
  if (info_.audio_stream >= 0) report.audio.push_back(media::encoded_audio());
  return sink_.report(report);
}

Result<void> VodPipeline::open() {
  Result<std::unique_ptr<MediaInput>> input = MediaInput::open(descriptor_, bytes_);
  if (!input) return pass(input);
  input_ = std::move(*input);
  const AVStream& video = input_->stream(info_.video_stream);
  const int decode_threads = static_cast<int>(std::clamp<std::int64_t>(settings_.cores, 1, 8));
  Result<Decoder> pictures = Decoder::open(*video.codecpar, video.time_base, decode_threads,
                                           settings_.limits.side_max * settings_.limits.side_max);
  if (!pictures) return pass(pictures);
  pictures_ = std::move(*pictures);
  clock_.emplace(info_.zero, (input_->format().iformat->flags & AVFMT_TS_DISCONT) != 0);
  graph_.emplace(VideoGraph::Options{rungs_, info_.orientation, info_.interlaced});

  const double fps = rungs_[0].fps;
  const std::int64_t later = shown_later(fps);
  for (std::size_t i = 0; i < rungs_.size(); ++i) {
    auto output = std::make_unique<VideoTrackOutput>(i, sink_, later);
    const RungSettings rung{.rung = rungs_[i],
                            .live = false,
                            .preset = settings_.preset,
                            .crf = settings_.crf,
                            .reorder = fps >= kReorderFpsMin,
                            .threads = threads_for(rungs_[i], rungs_, settings_.cores)};
    if (const Result<void> opened = output->open(*engine_, rung); !opened) return opened;
    workers_.push_back(std::make_unique<RungWorker>(std::move(output)));
  }

  if (info_.audio_stream >= 0) {
    double gain = 0;
    if (settings_.loudness) {
      Result<std::unique_ptr<MediaInput>> again = MediaInput::open(descriptor_, bytes_);
      if (!again && again.error().code == Code::limit) return pass(again);
      if (again) {
        const Result<Loudness> loudness = measure_loudness(**again, info_.audio_stream);
        if (!loudness && loudness.error().code == Code::limit) return pass(loudness);
        if (loudness) gain = gain_for(*loudness);
      }
    }
    const AVStream& audio = input_->stream(info_.audio_stream);
    Result<Decoder> sound = Decoder::open(*audio.codecpar, audio.time_base, 1, 1);
    if (!sound) return pass(sound);
    sound_ = std::move(*sound);
    const media::LadderAudio track = media::encoded_audio();
    Result<AudioEncoder> encoder = AudioEncoder::open(track.bitrate, gain);
    if (!encoder) return pass(encoder);
    audio_encoder_ = std::move(*encoder);
    audio_output_.emplace(rungs_.size(), sink_, settings_.segment_ms, later);
    if (const Result<void> opened = audio_output_->open(audio_encoder_->codec_config(), track.bitrate); !opened) {
      return opened;
    }
  }
  input_->keep_only(info_.video_stream, info_.audio_stream);
  return {};
}

Result<void> VodPipeline::tell_progress(std::int64_t time) {
  const double length = static_cast<double>(info_.duration_ms) * 90;
  const double done = length > 0 ? static_cast<double>(time) / length : input_->position();
  const double bounded = std::clamp(done, 0.0, 0.99);
  if (bounded < told_ + kProgressStep) return {};
  told_ = bounded;
  return sink_.progress(bounded);
}

Result<void> VodPipeline::on_picture(Frame frame) {
  const AVRational base = input_->stream(info_.video_stream).time_base;
  const std::int64_t ticks = video_ticks(frame->pts, base);
  const std::int64_t duration = std::clamp<std::int64_t>(
      frame->pkt_duration > 0 ? av_rescale_q(frame->pkt_duration, base, kVideoTimeBase) : 0, 0, kHoldTicksMax);
  const auto assumed = static_cast<std::int64_t>(90'000 / std::max(1.0, info_.fps));
  last_duration_ = duration;
  const std::optional<std::int64_t> known = ticks == AV_NOPTS_VALUE ? std::nullopt : std::optional{ticks};
  const std::int64_t time = clock_->place(known, duration > 0 ? duration : assumed, true);
  if (time > settings_.limits.duration_s_max * 90'000) {
    return fail(Code::limit, "longer than seconds:", settings_.limits.duration_s_max);
  }
  if (!limiter_.keep(time)) return {};
  frame->pts = time;
  const Result<void> pushed = graph_->push(std::move(frame), [this](PictureSet set) { return on_set(std::move(set)); });
  if (!pushed && pushed.error().code == Code::malformed) {
    ++filter_errors_;  // a frame that no filter takes is damage like any other
    return {};
  }
  return pushed;
}

Result<void> VodPipeline::on_set(PictureSet set) {
  if (held_ && set.time <= held_->time) return {};
  poster_.offer(*set.rungs[poster_rung_], set.time);
  const std::vector<Showing> showings = schedule_.until(set.time);
  if (const Result<void> shown = show(held_ ? *held_ : set, showings); !shown) return shown;
  held_ = std::move(set);
  return tell_progress(held_->time);
}

Result<void> VodPipeline::show(const PictureSet& set, const std::vector<Showing>& showings) {
  for (const Showing& showing : showings) {
    ++frames_;
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      Frame picture = share(*set.rungs[i]);
      if (!picture) return fail(Code::limit, "no memory for a picture");
      const Result<void> pushed = workers_[i]->push(std::move(picture), showing);
      if (!pushed) return pushed.error().in("rung", rungs_[i].track);
    }
  }
  return {};
}

Result<void> VodPipeline::on_sound(Frame frame) {
  const AVRational base = input_->stream(info_.audio_stream).time_base;
  const std::int64_t ticks = video_ticks(frame->pts, base);
  const std::int64_t duration = frame->sample_rate > 0 ? av_rescale(frame->nb_samples, 90'000, frame->sample_rate) : 0;
  const std::optional<std::int64_t> known = ticks == AV_NOPTS_VALUE ? std::nullopt : std::optional{ticks};
  const std::int64_t offset = clock_->sound_offset();
  const std::int64_t time = clock_->place(known, duration, false);
  if (time > settings_.limits.duration_s_max * 90'000) {
    return fail(Code::limit, "longer than seconds:", settings_.limits.duration_s_max);
  }
  const OnAudio on_audio = [this](const EncodedAudio& packet) { return audio_output_->push(packet.pts, packet.data); };
  if (clock_->sound_offset() != offset) {
    if (const Result<void> restarted = audio_encoder_->restart(on_audio); !restarted) return restarted;
  }
  return audio_encoder_->push(std::move(frame), time, on_audio);
}

Result<void> VodPipeline::read_all() {
  const Packet packet = make_packet();
  if (!packet) return fail(Code::limit, "no memory for a packet");
  const Decoder::OnFrame on_picture_frame = [this](Frame frame) { return on_picture(std::move(frame)); };
  const Decoder::OnFrame on_sound_frame = [this](Frame frame) { return on_sound(std::move(frame)); };
  Result<void> done;
  while (done) {
    const Result<bool> read = input_->read(*packet);
    if (!read) return pass(read);
    if (!*read) break;
    if (packet->stream_index == info_.video_stream) done = pictures_->decode(packet.get(), on_picture_frame);
    if (packet->stream_index == info_.audio_stream && sound_) done = sound_->decode(packet.get(), on_sound_frame);
  }
  if (done) done = pictures_->decode(nullptr, on_picture_frame);
  if (done && sound_) done = sound_->decode(nullptr, on_sound_frame);
  return done;
}

Result<void> VodPipeline::finish() {
  Result<void> done = graph_->finish([this](PictureSet set) { return on_set(std::move(set)); });
  if (!done) return done;
  if (!held_) return fail(Code::malformed, "no picture could be decoded");
  done = show(*held_, schedule_.end(last_duration_));
  held_.reset();
  for (std::size_t i = 0; done && i < workers_.size(); ++i) done = workers_[i]->finish();
  if (done && audio_encoder_) {
    done = audio_encoder_->finish(
        [this](const EncodedAudio& packet) { return audio_output_->push(packet.pts, packet.data); });
    if (done) done = audio_output_->finish();
  }
  if (!done) return done;
  Result<Bytes> poster = poster_.jpeg();
  if (!poster) return pass(poster);
  return sink_.poster(std::move(*poster));
}

Result<VodSummary> VodPipeline::run() {
  const auto began = std::chrono::steady_clock::now();
  Result<void> done = plan();
  if (done) done = open();
  if (done) done = read_all();
  if (done) done = finish();
  if (!done) return pass(done);
  const auto took = std::chrono::steady_clock::now() - began;
  return VodSummary{.duration_ms = schedule_.end_time() / 90,
                    .frames = frames_,
                    .decode_errors = static_cast<std::int64_t>(pictures_->errors() + filter_errors_),
                    .encode_ms = std::chrono::duration_cast<std::chrono::milliseconds>(took).count()};
}

}  // namespace

std::expected<VodSummary, Refusal> transcode_file(int descriptor, std::uint64_t bytes, const VodSettings& settings,
                                                  MediaSink& sink) {
  const auto info = accept_source(descriptor, bytes, settings.limits);
  if (!info) return std::unexpected{info.error()};
  VodPipeline pipeline{descriptor, bytes, settings, *info, sink};
  Result<VodSummary> summary = pipeline.run();
  if (summary) return *summary;
  const std::string detail = summary.error().message + "; " + captured_log();
  return std::unexpected{
      refuse(summary.error().code == Code::limit ? RefusalKind::limits : RefusalKind::corrupt, detail)};
}

}  // namespace ribalta::transcode
