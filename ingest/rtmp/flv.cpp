#include "ingest/rtmp/flv.h"

#include <string>

namespace ribalta::rtmp {
namespace {

std::unexpected<Error> other_video(std::string_view codec) {
  return fail(Code::unsupported, "The video is " + std::string{codec} + "; please set the encoder to H.264.");
}
std::unexpected<Error> other_audio(std::string_view codec) {
  return fail(Code::unsupported, "The audio is " + std::string{codec} + "; please set the encoder to AAC.");
}

/// Enhanced RTMP (bit 7 of the first byte): a FourCC in place of the codec number.
std::unexpected<Error> enhanced_video(ByteSpan body) {
  const std::string_view four = body.size() >= 5 ? as_text(body.subspan(1, 4)) : std::string_view{};
  if (four == "hvc1") return other_video("HEVC");
  if (four == "av01") return other_video("AV1");
  if (four == "vp09") return other_video("VP9");
  return other_video("in a codec that is not taken (enhanced RTMP)");
}

std::string_view video_codec(unsigned id) {
  switch (id) {
    case 2:
      return "Sorenson H.263";
    case 3:
    case 6:
      return "Screen video";
    case 4:
    case 5:
      return "VP6";
    case 12:
      return "HEVC";
    case 13:
      return "AV1";
    default:
      return "in an unknown codec";
  }
}

std::string_view audio_codec(unsigned format) {
  switch (format) {
    case 0:
    case 3:
      return "PCM";
    case 1:
      return "ADPCM";
    case 2:
    case 14:
      return "MP3";
    case 4:
    case 5:
    case 6:
      return "Nellymoser";
    case 7:
    case 8:
      return "G.711";
    case 9:
      return "in a codec that is not taken (enhanced RTMP)";
    case 11:
      return "Speex";
    default:
      return "in an unknown codec";
  }
}

}  // namespace

Result<VideoTag> parse_video_tag(ByteSpan body) {
  if (body.empty()) return VideoTag{};
  const unsigned first = read_u8(body);
  if ((first & 0x80) != 0) return enhanced_video(body);
  const unsigned frame_type = first >> 4;
  const unsigned codec = first & 0x0F;
  if (frame_type == 5) return VideoTag{};  // info or command frame: no media in it
  if (codec != 7) return other_video(video_codec(codec));
  if (body.size() < 5) return fail(Code::malformed, "video tag: bytes", body.size());

  VideoTag tag{.key = frame_type == 1 || frame_type == 4, .data = body.subspan(5)};
  const std::uint32_t composition = read_be24(body.subspan(2));
  tag.composition_ms = static_cast<std::int32_t>(composition << 8) >> 8;
  switch (read_u8(body.subspan(1))) {
    case 0:
      tag.kind = tag.data.empty() ? VideoTag::Kind::nothing : VideoTag::Kind::header;
      break;
    case 1:
      tag.kind = tag.data.empty() ? VideoTag::Kind::nothing : VideoTag::Kind::frame;
      break;
    case 2:
      tag.kind = VideoTag::Kind::end;
      break;
    default:
      return fail(Code::malformed, "video tag: packet type", read_u8(body.subspan(1)));
  }
  return tag;
}

Result<AudioTag> parse_audio_tag(ByteSpan body) {
  if (body.empty()) return AudioTag{};
  const unsigned format = read_u8(body) >> 4;
  if (format != 10) return other_audio(audio_codec(format));
  if (body.size() < 2) return fail(Code::malformed, "audio tag: bytes", body.size());
  AudioTag tag{.data = body.subspan(2)};
  switch (read_u8(body.subspan(1))) {
    case 0:
      tag.kind = tag.data.empty() ? AudioTag::Kind::nothing : AudioTag::Kind::header;
      break;
    case 1:
      tag.kind = tag.data.empty() ? AudioTag::Kind::nothing : AudioTag::Kind::frame;
      break;
    default:
      return fail(Code::malformed, "audio tag: packet type", read_u8(body.subspan(1)));
  }
  return tag;
}

}  // namespace ribalta::rtmp
