// Init segments: ftyp (may be absent) and moov with one track.
#include <utility>

#include "core/media/cmaf_reader.h"
#include "core/media/codec_config.h"

namespace ribalta::media {
namespace {

/// The boxes inside a container, bounded.
Result<std::vector<Box>> children(ByteSpan payload, std::string_view of) {
  std::vector<Box> boxes;
  ByteReader reader{payload};
  while (!reader.done()) {
    const auto next = read_box(reader);
    if (!next) return next.error().in(of);
    if (boxes.size() == kBoxChildrenMax)
      return fail(Code::limit, std::string{of} + ": boxes inside over", kBoxChildrenMax);
    boxes.push_back(*next);
  }
  return boxes;
}

const Box* find(const std::vector<Box>& boxes, std::uint32_t type) {
  for (const Box& box : boxes) {
    if (box.type == type) return &box;
  }
  return nullptr;
}

/// The one box of that type. @error malformed: none.
Result<ByteSpan> payload_of(const std::vector<Box>& boxes, const char (&name)[5]) {
  const Box* found = find(boxes, box_type(name));
  if (found == nullptr) return fail(Code::malformed, "no box", name);
  return found->payload;
}

/// Descends one level: the children of the box of that type.
Result<std::vector<Box>> inside(const std::vector<Box>& boxes, const char (&name)[5]) {
  const auto payload = payload_of(boxes, name);
  if (!payload) return pass(payload);
  return children(*payload, name);
}

Result<void> read_tkhd(ByteSpan payload, TrackConfig& config) {
  if (payload.empty()) return fail(Code::malformed, "tkhd: empty");
  const std::size_t at = read_u8(payload) == 1 ? 20 : 12;  // after version, flags and two times
  if (payload.size() < at + 4) return fail(Code::malformed, "tkhd: bytes", payload.size());
  config.track_id = read_be32(payload.subspan(at));
  return {};
}

Result<void> read_mdhd(ByteSpan payload, TrackConfig& config) {
  if (payload.empty()) return fail(Code::malformed, "mdhd: empty");
  const bool wide = read_u8(payload) == 1;
  const std::size_t at = wide ? 20 : 12;
  const std::size_t language_at = at + 4 + (wide ? 8 : 4);
  if (payload.size() < language_at + 2) return fail(Code::malformed, "mdhd: bytes", payload.size());
  config.timescale = read_be32(payload.subspan(at));
  const std::uint16_t packed = read_be16(payload.subspan(language_at));
  std::string language;
  for (const int shift : {10, 5, 0}) language.push_back(static_cast<char>(0x60 + ((packed >> shift) & 31)));
  const bool letters = language.find_first_not_of("abcdefghijklmnopqrstuvwxyz") == std::string::npos;
  config.language = letters ? language : "und";  // QuickTime's numbers are no ISO 639 letters
  return {};
}

/// Times of a track are its samples'. An edit list that begins elsewhere or leaves a part out says otherwise.
Result<void> refuse_edits(const std::vector<Box>& trak) {
  const Box* edts = find(trak, box_type("edts"));
  if (edts == nullptr) return {};
  const auto inner = children(edts->payload, "edts");
  if (!inner) return pass(inner);
  const Box* elst = find(*inner, box_type("elst"));
  if (elst == nullptr) return {};
  ByteReader reader{elst->payload};
  const auto version = reader.be32();
  const auto count = reader.be32();
  if (!version || !count) return fail(Code::malformed, "elst: truncated");
  if (*count == 0) return {};
  const bool wide = (*version >> 24) == 1;
  const auto skipped = reader.skip(wide ? 8 : 4);
  if (!skipped) return skipped.error().in("elst");
  const auto start = reader.take(wide ? 8 : 4);
  if (!start) return start.error().in("elst");
  const auto rate = reader.be32();
  if (!rate) return rate.error().in("elst");
  const std::uint64_t media_time = wide ? read_be64(*start) : read_be32(*start);
  if (*count == 1 && media_time == 0 && *rate == 0x00010000) return {};
  return fail(Code::unsupported, "edit list: offsets belong in decode times");
}

/// A descriptor's body (ISO/IEC 14496-1:2010 §8.3.3). Its length takes at most four bytes.
Result<ByteSpan> read_descriptor(ByteReader& reader, std::uint8_t wanted) {
  const auto tag = reader.u8();
  if (!tag) return tag.error().in("esds");
  if (*tag != wanted) return fail(Code::malformed, "esds: descriptor", *tag);
  std::uint32_t size = 0;
  for (int i = 0; i < 4; ++i) {
    const auto byte = reader.u8();
    if (!byte) return byte.error().in("esds");
    size = (size << 7) | (*byte & 0x7F);
    if ((*byte & 0x80) == 0) return reader.take(size);
  }
  return fail(Code::malformed, "esds: length of a descriptor");
}

Result<void> read_esds(ByteSpan payload, TrackConfig& config) {
  ByteReader reader{payload};
  const auto version = reader.be32();
  if (!version) return version.error().in("esds");
  const auto es = read_descriptor(reader, 3);
  if (!es) return pass(es);
  ByteReader stream{*es};
  const auto id = stream.be16();
  const auto flags = stream.u8();
  if (!id || !flags) return fail(Code::malformed, "esds: truncated");
  std::size_t optional_bytes = (*flags & 0x80) != 0 ? 2 : 0;  // depends on another stream
  optional_bytes += (*flags & 0x20) != 0 ? 2 : 0;             // OCR stream
  if ((*flags & 0x40) != 0) return fail(Code::unsupported, "esds: URL");
  const auto skipped = stream.skip(optional_bytes);
  if (!skipped) return skipped.error().in("esds");
  const auto decoder_bytes = read_descriptor(stream, 4);
  if (!decoder_bytes) return pass(decoder_bytes);
  ByteReader decoder{*decoder_bytes};
  const auto object = decoder.u8();
  if (!object) return object.error().in("esds");
  if (*object != 0x40 && (*object < 0x66 || *object > 0x68)) {
    return fail(Code::unsupported, "esds: object type", *object);  // MP3 and others in mp4a
  }
  const auto fixed = decoder.skip(4);
  const auto bitrate_max = decoder.be32();
  const auto bitrate = decoder.be32();
  if (!fixed || !bitrate_max || !bitrate) return fail(Code::malformed, "esds: truncated");
  config.bitrate_max = *bitrate_max;
  config.bitrate = *bitrate;
  const auto specific = read_descriptor(decoder, 5);
  if (!specific) return pass(specific);
  config.codec_config.assign(specific->begin(), specific->end());
  return {};
}

Result<void> read_colr(ByteSpan payload, TrackConfig& config) {
  ByteReader reader{payload};
  const auto kind = reader.be32();
  if (!kind) return kind.error().in("colr");
  if (*kind != box_type("nclx")) return {};  // an ICC profile, or QuickTime's nclc
  const auto values = reader.take(7);
  if (!values) return values.error().in("colr");
  config.colour = Colour{.primaries = read_be16(*values),
                         .transfer = read_be16(values->subspan(2)),
                         .matrix = read_be16(values->subspan(4)),
                         .full_range = (read_u8(values->subspan(6)) & 0x80) != 0};
  return {};
}

Result<void> read_btrt(ByteSpan payload, TrackConfig& config) {
  if (payload.size() < 12) return fail(Code::malformed, "btrt: bytes", payload.size());
  config.bitrate_max = read_be32(payload.subspan(4));
  config.bitrate = read_be32(payload.subspan(8));
  return {};
}

Result<void> read_pasp(ByteSpan payload, TrackConfig& config) {
  if (payload.size() < 8) return fail(Code::malformed, "pasp: bytes", payload.size());
  const std::uint32_t num = read_be32(payload);
  const std::uint32_t den = read_be32(payload.subspan(4));
  if (num == 0 || den == 0) return {};  // "unknown", as some cameras write it
  config.sar_num = num;
  config.sar_den = den;
  return {};
}

void keep(ByteSpan payload, TrackConfig& config) { config.codec_config.assign(payload.begin(), payload.end()); }

/// What stands beside the sample entry's fixed fields.
Result<void> read_entry_boxes(ByteSpan payload, TrackConfig& config) {
  const auto boxes = children(payload, "sample entry");
  if (!boxes) return pass(boxes);
  for (const Box& box : *boxes) {
    Result<void> read;
    switch (box.type) {
      case box_type("avcC"):
        if (config.codec == CodecId::h264) keep(box.payload, config);
        break;
      case box_type("hvcC"):
        if (config.codec == CodecId::hevc) keep(box.payload, config);
        break;
      case box_type("av1C"):
        if (config.codec == CodecId::av1) keep(box.payload, config);
        break;
      case box_type("dOps"):
        if (config.codec == CodecId::opus) keep(box.payload, config);
        break;
      case box_type("vpcC"):
        if (config.codec != CodecId::vp9) break;
        if (box.payload.size() < 4) return fail(Code::malformed, "vpcC: bytes", box.payload.size());
        keep(box.payload.subspan(4), config);
        break;
      case box_type("esds"):
        if (config.codec == CodecId::aac) read = read_esds(box.payload, config);
        break;
      case box_type("colr"):
        read = read_colr(box.payload, config);
        break;
      case box_type("pasp"):
        read = read_pasp(box.payload, config);
        break;
      case box_type("btrt"):
        read = read_btrt(box.payload, config);
        break;
      default:
        break;
    }
    if (!read) return read;
  }
  if (config.codec_config.empty())
    return fail(Code::malformed, "sample entry: no configuration of", to_string(config.codec));
  return {};
}

std::optional<CodecId> codec_of(std::uint32_t entry) {
  switch (entry) {
    case box_type("avc1"):
    case box_type("avc3"):
      return CodecId::h264;
    case box_type("hvc1"):
    case box_type("hev1"):
      return CodecId::hevc;
    case box_type("av01"):
      return CodecId::av1;
    case box_type("vp09"):
      return CodecId::vp9;
    case box_type("mp4a"):
      return CodecId::aac;
    case box_type("Opus"):
      return CodecId::opus;
    default:
      return std::nullopt;
  }
}

Result<void> read_stsd(ByteSpan payload, TrackConfig& config) {
  ByteReader reader{payload};
  const auto version = reader.be32();
  const auto count = reader.be32();
  if (!version || !count) return fail(Code::malformed, "stsd: truncated");
  if (*count != 1) return fail(Code::unsupported, "stsd: sample entries", *count);
  const auto entry = read_box(reader);
  if (!entry) return entry.error().in("stsd");
  const auto codec = codec_of(entry->type);
  if (!codec) return fail(Code::unsupported, "sample entry", box_name(entry->type));
  config.codec = *codec;
  if (kind_of(*codec) != config.kind)
    return fail(Code::malformed, "sample entry of the other kind:", box_name(entry->type));
  // SampleEntry is 8 bytes; VisualSampleEntry 70 more, AudioSampleEntry 20 (ISO/IEC 14496-12:2015 §12.1.3, §12.2.3).
  const std::size_t fixed = config.kind == TrackKind::video ? 78 : 28;
  if (entry->payload.size() < fixed) return fail(Code::malformed, "sample entry: bytes", entry->payload.size());
  if (config.kind == TrackKind::video) {
    config.width = read_be16(entry->payload.subspan(24));
    config.height = read_be16(entry->payload.subspan(26));
  } else {
    config.channels = read_be16(entry->payload.subspan(16));
    config.sample_rate = read_be32(entry->payload.subspan(24)) >> 16;
  }
  return read_entry_boxes(entry->payload.subspan(fixed), config);
}

/// Audio sample entries say the rate in 16 bits and the channels by habit; the codec's own configuration knows.
Result<void> consult_codec(TrackConfig& config) {
  const auto known = track_from_codec_config(config.codec, config.codec_config);
  if (!known) return known.error().in("codec configuration");
  if (config.kind == TrackKind::video) return {};
  bool implicit_sbr = false;
  if (config.codec == CodecId::aac) {
    const auto aac = parse_aac_config(config.codec_config);
    implicit_sbr = aac && aac->sbr_possible && config.sample_rate == 2 * aac->sample_rate;
  }
  if (!implicit_sbr) config.sample_rate = known->sample_rate;
  if (known->channels != 0) config.channels = known->channels;
  return {};
}

Result<void> read_trex(ByteSpan payload, TrackConfig& config) {
  if (payload.size() < 24) return fail(Code::malformed, "trex: bytes", payload.size());
  config.defaults = {.duration = read_be32(payload.subspan(12)),
                     .size = read_be32(payload.subspan(16)),
                     .flags = read_be32(payload.subspan(20))};
  return {};
}

Result<void> read_trak(const std::vector<Box>& moov, TrackConfig& config) {
  const auto trak = inside(moov, "trak");
  if (!trak) return pass(trak);
  const auto tkhd = payload_of(*trak, "tkhd");
  if (!tkhd) return pass(tkhd);
  if (const auto read = read_tkhd(*tkhd, config); !read) return read;
  if (const auto none = refuse_edits(*trak); !none) return none;
  const auto mdia = inside(*trak, "mdia");
  if (!mdia) return pass(mdia);
  const auto mdhd = payload_of(*mdia, "mdhd");
  if (!mdhd) return pass(mdhd);
  if (const auto read = read_mdhd(*mdhd, config); !read) return read;
  const auto hdlr = payload_of(*mdia, "hdlr");
  if (!hdlr) return pass(hdlr);
  if (hdlr->size() < 12) return fail(Code::malformed, "hdlr: bytes", hdlr->size());
  switch (read_be32(hdlr->subspan(8))) {
    case box_type("vide"):
      config.kind = TrackKind::video;
      break;
    case box_type("soun"):
      config.kind = TrackKind::audio;
      break;
    default:
      return fail(Code::unsupported, "track of kind", box_name(read_be32(hdlr->subspan(8))));
  }
  const auto minf = inside(*mdia, "minf");
  if (!minf) return pass(minf);
  const auto stbl = inside(*minf, "stbl");
  if (!stbl) return pass(stbl);
  const auto stsd = payload_of(*stbl, "stsd");
  if (!stsd) return pass(stsd);
  return read_stsd(*stsd, config);
}

}  // namespace

Result<TrackConfig> parse_init(ByteSpan init) {
  const auto boxes = children(init, "init segment");
  if (!boxes) return pass(boxes);
  const auto moov = inside(*boxes, "moov");
  if (!moov) return pass(moov);
  std::size_t tracks = 0;
  for (const Box& box : *moov) tracks += box.type == box_type("trak") ? 1 : 0;
  if (tracks != 1) return fail(Code::unsupported, "init segment: tracks", tracks);

  TrackConfig config;
  if (const auto read = read_trak(*moov, config); !read) return read.error().in("init segment");
  if (const Box* mvex = find(*moov, box_type("mvex"))) {
    const auto inner = children(mvex->payload, "mvex");
    if (!inner) return pass(inner);
    if (const Box* trex = find(*inner, box_type("trex"))) {
      if (const auto read = read_trex(trex->payload, config); !read) return pass(read);
    }
  }
  if (const auto consulted = consult_codec(config); !consulted) return consulted.error().in("init segment");
  if (const auto checked = check(config); !checked) return checked.error().in("init segment");
  return config;
}

}  // namespace ribalta::media
