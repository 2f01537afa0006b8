#include <doctest/doctest.h>

#include "core/media/cmaf_reader.h"
#include "core/media/cmaf_writer.h"
#include "core/media/media_testing.h"

using namespace ribalta;
using namespace ribalta::media;
using namespace ribalta::media::testing;

namespace {

const Bytes kFrameBytes(16'000, std::byte{0x5A});

/// `count` samples from `dts`, each `duration` long, sample i of 10 + i bytes; the first one sync.
std::vector<Sample> samples(std::size_t count, std::int64_t dts = 0, std::uint32_t duration = 3000) {
  std::vector<Sample> made;
  for (std::size_t i = 0; i < count; ++i) {
    made.push_back({.dts = dts + static_cast<std::int64_t>(i) * duration,
                    .duration = duration,
                    .cts_offset = 0,
                    .sync = i == 0,
                    .data = ByteSpan{kFrameBytes}.first(10 + i)});
  }
  return made;
}

bool same(const Sample& a, const Sample& b) {
  return a.dts == b.dts && a.duration == b.duration && a.cts_offset == b.cts_offset && a.sync == b.sync &&
         std::equal(a.data.begin(), a.data.end(), b.data.begin(), b.data.end());
}

/// Writes and reads again; the samples must come back as they were.
Chunk round_trip(const TrackConfig& config, const std::vector<Sample>& in, const ChunkExtras& extras, Bytes& bytes) {
  auto written = write_chunk(config, 7, in, extras);
  REQUIRE_MESSAGE(written, written.error().message);
  bytes = std::move(*written);
  auto chunk = parse_chunk(bytes, config);
  REQUIRE_MESSAGE(chunk, chunk.error().message);
  CHECK(chunk->sequence == 7);
  REQUIRE(chunk->samples.size() == in.size());
  for (std::size_t i = 0; i < in.size(); ++i) CHECK(same(chunk->samples[i], in[i]));
  return std::move(*chunk);
}

/// The version byte of the first box of that type, or -1.
int version_of(const Bytes& bytes, const char (&name)[5]) {
  const std::string_view text = as_text(bytes);
  const auto at = text.find(name);
  return at == std::string_view::npos ? -1 : static_cast<unsigned char>(text[at + 4]);
}

Bytes concat(std::initializer_list<ByteSpan> parts) {
  Bytes all;
  for (const ByteSpan part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

Bytes simple_box(const char (&name)[5], std::size_t payload) {
  ByteWriter out;
  out.be32(static_cast<std::uint32_t>(8 + payload));
  out.be32(box_type(name));
  out.zeros(payload);
  return out.take();
}

std::vector<CmafItem> items_of(ByteSpan bytes, std::size_t piece) {
  std::vector<CmafItem> items;
  CmafReader reader;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    reader.feed(bytes.subspan(at, std::min(piece, bytes.size() - at)));
    for (;;) {
      auto item = reader.next();
      REQUIRE_MESSAGE(item, item.error().message);
      if (!*item) break;
      items.push_back(std::move(**item));
    }
  }
  CHECK(reader.finish());
  return items;
}

Error first_error(ByteSpan bytes) {
  CmafReader reader;
  reader.feed(bytes);
  for (;;) {
    const auto item = reader.next();
    if (!item) {
      CHECK(reader.next().error().message == item.error().message);  // it stays
      return item.error();
    }
    if (!*item) {
      const auto ended = reader.finish();
      return ended ? Error{Code::internal, "no error"} : ended.error();
    }
  }
}

}  // namespace

TEST_CASE("an init segment holds the whole configuration and reads back equal") {
  TrackConfig video = video_config();
  video.sar_num = 4;
  video.sar_den = 3;
  video.colour = Colour{.primaries = 9, .transfer = 16, .matrix = 9, .full_range = true};
  video.bitrate = 800'000;
  video.bitrate_max = 1'200'000;
  video.track_id = 3;
  video.language = "ita";
  TrackConfig audio = audio_config();
  audio.language = "deu";
  audio.bitrate = 128'000;
  audio.bitrate_max = 128'000;
  for (const TrackConfig& config : {video, audio, video_config(), audio_config()}) {
    const auto init = write_init(config);
    REQUIRE(init);
    CHECK(*init == *write_init(config));
    const auto read = parse_init(*init);
    REQUIRE_MESSAGE(read, read.error().message);
    CHECK(*read == config);
  }
}

TEST_CASE("an init segment of every codec reads back equal") {
  struct Each {
    CodecId codec;
    std::string_view config;
  };
  for (const Each each : {Each{CodecId::hevc, kHvcc}, Each{CodecId::av1, kAv1c}, Each{CodecId::vp9, kVpcc}}) {
    TrackConfig config = video_config();
    config.codec = each.codec;
    config.codec_config = hex(each.config);
    const auto read = parse_init(*write_init(config));
    REQUIRE_MESSAGE(read, read.error().message);
    CHECK(*read == config);
  }
  TrackConfig opus = audio_config();
  opus.codec = CodecId::opus;
  opus.codec_config = hex(kDops);
  CHECK(*parse_init(*write_init(opus)) == opus);
}

TEST_CASE("an init segment has no edit list and is small") {
  const auto init = write_init(video_config());
  REQUIRE(init);
  CHECK(as_text(*init).find("elst") == std::string_view::npos);
  CHECK(init->size() < 1024);
}

TEST_CASE("a sample rate beyond 16 bits comes back from the codec's own configuration") {
  TrackConfig config = audio_config();
  config.codec_config = hex("1010");  // AAC-LC, 96 kHz, stereo
  config.sample_rate = 96'000;
  config.timescale = 96'000;
  const auto read = parse_init(*write_init(config));
  REQUIRE(read);
  CHECK(*read == config);
}

TEST_CASE("a configuration out of its limits is not written, at the bound it is") {
  TrackConfig config = video_config();
  config.width = kPictureSideMax;
  CHECK(write_init(config));
  config.width = kPictureSideMax + 1;
  CHECK(write_init(config).error().code == Code::limit);
  config = video_config();
  config.height = 0;
  CHECK(write_init(config).error().code == Code::malformed);
  config = video_config();
  config.language = "it";
  CHECK(write_init(config).error().code == Code::malformed);
  config = video_config();
  config.timescale = kTimescaleMax + 1;
  CHECK(write_init(config).error().code == Code::limit);
  config = video_config();
  config.kind = TrackKind::audio;
  CHECK(write_init(config).error().code == Code::malformed);
  config = audio_config();
  config.channels = kChannelsMax + 1;
  CHECK(write_init(config).error().code == Code::limit);
  config = audio_config();
  config.codec_config.clear();
  CHECK(write_init(config).error().code == Code::malformed);
}

TEST_CASE("an edit list that moves the track is refused; one that says nothing is not") {
  const Bytes init = *write_init(video_config());
  // Put an edts box at the end of trak, after its mdia, and make trak and moov larger by it.
  const auto with_edit = [&](std::uint32_t media_time) {
    ByteWriter edts;
    edts.be32(36);
    edts.be32(box_type("edts"));
    edts.be32(28);
    edts.be32(box_type("elst"));
    edts.be32(0);
    edts.be32(1);
    edts.be32(0);
    edts.be32(media_time);
    edts.be32(0x00010000);
    const std::string_view text = as_text(init);
    const std::size_t trak = text.find("trak") - 4;
    const std::size_t moov = text.find("moov") - 4;
    const std::size_t end = trak + read_be32(ByteSpan{init}.subspan(trak));
    ByteWriter out;
    out.bytes(ByteSpan{init}.first(end));
    out.bytes(edts.view());
    out.bytes(ByteSpan{init}.subspan(end));
    out.patch_be32(trak, read_be32(ByteSpan{init}.subspan(trak)) + 36);
    out.patch_be32(moov, read_be32(ByteSpan{init}.subspan(moov)) + 36);
    return out.take();
  };
  CHECK(parse_init(with_edit(0)));
  CHECK(parse_init(with_edit(1024)).error().code == Code::unsupported);
  CHECK(parse_init(with_edit(0xFFFFFFFF)).error().code == Code::unsupported);
}

TEST_CASE("every init segment cut at any byte is refused") {
  for (const TrackConfig& config : {video_config(), audio_config()}) {
    const Bytes init = *write_init(config);
    for (std::size_t size = 0; size < init.size(); ++size) {
      CHECK_FALSE(parse_init(ByteSpan{init}.first(size)));
    }
  }
}

TEST_CASE("a chunk gives back its samples, times and sums") {
  Bytes bytes;
  auto in = samples(5, 900'000);
  const Chunk chunk = round_trip(video_config(), in, {}, bytes);
  CHECK(chunk.decode_time == 900'000);
  CHECK(chunk.duration == 15'000);
  CHECK(chunk.decode_end() == 915'000);
  CHECK(chunk.presentation_time == 900'000);
  CHECK(chunk.first_is_sync);
  CHECK_FALSE(chunk.prft);
}

TEST_CASE("a chunk's samples differ in duration, flags and offset, each alone and all together") {
  for (unsigned differing = 0; differing < 8; ++differing) {
    CAPTURE(differing);
    auto in = samples(6);
    std::int64_t dts = 0;
    for (std::size_t i = 0; i < in.size(); ++i) {
      if ((differing & 1) != 0) in[i].duration = static_cast<std::uint32_t>(1000 + i);
      if ((differing & 2) != 0) in[i].sync = i % 2 == 1;
      if ((differing & 4) != 0) in[i].cts_offset = static_cast<std::int32_t>(i) * 100;
      in[i].dts = dts;
      dts += in[i].duration;
    }
    Bytes bytes;
    round_trip(video_config(), in, {}, bytes);
    CHECK(version_of(bytes, "trun") == 0);
  }
}

TEST_CASE("trun has version 1 exactly when an offset is negative") {
  Bytes bytes;
  auto in = samples(4);
  in[1].cts_offset = 6000;
  in[2].cts_offset = -3000;
  const Chunk chunk = round_trip(video_config(), in, {}, bytes);
  CHECK(version_of(bytes, "trun") == 1);
  CHECK(chunk.presentation_time == 0);
  in[2].cts_offset = 0;
  round_trip(video_config(), in, {}, bytes);
  CHECK(version_of(bytes, "trun") == 0);
  in[0].cts_offset = -500;
  CHECK(round_trip(video_config(), in, {}, bytes).presentation_time == -500);
}

TEST_CASE("a negative offset in a version 0 trun is read as its writer meant it") {
  auto in = samples(2);
  in[1].cts_offset = -3000;
  Bytes bytes = *write_chunk(video_config(), 1, in);
  const std::size_t trun = as_text(bytes).find("trun");
  bytes[trun + 4] = std::byte{0};
  const auto chunk = parse_chunk(bytes, video_config());
  REQUIRE(chunk);
  CHECK(chunk->samples[1].cts_offset == -3000);
}

TEST_CASE("prft and emsg stand before the chunk and come back") {
  const Bytes event = simple_box("emsg", 20);
  const std::array events{ByteSpan{event}, ByteSpan{event}};
  ChunkExtras extras{
      .prft = ProducerReferenceTime{.track_id = 1, .ntp = to_ntp(from_unix_ms(1'795'470'483'123)), .media_time = 42},
      .emsg = events};
  Bytes bytes;
  const Chunk chunk = round_trip(video_config(), samples(1), extras, bytes);
  REQUIRE(chunk.prft);
  CHECK(*chunk.prft == *extras.prft);
  CHECK(to_unix_ms(from_ntp(chunk.prft->ntp)) == 1'795'470'483'123);
  REQUIRE(chunk.emsg.size() == 2);
  CHECK(Bytes(chunk.emsg[1].begin(), chunk.emsg[1].end()) == event);
}

TEST_CASE("NTP times keep their millisecond, from 1970 until after 2036") {
  for (const std::int64_t ms : {std::int64_t{0}, std::int64_t{1}, std::int64_t{999}, std::int64_t{1'795'470'483'001},
                                std::int64_t{2'085'978'496'000}, std::int64_t{2'500'000'000'999}}) {
    CHECK(to_unix_ms(from_ntp(to_ntp(from_unix_ms(ms)))) == ms);
  }
}

TEST_CASE("a chunk that would break the timeline is not written") {
  const TrackConfig config = video_config();
  CHECK(write_chunk(config, 1, {}).error().code == Code::malformed);
  auto in = samples(3);
  in[1].dts += 1;
  CHECK(write_chunk(config, 1, in).error().code == Code::malformed);
  in = samples(3, -1);
  CHECK(write_chunk(config, 1, in).error().code == Code::malformed);
  in = samples(3);
  in[2].duration = 0;
  CHECK(write_chunk(config, 1, in).error().code == Code::malformed);
  in = samples(3);
  in[0].data = {};
  CHECK(write_chunk(config, 1, in).error().code == Code::malformed);
}

TEST_CASE("a chunk holds kChunkSamplesMax samples and not one more") {
  CHECK(write_chunk(video_config(), 1, samples(kChunkSamplesMax)));
  CHECK(write_chunk(video_config(), 1, samples(kChunkSamplesMax + 1)).error().code == Code::limit);

  Bytes bytes = *write_chunk(video_config(), 1, samples(kChunkSamplesMax));
  CHECK(parse_chunk(bytes, video_config()));
  // One more in the count than the limit: refused before anything is read.
  const std::size_t trun = as_text(bytes).find("trun");
  ByteWriter patched;
  patched.bytes(bytes);
  patched.patch_be32(trun + 8, kChunkSamplesMax + 1);
  CHECK(parse_chunk(patched.view(), video_config()).error().code == Code::limit);
}

TEST_CASE("a decode time at the limit of seconds is refused, one tick before is read") {
  const std::int64_t limit = static_cast<std::int64_t>(kDecodeSecondsMax) * 90'000;
  const Bytes last = *write_chunk(video_config(), 1, samples(1, limit - 1));
  CHECK(parse_chunk(last, video_config()));
  const Bytes beyond = *write_chunk(video_config(), 1, samples(1, limit));
  CHECK(parse_chunk(beyond, video_config()).error().code == Code::limit);
}

TEST_CASE("a chunk of another track, or one longer than an hour, is refused") {
  TrackConfig other = video_config();
  other.track_id = 2;
  const Bytes bytes = *write_chunk(other, 1, samples(1));
  CHECK(parse_chunk(bytes, video_config()).error().code == Code::malformed);
  const Bytes longest = *write_chunk(video_config(), 1, samples(1, 0, 90'000 * 3600));
  CHECK(parse_chunk(longest, video_config()));
  const Bytes longer = *write_chunk(video_config(), 1, samples(1, 0, 90'000 * 3601));
  CHECK(parse_chunk(longer, video_config()).error().code == Code::limit);
}

TEST_CASE("a chunk cut at any byte is refused") {
  auto in = samples(3);
  in[1].cts_offset = -5;
  const Bytes bytes = *write_chunk(video_config(), 1, in, {.prft = ProducerReferenceTime{}, .emsg = {}});
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CHECK_FALSE(parse_chunk(ByteSpan{bytes}.first(size), video_config()));
  }
}

TEST_CASE("a chunk with any one byte changed is refused or stays inside its bytes") {
  auto in = samples(3);
  in[1].cts_offset = -5;
  const Bytes good = *write_chunk(video_config(), 1, in);
  for (std::size_t at = 0; at + 40 < good.size(); ++at) {
    for (const int change : {0x01, 0x80, 0xFF}) {
      Bytes bytes = good;
      bytes[at] ^= static_cast<std::byte>(change);
      const auto chunk = parse_chunk(bytes, video_config());
      if (!chunk) continue;
      for (const Sample& sample : chunk->samples) {
        CHECK(sample.data.data() >= bytes.data());
        CHECK(sample.data.data() + sample.data.size() <= bytes.data() + bytes.size());
      }
    }
  }
}

TEST_CASE("a segment index reads back equal and has the size that was told") {
  SegmentIndex index{.track_id = 1,
                     .timescale = 90'000,
                     .earliest_presentation_time = 1ULL << 33,
                     .first_offset = 5,
                     .references = {}};
  for (std::uint32_t i = 0; i < 100; ++i) {
    index.references.push_back({.bytes = 1000 + i,
                                .duration = 180'000,
                                .starts_with_sap = i % 3 != 0,
                                .sap_type = static_cast<std::uint8_t>(i % 7)});
  }
  const auto bytes = write_sidx(index);
  REQUIRE(bytes);
  CHECK(bytes->size() == sidx_bytes(100));
  CHECK(*parse_sidx(*bytes) == index);
  for (std::size_t size = 0; size < bytes->size(); ++size) CHECK_FALSE(parse_sidx(ByteSpan{*bytes}.first(size)));

  index.references.resize(kSegmentReferencesMax);
  CHECK(parse_sidx(*write_sidx(index))->references.size() == kSegmentReferencesMax);
  index.references.resize(kSegmentReferencesMax + 1);
  CHECK(write_sidx(index).error().code == Code::limit);
  index.references.assign(1, {.bytes = 1U << 31, .duration = 1});
  CHECK(write_sidx(index).error().code == Code::limit);
}

TEST_CASE("a stream gives the same items in whatever pieces it comes") {
  const TrackConfig config = video_config();
  const Bytes init = *write_init(config);
  const Bytes one = *write_chunk(config, 1, samples(2), {.prft = ProducerReferenceTime{}, .emsg = {}});
  const Bytes two = *write_chunk(config, 2, samples(2, 6000));
  TrackConfig changed = config;
  changed.sar_num = 2;
  const Bytes second_init = *write_init(changed);
  const Bytes styp = simple_box("styp", 8);
  const Bytes unknown = simple_box("abcd", 100);
  const Bytes all = concat({init, styp, one, unknown, two, second_init, two});
  for (std::size_t piece = 1; piece <= all.size(); piece = piece < 64 ? piece + 1 : piece * 2) {
    CAPTURE(piece);
    const auto items = items_of(all, piece);
    REQUIRE(items.size() == 5);
    CHECK(std::get<InitItem>(items[0]).config == config);
    CHECK(*std::get<InitItem>(items[0]).raw == init);
    CHECK(*std::get<ChunkItem>(items[1]).raw == one);
    CHECK(std::get<ChunkItem>(items[1]).chunk.prft);
    CHECK(*std::get<ChunkItem>(items[2]).raw == two);
    CHECK(std::get<InitItem>(items[3]).config == changed);
    CHECK(std::get<ChunkItem>(items[4]).chunk.decode_time == 6000);
  }
}

TEST_CASE("a stream that ends inside an item says so, at every byte") {
  const Bytes init = *write_init(video_config());
  const Bytes chunk = *write_chunk(video_config(), 1, samples(1), {.prft = ProducerReferenceTime{}, .emsg = {}});
  const Bytes all = concat({init, chunk});
  for (std::size_t size = 1; size < all.size(); ++size) {
    if (size == init.size()) continue;
    CHECK(first_error(ByteSpan{all}.first(size)).code == Code::malformed);
  }
  CHECK(first_error(all).code == Code::internal);
}

TEST_CASE("boxes in an order that makes no sense are refused") {
  const Bytes init = *write_init(video_config());
  const Bytes chunk = *write_chunk(video_config(), 1, samples(1));
  const std::size_t moof = read_be32(chunk);
  const ByteSpan moof_only = ByteSpan{chunk}.first(moof);
  const ByteSpan mdat_only = ByteSpan{chunk}.subspan(moof);
  const std::size_t ftyp = read_be32(init);
  CHECK(first_error(chunk).code == Code::malformed);                                 // no init segment
  CHECK(first_error(concat({init, mdat_only})).code == Code::malformed);             // mdat without moof
  CHECK(first_error(concat({init, moof_only, moof_only})).code == Code::malformed);  // moof without mdat
  CHECK(first_error(concat({init, moof_only, init})).code == Code::malformed);
  CHECK(first_error(concat({init, ByteSpan{init}.first(ftyp), chunk})).code == Code::malformed);
  CHECK(first_error(concat({init, write_prft({}), init})).code == Code::malformed);
  const auto gap = simple_box("free", 3);
  CHECK(first_error(concat({init, moof_only, gap, mdat_only})).code == Code::malformed);
}

TEST_CASE("a chunk with kEventsMax events is read, one more is refused") {
  const Bytes init = *write_init(video_config());
  const Bytes event = simple_box("emsg", 4);
  std::vector<ByteSpan> events(kEventsMax, event);
  CHECK(first_error(concat({init, *write_chunk(video_config(), 1, samples(1), {.prft = {}, .emsg = events})})).code ==
        Code::internal);
  events.push_back(event);
  CHECK(first_error(concat({init, *write_chunk(video_config(), 1, samples(1), {.prft = {}, .emsg = events})})).code ==
        Code::limit);
}
