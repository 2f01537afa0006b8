#include "client/check/mpd.h"

#include <charconv>
#include <pugixml.hpp>

#include "client/check/hls.h"

namespace ribalta::check {
namespace {

constexpr std::int64_t kTicksMax = std::int64_t{1} << 60;
constexpr std::int64_t kDurationUsMax = std::int64_t{100} * 365 * 24 * 3600 * 1'000'000;
constexpr int kDepthMax = 32;

Result<std::int64_t> integer(std::string_view text, std::string_view name, std::int64_t min, std::int64_t max) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) {
    return fail(Code::malformed, std::string{name} + ": not a number:", text.substr(0, 40));
  }
  if (value < min || value > max) return fail(Code::limit, std::string{name} + ": out of range:", value);
  return value;
}

/// An integer attribute; `otherwise` where it is missing.
Result<std::int64_t> number(const pugi::xml_node& node, const char* name, std::int64_t otherwise,
                            std::int64_t min = 0) {
  const pugi::xml_attribute found = node.attribute(name);
  if (!found) return otherwise;
  return integer(found.value(), name, min, kTicksMax);
}

Result<std::optional<std::int64_t>> duration(const pugi::xml_node& node, const char* name) {
  const pugi::xml_attribute found = node.attribute(name);
  if (!found) return std::optional<std::int64_t>{};
  const auto us = parse_duration_us(found.value());
  if (!us) return us.error().in(name);
  return std::optional{*us};
}

Result<std::optional<std::int64_t>> instant(const pugi::xml_node& node, const char* name) {
  const pugi::xml_attribute found = node.attribute(name);
  if (!found) return std::optional<std::int64_t>{};
  const auto ms = parse_date_time_ms(found.value());
  if (!ms) return ms.error().in(name);
  return std::optional{*ms};
}

/// Fills in $RepresentationID$, $Bandwidth$, $Number$, $Time$ and $$ (ISO/IEC 23009-1 §5.3.9.4.4), also `%0Nd`.
Result<std::string> fill(std::string_view pattern, const MpdRepresentation& representation,
                         std::optional<std::int64_t> segment_number, std::optional<std::int64_t> time) {
  std::string out;
  while (!pattern.empty()) {
    const std::size_t dollar = pattern.find('$');
    out += pattern.substr(0, dollar);
    if (dollar == std::string_view::npos) break;
    const std::size_t end = pattern.find('$', dollar + 1);
    if (end == std::string_view::npos)
      return fail(Code::malformed, "template with a single '$':", pattern.substr(0, 80));
    std::string_view name = pattern.substr(dollar + 1, end - dollar - 1);
    pattern.remove_prefix(end + 1);
    std::size_t width = 0;
    if (const std::size_t percent = name.find("%0"); percent != std::string_view::npos) {
      const auto digits = integer(name.substr(percent + 2, name.size() - percent - 3), "width", 1, 20);
      if (!digits || !name.ends_with('d')) return fail(Code::malformed, "template width:", name);
      width = static_cast<std::size_t>(*digits);
      name = name.substr(0, percent);
    }
    std::string value;
    if (name.empty()) {
      value = "$";
    } else if (name == "RepresentationID") {
      value = representation.id;
    } else if (name == "Bandwidth") {
      value = std::to_string(representation.bandwidth);
    } else if (name == "Number" && segment_number) {
      value = std::to_string(*segment_number);
    } else if (name == "Time" && time) {
      value = std::to_string(*time);
    } else {
      return fail(Code::malformed, "template identifier:", name);
    }
    if (value.size() < width) value.insert(0, width - value.size(), '0');
    out += value;
  }
  return out;
}

Result<void> read_timeline(const pugi::xml_node& timeline, std::string_view media, std::int64_t first_number,
                           MpdRepresentation& out) {
  std::int64_t time = 0;
  for (const pugi::xml_node& s : timeline.children("S")) {
    const auto at = number(s, "t", time);
    const auto length = number(s, "d", -1, 1);
    const auto repeat = number(s, "r", 0, -1);
    if (!at) return pass(at);
    if (!length) return pass(length);
    if (!repeat) return pass(repeat);
    if (*length < 0) return fail(Code::malformed, "S without d");
    if (*repeat < 0) return fail(Code::unsupported, "S with an open repeat");
    time = *at;
    for (std::int64_t i = 0; i <= *repeat; ++i) {
      if (out.segments.size() >= kTimelineMax) return fail(Code::limit, "segments:", out.segments.size());
      if (time > kTicksMax - *length) return fail(Code::limit, "S: time", time);
      auto uri = fill(media, out, first_number + static_cast<std::int64_t>(out.segments.size()), time);
      if (!uri) return pass(uri);
      out.segments.push_back({time, *length, std::move(*uri)});
      time += *length;
    }
  }
  if (out.segments.empty()) return fail(Code::malformed, "SegmentTimeline without S");
  return {};
}

