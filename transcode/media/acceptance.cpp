#include "transcode/media/acceptance.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "transcode/media/decoder.h"

namespace ribalta::transcode {
namespace {

/// Frames that are decoded before a file is taken: a second of most videos, enough to measure the rate.
constexpr std::size_t kFramesTried = 30;
/// Packets that are read for them at most: files with one video packet among thousands of others are not worth more.
constexpr int kPacketsTried = 4000;
/// Two streams whose first frames lie further apart have clocks of their own: both begin at zero.
constexpr std::int64_t kStartGapTicksMax = 60 * 90'000;

bool is_encrypted(const AVStream& stream) {
  const std::uint32_t tag = stream.codecpar->codec_tag;
  if (tag == MKTAG('e', 'n', 'c', 'v') || tag == MKTAG('e', 'n', 'c', 'a')) return true;
  if (av_dict_get(stream.metadata, "enc_key_id", nullptr, 0)) return true;  // Matroska ContentEncKeyID
  return av_stream_get_side_data(&stream, AV_PKT_DATA_ENCRYPTION_INIT_INFO, nullptr) != nullptr;
}

bool is_picture_track(const AVStream& stream) {
  return stream.codecpar->codec_type == AVMEDIA_TYPE_VIDEO &&
         (stream.disposition & (AV_DISPOSITION_ATTACHED_PIC | AV_DISPOSITION_TIMED_THUMBNAILS)) == 0;
}

/// Video streams in the order in which they are tried: what the file calls its default, what has pictures, what is
/// large.
std::vector<int> video_candidates(AVFormatContext& format) {
  std::vector<int> indexes;
  for (unsigned i = 0; i < format.nb_streams; ++i) {
    if (is_picture_track(*format.streams[i])) indexes.push_back(static_cast<int>(i));
  }
  const auto rank = [&](int index) {
    const AVStream& stream = *format.streams[index];
    const AVCodecParameters& codec = *stream.codecpar;
    return std::tuple{avcodec_find_decoder(codec.codec_id) != nullptr, codec.format >= 0,
                      (stream.disposition & AV_DISPOSITION_DEFAULT) != 0,
                      static_cast<std::int64_t>(codec.width) * codec.height, -index};
  };
  std::ranges::sort(indexes, [&](int a, int b) { return rank(a) > rank(b); });
  return indexes;
}

int audio_choice(AVFormatContext& format) {
  int best = -1;
  std::tuple<bool, int> best_rank{};
  for (unsigned i = 0; i < format.nb_streams; ++i) {
    const AVStream& stream = *format.streams[i];
    const AVCodecParameters& codec = *stream.codecpar;
    if (codec.codec_type != AVMEDIA_TYPE_AUDIO || !avcodec_find_decoder(codec.codec_id)) continue;
    if (codec.sample_rate <= 0 || codec.ch_layout.nb_channels <= 0 || codec.ch_layout.nb_channels > 8) continue;
    const std::tuple rank{(stream.disposition & AV_DISPOSITION_DEFAULT) != 0, -static_cast<int>(i)};
    if (best < 0 || rank > best_rank) {
      best = static_cast<int>(i);
      best_rank = rank;
    }
  }
  return best;
}

/// What the decoded frames of one attempt told.
struct Attempt {
  std::vector<std::int64_t> times;  ///< 90 kHz
  std::size_t frames = 0;
  std::size_t interlaced = 0;
  int width = 0;
  int height = 0;
  AVRational sar{0, 1};
  AVColorTransferCharacteristic transfer = AVCOL_TRC_UNSPECIFIED;
  std::optional<std::int64_t> audio_start;  ///< 90 kHz
  std::size_t audio_frames = 0;
  std::uint64_t packets = 0;
  std::uint64_t errors = 0;
  bool out_of_memory = false;
  bool decoder_refused = false;  ///< the codec's own header is broken
  bool sound_refused = false;
};

void note_frame(Attempt& attempt, const AVFrame& frame, AVRational time_base) {
  if (attempt.frames == 0) {
    attempt.width = frame.width;
    attempt.height = frame.height;
    attempt.sar = frame.sample_aspect_ratio;
  }
  if (frame.color_trc != AVCOL_TRC_UNSPECIFIED) attempt.transfer = frame.color_trc;
  ++attempt.frames;
  if (frame.interlaced_frame) ++attempt.interlaced;
  if (const std::int64_t ticks = video_ticks(frame.pts, time_base); ticks != AV_NOPTS_VALUE) {
    attempt.times.push_back(ticks);
  }
}

Attempt try_streams(MediaInput& input, int video, int audio, std::int64_t pixels_max) {
  Attempt attempt;
  const AVStream& stream = input.stream(video);
  Result<Decoder> pictures = Decoder::open(*stream.codecpar, stream.time_base, 1, pixels_max);
  attempt.decoder_refused = !pictures;
  attempt.out_of_memory = !pictures && pictures.error().code == Code::limit;
  if (!pictures) return attempt;
  std::optional<Decoder> sound;
  if (audio >= 0) {
    Result<Decoder> opened = Decoder::open(*input.stream(audio).codecpar, input.stream(audio).time_base, 1, pixels_max);
    attempt.sound_refused = !opened;
    attempt.out_of_memory = !opened && opened.error().code == Code::limit;
    if (attempt.out_of_memory) return attempt;
    if (opened) sound = std::move(*opened);
  }
  const Decoder::OnFrame on_picture = [&](Frame frame) -> Result<void> {
    note_frame(attempt, *frame, stream.time_base);
    return {};
  };
  const Decoder::OnFrame on_sound = [&](Frame frame) -> Result<void> {
    ++attempt.audio_frames;
    const std::int64_t ticks = video_ticks(frame->pts, input.stream(audio).time_base);
    if (!attempt.audio_start && ticks != AV_NOPTS_VALUE) attempt.audio_start = ticks;
    return {};
  };
  const auto enough = [&] { return attempt.frames >= kFramesTried && (!sound || attempt.audio_frames > 0); };

  input.keep_only(video, audio);
  const Packet packet = make_packet();
  Result<void> decoded;
  for (int count = 0; count < kPacketsTried && !enough() && decoded; ++count) {
    const Result<bool> read = input.read(*packet);
    if (!read) decoded = pass(read);
    if (!read || !*read) break;
    if (packet->stream_index == video) {
      ++attempt.packets;
      decoded = pictures->decode(packet.get(), on_picture);
    } else if (packet->stream_index == audio && sound && attempt.audio_frames == 0) {
      decoded = sound->decode(packet.get(), on_sound);
    }
  }
  if (decoded && attempt.frames < kFramesTried) decoded = pictures->decode(nullptr, on_picture);
  if (decoded && sound && attempt.audio_frames == 0) decoded = sound->decode(nullptr, on_sound);
  attempt.out_of_memory = !decoded;
  attempt.errors = pictures->errors();
  return attempt;
}

double sane_rate(AVRational rate) {
  if (rate.num <= 0 || rate.den <= 0) return 0;
  const double value = av_q2d(rate);
  return value >= 0.1 && value <= 1000 ? value : 0;
}

/// Frames a second from the frames themselves; containers claim 600 or 90 000.
double measured_fps(Attempt& attempt, const AVStream& stream) {
  std::ranges::sort(attempt.times);
  double fps = 0;
  if (attempt.times.size() >= 5) {
    const auto span = static_cast<double>(attempt.times.back() - attempt.times.front());
    if (span > 0) fps = static_cast<double>(attempt.times.size() - 1) * 90'000 / span;
  }
  if (fps == 0) fps = sane_rate(stream.avg_frame_rate);
  if (fps == 0) fps = sane_rate(stream.r_frame_rate);
  if (fps == 0) fps = 30;
  for (const double common : {24'000.0 / 1001, 24.0, 25.0, 30'000.0 / 1001, 30.0, 48.0, 50.0, 60'000.0 / 1001, 60.0}) {
    if (std::abs(fps - common) < common * 0.0005) return common;
  }
  for (const double common : {24.0, 25.0, 30.0, 50.0, 60.0}) {
    if (std::abs(fps - common) < common * 0.01) return common;
  }
  return fps;
}

/// Upright, square pixels: the longer side grows, so that nothing is lost.
std::pair<std::int64_t, std::int64_t> shown_size(const Attempt& attempt, const AVStream& stream, Orientation turn) {
  AVRational sar = attempt.sar.num > 0 && attempt.sar.den > 0 ? attempt.sar : stream.sample_aspect_ratio;
  const double shape = sar.num > 0 && sar.den > 0 ? av_q2d(sar) : 1;
  double width = attempt.width;
  double height = attempt.height;
  if (shape > 1 && shape <= 10) width *= shape;
  if (shape < 1 && shape >= 0.1) height /= shape;
  if (turn.quarter_turns % 2 == 1) std::swap(width, height);
  return {std::llround(width), std::llround(height)};
}

Orientation stream_orientation(const AVStream& stream) {
  std::size_t bytes = 0;
  const std::uint8_t* matrix = av_stream_get_side_data(&stream, AV_PKT_DATA_DISPLAYMATRIX, &bytes);
  if (!matrix || bytes < 9 * sizeof(std::int32_t)) return {};
  std::array<std::int32_t, 9> values{};
  std::copy_n(matrix, sizeof values, reinterpret_cast<std::uint8_t*>(values.data()));
  return orientation_of(values.data());
}

/// Why nothing could be opened, from what the first bytes say.
Refusal explain_unopened(Signature signature, const Mp4Layout& layout, const std::string& detail) {
  switch (signature) {
    case Signature::mp4:
      if (!layout.moov) return refuse(RefusalKind::truncated, "no moov; " + detail);
      if (layout.encrypted) return refuse(RefusalKind::encrypted, detail);
      return refuse(RefusalKind::corrupt, detail);
    case Signature::matroska:
      return refuse(RefusalKind::truncated, detail);
    case Signature::ogg:
      return refuse(RefusalKind::corrupt, detail);
    case Signature::still_image:
      return refuse(RefusalKind::still_image, detail);
    case Signature::audio_only:
      return refuse(RefusalKind::no_video, detail);
    case Signature::unknown:
      break;
  }
  return refuse(RefusalKind::not_media, detail);
}

/// Why a stream that was announced gave no picture.
Refusal explain_undecoded(const Attempt& attempt, Signature signature, const Mp4Layout& layout, bool encrypted) {
  const std::string detail = std::to_string(attempt.packets) + " packets, no picture; " + captured_log();
  if (encrypted || layout.encrypted) return refuse(RefusalKind::encrypted, detail);
  if (attempt.packets > 0 || attempt.decoder_refused) return refuse(RefusalKind::corrupt, detail);
  if (signature == Signature::mp4 && !layout.moof && !layout.mdat_whole) {
    // An initialisation segment promises fragments and has no samples of its own; other headers lost their data.
    const bool header_of_fragments = captured_log().find("partial file") == std::string::npos && !layout.mdat_any;
    return refuse(header_of_fragments ? RefusalKind::no_samples : RefusalKind::truncated, detail);
  }
  return refuse(RefusalKind::no_samples, detail);
}

std::optional<Refusal> over_limits(const AVStream& stream, const SourceLimits& limits) {
  for (const std::int64_t side : {stream.codecpar->width, stream.codecpar->height}) {
    if (side <= limits.side_max) continue;
    return refuse(RefusalKind::limits,
                  "The picture is larger than " + std::to_string(limits.side_max) + " pixels on one side.",
                  std::to_string(stream.codecpar->width) + "x" + std::to_string(stream.codecpar->height));
  }
  return std::nullopt;
}

/// A file that opened but shows no video track.
Refusal explain_no_video(AVFormatContext& format, Signature signature, const Mp4Layout& layout) {
  for (unsigned i = 0; i < format.nb_streams; ++i) {
    const AVStream& stream = *format.streams[i];
    if (is_encrypted(stream)) return refuse(RefusalKind::encrypted, captured_log());
    const bool sound = stream.codecpar->codec_type == AVMEDIA_TYPE_AUDIO;
    const bool known = avcodec_find_decoder(stream.codecpar->codec_id) != nullptr;
    if (sound && (!known || captured_log().find("is not implemented") != std::string::npos)) {
      return refuse(RefusalKind::unsupported_codec, captured_log());
    }
    if (sound && signature == Signature::mp4 && !layout.mdat_any && !layout.moof) {
      return refuse(RefusalKind::truncated, captured_log());
    }
  }
  return refuse(RefusalKind::no_video, captured_log());
}

}  // namespace

std::int64_t video_ticks(std::int64_t pts, AVRational time_base) {
  if (pts == AV_NOPTS_VALUE || time_base.num <= 0 || time_base.den <= 0) return AV_NOPTS_VALUE;
  const std::int64_t ticks = av_rescale_q(pts, time_base, kVideoTimeBase);
  // Beyond a century of 90 kHz somebody made the number up.
  constexpr std::int64_t kTicksMax = std::int64_t{90'000} * 3600 * 24 * 36'500;
  return ticks < -kTicksMax || ticks > kTicksMax ? AV_NOPTS_VALUE : ticks;
}

Orientation orientation_of(const std::int32_t matrix[9]) {
  const auto sign = [](std::int32_t value) { return value > 0 ? 1 : value < 0 ? -1 : 0; };
  // Rows (a b) and (c d): x' = a x + c y, y' = b x + d y, y growing downwards.
  const int a = sign(matrix[0]), b = sign(matrix[1]), c = sign(matrix[3]), d = sign(matrix[4]);
  const bool straight = b == 0 && c == 0 && a != 0 && d != 0;
  const bool turned = a == 0 && d == 0 && b != 0 && c != 0;
  if (!straight && !turned) return {};
  if (straight) {
    if (a > 0 && d > 0) return {false, 0};
    if (a < 0 && d < 0) return {false, 2};
    return a < 0 ? Orientation{true, 0} : Orientation{true, 2};  // left-right, or top-bottom: mirrored and turned half
  }
  if (b > 0 && c < 0) return {false, 1};
  if (b < 0 && c > 0) return {false, 3};
  return b > 0 ? Orientation{true, 3} : Orientation{true, 1};
}

std::expected<SourceInfo, Refusal> accept_source(int descriptor, std::uint64_t bytes, const SourceLimits& limits) {
  const auto no = [](Refusal refusal) { return std::unexpected{std::move(refusal)}; };
  if (bytes == 0) return no(refuse(RefusalKind::empty, "0 bytes"));
  if (bytes > static_cast<std::uint64_t>(limits.bytes_max)) {
    return no(
        refuse(RefusalKind::limits, "The file is larger than is accepted here.", std::to_string(bytes) + " bytes"));
  }
  std::array<std::byte, 64> head{};
  const ssize_t got = ::pread(descriptor, head.data(), head.size(), 0);
  const Signature signature = signature_of(ByteSpan{head}.first(static_cast<std::size_t>(std::max<ssize_t>(got, 0))));
  if (signature == Signature::still_image) return no(refuse(RefusalKind::still_image, "signature of an image"));
  if (signature == Signature::audio_only) return no(refuse(RefusalKind::no_video, "signature of an audio file"));
  const Mp4Layout layout = signature == Signature::mp4 ? read_mp4_layout(descriptor, bytes) : Mp4Layout{};

  Result<std::unique_ptr<MediaInput>> opened = MediaInput::open(descriptor, bytes);
  if (!opened) {
    const std::string detail = opened.error().message + "; " + captured_log();
    if (opened.error().code == Code::limit) return no(refuse(RefusalKind::limits, detail));
    if (detail.find("max_streams") != std::string::npos) {
      return no(refuse(RefusalKind::limits, "The file has more tracks than are accepted here.", detail));
    }
    return no(explain_unopened(signature, layout, detail));
  }
  MediaInput& input = **opened;
  const std::vector<int> candidates = video_candidates(input.format());
  if (candidates.empty()) return no(explain_no_video(input.format(), signature, layout));

  const int audio = audio_choice(input.format());
  std::optional<Refusal> refusal;
  for (const int video : candidates) {
    const AVStream& stream = input.stream(video);
    std::optional<Refusal> why = over_limits(stream, limits);
    if (!why && !avcodec_find_decoder(stream.codecpar->codec_id)) {
      const bool encrypted = is_encrypted(stream) || layout.encrypted;
      why = refuse(encrypted ? RefusalKind::encrypted : RefusalKind::unsupported_codec, captured_log());
    }
    if (why) {
      if (!refusal) refusal = std::move(why);
      continue;
    }
    // Each attempt reads the file from its start.
    Result<std::unique_ptr<MediaInput>> fresh = MediaInput::open(descriptor, bytes);
    if (!fresh && fresh.error().code == Code::limit) {
      return no(refuse(RefusalKind::limits, fresh.error().message + "; " + captured_log()));
    }
    if (!fresh || static_cast<unsigned>(video) >= (*fresh)->format().nb_streams) continue;
    Attempt attempt = try_streams(**fresh, video, audio, limits.side_max * limits.side_max);
    if (attempt.out_of_memory) return no(refuse(RefusalKind::limits, "no memory while decoding; " + captured_log()));
    if (attempt.sound_refused) {
      return no(refuse(RefusalKind::corrupt, "The file's sound is damaged and cannot be decoded.", captured_log()));
    }
    if (attempt.frames == 0) {
      if (!refusal) refusal = explain_undecoded(attempt, signature, layout, is_encrypted(stream));
      continue;
    }

    SourceInfo info;
    info.video_stream = video;
    info.audio_stream = attempt.audio_frames > 0 ? audio : -1;
    info.orientation = stream_orientation(stream);
    std::tie(info.width, info.height) = shown_size(attempt, stream, info.orientation);
    info.fps = measured_fps(attempt, stream);
    const AVColorTransferCharacteristic transfer =
        attempt.transfer != AVCOL_TRC_UNSPECIFIED ? attempt.transfer : stream.codecpar->color_trc;
    info.hdr = transfer == AVCOL_TRC_SMPTE2084 || transfer == AVCOL_TRC_ARIB_STD_B67;
    info.interlaced = attempt.interlaced > 0;
    info.format = input.format().iformat->name;
    info.video_codec = avcodec_get_name(stream.codecpar->codec_id);
    if (info.audio_stream >= 0) info.audio_codec = avcodec_get_name(input.stream(audio).codecpar->codec_id);
    if (input.format().duration > 0) info.duration_ms = input.format().duration / 1000;
    if (info.fps > static_cast<double>(limits.fps_max)) {
      return no(refuse(RefusalKind::limits, "The video has more frames a second than are accepted here.",
                       std::to_string(info.fps)));
    }
    const std::int64_t first = attempt.times.empty() ? 0 : attempt.times.front();
    const std::int64_t sound = attempt.audio_start.value_or(first);
    info.zero = std::abs(sound - first) > kStartGapTicksMax ? first : std::min(first, sound);
    return info;
  }
  return no(refusal.value_or(refuse(RefusalKind::corrupt, captured_log())));
}

}  // namespace ribalta::transcode
