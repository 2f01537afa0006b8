#include "ingest/rtmp/flv.h"

#include <doctest/doctest.h>

using namespace ribalta;
using namespace ribalta::rtmp;

namespace {
Bytes hex(std::string_view text) { return from_hex(text).value(); }
}  // namespace

TEST_CASE("video tag: an AVC header, a key frame and a frame between") {
  const Bytes header = hex("17 00 000000 01 64001f");
  CHECK(parse_video_tag(header)->kind == VideoTag::Kind::header);
  CHECK(to_hex(parse_video_tag(header)->data) == "0164001f");
  const Bytes key = hex("17 01 000000 00000001 65");
  CHECK(parse_video_tag(key)->key);
  const Bytes between = hex("27 01 000000 00000001 41");
  CHECK(parse_video_tag(between)->kind == VideoTag::Kind::frame);
  CHECK_FALSE(parse_video_tag(between)->key);
}

TEST_CASE("video tag: composition times are signed 24 bits") {
  CHECK(parse_video_tag(hex("27 01 000042 00"))->composition_ms == 66);
  CHECK(parse_video_tag(hex("27 01 ffffde 00"))->composition_ms == -34);
  CHECK(parse_video_tag(hex("27 01 7fffff 00"))->composition_ms == 8'388'607);
  CHECK(parse_video_tag(hex("27 01 800000 00"))->composition_ms == -8'388'608);
}

TEST_CASE("video tag: empty tags, empty headers, empty frames and info frames are nothing") {
  CHECK(parse_video_tag({})->kind == VideoTag::Kind::nothing);
  CHECK(parse_video_tag(hex("17 00 000000"))->kind == VideoTag::Kind::nothing);
  CHECK(parse_video_tag(hex("27 01 000000"))->kind == VideoTag::Kind::nothing);
  CHECK(parse_video_tag(hex("57 00"))->kind == VideoTag::Kind::nothing);
  CHECK(parse_video_tag(hex("17 02 000000"))->kind == VideoTag::Kind::end);
}

TEST_CASE("video tag: cut short or of an unknown packet type it is malformed") {
  for (const char* text : {"17", "17 01", "17 01 00", "17 01 0000"})
    CHECK(parse_video_tag(hex(text)).error().code == Code::malformed);
  CHECK(parse_video_tag(hex("17 03 000000 00")).error().code == Code::malformed);
}

TEST_CASE("video tag: other codecs are refused in words that name them, enhanced RTMP's too") {
  const auto refused = [](std::string_view text, std::string_view codec) {
    const Bytes bytes = hex(text);
    const Result<VideoTag> tag = parse_video_tag(bytes);
    REQUIRE_FALSE(tag.has_value());
    CHECK(tag.error().code == Code::unsupported);
    CHECK(tag.error().message.find(codec) != std::string::npos);
  };
  refused("12 00", "H.263");
  refused("1c 00 000000", "HEVC");
  refused("90 68766331", "HEVC");
  refused("91 61763031", "AV1");
  refused("91 76703039", "VP9");
  refused("91 00", "enhanced RTMP");
}

TEST_CASE("audio tag: an AAC header and a frame; empty ones are nothing; other codecs are refused by name") {
  CHECK(parse_audio_tag(hex("af 00 1190"))->kind == AudioTag::Kind::header);
  CHECK(to_hex(parse_audio_tag(hex("af 00 1190"))->data).size() == 4);
  CHECK(parse_audio_tag(hex("af 01 21"))->kind == AudioTag::Kind::frame);
  CHECK(parse_audio_tag({})->kind == AudioTag::Kind::nothing);
  CHECK(parse_audio_tag(hex("af 01"))->kind == AudioTag::Kind::nothing);
  CHECK(parse_audio_tag(hex("af 00"))->kind == AudioTag::Kind::nothing);
  CHECK(parse_audio_tag(hex("af")).error().code == Code::malformed);
  CHECK(parse_audio_tag(hex("af 02 00")).error().code == Code::malformed);
  CHECK(parse_audio_tag(hex("2f 00")).error().message.find("MP3") != std::string::npos);
  CHECK(parse_audio_tag(hex("b2 00")).error().message.find("Speex") != std::string::npos);
  CHECK(parse_audio_tag(hex("95 4f707573")).error().code == Code::unsupported);
}