/// Attributes and elements that a representation shares stand in its adaptation set.
std::string inherited(const pugi::xml_node& set, const pugi::xml_node& own, const char* name) {
  const pugi::xml_attribute found = own.attribute(name);
  return found ? found.value() : set.attribute(name).value();
}

Result<MpdRepresentation> read_representation(const pugi::xml_node& set, const pugi::xml_node& node) {
  MpdRepresentation out;
  out.id = node.attribute("id").value();
  if (out.id.empty()) return fail(Code::malformed, "Representation without id");
  out.mime_type = inherited(set, node, "mimeType");
  out.codecs = inherited(set, node, "codecs");
  out.frame_rate = inherited(set, node, "frameRate");
  if (!node.attribute("bandwidth")) return fail(Code::malformed, "Representation without bandwidth:", out.id);
  struct Number {
    const char* name;
    std::int64_t* into;
  };
  for (const Number& wanted : {Number{"bandwidth", &out.bandwidth}, Number{"width", &out.width},
                               Number{"height", &out.height}, Number{"audioSamplingRate", &out.sample_rate}}) {
    const std::string text = inherited(set, node, wanted.name);
    if (text.empty()) continue;
    const auto value = integer(text, wanted.name, 0, kTicksMax);
    if (!value) return value.error().in(out.id);
    *wanted.into = *value;
  }
  pugi::xml_node segment_template = node.child("SegmentTemplate");
  if (!segment_template) segment_template = set.child("SegmentTemplate");
  const pugi::xml_node timeline = segment_template.child("SegmentTimeline");
  if (!timeline) return fail(Code::unsupported, "not addressed by SegmentTemplate and SegmentTimeline:", out.id);
  if (node.child("BaseURL") || set.child("BaseURL")) return fail(Code::unsupported, "BaseURL below the MPD's own");
  const auto timescale = number(segment_template, "timescale", 1, 1);
  const auto offset = number(segment_template, "presentationTimeOffset", 0);
  const auto first = number(segment_template, "startNumber", 1);
  if (!timescale) return pass(timescale);
  if (!offset) return pass(offset);
  if (!first) return pass(first);
  if (*timescale > 1'000'000'000) return fail(Code::limit, "timescale:", *timescale);
  out.timescale = *timescale;
  out.presentation_time_offset = *offset;
  auto init = fill(segment_template.attribute("initialization").value(), out, std::nullopt, std::nullopt);
  if (!init) return init.error().in("initialization");
  out.init_uri = std::move(*init);
  const auto read = read_timeline(timeline, segment_template.attribute("media").value(), *first, out);
  if (!read) return read.error().in(out.id);
  return out;
}

Result<MpdAdaptationSet> read_adaptation_set(const pugi::xml_node& node, std::size_t& representations) {
  MpdAdaptationSet out;
  out.content_type = node.attribute("contentType").value();
  out.mime_type = node.attribute("mimeType").value();
  out.segment_alignment = node.attribute("segmentAlignment").as_bool();
  const auto sap = number(node, "startWithSAP", 0);
  if (!sap) return pass(sap);
  out.start_with_sap = *sap;
  for (const pugi::xml_node& child : node.children("Representation")) {
    if (++representations > kRepresentationsMax) return fail(Code::limit, "representations:", representations);
    if (child.child("ContentProtection") || node.child("ContentProtection")) {
      return fail(Code::unsupported, "encrypted media is not looked into");
    }
    auto representation = read_representation(node, child);
    if (!representation) return pass(representation);
    out.representations.push_back(std::move(*representation));
  }
  if (out.representations.empty()) return fail(Code::malformed, "AdaptationSet without Representation");
  return out;
}

/// pugixml builds without recursion; walking is ours, and elements nest a handful deep.
Result<void> check_depth(const pugi::xml_node& root) {
  struct Walker : pugi::xml_tree_walker {
    bool for_each(pugi::xml_node&) override { return depth() < kDepthMax; }
  } walker;
  pugi::xml_node top = root;
  if (!top.traverse(walker)) return fail(Code::limit, "elements nested deeper than", kDepthMax);
  return {};
}

}  // namespace

