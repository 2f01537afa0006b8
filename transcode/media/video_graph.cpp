#include "transcode/media/video_graph.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdio>
#include <string>
#include <utility>

namespace ribalta::transcode {
namespace {

/// Pictures at least so high are taken for BT.709 when they do not say.
constexpr int kHdHeight = 720;

bool is_hdr(const AVFrame& frame) {
  return frame.color_trc == AVCOL_TRC_SMPTE2084 || frame.color_trc == AVCOL_TRC_ARIB_STD_B67;
}

/// What a frame does not say of its colour is guessed once, here, so that every filter guesses the same.
void complete_colour(AVFrame& frame) {
  const bool hdr = is_hdr(frame);
  if (frame.colorspace == AVCOL_SPC_UNSPECIFIED || frame.colorspace == AVCOL_SPC_RESERVED) {
    const bool rgb = (av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format))->flags & AV_PIX_FMT_FLAG_RGB) != 0;
    frame.colorspace = rgb                         ? AVCOL_SPC_RGB
                       : hdr                       ? AVCOL_SPC_BT2020_NCL
                       : frame.height >= kHdHeight ? AVCOL_SPC_BT709
                                                   : AVCOL_SPC_SMPTE170M;
  }
  if (frame.color_primaries == AVCOL_PRI_UNSPECIFIED && hdr) frame.color_primaries = AVCOL_PRI_BT2020;
}

std::string size_of(std::int64_t width, std::int64_t height) {
  return "w=" + std::to_string(width) + ":h=" + std::to_string(height);
}

/// The largest even size of the frame's shape inside the rung's. A source that changes its shape in mid-stream keeps
/// it, between black bars; rounding alone makes none.
std::pair<std::int64_t, std::int64_t> fitted(const AVFrame& frame, std::int64_t width, std::int64_t height) {
  const AVRational sar = frame.sample_aspect_ratio;
  const double pixel = sar.num > 0 && sar.den > 0 ? std::clamp(av_q2d(sar), 0.1, 10.0) : 1;
  const double shape = pixel * frame.width / frame.height;
  const double wanted = static_cast<double>(width) / static_cast<double>(height);
  const double rounding = 1 + 3.0 / static_cast<double>(std::min(width, height));
  if (shape < wanted * rounding && wanted < shape * rounding) return {width, height};
  const auto even = [](double side, std::int64_t most) {
    return std::clamp<std::int64_t>(std::llround(side / 2) * 2, 2, most);
  };
  if (shape > wanted) return {width, even(static_cast<double>(width) / shape, height)};
  return {even(static_cast<double>(height) * shape, width), height};
}

/// Filters that turn stored pictures upright.
std::string turn_filters(const Orientation& turn) {
  std::string filters;
  if (turn.mirrored) filters += ",hflip";
  switch (turn.quarter_turns) {
    case 1:
      return filters + ",transpose=clock";
    case 2:
      return filters + ",hflip,vflip";
    case 3:
      return filters + ",transpose=cclock";
    default:
      return filters;
  }
}

}  // namespace

std::string VideoGraph::description(const AVFrame& frame) const {
  const media::LadderVideo& top = options_.rungs.front();
  const bool sideways = options_.orientation.quarter_turns % 2 == 1;
  const std::int64_t width = sideways ? top.height : top.width;
  const std::int64_t height = sideways ? top.width : top.height;
  const auto [inner_width, inner_height] = fitted(frame, width, height);
  const std::string size = size_of(inner_width, inner_height);
  std::string text = "[in]";
  if (options_.deinterlace) text += "bwdif=mode=send_frame:parity=auto:deint=interlaced,";
  if (is_hdr(frame)) {
    // Scaled first: tone mapping works in floating point.
    text += "zscale=" + size + ":t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,tonemap=tonemap=hable:desat=0," +
            "zscale=t=bt709:m=bt709:r=tv";
  } else {
    text += "scale=" + size + ":flags=bicubic:out_color_matrix=bt709:out_range=tv";
  }
  text += ",format=yuv420p";
  if (inner_width != width || inner_height != height) text += ",pad=" + size_of(width, height) + ":x=-1:y=-1";
  text += turn_filters(options_.orientation) + ",setsar=1";
  for (std::size_t i = 0; i < options_.rungs.size(); ++i) {
    const std::string here = std::to_string(i);
    if (i > 0) {
      const media::LadderVideo& rung = options_.rungs[i];
      text += "[c" + here + "]scale=" + size_of(rung.width, rung.height) + ":flags=bicubic,setsar=1";
    }
    const bool last = i + 1 == options_.rungs.size();
    text += last ? "[o" + here + "]" : ",split=2[o" + here + "][c" + std::to_string(i + 1) + "];";
  }
  return text;
}

