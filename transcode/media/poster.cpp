#include "transcode/media/poster.h"

#include <cmath>

extern "C" {
#include <libswscale/swscale.h>
}

namespace ribalta::transcode {
namespace {

/// A frame each half second of the first ten seconds is looked at; a title or a fade is then over.
constexpr std::int64_t kStepTicks = 45'000;
constexpr std::int64_t kLastTicks = 10 * 90'000;
/// JPEG quality in FFmpeg's scale: 2 is best, 31 worst.
constexpr int kQuality = 4;

/// The spread of brightness: 0 for a plain picture. Every eighth sample of every eighth line.
double spread_of(const AVFrame& frame) {
  double sum = 0;
  double squares = 0;
  double count = 0;
  for (int y = 0; y < frame.height; y += 8) {
    const std::uint8_t* line = frame.data[0] + static_cast<std::ptrdiff_t>(y) * frame.linesize[0];
    for (int x = 0; x < frame.width; x += 8) {
      const double value = line[x];
      sum += value;
      squares += value * value;
      count += 1;
    }
  }
  if (count == 0) return 0;
  const double mean = sum / count;
  return std::sqrt(std::max(0.0, squares / count - mean * mean));
}

using Scaler = std::unique_ptr<SwsContext, FreedBy<sws_freeContext>>;

/// JPEG takes the full range of values.
Result<Frame> full_range(const AVFrame& frame) {
  Frame out = make_frame();
  if (!out) return fail(Code::limit, "no memory for a poster");
  out->format = AV_PIX_FMT_YUVJ420P;
  out->width = frame.width;
  out->height = frame.height;
  out->color_range = AVCOL_RANGE_JPEG;
  if (const int got = av_frame_get_buffer(out.get(), 0); got < 0) return fail_av(Code::limit, "poster", got);
  const Scaler scaler{sws_getContext(frame.width, frame.height, AV_PIX_FMT_YUV420P, frame.width, frame.height,
                                     AV_PIX_FMT_YUVJ420P, SWS_BILINEAR, nullptr, nullptr, nullptr)};
  if (!scaler) return fail(Code::internal, "poster: scaler");
  // JPEG viewers assume BT.601; the picture is BT.709.
  sws_setColorspaceDetails(scaler.get(), sws_getCoefficients(SWS_CS_ITU709), 0, sws_getCoefficients(SWS_CS_ITU601), 1,
                           0, 1 << 16, 1 << 16);
  sws_scale(scaler.get(), frame.data, frame.linesize, 0, frame.height, out->data, out->linesize);
  return out;
}

}  // namespace

void PosterChooser::offer(const AVFrame& frame, std::int64_t time) {
  if (best_ && (time < next_time_ || time > kLastTicks)) return;
  next_time_ = time + kStepTicks;
  const double score = spread_of(frame);
  if (best_ && score <= best_score_ * 1.05) return;  // the earlier of two alike
  best_ = share(frame);
  best_score_ = score;
}

Result<Bytes> PosterChooser::jpeg() const {
  if (!best_) return fail(Code::not_found, "no picture for a poster");
  const Result<Frame> picture = full_range(*best_);
  if (!picture) return pass(picture);
  const AVCodec* codec = avcodec_find_encoder(AV_CODEC_ID_MJPEG);
  if (!codec) return fail(Code::unsupported, "no JPEG encoder");
  CodecContext encoder{avcodec_alloc_context3(codec)};
  if (!encoder) return fail(Code::limit, "no memory for a poster");
  encoder->width = (*picture)->width;
  encoder->height = (*picture)->height;
  encoder->pix_fmt = AV_PIX_FMT_YUVJ420P;
  encoder->color_range = AVCOL_RANGE_JPEG;
  encoder->time_base = {1, 1};
  encoder->flags |= AV_CODEC_FLAG_QSCALE;
  encoder->global_quality = kQuality * FF_QP2LAMBDA;
  encoder->thread_count = 1;
  if (const int opened = avcodec_open2(encoder.get(), codec, nullptr); opened < 0) {
    return fail_av(Code::unsupported, "open JPEG encoder", opened);
  }
  (*picture)->quality = encoder->global_quality;
  (*picture)->pts = 0;
  const Packet packet = make_packet();
  if (!packet) return fail(Code::limit, "no memory for a poster");
  int done = avcodec_send_frame(encoder.get(), picture->get());
  if (done >= 0) done = avcodec_send_frame(encoder.get(), nullptr);
  if (done >= 0) done = avcodec_receive_packet(encoder.get(), packet.get());
  if (done < 0) return fail_av(Code::internal, "encode poster", done);
  const auto* data = reinterpret_cast<const std::byte*>(packet->data);
  return Bytes{data, data + packet->size};
}

}  // namespace ribalta::transcode
