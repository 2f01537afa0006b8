// Against what we did not write: FFmpeg's fragmented files go through our reader, ours through ffprobe, and both tell
// the same samples.
#include <doctest/doctest.h>

#include <sstream>

#include "core/media/bitstream.h"
#include "core/media/cmaf_reader.h"
#include "core/media/cmaf_writer.h"
#include "core/media/codec_config.h"
#include "core/media/media_testing.h"

using namespace ribalta;
using namespace ribalta::media;
using namespace ribalta::media::testing;

namespace {

struct Source {
  const char* name;
  const char* arguments;  ///< input and encoder
  CodecId codec;
  const char* codecs;  ///< the beginning of its codec string
  const char* flags = "+frag_keyframe+delay_moov+default_base_moof";
};

const std::array kSources{
    Source{"h264 with B-frames",
           "-f lavfi -i testsrc=s=322x182:r=30:d=3 -vf setsar=4/3 -c:v libx264 -pix_fmt yuv420p -preset veryfast -g 30 "
           "-bf 2",
           CodecId::h264, "avc1.6400"},
    Source{"h264 with negative composition offsets",
           "-f lavfi -i testsrc=s=322x182:r=30:d=3 -c:v libx264 -pix_fmt yuv420p -preset veryfast -g 30 -bf 2",
           CodecId::h264, "avc1.6400", "+cmaf+delay_moov+frag_keyframe"},
    Source{"h264 without B-frames at 59.94",
           "-f lavfi -i testsrc=s=128x96:r=60000/1001:d=2 -c:v libx264 -pix_fmt yuv420p -profile:v baseline -g 30",
           CodecId::h264, "avc1.42"},
    Source{"hevc 10 bits",
           "-f lavfi -i testsrc=s=322x182:r=25:d=1 -c:v libx265 -x265-params log-level=0 -pix_fmt yuv420p10le -preset "
           "ultrafast -tag:v hvc1",
           CodecId::hevc, "hvc1.2.4."},
    Source{"av1", "-f lavfi -i testsrc=s=322x182:r=30:d=1 -pix_fmt yuv420p -c:v libaom-av1 -cpu-used 8", CodecId::av1,
           "av01.0."},
    Source{"vp9",
           "-f lavfi -i testsrc=s=322x182:r=30:d=1 -pix_fmt yuv420p -c:v libvpx-vp9 -cpu-used 8 -deadline realtime",
           CodecId::vp9, "vp09.00."},
    Source{"aac", "-f lavfi -i sine=r=48000:d=3 -ac 2 -c:a aac", CodecId::aac, "mp4a.40.2"},
    Source{"aac 5.1", "-f lavfi -i sine=r=44100:d=1 -ac 6 -c:a aac", CodecId::aac, "mp4a.40.2"},
    Source{"opus", "-f lavfi -i sine=r=48000:d=3 -ac 2 -c:a libopus", CodecId::opus, "opus"},
};

/// pts,dts,duration,size,key of each packet, as ffprobe sees them. Durations only where it shows them all.
std::string packets_of(const std::string& file, bool durations) {
  const std::string text = output_of(std::string{"ffprobe -v error -show_entries packet=pts,dts,size,flags"} +
                                     (durations ? ",duration" : "") + " -of csv=p=0 '" + file + "'");
  std::istringstream lines{text};
  std::string out;
  for (std::string line; std::getline(lines, line);) {
    if (const auto flags = line.find_last_of(','); flags != std::string::npos) line.resize(flags + 2);  // only K or _
    out += line + "\n";
  }
  return out;
}

/// What ffprobe will say: FFmpeg shows a track with negative composition offsets later, by the most negative one
/// (mov.c, dts_shift), so that nothing is shown before it is decoded.
std::string describe(const std::vector<Sample>& samples, bool durations) {
  std::int64_t shift = 0;
  for (const Sample& sample : samples) shift = std::max(shift, -std::int64_t{sample.cts_offset});
  std::string out;
  for (const Sample& sample : samples) {
    out += std::to_string(sample.pts() + shift) + "," + std::to_string(sample.dts) + "," +
           (durations ? std::to_string(sample.duration) + "," : "") + std::to_string(sample.data.size()) + "," +
           (sample.sync ? "K" : "_") + "\n";
  }
  return out;
}

struct Read {
  std::optional<TrackConfig> config;
  std::vector<ChunkItem> chunks;
  std::vector<Sample> samples;
};

/// Through CmafReader in pieces of `piece` bytes.
Read read_all(const Bytes& bytes, std::size_t piece) {
  Read read;
  CmafReader reader;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    reader.feed(ByteSpan{bytes}.subspan(at, std::min(piece, bytes.size() - at)));
    for (;;) {
      auto item = reader.next();
      REQUIRE_MESSAGE(item, item.error().message);
      if (!*item) break;
      if (auto* init = std::get_if<InitItem>(&**item)) read.config = init->config;
      if (auto* chunk = std::get_if<ChunkItem>(&**item)) read.chunks.push_back(std::move(*chunk));
    }
  }
  CHECK(reader.finish());
  for (const ChunkItem& item : read.chunks) {
    read.samples.insert(read.samples.end(), item.chunk.samples.begin(), item.chunk.samples.end());
  }
  return read;
}

