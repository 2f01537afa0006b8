// ribalta-package-bench: what is left of an upload's work when its rungs are encoded already. For scripts/bench
// package.
//
// All else is what production does: a child in jail demuxes and writes CMAF (media/track_output.h), a pipe carries it,
// the parent reads every segment again, spools it, and puts each track behind its index, synced, into a folder's store.
#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/json.h"
#include "transcode/media/audio.h"
#include "transcode/media/av.h"
#include "transcode/media/input.h"
#include "transcode/media/track_output.h"
#include "transcode/sandbox/child_main.h"
#include "transcode/sandbox/child_process.h"
#include "transcode/sandbox/vod_child.h"
#include "transcode/worker/vod_store.h"

namespace ribalta::transcode {
namespace {

constexpr const char* kUsage =
    "usage: ribalta-package-bench FILE FOLDER VIDEO\n"
    "Packages FILE, whose video tracks are the rungs that its first one's size asks for (highest first), with one "
    "sound\n"
    "track of 48 kHz AAC, into FOLDER/vod/VIDEO/1, and prints the record.\n";

std::unexpected<Refusal> broken(const Error& error) {
  return std::unexpected{refuse(RefusalKind::corrupt, error.message)};
}

/// Stands where x264 stands: for each picture that goes in, the coded frame that lies ready comes out.
class CodedRung final : public RungEncoder {
 public:
  explicit CodedRung(Bytes config) : config_(std::move(config)) {}
  [[nodiscard]] const Bytes& codec_config() const override { return config_; }
  Result<void> encode(const AVFrame& /*picture*/, std::int64_t /*pts*/, PictureKind /*kind*/,
                      const OnEncoded& on_encoded) override {
    return on_encoded(ready);
  }
  Result<void> finish(const OnEncoded& /*on_encoded*/) override { return {}; }

  EncodedFrame ready;

 private:
  Bytes config_;
};

/// Opens one encoder, once.
class CodedEngine final : public Engine {
 public:
  explicit CodedEngine(std::unique_ptr<CodedRung> rung) : rung_(std::move(rung)) {}
  [[nodiscard]] std::string_view name() const override { return "coded"; }
  Result<std::unique_ptr<RungEncoder>> open(const RungSettings& /*settings*/) override { return std::move(rung_); }

 private:
  std::unique_ptr<CodedRung> rung_;
};

Bytes extradata(const AVStream& stream) {
  const auto* bytes = reinterpret_cast<const std::byte*>(stream.codecpar->extradata);
  return {bytes, bytes + stream.codecpar->extradata_size};
}

/// A rung of the file. A frame's duration is known with the next one.
struct Rung {
  CodedRung* coded = nullptr;
  std::unique_ptr<VideoTrackOutput> output;
  std::int64_t zero = 0;  ///< decode time of the first frame: an edit list may put it below zero
  Packet waiting;
};

class Packaging {
 public:
  Packaging(MediaInput& input, const VodSettings& settings, MediaSink& sink)
      : input_(input), settings_(settings), sink_(sink) {}
  /// The plan, and every track's init segment.
  Result<void> open();
  Result<VodSummary> run();

 private:
  Result<void> open_rung(int stream, std::size_t track, const media::LadderVideo& rung);
  Result<void> push_video(Rung& rung, const AVStream& stream, std::int64_t next_dts);

