#include "client/check/media_check.h"

#include <algorithm>

#include "core/media/bitstream.h"
#include "core/media/box_reader.h"
#include "core/media/cmaf_reader.h"
#include "core/media/codec_config.h"

namespace ribalta::check {
namespace {

using media::Box;
using media::box_name;
using media::box_type;

/// H.264 NAL units that belong into the configuration where the sample entry is `avc1` (ISO/IEC 14496-15 §5.3.2).
constexpr std::uint8_t kSps = 7;
constexpr std::uint8_t kPps = 8;

/// The boxes of a segment from its start to its end. @return nothing: they do not fit.
std::optional<std::vector<Box>> boxes_of(ByteSpan bytes, const std::string& where, Findings& findings) {
  std::vector<Box> out;
  ByteReader reader{bytes};
  while (!reader.done()) {
    const auto box = media::read_box(reader);
    if (!box) {
      findings.add("box-structure", where, "at byte " + std::to_string(reader.position()) + ": " + box.error().message);
      return std::nullopt;
    }
    out.push_back(*box);
  }
  return out;
}

std::optional<Box> child(const Box& parent, std::uint32_t type) {
  ByteReader reader{parent.payload};
  while (!reader.done()) {
    const auto box = media::read_box(reader);
    if (!box) return std::nullopt;
    if (box->type == type) return *box;
  }
  return std::nullopt;
}

/// What parse_chunk is lenient about and CMAF is not (ISO/IEC 23000-19 §7.5.15 to 7.5.18).
void check_moof(const Box& moof, const std::string& where, Findings& findings) {
  const auto traf = child(moof, box_type("traf"));
  const auto tfhd = traf ? child(*traf, box_type("tfhd")) : std::nullopt;
  if (!child(moof, box_type("mfhd"))) findings.add("box-structure", where, "moof without mfhd");
  if (!tfhd || tfhd->payload.size() < 4) {
    findings.add("box-structure", where, "moof without traf and tfhd");
    return;
  }
  if ((read_be32(tfhd->payload) & 0x020000) == 0) {
    findings.add("default-base-is-moof", where, "tfhd does not count data offsets from its moof (flag 0x020000)");
  }
}

/// Frames as the bitstream has them against what the boxes say of them.
void check_samples(const media::Chunk& chunk, const InitFacts& init, const std::string& where, Findings& findings) {
  std::uint8_t length_bytes = 4;
  if (init.config.codec == media::CodecId::h264) {
    const auto avc = media::parse_avcc(init.config.codec_config);
    if (avc) length_bytes = avc->nal_length_bytes;
  } else if (init.config.codec == media::CodecId::hevc) {
    const auto hevc = media::parse_hvcc(init.config.codec_config);
    if (hevc) length_bytes = hevc->nal_length_bytes;
  }
  for (std::size_t i = 0; i < chunk.samples.size(); ++i) {
    const media::Sample& sample = chunk.samples[i];
    if (sample.duration == 0)
      findings.add("sample-duration", where, "sample " + std::to_string(i) + " has no duration");
    if (init.config.kind != media::TrackKind::video) continue;
    const media::RandomAccess access = media::random_access(init.config.codec, sample.data, length_bytes);
    if (sample.sync && access != media::RandomAccess::closed) {
      findings.add("sync-sample", where, "sample " + std::to_string(i) + " is marked as a key frame and is none");
    }
    if (!sample.sync && access == media::RandomAccess::closed) {
      findings.add("sync-sample", where, "sample " + std::to_string(i) + " is a key frame and is not marked as one");
    }
    if (init.config.codec != media::CodecId::h264) continue;
    const auto units = media::split_nal_units(sample.data, length_bytes);
    if (!units) {
      findings.add("nal-units", where, "sample " + std::to_string(i) + ": " + units.error().message);
      continue;
    }
    const bool inside = std::ranges::any_of(*units, [](ByteSpan unit) {
      const auto type = static_cast<std::uint8_t>(read_u8(unit) & 0x1F);
      return type == kSps || type == kPps;
    });
    if (inside && init.codec.starts_with("avc1")) {
      findings.add("avc1-parameter-sets", where, "parameter sets inside the samples of a track that is avc1");
    }
  }
}

/// The chunks of one segment; each must follow the one before.
class Segment {
 public:
  Segment(const InitFacts& init, const std::string& where, Findings& findings)
      : init_(init), where_(where), findings_(findings) {}

