#include "transcode/media/audio.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "transcode/media/decoder.h"

namespace ribalta::transcode {
namespace {

/// Arguments of an abuffer that takes such frames.
std::string source_arguments(const AVFrame& frame) {
  AVChannelLayout layout{};
  if (frame.ch_layout.order == AV_CHANNEL_ORDER_UNSPEC) {
    av_channel_layout_default(&layout, frame.ch_layout.nb_channels);
  } else {
    av_channel_layout_copy(&layout, &frame.ch_layout);
  }
  std::array<char, 128> name{};
  av_channel_layout_describe(&layout, name.data(), name.size());
  av_channel_layout_uninit(&layout);
  const char* format = av_get_sample_fmt_name(static_cast<AVSampleFormat>(frame.format));
  return "time_base=1/" + std::to_string(frame.sample_rate) + ":sample_rate=" + std::to_string(frame.sample_rate) +
         ":sample_fmt=" + (format ? format : "none") + ":channel_layout=" + name.data();
}

struct Ends {
  AVFilterContext* source = nullptr;
  AVFilterContext* sink = nullptr;
};

/// A graph with one end each: abuffer, `filters`, abuffersink.
Result<Ends> build_chain(AVFilterGraph& graph, const std::string& arguments, const std::string& filters) {
  Ends ends;
  int done = avfilter_graph_create_filter(&ends.source, avfilter_get_by_name("abuffer"), "in", arguments.c_str(),
                                          nullptr, &graph);
  if (done < 0) return fail_av(Code::malformed, "audio filter source", done);
  done = avfilter_graph_create_filter(&ends.sink, avfilter_get_by_name("abuffersink"), "out", nullptr, nullptr, &graph);
  if (done < 0) return fail_av(Code::malformed, "audio filter sink", done);
  AVFilterInOut* outputs = avfilter_inout_alloc();
  AVFilterInOut* inputs = avfilter_inout_alloc();
  if (outputs && inputs) {
    outputs->name = av_strdup("in");
    outputs->filter_ctx = ends.source;
    inputs->name = av_strdup("out");
    inputs->filter_ctx = ends.sink;
    done = avfilter_graph_parse_ptr(&graph, ("[in]" + filters + "[out]").c_str(), &inputs, &outputs, nullptr);
    if (done >= 0) done = avfilter_graph_config(&graph, nullptr);
  } else {
    done = AVERROR(ENOMEM);
  }
  avfilter_inout_free(&inputs);
  avfilter_inout_free(&outputs);
  if (done < 0) return fail_av(Code::malformed, "audio filters", done);
  return ends;
}

bool usable(const AVFrame& frame) {
  return frame.sample_rate > 0 && frame.sample_rate <= 384'000 && frame.nb_samples > 0 &&
         frame.ch_layout.nb_channels > 0 && frame.ch_layout.nb_channels <= 8;
}

double metadata_value(const AVFrame& frame, const char* key, double otherwise) {
  const AVDictionaryEntry* entry = av_dict_get(frame.metadata, key, nullptr, 0);
  if (!entry) return otherwise;
  const double value = std::strtod(entry->value, nullptr);
  return std::isfinite(value) ? value : otherwise;
}

/// What has come out of an ebur128 filter.
void read_loudness(AVFilterContext& sink, Loudness& loudness) {
  for (;;) {
    const Frame out = make_frame();
    if (!out || av_buffersink_get_frame(&sink, out.get()) < 0) return;
    loudness.integrated_lufs = metadata_value(*out, "lavfi.r128.I", loudness.integrated_lufs);
    for (const char* key : {"lavfi.r128.sample_peaks_ch0", "lavfi.r128.sample_peaks_ch1"}) {
      const double peak = metadata_value(*out, key, 0);  // of the whole track so far, linear
      if (peak > 0) loudness.peak_dbfs = std::max(loudness.peak_dbfs, 20 * std::log10(peak));
    }
  }
}

}  // namespace

Result<AudioEncoder> AudioEncoder::open(std::int64_t bitrate, double gain_db) {
  const AVCodec* codec = avcodec_find_encoder(AV_CODEC_ID_AAC);
  if (!codec) return fail(Code::unsupported, "no AAC encoder");
  CodecContext encoder{avcodec_alloc_context3(codec)};
  if (!encoder) return fail(Code::limit, "no memory for an encoder");
  encoder->sample_rate = kAudioRate;
  encoder->sample_fmt = AV_SAMPLE_FMT_FLTP;
  encoder->bit_rate = bitrate;
  encoder->profile = FF_PROFILE_AAC_LOW;
  encoder->time_base = {1, kAudioRate};
  encoder->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
  av_channel_layout_default(&encoder->ch_layout, 2);
  if (const int opened = avcodec_open2(encoder.get(), codec, nullptr); opened < 0) {
    return fail_av(Code::unsupported, "open AAC encoder", opened);
  }
  if (encoder->frame_size != kAudioFrameSamples) return fail(Code::internal, "AAC frame size", encoder->frame_size);
  return AudioEncoder{std::move(encoder), gain_db};
}

ByteSpan AudioEncoder::codec_config() const {
  // FFmpeg appends an explicit "no SBR" extension; the first two bytes are the whole AudioSpecificConfig of AAC-LC.
  const auto* bytes = reinterpret_cast<const std::byte*>(encoder_->extradata);
  return ByteSpan{bytes, std::min<std::size_t>(2, static_cast<std::size_t>(encoder_->extradata_size))};
}

Result<void> AudioEncoder::build(const AVFrame& frame) {
  graph_.reset(avfilter_graph_alloc());
  if (!graph_) return fail(Code::limit, "no memory for filters");
  graph_->nb_threads = 1;
  char gain[32];
  std::snprintf(gain, sizeof gain, "%.2f", gain_db_);
  // A second graph goes on where the encoder is; frames' times do the rest. first_pts counts in samples of the input,
  // whatever its documentation says (libswresample 4.7). Under min_hard_comp a source's times may waver.
  const std::int64_t first = av_rescale(samples_in_, frame.sample_rate, kAudioRate);
  const std::string filters = "aresample=48000:async=1:min_hard_comp=0.05:first_pts=" + std::to_string(first) +
                              ",aformat=sample_fmts=fltp:sample_rates=48000:channel_layouts=stereo,volume=" + gain +
                              "dB,asetnsamples=n=1024:p=1";
  const Result<Ends> ends = build_chain(*graph_, source_arguments(frame), filters);
  if (!ends) return pass(ends);
  source_ = ends->source;
  sink_ = ends->sink;
  return {};
}

Result<void> AudioEncoder::push(Frame frame, std::int64_t time, const OnAudio& on_audio) {
  if (!usable(*frame)) return {};
  const Format format{frame->sample_rate, frame->format, frame->ch_layout.nb_channels};
  if (!graph_ || format != format_) {
    if (graph_) {
      if (const Result<void> ended = restart(on_audio); !ended) return ended;
      next_time_ = av_rescale(next_time_, format.rate, std::max(1, format_.rate));
    }
    if (const Result<void> built = build(*frame); !built) {
      graph_.reset();
      if (built.error().code == Code::limit) return built;
      return {};  // sound that cannot be made stereo is left out; silence takes its place
    }
    format_ = format;
  }
  frame->pts = time == AV_NOPTS_VALUE ? next_time_ : av_rescale(time, frame->sample_rate, kVideoTimescale);
  next_time_ = frame->pts + frame->nb_samples;
  if (frame->ch_layout.order == AV_CHANNEL_ORDER_UNSPEC) {
    av_channel_layout_default(&frame->ch_layout, frame->ch_layout.nb_channels);
  }
  const int pushed = av_buffersrc_add_frame(source_, frame.get());
  if (pushed == AVERROR(ENOMEM)) return fail_av(Code::limit, "filter sound", pushed);
  if (pushed < 0) return {};
  return drain(on_audio);
}

Result<void> AudioEncoder::drain(const OnAudio& on_audio) {
  for (;;) {
    const Frame out = make_frame();
    if (!out) return fail(Code::limit, "no memory for sound");
    const int got = av_buffersink_get_frame(sink_, out.get());
    if (got == AVERROR(ENOMEM)) return fail_av(Code::limit, "filter sound", got);
    if (got < 0) return {};
    out->pts = samples_in_;  // asetnsamples makes them contiguous
    samples_in_ += out->nb_samples;
    if (const Result<void> encoded = encode(out.get(), on_audio); !encoded) return encoded;
  }
}

Result<void> AudioEncoder::encode(const AVFrame* frame, const OnAudio& on_audio) {
  const int sent = avcodec_send_frame(encoder_.get(), frame);
  if (sent < 0 && sent != AVERROR_EOF) return fail_av(Code::internal, "encode sound", sent);
  const Packet packet = make_packet();
  if (!packet) return fail(Code::limit, "no memory for sound");
  for (;;) {
    av_packet_unref(packet.get());
    const int received = avcodec_receive_packet(encoder_.get(), packet.get());
    if (received == AVERROR(ENOMEM)) return fail_av(Code::limit, "encode sound", received);
    if (received < 0) return {};
    const EncodedAudio out{
        .pts = packet->pts,
        .data = ByteSpan{reinterpret_cast<const std::byte*>(packet->data), static_cast<std::size_t>(packet->size)}};
    if (const Result<void> taken = on_audio(out); !taken) return taken;
  }
}

Result<void> AudioEncoder::restart(const OnAudio& on_audio) {
  if (!graph_) return {};
  Result<void> drained;
  if (av_buffersrc_add_frame(source_, nullptr) >= 0) drained = drain(on_audio);
  graph_.reset();  // the next one's first frame is put where it belongs, however little it is off
  return drained;
}

Result<void> AudioEncoder::finish(const OnAudio& on_audio) {
  if (graph_ && av_buffersrc_add_frame(source_, nullptr) >= 0) {
    if (const Result<void> drained = drain(on_audio); !drained) return drained;
  }
  if (samples_in_ == 0) return {};
  return encode(nullptr, on_audio);
}

double gain_for(const Loudness& loudness) {
  if (loudness.integrated_lufs <= -69) return 0;  // silence has no loudness
  const double wanted = kLoudnessTargetLufs - loudness.integrated_lufs;
  return std::clamp(std::min(wanted, kPeakMaxDbfs - loudness.peak_dbfs), -2 * kGainMaxDb, kGainMaxDb);
}

Result<Loudness> measure_loudness(MediaInput& input, int audio_stream) {
  const AVStream& stream = input.stream(audio_stream);
  input.keep_only(-1, audio_stream);
  Result<Decoder> decoder = Decoder::open(*stream.codecpar, stream.time_base, 1, 1);
  if (!decoder) return pass(decoder);

  Loudness loudness;
  FilterGraph graph;
  Ends ends;
  int rate = 0;
  int channels = 0;
  int sample = -1;
  std::int64_t samples = 0;
  const Decoder::OnFrame on_frame = [&](Frame frame) -> Result<void> {
    if (!usable(*frame)) return {};
    if (!graph) {
      graph.reset(avfilter_graph_alloc());
      if (!graph) return fail(Code::limit, "no memory for filters");
      const Result<Ends> built =
          build_chain(*graph, source_arguments(*frame),
                      "aformat=channel_layouts=stereo,ebur128=metadata=1:peak=sample:framelog=verbose");
      if (!built) return pass(built);
      ends = *built;
      rate = frame->sample_rate;
      channels = frame->ch_layout.nb_channels;
      sample = frame->format;
    }
    // The first format is what is measured; a track that changes is measured by its first part.
    if (frame->sample_rate != rate || frame->ch_layout.nb_channels != channels || frame->format != sample) return {};
    frame->pts = samples;
    samples += frame->nb_samples;
    if (frame->ch_layout.order == AV_CHANNEL_ORDER_UNSPEC) av_channel_layout_default(&frame->ch_layout, channels);
    if (av_buffersrc_add_frame(ends.source, frame.get()) >= 0) read_loudness(*ends.sink, loudness);
    return {};
  };
  const Packet packet = make_packet();
  for (;;) {
    const Result<bool> read = input.read(*packet);
    if (!read) return pass(read);
    if (!*read) break;
    if (packet->stream_index != audio_stream) continue;
    if (const Result<void> decoded = decoder->decode(packet.get(), on_frame); !decoded) return pass(decoded);
  }
  if (const Result<void> decoded = decoder->decode(nullptr, on_frame); !decoded) return pass(decoded);
  if (graph && av_buffersrc_add_frame(ends.source, nullptr) >= 0) read_loudness(*ends.sink, loudness);
  return loudness;
}

}  // namespace ribalta::transcode