  MediaInput& input_;
  const VodSettings& settings_;
  MediaSink& sink_;
  std::int64_t later_ = 0;
  std::map<int, Rung> rungs_;  ///< by stream
  int sound_stream_ = -1;
  std::optional<AudioTrackOutput> sound_;
  Frame picture_ = make_frame();  ///< nothing is in it: the frames are coded
  VodSummary summary_;
};

Result<void> Packaging::open() {
  std::vector<int> videos;
  for (unsigned i = 0; i < input_.format().nb_streams; ++i) {
    const AVMediaType type = input_.stream(static_cast<int>(i)).codecpar->codec_type;
    if (type == AVMEDIA_TYPE_VIDEO) videos.push_back(static_cast<int>(i));
    if (type == AVMEDIA_TYPE_AUDIO) sound_stream_ = static_cast<int>(i);
  }
  if (videos.empty() || sound_stream_ < 0) return fail(Code::malformed, "not a picture and a sound");
  const AVStream& top = input_.stream(videos.front());
  VodReport report{.width = top.codecpar->width,
                   .height = top.codecpar->height,
                   .fps = av_q2d(top.avg_frame_rate),
                   .format = "mov",
                   .video_codec = "h264",
                   .audio_codec = "aac",
                   .hdr = false,
                   .rungs = {},
                   .audio = {media::encoded_audio()}};
  const media::LadderOptions ladder{.short_side_max = settings_.short_side_max,
                                    .fps_max = 60,
                                    .rungs_max = static_cast<std::size_t>(settings_.rungs_max)};
  auto rungs = media::vod_ladder({report.width, report.height, report.fps}, ladder);
  if (!rungs) return pass(rungs);
  if (rungs->size() != videos.size()) return fail(Code::malformed, "rungs of such a picture", rungs->size());
  report.rungs = std::move(*rungs);
  later_ = shown_later(report.fps);
  if (const Result<void> told = sink_.report(report); !told) return told;
  for (std::size_t i = 0; i < videos.size(); ++i) {
    if (const Result<void> opened = open_rung(videos[i], i, report.rungs[i]); !opened) return opened;
  }
  sound_.emplace(videos.size(), sink_, settings_.segment_ms, later_);
  return sound_->open(extradata(input_.stream(sound_stream_)), report.audio[0].bitrate);
}

Result<void> Packaging::open_rung(int stream, std::size_t track, const media::LadderVideo& rung) {
  auto coded = std::make_unique<CodedRung>(extradata(input_.stream(stream)));
  Rung& mine = rungs_[stream];
  mine.coded = coded.get();
  mine.output = std::make_unique<VideoTrackOutput>(track, sink_, later_);
  CodedEngine engine{std::move(coded)};
  RungSettings settings;
  settings.rung = rung;
  return mine.output->open(engine, settings);
}

Result<void> Packaging::push_video(Rung& rung, const AVStream& stream, std::int64_t next_dts) {
  const auto ticks = [&](std::int64_t value) {
    return av_rescale_q(value - rung.zero, stream.time_base, kVideoTimeBase);
  };
  const AVPacket& packet = *rung.waiting;
  const std::int64_t time = ticks(packet.dts);
  const bool key = (packet.flags & AV_PKT_FLAG_KEY) != 0;
  rung.coded->ready = {
      .pts = ticks(packet.pts) - later_,
      .key = key,
      .data = {reinterpret_cast<const std::byte*>(packet.data), static_cast<std::size_t>(packet.size)}};
  return rung.output->push(*picture_,
                           {.time = time, .duration = static_cast<std::uint32_t>(ticks(next_dts) - time), .key = key});
}

Result<VodSummary> Packaging::run() {
  Packet packet = make_packet();
  std::int64_t sound_packets = 0;
  while (input_.read(*packet)) {
    if (packet->stream_index == sound_stream_) {
      const ByteSpan data{reinterpret_cast<const std::byte*>(packet->data), static_cast<std::size_t>(packet->size)};
      const std::int64_t pts = (sound_packets++ - 1) * kAudioFrameSamples;  // the first one primes
      if (const Result<void> pushed = sound_->push(pts, data); !pushed) return pass(pushed);
    } else if (const auto found = rungs_.find(packet->stream_index); found != rungs_.end()) {
      Rung& rung = found->second;
      const AVStream& stream = input_.stream(packet->stream_index);
      if (!rung.waiting) {
        rung.zero = packet->dts;
      } else {
        if (const Result<void> pushed = push_video(rung, stream, packet->dts); !pushed) return pass(pushed);
      }
      if (rung.coded == rungs_.begin()->second.coded) ++summary_.frames;
      rung.waiting = std::exchange(packet, make_packet());
    }
    av_packet_unref(packet.get());
  }
  for (auto& [index, rung] : rungs_) {
    if (!rung.waiting) return fail(Code::malformed, "an empty track", index);
    const AVStream& stream = input_.stream(index);
    // The last frame of a file may say no duration.
    const std::int64_t frame = av_rescale_q(1, av_inv_q(stream.avg_frame_rate), stream.time_base);
    if (const Result<void> pushed = push_video(rung, stream, rung.waiting->dts + frame); !pushed) return pass(pushed);
    if (const Result<void> finished = rung.output->finish(); !finished) return pass(finished);
  }
  if (const Result<void> finished = sound_->finish(); !finished) return pass(finished);
  summary_.duration_ms = input_.format().duration / 1000;
  constexpr std::array<std::byte, 4> kNoPicture{std::byte{0xFF}, std::byte{0xD8}, std::byte{0xFF}, std::byte{0xD9}};
  if (const Result<void> told = sink_.poster({kNoPicture.begin(), kNoPicture.end()}); !told) return pass(told);
  return summary_;
}

std::expected<VodSummary, Refusal> package_file(int descriptor, std::uint64_t bytes, const VodSettings& settings,
                                                MediaSink& sink) {
  const Result<std::unique_ptr<MediaInput>> input = MediaInput::open(descriptor, bytes);
  if (!input) return broken(input.error());
  Packaging packaging{**input, settings, sink};
  if (const Result<void> opened = packaging.open(); !opened) return broken(opened.error());
  const Result<VodSummary> summary = packaging.run();
  if (!summary) return broken(summary.error());
  return *summary;
}

int fail_with(std::string_view sentence) {
  std::fprintf(stderr, "%.*s\n", static_cast<int>(sentence.size()), sentence.data());
  return 1;
}

int package_main(const char* file, const char* folder, const char* video) {
  const Descriptor input{::open(file, O_RDONLY | O_CLOEXEC)};
  struct stat status{};
  if (input.get() < 0 || ::fstat(input.get(), &status) != 0) return fail_with("the file cannot be opened");
  Result<std::unique_ptr<ObjectStore>> store = open_folder_store(folder);
  if (!store) return fail_with(store.error().message);
  const VodChildOptions options{.program = {}, .niceness = 0, .jail = {}, .settings = {}};
  const media::LadderOptions ladder{.short_side_max = options.settings.short_side_max,
                                    .fps_max = 60,
                                    .rungs_max = static_cast<std::size_t>(options.settings.rungs_max)};
  VodStore sink{**store, folder, video, "1", options.settings.segment_ms, ladder, [](double) {}};
  const std::atomic<bool> cancelled{false};
  const auto bytes = static_cast<std::uint64_t>(status.st_size);
  const auto summary = run_vod_child(input.get(), bytes, options, sink, cancelled);
  if (!summary) {
    const WorkFailure& failure = summary.error();
    return fail_with(failure.refusal ? failure.refusal->sentence + " " + failure.refusal->detail : failure.reason);
  }
  const Result<VideoRecord> record = sink.publish(*summary);
  if (!record) return fail_with(record.error().message);
  std::printf("%s\n", json_write(*record).c_str());
  return 0;
}

}  // namespace
}  // namespace ribalta::transcode

int main(int argc, char** argv) {
  using namespace ribalta::transcode;
  if (argc > 1 && std::string_view{argv[1]} == kChildFlag) return child_main(package_file);
  if (argc != 4) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  return package_main(argv[1], argv[2], argv[3]);
}