std::string make(const Scratch& scratch, const Source& source) {
  const std::string file = scratch.file("source.mp4");
  output_of(std::string{"ffmpeg -hide_banner -loglevel quiet -y "} + source.arguments + " -movflags " + source.flags +
            " -use_editlist 0 -f mp4 '" + file + "' 2>/dev/null </dev/null");
  return file;
}

}  // namespace

TEST_CASE("what FFmpeg writes in fragments, our reader reads, and ffprobe reads the same from what we write") {
  if (!have_ffmpeg()) {
    MESSAGE("ffmpeg is not installed: comparison left out");
    return;
  }
  for (const Source& source : kSources) {
    CAPTURE(source.name);
    const Scratch scratch;
    const std::string made = make(scratch, source);
    const Bytes bytes = read_file(made);
    if (bytes.size() < 1000) {
      MESSAGE(std::string{"this ffmpeg cannot encode "} << source.name << ": left out");
      continue;
    }
    const bool durations = source.codec == CodecId::h264 || source.codec == CodecId::hevc;
    const Read read = read_all(bytes, 1 << 16);
    REQUIRE(read.config);
    CHECK(read.config->codec == source.codec);
    CHECK(describe(read.samples, durations) == packets_of(made, durations));
    CHECK(describe(read_all(bytes, 997).samples, durations) == describe(read.samples, durations));
    const auto codecs = codec_string(*read.config);
    REQUIRE(codecs);
    CHECK(codecs->starts_with(source.codecs));

    // The bitstream agrees with the container on key frames.
    if (source.codec != CodecId::hevc) {  // x265 opens its GOPs: FFmpeg counts CRA as sync
      for (const Sample& sample : read.samples) {
        const RandomAccess access = random_access(source.codec, sample.data);
        CHECK((access == RandomAccess::closed) == sample.sync);
      }
    }

    ByteSpan first_frame = read.samples.front().data;
    if (source.codec == CodecId::vp9) {
      const auto format = parse_vp9_key_frame(first_frame);
      REQUIRE(format);
      CHECK(format->width == 322);
      CHECK(format->height == 182);
    } else if (read.config->kind == TrackKind::video) {
      const auto known = track_from_codec_config(source.codec, read.config->codec_config);
      REQUIRE(known);
      CHECK(known->width == read.config->width);
      CHECK(known->height == read.config->height);
      CHECK(known->sar_num * read.config->sar_den == known->sar_den * read.config->sar_num);
    }

    // Written again in chunks of five samples: each has the most negative offset, or FFmpeg's shift would come late.
    auto init = write_init(*read.config);
    REQUIRE(init);
    CHECK(*parse_init(*init) == *read.config);
    Bytes written = *init;
    std::uint32_t sequence = 0;
    for (std::size_t at = 0; at < read.samples.size(); at += 5) {
      const auto five = std::span{read.samples}.subspan(at, std::min<std::size_t>(5, read.samples.size() - at));
      const auto chunk = write_chunk(*read.config, ++sequence, five);
      REQUIRE_MESSAGE(chunk, chunk.error().message);
      written.insert(written.end(), chunk->begin(), chunk->end());
    }
    const std::string ours = scratch.file("ours.mp4");
    write_file(ours, written);
    CHECK(packets_of(ours, durations) == packets_of(made, durations));
    const std::string entries =
        "-show_entries stream=codec_name,profile,level,width,height,pix_fmt,sample_aspect_ratio,sample_rate,"
        "channels,color_primaries,extradata_hash -show_data_hash md5 -of csv=p=0 '";
    CHECK(output_of("ffprobe -v error " + entries + ours + "'") ==
          output_of("ffprobe -v error " + entries + made + "'"));
    CHECK(output_of("ffmpeg -v error -i '" + ours + "' -f null - 2>&1 </dev/null && echo decoded") == "decoded\n");
  }
}
