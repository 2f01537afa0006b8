#include "transcode/probe.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "transcode/engine.h"
#include "transcode/media/av.h"

extern "C" {
#include <libavutil/hwcontext.h>
}

namespace ribalta::transcode {
namespace {

constexpr const char* kUsage =
    "usage: ribalta-transcode probe\n"
    "Encodes a frame with each encoder and says which work on this machine; exit code 1 when H.264 on the CPU does "
    "not.\n";
constexpr int kWidth = 320;
constexpr int kHeight = 192;

Result<Frame> grey_frame(AVPixelFormat format) {
  Frame frame = make_frame();
  if (!frame) return fail(Code::limit, "no memory");
  frame->format = format;
  frame->width = kWidth;
  frame->height = kHeight;
  if (const int got = av_frame_get_buffer(frame.get(), 0); got < 0) return fail_av(Code::limit, "frame", got);
  const std::array<std::ptrdiff_t, 4> strides{frame->linesize[0], frame->linesize[1], frame->linesize[2], 0};
  if (const int done = av_image_fill_black(frame->data, strides.data(), format, AVCOL_RANGE_MPEG, kWidth, kHeight);
      done < 0) {
    return fail_av(Code::internal, "frame", done);
  }
  frame->pts = 0;
  return frame;
}

/// The CPU engine itself, as jobs use it.
Result<void> try_cpu_engine() {
  const media::LadderVideo rung{.track = "v192",
                                .width = kWidth,
                                .height = kHeight,
                                .fps = 30,
                                .codecs = "avc1.64001e",
                                .bitrate = 300'000,
                                .bandwidth = 500'000};
  const std::unique_ptr<Engine> engine = make_cpu_engine();
  Result<std::unique_ptr<RungEncoder>> encoder = engine->open({.rung = rung});
  if (!encoder) return pass(encoder);
  const Result<Frame> frame = grey_frame(AV_PIX_FMT_YUV420P);
  if (!frame) return pass(frame);
  std::size_t bytes = 0;
  const OnEncoded count = [&bytes](const EncodedFrame& out) -> Result<void> {
    bytes += out.data.size();
    return {};
  };
  Result<void> done = (*encoder)->encode(**frame, 0, PictureKind::key, count);
  if (done) done = (*encoder)->finish(count);
  if (done && bytes == 0) return fail(Code::internal, "no bytes came out");
  return done;
}

using Buffer = std::unique_ptr<AVBufferRef, FreedThrough<av_buffer_unref>>;

/// Moves a frame into VA-API's memory and tells the encoder of it.
Result<Frame> upload_to_device(AVCodecContext& encoder, const AVFrame& frame) {
  AVBufferRef* raw_device = nullptr;
  if (const int made = av_hwdevice_ctx_create(&raw_device, AV_HWDEVICE_TYPE_VAAPI, nullptr, nullptr, 0); made < 0) {
    return fail_av(Code::unsupported, "no VA-API device:", made);
  }
  const Buffer device{raw_device};
  Buffer frames{av_hwframe_ctx_alloc(device.get())};
  if (!frames) return fail(Code::limit, "no memory");
  auto& context = *reinterpret_cast<AVHWFramesContext*>(frames->data);
  context.format = AV_PIX_FMT_VAAPI;
  context.sw_format = AV_PIX_FMT_NV12;
  context.width = kWidth;
  context.height = kHeight;
  if (const int ready = av_hwframe_ctx_init(frames.get()); ready < 0)
    return fail_av(Code::unsupported, "VA-API frames", ready);
  encoder.hw_frames_ctx = av_buffer_ref(frames.get());
  Frame out = make_frame();
  if (!out) return fail(Code::limit, "no memory");
  int done = av_hwframe_get_buffer(frames.get(), out.get(), 0);
  if (done >= 0) done = av_hwframe_transfer_data(out.get(), &frame, 0);
  if (done < 0) return fail_av(Code::unsupported, "VA-API upload", done);
  out->pts = 0;
  return out;
}

/// One frame through an encoder of libavcodec.
Result<void> try_encoder(const char* name, bool on_device) {
  const AVCodec* codec = avcodec_find_encoder_by_name(name);
  if (!codec) return fail(Code::unsupported, "this build of FFmpeg has no", name);
  CodecContext encoder{avcodec_alloc_context3(codec)};
  if (!encoder) return fail(Code::limit, "no memory");
  encoder->width = kWidth;
  encoder->height = kHeight;
  encoder->time_base = {1, 30};
  encoder->framerate = {30, 1};
  encoder->bit_rate = 300'000;
  encoder->thread_count = 1;
  encoder->pix_fmt = on_device ? AV_PIX_FMT_VAAPI : AV_PIX_FMT_YUV420P;
  Result<Frame> frame = grey_frame(on_device ? AV_PIX_FMT_NV12 : AV_PIX_FMT_YUV420P);
  if (frame && on_device) frame = upload_to_device(*encoder, **frame);
  if (!frame) return pass(frame);
  if (const int opened = avcodec_open2(encoder.get(), codec, nullptr); opened < 0) {
    return fail_av(Code::unsupported, "cannot be opened:", opened);
  }
  const Packet packet = make_packet();
  if (!packet) return fail(Code::limit, "no memory");
  int done = avcodec_send_frame(encoder.get(), frame->get());
  if (done >= 0) done = avcodec_send_frame(encoder.get(), nullptr);
  if (done >= 0) done = avcodec_receive_packet(encoder.get(), packet.get());
  if (done < 0) return fail_av(Code::unsupported, "cannot encode:", done);
  return {};
}

/// The last line that libav logged, where it says more than the error's name.
std::string last_line() {
  std::string log = captured_log();
  while (!log.empty() && log.back() == '\n') log.pop_back();
  const std::size_t at = log.rfind('\n');
  std::string line = at == std::string::npos ? log : log.substr(at + 1);
  // "[h264_nvenc @ 0x5621112c6640] Cannot load libcuda.so.1": who says it stands in the row already.
  const std::size_t said = line.starts_with('[') ? line.find("] ") : std::string::npos;
  return said == std::string::npos ? line : line.substr(said + 2);
}

void say(const char* codec, const char* encoder, const char* use, const Result<void>& tried) {
  if (tried) {
    std::printf("%-6s %-12s yes  %s\n", codec, encoder, use);
    return;
  }
  // The error's name for a driver that is missing is "Operation not permitted"; the log names what is missing.
  const std::string line = last_line();
  std::printf("%-6s %-12s no   %s\n", codec, encoder, line.empty() ? tried.error().message.c_str() : line.c_str());
}

struct Candidate {
  const char* codec;
  const char* encoder;
  bool on_device;
};
/// What libavcodec may have beyond the CPU engine; jobs do not use these yet.
constexpr Candidate kCandidates[] = {
    {"vp9", "libvpx-vp9", false},  {"av1", "libsvtav1", false}, {"h264", "h264_nvenc", false},
    {"hevc", "hevc_nvenc", false}, {"av1", "av1_nvenc", false}, {"h264", "h264_vaapi", true},
    {"hevc", "hevc_vaapi", true},  {"vp9", "vp9_vaapi", true},
};

}  // namespace

int probe_main(int argc, char** argv) {
  if (argc > 0) {
    const bool asked = std::string_view{argv[0]} == "--help" || std::string_view{argv[0]} == "-h";
    std::fputs(kUsage, asked ? stdout : stderr);
    return asked ? 0 : 2;
  }
  ::setenv("SVT_LOG", "0", 1);  // it writes to standard error by itself
  capture_log();
  const Result<void> cpu = try_cpu_engine();
  say("h264", "x264", "used for every rung", cpu);
  for (const Candidate& candidate : kCandidates) {
    capture_log();
    say(candidate.codec, candidate.encoder, "can encode here; jobs do not use it",
        try_encoder(candidate.encoder, candidate.on_device));
  }
  return cpu ? 0 : 1;
}

}  // namespace ribalta::transcode
