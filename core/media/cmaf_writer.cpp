#include "core/media/cmaf_writer.h"

#include <algorithm>
#include <array>

#include "core/media/box_writer.h"

namespace ribalta::media {
namespace {

// Sample flags (ISO/IEC 14496-12:2015 §8.8.3.1): sample_depends_on and sample_is_non_sync_sample.
constexpr std::uint32_t kFlagsSync = 0x02000000;     // depends on no other
constexpr std::uint32_t kFlagsNonSync = 0x01010000;  // depends on others, is no sync sample

// tfhd flags, §8.8.7.1, and trun flags, §8.8.8.1.
constexpr std::uint32_t kTfhdDefaultDuration = 0x000008;
constexpr std::uint32_t kTfhdDefaultFlags = 0x000020;
constexpr std::uint32_t kTfhdBaseIsMoof = 0x020000;
constexpr std::uint32_t kTrunDataOffset = 0x000001;
constexpr std::uint32_t kTrunFirstFlags = 0x000004;
constexpr std::uint32_t kTrunDuration = 0x000100;
constexpr std::uint32_t kTrunSize = 0x000200;
constexpr std::uint32_t kTrunFlags = 0x000400;
constexpr std::uint32_t kTrunOffsets = 0x000800;

void write_matrix(ByteWriter& out) {
  for (const std::uint32_t value : {0x00010000U, 0U, 0U, 0U, 0x00010000U, 0U, 0U, 0U, 0x40000000U}) out.be32(value);
}

/// Width on a screen with square pixels, 16.16: what `tkhd` holds.
std::uint32_t display_width(const TrackConfig& config) {
  const std::uint64_t width = std::uint64_t{config.width} * config.sar_num / config.sar_den;
  // A shape beyond the field's range is somebody's mistake; the samples' own width does no harm.
  return static_cast<std::uint32_t>(width == 0 || width > 0xFFFF ? config.width : width) << 16;
}

void write_ftyp(ByteWriter& out) {
  box(out, "ftyp", [&] {
    out.text("cmfc");
    out.be32(0);
    out.text("iso6cmfcdash");
  });
}

void write_mvhd(ByteWriter& out, const TrackConfig& config) {
  full_box(out, "mvhd", 0, 0, [&] {
    out.be32(0);  // no creation time: the same configuration makes the same bytes
    out.be32(0);
    out.be32(config.timescale);
    out.be32(0);  // duration: of the fragments
    out.be32(0x00010000);
    out.be16(0x0100);
    out.zeros(10);
    write_matrix(out);
    out.zeros(24);
    out.be32(config.track_id == 0xFFFFFFFF ? config.track_id : config.track_id + 1);
  });
}

void write_tkhd(ByteWriter& out, const TrackConfig& config) {
  const bool video = config.kind == TrackKind::video;
  full_box(out, "tkhd", 0, 7, [&] {  // enabled, in movie, in preview
    out.be32(0);
    out.be32(0);
    out.be32(config.track_id);
    out.be32(0);
    out.be32(0);  // duration
    out.zeros(8);
    out.be16(0);  // layer
    out.be16(0);  // alternate group
    out.be16(video ? 0 : 0x0100);
    out.be16(0);
    write_matrix(out);
    out.be32(video ? display_width(config) : 0);
    out.be32(video ? config.height << 16 : 0);
  });
}

void write_mdhd(ByteWriter& out, const TrackConfig& config) {
  full_box(out, "mdhd", 0, 0, [&] {
    out.be32(0);
    out.be32(0);
    out.be32(config.timescale);
    out.be32(0);
    std::uint16_t packed = 0;
    for (const char c : config.language) packed = static_cast<std::uint16_t>((packed << 5) | (c - 0x60));
    out.be16(packed);
    out.be16(0);
  });
}

void write_hdlr(ByteWriter& out, const TrackConfig& config) {
  const bool video = config.kind == TrackKind::video;
  full_box(out, "hdlr", 0, 0, [&] {
    out.be32(0);
    out.text(video ? "vide" : "soun");
    out.zeros(12);
    out.text(video ? "VideoHandler" : "SoundHandler");
    out.u8(0);
  });
}

/// A descriptor of MPEG-4 Systems (ISO/IEC 14496-1:2010 §8.3.3): tag, length in 7-bit groups, body.
void write_descriptor(ByteWriter& out, std::uint8_t tag, ByteSpan body) {
  out.u8(tag);
  const auto size = static_cast<std::uint32_t>(body.size());
  for (int shift = 21; shift > 0; shift -= 7) {
    if ((size >> shift) != 0) out.u8(static_cast<std::uint8_t>(0x80 | ((size >> shift) & 0x7F)));
  }
  out.u8(size & 0x7F);
  out.bytes(body);
}

void write_esds(ByteWriter& out, const TrackConfig& config) {
  ByteWriter decoder;
  decoder.u8(0x40);  // ISO/IEC 14496-3 audio
  decoder.u8(0x15);  // audio stream, upstream 0, reserved 1
  decoder.be24(0);
  decoder.be32(config.bitrate_max);
  decoder.be32(config.bitrate);
  write_descriptor(decoder, 5, config.codec_config);
  ByteWriter stream;
  stream.be16(0);
  stream.u8(0);
  write_descriptor(stream, 4, decoder.view());
  constexpr std::array sync_layer{std::byte{2}};  // predefined: for MP4
  write_descriptor(stream, 6, sync_layer);
  full_box(out, "esds", 0, 0, [&] { write_descriptor(out, 3, stream.view()); });
}

void write_codec_box(ByteWriter& out, const TrackConfig& config) {
  switch (config.codec) {
    case CodecId::h264:
      return box(out, "avcC", [&] { out.bytes(config.codec_config); });
    case CodecId::hevc:
      return box(out, "hvcC", [&] { out.bytes(config.codec_config); });
    case CodecId::av1:
      return box(out, "av1C", [&] { out.bytes(config.codec_config); });
    case CodecId::vp9:
      return full_box(out, "vpcC", 1, 0, [&] { out.bytes(config.codec_config); });
    case CodecId::aac:
      return write_esds(out, config);
    case CodecId::opus:
      return box(out, "dOps", [&] { out.bytes(config.codec_config); });
  }
}

void write_btrt(ByteWriter& out, const TrackConfig& config) {
  if (config.bitrate == 0 && config.bitrate_max == 0) return;
  box(out, "btrt", [&] {
    out.be32(0);
    out.be32(std::max(config.bitrate_max, config.bitrate));
    out.be32(config.bitrate);
  });
}

void write_video_entry(ByteWriter& out, const TrackConfig& config) {
  out.zeros(6);
  out.be16(1);  // data reference
  out.zeros(16);
  out.be16(static_cast<std::uint16_t>(config.width));
  out.be16(static_cast<std::uint16_t>(config.height));
  out.be32(0x00480000);  // 72 dpi, as everybody writes
  out.be32(0x00480000);
  out.be32(0);
  out.be16(1);     // frames in a sample
  out.zeros(32);   // no compressor name
  out.be16(0x18);  // colour, no alpha
  out.be16(0xFFFF);
  write_codec_box(out, config);
  if (config.colour) {
    box(out, "colr", [&] {
      out.text("nclx");
      out.be16(config.colour->primaries);
      out.be16(config.colour->transfer);
      out.be16(config.colour->matrix);
      out.u8(config.colour->full_range ? 0x80 : 0);
    });
  }
  box(out, "pasp", [&] {
    out.be32(config.sar_num);
    out.be32(config.sar_den);
  });
  write_btrt(out, config);
}

void write_audio_entry(ByteWriter& out, const TrackConfig& config) {
  out.zeros(6);
  out.be16(1);
  out.zeros(8);
  out.be16(static_cast<std::uint16_t>(config.channels));
  out.be16(16);
  out.zeros(4);
  // 16.16: rates over 65 535 do not fit and stand in the codec configuration alone.
  out.be32(config.sample_rate <= 0xFFFF ? config.sample_rate << 16 : 0);
  write_codec_box(out, config);
  write_btrt(out, config);
}

void write_stsd(ByteWriter& out, const TrackConfig& config) {
  full_box(out, "stsd", 0, 0, [&] {
    out.be32(1);
    switch (config.codec) {
      case CodecId::h264:
        return box(out, "avc1", [&] { write_video_entry(out, config); });
      case CodecId::hevc:
        return box(out, "hvc1", [&] { write_video_entry(out, config); });
      case CodecId::av1:
        return box(out, "av01", [&] { write_video_entry(out, config); });
      case CodecId::vp9:
        return box(out, "vp09", [&] { write_video_entry(out, config); });
      case CodecId::aac:
        return box(out, "mp4a", [&] { write_audio_entry(out, config); });
      case CodecId::opus:
        return box(out, "Opus", [&] { write_audio_entry(out, config); });
    }
  });
}

void write_minf(ByteWriter& out, const TrackConfig& config) {
  box(out, "minf", [&] {
    if (config.kind == TrackKind::video) {
      full_box(out, "vmhd", 0, 1, [&] { out.zeros(8); });
    } else {
      full_box(out, "smhd", 0, 0, [&] { out.zeros(4); });
    }
    box(out, "dinf", [&] {
      full_box(out, "dref", 0, 0, [&] {
        out.be32(1);
        full_box(out, "url ", 0, 1, [] {});  // in this file
      });
    });
    box(out, "stbl", [&] {
      write_stsd(out, config);
      full_box(out, "stts", 0, 0, [&] { out.be32(0); });
      full_box(out, "stsc", 0, 0, [&] { out.be32(0); });
      full_box(out, "stsz", 0, 0, [&] { out.zeros(8); });
      full_box(out, "stco", 0, 0, [&] { out.be32(0); });
    });
  });
}

std::uint32_t flags_of(const Sample& sample) { return sample.sync ? kFlagsSync : kFlagsNonSync; }

/// What of a chunk's samples is the same in all, and so is said once.
struct Layout {
  bool same_duration = true;
  bool same_flags = true;
  bool first_flags_differ = false;  ///< only the first sample's flags are other than the rest's
  bool offsets = false;
  bool negative = false;

