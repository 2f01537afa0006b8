// libav's handles as owners, and its error codes as Errors. Only files of this folder and the child include it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/result.h"

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavfilter/avfilter.h>
#include <libavfilter/buffersink.h>
#include <libavfilter/buffersrc.h>
#include <libavformat/avformat.h>
#include <libavutil/channel_layout.h>
#include <libavutil/display.h>
#include <libavutil/imgutils.h>
#include <libavutil/log.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
}

namespace ribalta::transcode {

template <auto Free>
struct FreedBy {
  template <class T>
  void operator()(T* handle) const noexcept {
    Free(handle);
  }
};
template <auto Free>
struct FreedThrough {  // libav takes T** and clears it
  template <class T>
  void operator()(T* handle) const noexcept {
    Free(&handle);
  }
};

using Frame = std::unique_ptr<AVFrame, FreedThrough<av_frame_free>>;
using Packet = std::unique_ptr<AVPacket, FreedThrough<av_packet_free>>;
using CodecContext = std::unique_ptr<AVCodecContext, FreedThrough<avcodec_free_context>>;
using FilterGraph = std::unique_ptr<AVFilterGraph, FreedThrough<avfilter_graph_free>>;
using FilterInOut = std::unique_ptr<AVFilterInOut, FreedThrough<avfilter_inout_free>>;
using Dictionary = std::unique_ptr<AVDictionary, FreedThrough<av_dict_free>>;

/// Video time everywhere behind the decoder: 90 000 ticks a second from the file's zero.
inline constexpr AVRational kVideoTimeBase{1, 90'000};

/// @error limit: memory, or a thread for want of it, was missing; otherwise `code`. Not for receiving, where EAGAIN is
/// no error.
inline std::unexpected<Error> fail_av(Code code, std::string_view doing, int error) {
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  av_strerror(error, text, sizeof text);
  return fail(error == AVERROR(ENOMEM) || error == AVERROR(EAGAIN) ? Code::limit : code, doing, std::string_view{text});
}

/// A new frame or packet; only memory can be missing.
inline Frame make_frame() { return Frame{av_frame_alloc()}; }
inline Packet make_packet() { return Packet{av_packet_alloc()}; }
/// Another reference to the same picture or samples.
inline Frame share(const AVFrame& frame) { return Frame{av_frame_clone(&frame)}; }

/// From now on libav's complaints (errors and warnings) go to a bounded memory instead of standard error; the newest
/// kLogBytesMax bytes are kept. Forgets what was kept before. Thread safe.
inline constexpr std::size_t kLogBytesMax = 4096;
void capture_log();
std::string captured_log();

}  // namespace ribalta::transcode