Result<void> VideoGraph::build(const AVFrame& frame) {
  assert(!options_.rungs.empty());
  sinks_.clear();
  graph_.reset(avfilter_graph_alloc());
  if (!graph_) return fail(Code::limit, "no memory for filters");
  graph_->nb_threads = 1;
  const AVRational sar = frame.sample_aspect_ratio;
  char arguments[160];
  std::snprintf(arguments, sizeof arguments, "video_size=%dx%d:pix_fmt=%d:time_base=1/90000:pixel_aspect=%d/%d",
                frame.width, frame.height, frame.format, sar.num > 0 && sar.den > 0 ? sar.num : 1,
                sar.num > 0 && sar.den > 0 ? sar.den : 1);
  int done =
      avfilter_graph_create_filter(&source_, avfilter_get_by_name("buffer"), "in", arguments, nullptr, graph_.get());
  if (done < 0) return fail_av(Code::malformed, "filter source", done);

  AVFilterInOut* outputs = avfilter_inout_alloc();  // what the description's [in] connects to
  AVFilterInOut* inputs = nullptr;
  if (!outputs) return fail(Code::limit, "no memory for filters");
  outputs->name = av_strdup("in");
  outputs->filter_ctx = source_;
  for (std::size_t i = options_.rungs.size(); i-- > 0 && done >= 0;) {
    AVFilterContext* sink = nullptr;
    const std::string name = "o" + std::to_string(i);
    done = avfilter_graph_create_filter(&sink, avfilter_get_by_name("buffersink"), name.c_str(), nullptr, nullptr,
                                        graph_.get());
    AVFilterInOut* end = avfilter_inout_alloc();
    if (done < 0 || !end) break;
    end->name = av_strdup(name.c_str());
    end->filter_ctx = sink;
    end->next = inputs;
    inputs = end;
    sinks_.insert(sinks_.begin(), sink);
  }
  const std::string text = description(frame);
  if (done >= 0) done = avfilter_graph_parse_ptr(graph_.get(), text.c_str(), &inputs, &outputs, nullptr);
  if (done >= 0) done = avfilter_graph_config(graph_.get(), nullptr);
  avfilter_inout_free(&inputs);
  avfilter_inout_free(&outputs);
  if (done < 0) return fail_av(Code::malformed, "filters", done);
  return {};
}

Result<void> VideoGraph::push(Frame frame, const OnPictures& on_pictures) {
  complete_colour(*frame);
  const Format format{frame->width,      frame->height,    frame->format,
                      frame->colorspace, frame->color_trc, frame->color_range};
  if (!graph_ || format != format_) {
    if (const Result<void> flushed = finish(on_pictures); !flushed) return flushed;
    if (Result<void> built = build(*frame); !built) {
      graph_.reset();
      return built;
    }
    format_ = format;
  }
  const int pushed = av_buffersrc_add_frame(source_, frame.get());
  if (pushed < 0) return fail_av(Code::malformed, "filter a frame", pushed);
  return drain(on_pictures);
}

Result<void> VideoGraph::drain(const OnPictures& on_pictures) {
  for (;;) {
    PictureSet set;
    for (std::size_t i = 0; i < sinks_.size(); ++i) {
      Frame out = make_frame();
      if (!out) return fail(Code::limit, "no memory for a picture");
      const int got = av_buffersink_get_frame(sinks_[i], out.get());
      if (got == AVERROR(EAGAIN) || got == AVERROR_EOF) {
        if (i == 0) return {};
        return fail(Code::internal, "filters gave some rungs and not others");
      }
      if (got < 0) return fail_av(Code::malformed, "filter", got);
      if (i == 0) set.time = av_rescale_q(out->pts, av_buffersink_get_time_base(sinks_[i]), kVideoTimeBase);
      set.rungs.push_back(std::move(out));
    }
    if (const Result<void> taken = on_pictures(std::move(set)); !taken) return taken;
  }
}

Result<void> VideoGraph::finish(const OnPictures& on_pictures) {
  if (!graph_) return {};
  const int ended = av_buffersrc_add_frame(source_, nullptr);
  if (ended < 0) return fail_av(Code::malformed, "end filters", ended);
  Result<void> drained = drain(on_pictures);
  graph_.reset();
  return drained;
}

}  // namespace ribalta::transcode