Result<std::int64_t> parse_duration_us(std::string_view text) {
  const auto bad = [&] {
    return fail(Code::malformed, "not a duration of days, hours, minutes, seconds:", text.substr(0, 40));
  };
  std::string_view rest = text;
  if (!rest.starts_with('P')) return bad();
  rest.remove_prefix(1);
  std::int64_t total = 0;
  bool time = false;
  bool some = false;
  std::string_view allowed = "D";
  while (!rest.empty()) {
    if (rest[0] == 'T') {
      if (time) return bad();
      time = true;
      allowed = "HMS";
      rest.remove_prefix(1);
      continue;
    }
    const std::size_t unit = rest.find_first_not_of("0123456789.");
    if (unit == std::string_view::npos || unit == 0) return bad();
    const std::size_t place = allowed.find(rest[unit]);
    if (place == std::string_view::npos) return bad();
    const std::int64_t scale = rest[unit] == 'D' ? 86'400 : rest[unit] == 'H' ? 3'600 : rest[unit] == 'M' ? 60 : 1;
    std::string_view amount = rest.substr(0, unit);
    if (rest[unit] == 'S') {
      // Seconds may have a fraction, and (as mediaPresentationDuration in practice) be many.
      const std::size_t point = amount.find('.');
      const auto whole = integer(amount.substr(0, point), "seconds", 0, kDurationUsMax / 1'000'000);
      if (!whole) return pass(whole);
      total += *whole * 1'000'000;
      if (point != std::string_view::npos) {
        const auto us = parse_seconds_us("0" + std::string{amount.substr(point)});
        if (!us) return pass(us);
        total += *us;
      }
    } else {
      const auto whole = integer(amount, "duration", 0, kDurationUsMax / 1'000'000 / scale);
      if (!whole) return pass(whole);
      total += *whole * scale * 1'000'000;
    }
    if (total > kDurationUsMax) return fail(Code::limit, "duration:", text.substr(0, 40));
    allowed.remove_prefix(place + 1);
    rest.remove_prefix(unit + 1);
    some = true;
  }
  if (!some) return bad();
  return total;
}

Result<Mpd> parse_mpd(std::string_view text) {
  if (text.size() > kManifestBytesMax) return fail(Code::limit, "manifest bytes:", text.size());
  pugi::xml_document document;
  const pugi::xml_parse_result parsed =
      document.load_buffer(text.data(), text.size(), pugi::parse_default, pugi::encoding_utf8);
  if (!parsed)
    return fail(Code::malformed, std::string{"not well-formed XML: "} + parsed.description() + ", at byte",
                parsed.offset);
  if (auto depth = check_depth(document); !depth) return pass(depth);
  const pugi::xml_node root = document.document_element();
  if (std::string_view{root.name()} != "MPD") return fail(Code::malformed, "the root element is not MPD");
  if (std::string_view{root.attribute("xmlns").value()} != "urn:mpeg:dash:schema:mpd:2011") {
    return fail(Code::malformed, "MPD is not in the namespace urn:mpeg:dash:schema:mpd:2011");
  }
  Mpd out;
  const std::string_view type = root.attribute("type").as_string("static");
  if (type != "static" && type != "dynamic") return fail(Code::malformed, "MPD type:", type.substr(0, 20));
  out.dynamic = type == "dynamic";
  out.profiles = root.attribute("profiles").value();
  out.base_url = root.child("BaseURL").text().get();
  out.utc_timing = static_cast<bool>(root.child("UTCTiming"));
  struct Duration {
    const char* name;
    std::optional<std::int64_t>* into;
  };
  for (const Duration& wanted :
       {Duration{"minBufferTime", &out.min_buffer_us}, Duration{"mediaPresentationDuration", &out.duration_us},
        Duration{"minimumUpdatePeriod", &out.update_period_us},
        Duration{"timeShiftBufferDepth", &out.time_shift_depth_us},
        Duration{"maxSegmentDuration", &out.segment_duration_max_us}}) {
    const auto value = duration(root, wanted.name);
    if (!value) return pass(value);
    *wanted.into = *value;
  }
  const auto start = instant(root, "availabilityStartTime");
  const auto publish = instant(root, "publishTime");
  if (!start) return pass(start);
  if (!publish) return pass(publish);
  out.availability_start_ms = *start;
  out.publish_time_ms = *publish;
  std::size_t representations = 0;
  for (const pugi::xml_node& node : root.children("Period")) {
    if (out.periods.size() >= kPeriodsMax) return fail(Code::limit, "periods:", out.periods.size());
    if (node.child("BaseURL")) return fail(Code::unsupported, "BaseURL below the MPD's own");
    MpdPeriod period;
    period.id = node.attribute("id").value();
    const auto begins = duration(node, "start");
    if (!begins) return pass(begins);
    period.start_us = *begins;
    for (const pugi::xml_node& set_node : node.children("AdaptationSet")) {
      auto set = read_adaptation_set(set_node, representations);
      if (!set) return pass(set);
      period.adaptation_sets.push_back(std::move(*set));
    }
    out.periods.push_back(std::move(period));
  }
  if (out.periods.empty()) return fail(Code::malformed, "MPD without Period");
  return out;
}

}  // namespace ribalta::check
