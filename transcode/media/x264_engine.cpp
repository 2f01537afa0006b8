// The CPU engine: x264 through its own API, because only there can key frames be planned to the frame.
#include <cstdint>
// x264.h needs the line above.
#include <x264.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <mutex>

#include "core/media/codec_config.h"
#include "core/units.h"
#include "transcode/engine.h"
#include "transcode/media/av.h"

namespace ribalta::transcode {
namespace {

using X264 = std::unique_ptr<x264_t, FreedBy<x264_encoder_close>>;

constexpr std::uint8_t kNalSps = 7;
constexpr std::uint8_t kNalPps = 8;
/// Frames that an encoder for quality looks ahead; x264's veryfast has 10. Memory: so many pictures in each rung.
constexpr int kLookaheadFrames = 15;

class X264Encoder final : public RungEncoder {
 public:
  static Result<std::unique_ptr<RungEncoder>> open(const RungSettings& settings);

  [[nodiscard]] const Bytes& codec_config() const override { return codec_config_; }

  Result<void> encode(const AVFrame& picture, std::int64_t pts, PictureKind kind,
                      const OnEncoded& on_encoded) override {
    x264_picture_t in;
    x264_picture_init(&in);
    in.img.i_csp = X264_CSP_I420;
    in.img.i_plane = 3;
    for (int plane = 0; plane < 3; ++plane) {
      in.img.plane[plane] = picture.data[plane];
      in.img.i_stride[plane] = picture.linesize[plane];
    }
    in.i_pts = pts;
    in.i_type = kind == PictureKind::key ? X264_TYPE_IDR : kind == PictureKind::in_order ? X264_TYPE_P : X264_TYPE_AUTO;
    const Result<bool> out = run(&in, on_encoded);
    if (!out) return pass(out);
    return {};
  }

  Result<void> finish(const OnEncoded& on_encoded) override {
    while (x264_encoder_delayed_frames(x264_.get()) > 0) {
      const Result<bool> out = run(nullptr, on_encoded);
      if (!out) return pass(out);
    }
    return {};
  }

 private:
  Result<bool> run(x264_picture_t* in, const OnEncoded& on_encoded) {
    x264_nal_t* units = nullptr;
    int count = 0;
    x264_picture_t out;
    x264_picture_init(&out);
    const int bytes = x264_encoder_encode(x264_.get(), &units, &count, in, &out);
    // Parameters and the picture's format are ours: what is left to fail is memory, in whichever of its threads.
    if (bytes < 0) return fail(Code::limit, "x264: no memory to encode");
    if (bytes == 0 || count == 0) return false;
    const EncodedFrame frame{
        .pts = out.i_pts,
        .key = out.i_type == X264_TYPE_IDR,
        .data = ByteSpan{reinterpret_cast<const std::byte*>(units[0].p_payload), static_cast<std::size_t>(bytes)}};
    if (const Result<void> taken = on_encoded(frame); !taken) return pass(taken);
    return true;
  }

