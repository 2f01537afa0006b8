#include "transcode/media/decoder.h"

#include <utility>

namespace ribalta::transcode {

Result<Decoder> Decoder::open(const AVCodecParameters& parameters, AVRational time_base, int threads,
                              std::int64_t pixels_max, bool live) {
  const AVCodec* codec = avcodec_find_decoder(parameters.codec_id);
  if (!codec) return fail(Code::unsupported, "no decoder", avcodec_get_name(parameters.codec_id));
  CodecContext context{avcodec_alloc_context3(codec)};
  if (!context) return fail(Code::limit, "no memory for a decoder");
  if (const int copied = avcodec_parameters_to_context(context.get(), &parameters); copied < 0) {
    return fail_av(Code::malformed, "decoder parameters", copied);
  }
  context->pkt_timebase = time_base;
  context->thread_count = threads;
  if (live) context->thread_type = FF_THREAD_SLICE;
  context->max_pixels = pixels_max;
  context->err_recognition = 0;  // what can be shown is shown
  if (const int opened = avcodec_open2(context.get(), codec, nullptr); opened < 0) {
    return fail_av(Code::malformed, "open decoder", opened);
  }
  return Decoder{std::move(context)};
}

Result<void> Decoder::decode(const AVPacket* packet, const OnFrame& on_frame) {
  for (;;) {
    const int sent = avcodec_send_packet(context_.get(), packet);
    if (sent == AVERROR(ENOMEM)) return fail_av(Code::limit, "decode", sent);
    if (sent < 0 && sent != AVERROR(EAGAIN) && sent != AVERROR_EOF) ++errors_;
    for (;;) {
      const Result<bool> more = receive(on_frame);
      if (!more) return pass(more);
      if (!*more) break;
    }
    if (sent != AVERROR(EAGAIN)) return {};  // a full decoder was emptied: the same packet again
  }
}

/// One frame out, if there is one.
Result<bool> Decoder::receive(const OnFrame& on_frame) {
  Frame frame = make_frame();
  if (!frame) return fail(Code::limit, "no memory for a frame");
  const int received = avcodec_receive_frame(context_.get(), frame.get());
  if (received == AVERROR(EAGAIN) || received == AVERROR_EOF) return false;
  if (received == AVERROR(ENOMEM)) return fail_av(Code::limit, "decode", received);
  if (received < 0) {
    ++errors_;
    return true;
  }
  ++frames_;
  frame->pts = frame->best_effort_timestamp;
  if (const Result<void> taken = on_frame(std::move(frame)); !taken) return pass(taken);
  return true;
}

}  // namespace ribalta::transcode