  void chunk(ByteSpan bytes, const SegmentFacts* before) {
    const auto parsed = media::parse_chunk(bytes, init_.config);
    if (!parsed) {
      findings_.add("chunk", where_, parsed.error().message);
      broken_ = true;
      return;
    }
    const std::uint32_t timescale = init_.config.timescale;
    std::optional<std::int64_t> expected;
    if (facts_.samples > 0) {
      expected = facts_.decode_end.ticks;
    } else if (before != nullptr && before->decode_end.timescale == timescale) {
      expected = before->decode_end.ticks;
    }
    if (expected && *expected != parsed->decode_time) {
      findings_.add("tfdt-continuity", where_,
                    "decode time " + std::to_string(parsed->decode_time) + " where " + std::to_string(*expected) +
                        " follows (" + std::to_string(timescale) + " a second)");
    }
    if (facts_.samples == 0) {
      facts_.decode_begin = {parsed->decode_time, timescale};
      facts_.first_presentation = {parsed->presentation_time, timescale};
      facts_.starts_with_key = parsed->first_is_sync;
    }
    facts_.first_presentation.ticks = std::min(facts_.first_presentation.ticks, parsed->presentation_time);
    facts_.decode_end = {parsed->decode_end(), timescale};
    facts_.duration += static_cast<std::int64_t>(parsed->duration);
    for (const media::Sample& sample : parsed->samples) {
      const bool first = facts_.samples++ == 0;
      facts_.shortest = first ? sample.duration : std::min<std::int64_t>(facts_.shortest, sample.duration);
    }
    check_samples(*parsed, init_, where_, findings_);
  }

  [[nodiscard]] std::optional<SegmentFacts> facts(std::uint64_t bytes) {
    if (facts_.samples == 0) {
      if (!broken_) findings_.add("box-structure", where_, "no media in it");
      return std::nullopt;
    }
    facts_.bytes = bytes;
    if (init_.config.kind == media::TrackKind::video && !facts_.starts_with_key) {
      findings_.add("segment-starts-with-key", where_, "the segment does not begin with a key frame");
    }
    return broken_ ? std::nullopt : std::optional{facts_};
  }

