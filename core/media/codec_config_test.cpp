#include <doctest/doctest.h>

#include "core/media/codec_config.h"
#include "core/media/media_testing.h"

using namespace ribalta;
using namespace ribalta::media;
using namespace ribalta::media::testing;

namespace {

std::string string_of(CodecId codec, ByteSpan payload) {
  const auto config = track_from_codec_config(codec, payload);
  if (!config) return config.error().message;
  const auto text = codec_string(*config);
  return text ? *text : text.error().message;
}

}  // namespace

TEST_CASE("avcC: parameter sets, profile and what the SPS shows come out, and it is written back byte for byte") {
  const Bytes payload = hex(kAvcc);
  const auto avc = parse_avcc(payload);
  REQUIRE(avc);
  CHECK(avc->profile == 100);
  CHECK(avc->level == 13);
  CHECK(avc->nal_length_bytes == 4);
  CHECK(avc->sps.size() == 1);
  CHECK(avc->pps.size() == 1);
  CHECK(*write_avcc(*avc) == payload);

  // From the parameter sets alone: the extension of High profile is made from the SPS.
  const auto made = make_avc_config(avc->sps, avc->pps);
  REQUIRE(made);
  CHECK(*write_avcc(*made) == payload);

  const auto track = track_from_codec_config(CodecId::h264, payload);
  REQUIRE(track);
  CHECK(track->kind == TrackKind::video);
  CHECK(track->timescale == 90'000);
  CHECK(track->width == 322);
  CHECK(track->height == 182);
  CHECK(track->sar_num == 4);
  CHECK(track->sar_den == 3);
  CHECK(track->colour == Colour{.primaries = 1, .transfer = 1, .matrix = 1});
}

TEST_CASE("avcC: every cut before the extension is refused, and so are a length size of 3 and no SPS") {
  const Bytes payload = hex(kAvcc);
  for (std::size_t size = 0; size < payload.size() - 4; ++size) CHECK_FALSE(parse_avcc(ByteSpan{payload}.first(size)));
  Bytes three = payload;
  three[4] = std::byte{0xFE};
  CHECK(parse_avcc(three).error().code == Code::malformed);
  Bytes none = payload;
  none[5] = std::byte{0xE0};
  CHECK(parse_avcc(none).error().code == Code::malformed);
  Bytes version = payload;
  version[0] = std::byte{0};
  CHECK(parse_avcc(version).error().code == Code::malformed);
  CHECK(parse_avcc(Bytes(kCodecConfigBytesMax + 1, std::byte{1})).error().code == Code::limit);
}

TEST_CASE("avcC: as many PPS as the limit are read, one more is refused") {
  auto avc = *parse_avcc(hex(kAvcc));
  avc.pps.assign(kParameterSetsMax, avc.pps[0]);
  const auto most = write_avcc(avc);
  REQUIRE(most);
  CHECK(parse_avcc(*most)->pps.size() == kParameterSetsMax);
  avc.pps.push_back(avc.pps[0]);
  CHECK(write_avcc(avc).error().code == Code::limit);
}

TEST_CASE("hvcC: arrays come out and go back; the same configuration grows from the parameter sets") {
  const Bytes payload = hex(kHvcc);
  const auto hevc = parse_hvcc(payload);
  REQUIRE(hevc);
  CHECK(hevc->profile == 2);
  CHECK(hevc->level == 60);
  CHECK(hevc->luma_bits == 10);
  REQUIRE(hevc->arrays.size() == 3);
  CHECK(*parse_hvcc(*write_hvcc(*hevc))->arrays[1].units.data() == hevc->arrays[1].units[0]);
  const auto made = make_hevc_config(hevc->arrays[0].units, hevc->arrays[1].units, hevc->arrays[2].units);
  REQUIRE(made);
  CHECK(made->compatibility == hevc->compatibility);
  CHECK(made->constraints == hevc->constraints);
  CHECK(*write_hvcc(*made) == *write_hvcc(*hevc));
  const auto track = track_from_codec_config(CodecId::hevc, payload);
  REQUIRE(track);
  CHECK(track->width == 322);
  CHECK(track->height == 182);
  for (std::size_t size = 0; size < payload.size(); ++size) CHECK_FALSE(parse_hvcc(ByteSpan{payload}.first(size)));
}

TEST_CASE("av1C: fields and the sequence header come out and go back") {
  const Bytes payload = hex(kAv1c);
  const auto av1 = parse_av1c(payload);
  REQUIRE(av1);
  CHECK(*write_av1c(*av1) == payload);
  const auto track = track_from_codec_config(CodecId::av1, payload);
  REQUIRE(track);
  CHECK(track->width == 322);
  CHECK(track->height == 182);
  const auto made = make_av1_config(av1->obus);
  REQUIRE(made);
  CHECK(*write_av1c(*made) == payload);
  for (std::size_t size = 0; size < 4; ++size) CHECK_FALSE(parse_av1c(ByteSpan{payload}.first(size)));
  for (std::size_t size = 5; size < payload.size(); ++size) {
    CHECK_FALSE(track_from_codec_config(CodecId::av1, ByteSpan{payload}.first(size)));
  }
}

TEST_CASE("vpcC: fields come out and go back") {
  const Bytes payload = hex(kVpcc);
  const auto vp9 = parse_vpcc(payload);
  REQUIRE(vp9);
  CHECK(vp9->level == 11);
  CHECK(vp9->bits == 8);
  CHECK(*write_vpcc(*vp9) == payload);
  for (std::size_t size = 0; size < payload.size(); ++size) CHECK_FALSE(parse_vpcc(ByteSpan{payload}.first(size)));
}

TEST_CASE("AudioSpecificConfig: AAC-LC with the word that there is no SBR") {
  const auto aac = parse_aac_config(hex(kAsc));
  REQUIRE(aac);
  CHECK(aac->object_type == 2);
  CHECK(aac->sample_rate == 48'000);
  CHECK(aac->channels == 2);
  CHECK(aac->frame_samples == 1024);
  CHECK_FALSE(aac->sbr);
  CHECK_FALSE(aac->sbr_possible);
}

TEST_CASE("AudioSpecificConfig: HE-AAC, told before the core or after it, sounds at twice the core's rate") {
  // Hierarchical: type 5, core 24 kHz (6), stereo, extension 48 kHz (3), type 2.
  const auto before = parse_aac_config(hex("2b 11 88 00"));
  REQUIRE(before);
  CHECK(before->sbr);
  CHECK(before->object_type == 2);
  CHECK(before->core_sample_rate == 24'000);
  CHECK(before->sample_rate == 48'000);
  CHECK(before->channels == 2);
  // Backward compatible: LC 22.05 kHz mono, then 0x2B7, 5, SBR at 44.1 kHz, 0x548, PS.
  const auto after = parse_aac_config(hex("13 88 56 e5 a5 48 80"));
  REQUIRE(after);
  CHECK(after->sbr);
  CHECK(after->ps);
  CHECK(after->core_sample_rate == 22'050);
  CHECK(after->sample_rate == 44'100);
  CHECK(after->core_channels == 1);
  CHECK(after->channels == 2);
}

TEST_CASE("AudioSpecificConfig: a core of at most 24 kHz may carry SBR without a word") {
  CHECK(parse_aac_config(hex("1310"))->sbr_possible);        // 24 kHz
  CHECK_FALSE(parse_aac_config(hex("1290"))->sbr_possible);  // 32 kHz
}

TEST_CASE("AudioSpecificConfig: reserved values, other codecs and every cut are refused") {
  CHECK(parse_aac_config(hex("1690")).error().code == Code::malformed);        // rate 13
  CHECK(parse_aac_config(hex("11c0")).error().code == Code::malformed);        // channels 8
  CHECK(parse_aac_config(hex("4910")).error().code == Code::unsupported);      // TwinVQ
  CHECK(parse_aac_config(hex("f94c4000")).error().code == Code::unsupported);  // USAC
  for (const std::string_view whole : {"1190", "2b118800", "17 80 bb 80 10"}) {
    const Bytes payload = hex(whole);
    REQUIRE(parse_aac_config(payload));
    for (std::size_t size = 0; size < std::min<std::size_t>(payload.size(), 3); ++size) {
      if (size == payload.size()) continue;
      CHECK_FALSE(parse_aac_config(ByteSpan{payload}.first(size)));
    }
  }
}

TEST_CASE("AudioSpecificConfig: a program config element tells its channels") {
  // LC, 48 kHz, configuration 0; front: one single and one pair, back: one pair, one low frequency element.
  const Bytes payload = hex("118004c80500010880");
  const auto aac = parse_aac_config(payload);
  REQUIRE(aac);
  CHECK(aac->channels == 6);
  for (std::size_t size = 0; size < payload.size(); ++size)
    CHECK_FALSE(parse_aac_config(ByteSpan{payload}.first(size)));
}

TEST_CASE("AudioSpecificConfig: what is written reads back, also for a rate outside the table") {
  for (const std::uint32_t rate : {96'000U, 48'000U, 44'100U, 8'000U, 37'800U}) {
    for (const std::uint32_t channels : {1U, 2U, 6U, 8U}) {
      AacConfig config;
      config.core_sample_rate = rate;
      config.core_channels = channels;
      const auto bytes = write_aac_config(config);
      REQUIRE(bytes);
      const auto read = parse_aac_config(*bytes);
      REQUIRE(read);
      CHECK(read->sample_rate == rate);
      CHECK(read->channels == channels);
    }
  }
  AacConfig seven;
  seven.core_sample_rate = 48'000;
  seven.core_channels = 7;
  CHECK(write_aac_config(seven).error().code == Code::unsupported);
}

TEST_CASE("dOps: comes out, goes back, and grows from OpusHead") {
  const Bytes payload = hex(kDops);
  const auto opus = parse_dops(payload);
  REQUIRE(opus);
  CHECK(opus->channels == 2);
  CHECK(opus->pre_skip == 312);
  CHECK(opus->input_sample_rate == 48'000);
  CHECK(*write_dops(*opus) == payload);
  const auto head = parse_opus_head(hex("4f70757348656164 0102 3801 80bb0000 0000 00"));
  REQUIRE(head);
  CHECK(*write_dops(*head) == payload);
  for (std::size_t size = 0; size < payload.size(); ++size) CHECK_FALSE(parse_dops(ByteSpan{payload}.first(size)));
  CHECK(parse_dops(hex("000301380000bb80000000")).error().code == Code::malformed);  // three channels need a mapping
  CHECK(parse_dops(hex("0003 0138 0000bb80 0000 01 0201 000102")));
}

TEST_CASE("codec strings come from the configuration") {
  CHECK(string_of(CodecId::h264, hex(kAvcc)) == "avc1.64000d");
  CHECK(string_of(CodecId::hevc, hex(kHvcc)) == "hvc1.2.4.L60.90");
  CHECK(string_of(CodecId::av1, hex(kAv1c)) == "av01.0.00M.08");
  CHECK(string_of(CodecId::vp9, hex(kVpcc)) == "vp09.00.11.08");
  CHECK(string_of(CodecId::aac, hex(kAsc)) == "mp4a.40.2");
  CHECK(string_of(CodecId::aac, hex("2b118800")) == "mp4a.40.5");
  CHECK(string_of(CodecId::aac, hex("138856e5a54880")) == "mp4a.40.29");
  CHECK(string_of(CodecId::opus, hex(kDops)) == "opus");
  // 10 bits, BT.2020 with PQ: the colour belongs into the string.
  CHECK(string_of(CodecId::vp9, hex("021ea2091009 0000")) == "vp09.02.30.10.01.09.16.09.00");
}
