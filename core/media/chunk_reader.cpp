// Chunks and segment indexes.
#include <algorithm>
#include <limits>

#include "core/media/cmaf_reader.h"

namespace ribalta::media {
namespace {

/// What a `traf` says about samples that say nothing themselves.
struct Defaults {
  std::uint32_t duration = 0;
  std::uint32_t size = 0;
  std::uint32_t flags = 0;
};

constexpr std::uint32_t kNonSyncFlag = 0x00010000;  // sample_is_non_sync_sample, ISO/IEC 14496-12:2015 §8.8.3.1

/// ISO/IEC 14496-12:2015 §8.8.7. @error unsupported: another sample entry, or data at absolute file positions.
Result<void> read_tfhd(ByteSpan payload, const TrackConfig& config, Defaults& defaults) {
  ByteReader reader{payload};
  const auto flags = reader.be32();
  const auto id = reader.be32();
  if (!flags || !id) return fail(Code::malformed, "tfhd: truncated");
  if (*id != config.track_id) return fail(Code::malformed, "tfhd: another track", *id);
  if ((*flags & 0x000001) != 0) return fail(Code::unsupported, "tfhd: base data offset");
  struct Field {
    std::uint32_t flag;
    std::uint32_t* value;
  };
  std::uint32_t entry = 1;
  for (const Field field : {Field{0x2, &entry}, Field{0x8, &defaults.duration}, Field{0x10, &defaults.size},
                            Field{0x20, &defaults.flags}}) {
    if ((*flags & field.flag) == 0) continue;
    const auto value = reader.be32();
    if (!value) return value.error().in("tfhd");
    *field.value = *value;
  }
  if (entry != 1) return fail(Code::unsupported, "tfhd: sample entry", entry);
  return {};
}

Result<std::int64_t> read_tfdt(ByteSpan payload, const TrackConfig& config) {
  ByteReader reader{payload};
  const auto version = reader.be32();
  if (!version) return version.error().in("tfdt");
  std::uint64_t time = 0;
  if ((*version >> 24) == 1) {
    const auto wide = reader.be64();
    if (!wide) return wide.error().in("tfdt");
    time = *wide;
  } else {
    const auto narrow = reader.be32();
    if (!narrow) return narrow.error().in("tfdt");
    time = *narrow;
  }
  if (time / config.timescale >= kDecodeSecondsMax) return fail(Code::limit, "tfdt: decode time", time);
  return static_cast<std::int64_t>(time);
}

/// The bytes of one chunk that samples may lie in, counted from the first byte of its moof.
struct DataRange {
  ByteSpan from_moof;     ///< moof and mdat
  std::size_t begin = 0;  ///< first byte of mdat's payload
  std::size_t next = 0;   ///< where a run without an offset of its own goes on
};

/// Samples of one `trun`, ISO/IEC 14496-12:2015 §8.8.8.
Result<void> read_trun(ByteSpan payload, const Defaults& defaults, DataRange& data, Chunk& chunk) {
  ByteReader reader{payload};
  const auto head = reader.be32();
  const auto count = reader.be32();
  if (!head || !count) return fail(Code::malformed, "trun: truncated");
  if (*count > kChunkSamplesMax - chunk.samples.size()) return fail(Code::limit, "trun: samples", *count);
  const std::uint32_t flags = *head & 0xFFFFFF;
  if ((flags & 0x1) != 0) {
    const auto offset = reader.be32();
    if (!offset) return offset.error().in("trun");
    const auto at = static_cast<std::int32_t>(*offset);
    if (at < 0 || static_cast<std::size_t>(at) < data.begin)
      return fail(Code::unsupported, "trun: data before mdat:", at);
    data.next = static_cast<std::size_t>(at);
  }
  std::optional<std::uint32_t> first_flags;
  if ((flags & 0x4) != 0) {
    const auto value = reader.be32();
    if (!value) return value.error().in("trun");
    first_flags = *value;
  }
  for (std::uint32_t i = 0; i < *count; ++i) {
    Defaults own = defaults;
    if (i == 0 && first_flags) own.flags = *first_flags;
    std::uint32_t offset = 0;
    struct Field {
      std::uint32_t flag;
      std::uint32_t* value;
    };
    for (const Field field :
         {Field{0x100, &own.duration}, Field{0x200, &own.size}, Field{0x400, &own.flags}, Field{0x800, &offset}}) {
      if ((flags & field.flag) == 0) continue;
      const auto value = reader.be32();
      if (!value) return value.error().in("trun");
      *field.value = *value;
    }
    if (data.next > data.from_moof.size() || own.size > data.from_moof.size() - data.next) {
      return fail(Code::malformed, "trun: sample past the end of mdat: bytes", own.size);
    }
    chunk.samples.push_back({.dts = chunk.decode_end(),
                             .duration = own.duration,
                             .cts_offset = static_cast<std::int32_t>(offset),
                             .sync = (own.flags & kNonSyncFlag) == 0,
                             .data = data.from_moof.subspan(data.next, own.size)});
    data.next += own.size;
    chunk.duration += own.duration;
  }
  return {};
}

Result<void> read_traf(ByteSpan payload, const TrackConfig& config, DataRange& data, Chunk& chunk) {
  Defaults defaults{config.defaults.duration, config.defaults.size, config.defaults.flags};
  bool head_seen = false;
  bool time_seen = false;
  std::size_t runs = 0;
  std::size_t boxes = 0;
  ByteReader reader{payload};
  while (!reader.done()) {
    const auto box = read_box(reader);
    if (!box) return pass(box);
    if (++boxes > kBoxChildrenMax + kTrackRunsMax) return fail(Code::limit, "traf: boxes inside", boxes);
    if (box->type == box_type("tfhd")) {
      if (head_seen) return fail(Code::malformed, "traf: two tfhd");
      head_seen = true;
      if (const auto read = read_tfhd(box->payload, config, defaults); !read) return read;
    } else if (box->type == box_type("tfdt")) {
      if (time_seen || runs > 0) return fail(Code::malformed, "traf: tfdt twice or after trun");
      time_seen = true;
      const auto time = read_tfdt(box->payload, config);
      if (!time) return pass(time);
      chunk.decode_time = *time;
    } else if (box->type == box_type("trun")) {
      if (!head_seen || !time_seen) return fail(Code::malformed, "traf: trun before tfhd and tfdt");
      if (++runs > kTrackRunsMax) return fail(Code::limit, "traf: runs", runs);
      if (const auto read = read_trun(box->payload, defaults, data, chunk); !read) return read;
    }
  }
  if (chunk.samples.empty()) return fail(Code::malformed, "traf: no samples");
  return {};
}

Result<void> read_moof(ByteSpan payload, const TrackConfig& config, DataRange& data, Chunk& chunk) {
  bool traf_seen = false;
  std::size_t boxes = 0;
  ByteReader reader{payload};
  while (!reader.done()) {
    const auto box = read_box(reader);
    if (!box) return pass(box);
    if (++boxes > kBoxChildrenMax) return fail(Code::limit, "moof: boxes inside", boxes);
    if (box->type == box_type("mfhd")) {
      if (box->payload.size() < 8) return fail(Code::malformed, "mfhd: bytes", box->payload.size());
      chunk.sequence = read_be32(box->payload.subspan(4));
    } else if (box->type == box_type("traf")) {
      if (traf_seen) return fail(Code::unsupported, "moof: more than one traf");
      traf_seen = true;
      if (const auto read = read_traf(box->payload, config, data, chunk); !read) return read;
    }
  }
  if (!traf_seen) return fail(Code::malformed, "moof: no traf");
  return {};
}

Result<ProducerReferenceTime> read_prft(ByteSpan payload) {
  ByteReader reader{payload};
  const auto head = reader.be32();
  const auto id = reader.be32();
  const auto ntp = reader.be64();
  if (!head || !id || !ntp) return fail(Code::malformed, "prft: truncated");
  ProducerReferenceTime time{.track_id = *id, .ntp = *ntp, .flags = *head & 0xFFFFFF};
  if ((*head >> 24) == 0) {
    const auto narrow = reader.be32();
    if (!narrow) return narrow.error().in("prft");
    time.media_time = *narrow;
  } else {
    const auto wide = reader.be64();
    if (!wide) return wide.error().in("prft");
    time.media_time = *wide;
  }
  return time;
}

Result<void> finish_chunk(Chunk& chunk, const TrackConfig& config) {
  if (chunk.duration == 0) return fail(Code::malformed, "chunk without duration");
  if (chunk.duration / config.timescale > kChunkSecondsMax) return fail(Code::limit, "chunk: duration", chunk.duration);
  chunk.first_is_sync = chunk.samples.front().sync;
  chunk.presentation_time = std::numeric_limits<std::int64_t>::max();
  for (const Sample& sample : chunk.samples) {
    chunk.presentation_time = std::min(chunk.presentation_time, sample.pts());
  }
  return {};
}

}  // namespace

Result<Chunk> parse_chunk(ByteSpan bytes, const TrackConfig& config) {
  assert(config.timescale > 0);
  Chunk chunk;
  std::size_t before = 0;
  ByteReader reader{bytes};
  while (!reader.done()) {
    const std::size_t moof_at = reader.position();
    const auto box = read_box(reader);
    if (!box) return box.error().in("chunk");
    if (++before > kBoxChildrenMax) return fail(Code::limit, "chunk: boxes before moof over", kBoxChildrenMax);
    if (box->type == box_type("prft")) {
      const auto time = read_prft(box->payload);
      if (!time) return time.error().in("chunk");
      chunk.prft = *time;
    } else if (box->type == box_type("emsg")) {
      if (chunk.emsg.size() == kEventsMax) return fail(Code::limit, "chunk: events over", kEventsMax);
      chunk.emsg.push_back(box->whole);
    } else if (box->type == box_type("mdat")) {
      return fail(Code::malformed, "chunk: mdat without moof");
    }
    if (box->type != box_type("moof")) continue;

    const auto mdat = read_box(reader);
    if (!mdat) return mdat.error().in("chunk");
    if (mdat->type != box_type("mdat")) return fail(Code::malformed, "chunk: after moof comes", box_name(mdat->type));
    if (!reader.done()) return fail(Code::malformed, "chunk: bytes after mdat:", reader.left());
    DataRange data{.from_moof = bytes.subspan(moof_at)};
    data.begin = data.from_moof.size() - mdat->payload.size();
    data.next = data.begin;
    if (const auto read = read_moof(box->payload, config, data, chunk); !read) return read.error().in("chunk");
    if (const auto checked = finish_chunk(chunk, config); !checked) return pass(checked);
    return chunk;
  }
  return fail(Code::malformed, "chunk without moof");
}

Result<SegmentIndex> parse_sidx(ByteSpan bytes) {
  ByteReader outer{bytes};
  const auto box = read_box(outer);
  if (!box) return box.error().in("sidx");
  if (box->type != box_type("sidx")) return fail(Code::malformed, "sidx: box", box_name(box->type));
  ByteReader reader{box->payload};
  const auto version = reader.be32();
  const auto id = reader.be32();
  const auto timescale = reader.be32();
  if (!version || !id || !timescale) return fail(Code::malformed, "sidx: truncated");
  if (*timescale == 0) return fail(Code::malformed, "sidx: timescale of 0");
  if (*timescale > kTimescaleMax) return fail(Code::limit, "sidx: timescale", *timescale);
  SegmentIndex index{.track_id = *id, .timescale = *timescale};
  if ((*version >> 24) == 0) {
    const auto earliest = reader.be32();
    const auto first = reader.be32();
    if (!earliest || !first) return fail(Code::malformed, "sidx: truncated");
    index.earliest_presentation_time = *earliest;
    index.first_offset = *first;
  } else {
    const auto earliest = reader.be64();
    const auto first = reader.be64();
    if (!earliest || !first) return fail(Code::malformed, "sidx: truncated");
    index.earliest_presentation_time = *earliest;
    index.first_offset = *first;
  }
  if (index.earliest_presentation_time / *timescale >= kDecodeSecondsMax) {
    return fail(Code::limit, "sidx: earliest presentation time", index.earliest_presentation_time);
  }
  const auto reserved = reader.be16();
  const auto count = reader.be16();
  if (!reserved || !count) return fail(Code::malformed, "sidx: truncated");
  if (reader.left() < std::size_t{*count} * 12) return fail(Code::malformed, "sidx: references", *count);
  index.references.reserve(*count);
  for (std::uint16_t i = 0; i < *count; ++i) {
    const auto entry = reader.take(12);
    if (!entry) return entry.error().in("sidx");
    const std::uint32_t size = read_be32(*entry);
    if ((size >> 31) != 0) return fail(Code::unsupported, "sidx: references another index");
    const std::uint32_t sap = read_be32(entry->subspan(8));
    index.references.push_back({.bytes = size,
                                .duration = read_be32(entry->subspan(4)),
                                .starts_with_sap = (sap >> 31) != 0,
                                .sap_type = static_cast<std::uint8_t>((sap >> 28) & 7)});
  }
  return index;
}

}  // namespace ribalta::media