 private:
  const InitFacts& init_;
  const std::string& where_;
  Findings& findings_;
  SegmentFacts facts_;
  bool broken_ = false;
};

/// Whole boxes to chunks: everything up to an mdat, which must come right behind its moof.
std::optional<SegmentFacts> walk(const std::vector<Box>& boxes, std::size_t begin, std::size_t end,
                                 const InitFacts& init, const SegmentFacts* before, const std::string& where,
                                 Findings& findings) {
  Segment segment{init, where, findings};
  const std::byte* chunk_begin = nullptr;
  std::uint64_t bytes = 0;
  bool moof = false;
  for (std::size_t i = begin; i < end; ++i) {
    const Box& box = boxes[i];
    bytes += box.whole.size();
    if (chunk_begin == nullptr) chunk_begin = box.whole.data();
    if (moof && box.type != box_type("mdat")) {
      findings.add("box-structure", where, box_name(box.type) + " between moof and mdat");
      return std::nullopt;
    }
    if (box.type == box_type("moov") || box.type == box_type("ftyp")) {
      findings.add("box-structure", where, box_name(box.type) + " inside a media segment");
      return std::nullopt;
    }
    if (box.type == box_type("moof")) {
      moof = true;
      check_moof(box, where, findings);
    } else if (box.type == box_type("mdat")) {
      if (!moof) {
        findings.add("box-structure", where, "mdat without moof");
        return std::nullopt;
      }
      moof = false;
      const std::byte* const chunk_end = box.whole.data() + box.whole.size();
      segment.chunk(ByteSpan{chunk_begin, chunk_end}, before);
      chunk_begin = nullptr;
    }
  }
  if (moof) findings.add("box-structure", where, "moof without mdat");
  return segment.facts(bytes);
}

}  // namespace

std::optional<InitFacts> check_init(std::string_view bytes, const std::string& where, Findings& findings) {
  const auto boxes = boxes_of(as_bytes(bytes), where, findings);
  if (!boxes) return std::nullopt;
  if (boxes->empty() || boxes->front().type != box_type("ftyp")) {
    findings.add("box-structure", where, "an init segment begins with ftyp");
  }
  auto config = media::parse_init(as_bytes(bytes));
  if (!config) {
    findings.add("init-segment", where, config.error().message);
    return std::nullopt;
  }
  auto codec = media::codec_string(*config);
  if (!codec) {
    findings.add("init-segment", where, codec.error().message);
    return std::nullopt;
  }
  if (config->codec == media::CodecId::h264) {
    const auto avc = media::parse_avcc(config->codec_config);
    const auto picture = avc && !avc->sps.empty() ? media::parse_h264_sps(avc->sps.front())
                                                  : fail(Code::malformed, "no sequence parameter set");
    if (!picture) {
      findings.add("init-segment", where, picture.error().message);
    } else if (picture->width != config->width || picture->height != config->height) {
      findings.add("init-segment", where,
                   "the sample entry says " + std::to_string(config->width) + "x" + std::to_string(config->height) +
                       ", the bitstream " + std::to_string(picture->width) + "x" + std::to_string(picture->height));
    }
  }
  return InitFacts{std::move(*config), std::move(*codec), bytes.size()};
}

std::optional<SegmentFacts> check_segment(std::string_view bytes, const InitFacts& init, const SegmentFacts* before,
                                          const std::string& where, Findings& findings) {
  const auto boxes = boxes_of(as_bytes(bytes), where, findings);
  if (!boxes) return std::nullopt;
  return walk(*boxes, 0, boxes->size(), init, before, where, findings);
}

std::optional<FileFacts> check_track_file(std::string_view bytes, const std::string& where, Findings& findings) {
  const auto boxes = boxes_of(as_bytes(bytes), where, findings);
  if (!boxes) return std::nullopt;
  const auto sidx = std::ranges::find(*boxes, box_type("sidx"), &Box::type);
  const auto moov = std::ranges::find(*boxes, box_type("moov"), &Box::type);
  if (moov == boxes->end() || sidx == boxes->end() || sidx < moov) {
    findings.add("box-structure", where, "not ftyp moov sidx (moof mdat)…");
    return std::nullopt;
  }
  const auto init_bytes = static_cast<std::size_t>(moov->whole.data() + moov->whole.size() - as_bytes(bytes).data());
  auto init = check_init(bytes.substr(0, init_bytes), where, findings);
  if (!init) return std::nullopt;
  const auto index = media::parse_sidx(sidx->whole);
  if (!index) {
    findings.add("sidx", where, index.error().message);
    return std::nullopt;
  }
  FileFacts out{.init = std::move(*init)};
  auto at = static_cast<std::size_t>(sidx - boxes->begin()) + 1;
  for (std::size_t number = 0; number < index->references.size(); ++number) {
    const media::SegmentReference& reference = index->references[number];
    const std::string place = where + " segment " + std::to_string(number + 1);
    std::uint64_t taken = 0;
    const std::size_t begin = at;
    while (at < boxes->size() && taken < reference.bytes) taken += (*boxes)[at++].whole.size();
    if (taken != reference.bytes) {
      findings.add("sidx", place,
                   "references " + std::to_string(reference.bytes) + " bytes; boxes end at " + std::to_string(taken));
      return std::nullopt;
    }
    const SegmentFacts* const before = out.segments.empty() ? nullptr : &out.segments.back();
    const auto facts = walk(*boxes, begin, at, out.init, before, place, findings);
    if (!facts) return std::nullopt;
    const std::int64_t told = rescale_nearest({reference.duration, index->timescale}, out.init.config.timescale).ticks;
    if (told != facts->duration) {
      findings.add(
          "sidx", place,
          "says a duration of " + std::to_string(told) + " ticks; samples have " + std::to_string(facts->duration));
    }
    out.segments.push_back(*facts);
  }
  if (at != boxes->size()) findings.add("sidx", where, "media behind the last segment of the index");
  if (out.segments.empty()) {
    findings.add("sidx", where, "the index is empty");
    return std::nullopt;
  }
  return out;
}

}  // namespace ribalta::check