  X264 x264_;
  Bytes codec_config_;
};

void quiet(void*, int, const char*, va_list) {}

Result<x264_param_t> parameters_for(const RungSettings& settings) {
  const media::LadderVideo& rung = settings.rung;
  const Result<int> level = media::h264_high_level(rung.codecs);
  if (!level) return pass(level);
  x264_param_t parameters;
  const std::string preset = settings.preset.empty() ? "veryfast" : settings.preset;
  if (x264_param_default_preset(&parameters, preset.c_str(), settings.live ? "zerolatency" : nullptr) < 0) {
    return fail(Code::malformed, "x264: no preset", preset);
  }
  parameters.pf_log = quiet;
  parameters.i_width = static_cast<int>(rung.width);
  parameters.i_height = static_cast<int>(rung.height);
  parameters.i_csp = X264_CSP_I420;
  parameters.i_bitdepth = 8;
  parameters.i_threads = std::max(1, settings.threads);
  parameters.b_sliced_threads = settings.live && settings.threads > 1 ? 1 : 0;
  parameters.b_vfr_input = settings.live ? 0 : 1;
  parameters.i_timebase_num = 1;
  parameters.i_timebase_den = kVideoTimescale;
  parameters.i_fps_num = static_cast<std::uint32_t>(std::max(1.0, rung.fps * 1000));
  parameters.i_fps_den = 1000;

  // Key frames are planned outside: the same in every rung.
  parameters.i_keyint_max = X264_KEYINT_MAX_INFINITE;
  parameters.i_keyint_min = 1;
  parameters.i_scenecut_threshold = 0;
  parameters.b_open_gop = 0;
  parameters.b_repeat_headers = 0;  // CMAF has them in its init segment
  parameters.b_annexb = 0;
  parameters.b_aud = 0;
  parameters.i_bframe_pyramid = X264_B_PYRAMID_NONE;  // pictures are then decoded at most one picture late
  if (!settings.reorder) parameters.i_bframe = 0;
  if (!settings.live) parameters.rc.i_lookahead = kLookaheadFrames;

  parameters.vui.i_sar_width = 1;
  parameters.vui.i_sar_height = 1;
  parameters.vui.i_colorprim = 1;  // BT.709, what every source is turned into
  parameters.vui.i_transfer = 1;
  parameters.vui.i_colmatrix = 1;
  parameters.vui.b_fullrange = 0;

  const media::RateControl rate = media::rate_control_for(rung);
  const auto kilobits = [](std::int64_t bits) { return static_cast<int>(std::max<std::int64_t>(1, bits / 1000)); };
  parameters.rc.i_vbv_max_bitrate = kilobits(rate.maxrate);
  parameters.rc.i_vbv_buffer_size = kilobits(rate.buffer_bits);
  parameters.rc.f_vbv_buffer_init = 0.9F;
  if (settings.crf > 0) {
    parameters.rc.i_rc_method = X264_RC_CRF;
    parameters.rc.f_rf_constant = static_cast<float>(settings.crf);
  } else {
    parameters.rc.i_rc_method = X264_RC_ABR;
    parameters.rc.i_bitrate = kilobits(rate.bitrate);
  }

  if (x264_param_apply_profile(&parameters, "high") < 0) return fail(Code::internal, "x264: profile");
  // What the codec string announced: High with this level, whatever would do.
  parameters.analyse.b_transform_8x8 = 1;
  parameters.b_cabac = 1;
  parameters.i_level_idc = *level;
  return parameters;
}

Result<std::unique_ptr<RungEncoder>> X264Encoder::open(const RungSettings& settings) {
  Result<x264_param_t> parameters = parameters_for(settings);
  if (!parameters) return pass(parameters);
  auto encoder = std::make_unique<X264Encoder>();
  errno = 0;
  encoder->x264_.reset(x264_encoder_open(&*parameters));
  const bool no_memory = errno == ENOMEM;  // x264 says no more than that it failed
  x264_param_cleanup(&*parameters);
  if (!encoder->x264_) return fail(no_memory ? Code::limit : Code::unsupported, "x264: open", settings.rung.track);

  x264_nal_t* units = nullptr;
  int count = 0;
  if (x264_encoder_headers(encoder->x264_.get(), &units, &count) < 0) return fail(Code::internal, "x264: headers");
  std::vector<Bytes> sps;
  std::vector<Bytes> pps;
  for (int i = 0; i < count; ++i) {
    if (units[i].i_payload <= 4) continue;  // its length comes first
    const ByteSpan unit{reinterpret_cast<const std::byte*>(units[i].p_payload) + 4,
                        static_cast<std::size_t>(units[i].i_payload) - 4};
    if (units[i].i_type == kNalSps) sps.emplace_back(unit.begin(), unit.end());
    if (units[i].i_type == kNalPps) pps.emplace_back(unit.begin(), unit.end());
  }
  if (sps.empty() || sps[0].size() < 4) return fail(Code::internal, "x264: no SPS");
  const std::string made = "avc1." + to_hex(ByteSpan{sps[0]}.subspan(1, 3));
  if (made != settings.rung.codecs) return fail(Code::internal, "x264 made " + made + " for", settings.rung.codecs);
  const Result<media::AvcConfig> config = media::make_avc_config(std::move(sps), std::move(pps));
  if (!config) return config.error().in("x264");
  Result<Bytes> avcc = media::write_avcc(*config);
  if (!avcc) return avcc.error().in("x264");
  encoder->codec_config_ = std::move(*avcc);
  return encoder;
}

class CpuEngine final : public Engine {
 public:
  [[nodiscard]] std::string_view name() const override { return "x264"; }
  Result<std::unique_ptr<RungEncoder>> open(const RungSettings& settings) override {
    return X264Encoder::open(settings);
  }
};

}  // namespace

std::unique_ptr<Engine> make_cpu_engine() { return std::make_unique<CpuEngine>(); }

}  // namespace ribalta::transcode