  explicit Layout(std::span<const Sample> samples) {
    for (const Sample& sample : samples) {
      same_duration = same_duration && sample.duration == samples[0].duration;
      offsets = offsets || sample.cts_offset != 0;
      negative = negative || sample.cts_offset < 0;
    }
    const auto differs = [&](const Sample& sample) { return sample.sync != samples.back().sync; };
    const auto rest = samples.subspan(1);
    const bool rest_same = std::none_of(rest.begin(), rest.end(), differs);
    first_flags_differ = rest_same && differs(samples[0]);
    same_flags = rest_same;
  }
};

Result<std::size_t> check_samples(std::span<const Sample> samples) {
  if (samples.empty()) return fail(Code::malformed, "chunk without samples");
  if (samples.size() > kChunkSamplesMax) return fail(Code::limit, "chunk: samples", samples.size());
  std::int64_t expected = samples[0].dts;
  if (expected < 0) return fail(Code::malformed, "chunk: negative decode time", expected);
  std::size_t bytes = 0;
  for (const Sample& sample : samples) {
    if (sample.dts != expected) {
      return fail(Code::malformed, "chunk: decode time is not where the sample before it ends:", sample.dts - expected);
    }
    if (sample.duration == 0) return fail(Code::malformed, "chunk: sample without duration at", sample.dts);
    if (sample.data.empty()) return fail(Code::malformed, "chunk: sample without bytes at", sample.dts);
    if (sample.data.size() > kChunkBytesMax - bytes) return fail(Code::limit, "chunk: bytes over", kChunkBytesMax);
    bytes += sample.data.size();
    expected += sample.duration;
  }
  return bytes;
}

void write_traf(ByteWriter& out, const TrackConfig& config, std::span<const Sample> samples, std::size_t& offset_at) {
  const Layout layout{samples};
  box(out, "traf", [&] {
    const std::uint32_t tfhd = kTfhdBaseIsMoof | (layout.same_duration ? kTfhdDefaultDuration : 0) |
                               (layout.same_flags ? kTfhdDefaultFlags : 0);
    full_box(out, "tfhd", 0, tfhd, [&] {
      out.be32(config.track_id);
      if (layout.same_duration) out.be32(samples[0].duration);
      if (layout.same_flags) out.be32(flags_of(samples.back()));
    });
    full_box(out, "tfdt", 1, 0, [&] { out.be64(static_cast<std::uint64_t>(samples[0].dts)); });
    const std::uint32_t trun = kTrunDataOffset | kTrunSize | (layout.first_flags_differ ? kTrunFirstFlags : 0) |
                               (layout.same_duration ? 0 : kTrunDuration) | (layout.same_flags ? 0 : kTrunFlags) |
                               (layout.offsets ? kTrunOffsets : 0);
    full_box(out, "trun", layout.negative ? 1 : 0, trun, [&] {
      out.be32(static_cast<std::uint32_t>(samples.size()));
      offset_at = out.size();
      out.be32(0);  // where the data begin, once the moof's size is known
      if (layout.first_flags_differ) out.be32(flags_of(samples[0]));
      for (const Sample& sample : samples) {
        if (!layout.same_duration) out.be32(sample.duration);
        out.be32(static_cast<std::uint32_t>(sample.data.size()));
        if (!layout.same_flags) out.be32(flags_of(sample));
        if (layout.offsets) out.be32(static_cast<std::uint32_t>(sample.cts_offset));
      }
    });
  });
}

void write_prft_to(ByteWriter& out, const ProducerReferenceTime& time) {
  full_box(out, "prft", 1, time.flags & 0xFFFFFF, [&] {
    out.be32(time.track_id);
    out.be64(time.ntp);
    out.be64(time.media_time);
  });
}

}  // namespace

Result<Bytes> write_init(const TrackConfig& config) {
  const auto checked = check(config);
  if (!checked) return checked.error().in("write init segment");
  ByteWriter out;
  write_ftyp(out);
  box(out, "moov", [&] {
    write_mvhd(out, config);
    box(out, "trak", [&] {
      write_tkhd(out, config);
      box(out, "mdia", [&] {
        write_mdhd(out, config);
        write_hdlr(out, config);
        write_minf(out, config);
      });
    });
    box(out, "mvex", [&] {
      full_box(out, "trex", 0, 0, [&] {
        out.be32(config.track_id);
        out.be32(1);
        out.be32(config.defaults.duration);
        out.be32(config.defaults.size);
        out.be32(config.defaults.flags);
      });
    });
  });
  return out.take();
}

Result<Bytes> write_chunk(const TrackConfig& config, std::uint32_t sequence, std::span<const Sample> samples,
                          const ChunkExtras& extras) {
  const auto bytes = check_samples(samples);
  if (!bytes) return bytes.error().in("write chunk");
  ByteWriter out;
  if (extras.prft) write_prft_to(out, *extras.prft);
  for (const ByteSpan& event : extras.emsg) out.bytes(event);

  const std::size_t moof_at = out.size();
  std::size_t offset_at = 0;
  box(out, "moof", [&] {
    full_box(out, "mfhd", 0, 0, [&] { out.be32(sequence); });
    write_traf(out, config, samples, offset_at);
  });
  out.patch_be32(offset_at, static_cast<std::uint32_t>(out.size() - moof_at + 8));
  box(out, "mdat", [&] {
    for (const Sample& sample : samples) out.bytes(sample.data);
  });
  return out.take();
}

Result<Bytes> write_sidx(const SegmentIndex& index) {
  if (index.references.size() > kSegmentReferencesMax) {
    return fail(Code::limit, "sidx: references", index.references.size());
  }
  ByteWriter out;
  bool fits = true;
  full_box(out, "sidx", 1, 0, [&] {
    out.be32(index.track_id);
    out.be32(index.timescale);
    out.be64(index.earliest_presentation_time);
    out.be64(index.first_offset);
    out.be16(0);
    out.be16(static_cast<std::uint16_t>(index.references.size()));
    for (const SegmentReference& reference : index.references) {
      fits = fits && reference.bytes < (1U << 31);
      out.be32(reference.bytes);
      out.be32(reference.duration);
      out.be32((reference.starts_with_sap ? 0x80000000U : 0U) | (std::uint32_t{reference.sap_type} & 7) << 28);
    }
  });
  if (!fits) return fail(Code::limit, "sidx: a segment of 2 GiB or more");
  assert(out.size() == sidx_bytes(index.references.size()));
  return out.take();
}

Bytes write_prft(const ProducerReferenceTime& time) {
  ByteWriter out;
  write_prft_to(out, time);
  return out.take();
}

}  // namespace ribalta::media
