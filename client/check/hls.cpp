#include "client/check/hls.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <map>

namespace ribalta::check {
namespace {

using Attributes = std::map<std::string, std::string, std::less<>>;

Result<std::int64_t> parse_integer(std::string_view text, std::int64_t max = INT64_MAX) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || text[0] == '-' || error != std::errc{} || end != text.data() + text.size()) {
    return fail(Code::malformed, "not a decimal integer:", text.substr(0, 40));
  }
  if (value > max) return fail(Code::limit, "number too large:", value);
  return value;
}

bool is_attribute_name(std::string_view text) {
  return !text.empty() &&
         std::ranges::all_of(text, [](char c) { return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-'; });
}

/// An attribute list (RFC 8216 §4.2): names in capitals, values quoted or without commas, none twice.
Result<Attributes> parse_attributes(std::string_view text) {
  Attributes out;
  while (!text.empty()) {
    if (out.size() >= kAttributesMax) return fail(Code::limit, "attributes in one tag:", out.size());
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) return fail(Code::malformed, "attribute without '=':", text.substr(0, 40));
    const std::string_view name = text.substr(0, equals);
    if (!is_attribute_name(name)) return fail(Code::malformed, "attribute name:", name.substr(0, 40));
    text.remove_prefix(equals + 1);
    std::string_view value;
    if (text.starts_with('"')) {
      const std::size_t quote = text.find('"', 1);
      if (quote == std::string_view::npos) return fail(Code::malformed, "quoted value without its end:", name);
      value = text.substr(1, quote - 1);
      text.remove_prefix(quote + 1);
    } else {
      const std::size_t comma = std::min(text.find(','), text.size());
      value = text.substr(0, comma);
      if (value.empty()) return fail(Code::malformed, "attribute without a value:", name);
      text.remove_prefix(comma);
    }
    if (!out.emplace(name, value).second) return fail(Code::malformed, "attribute twice:", name);
    if (text.empty()) break;
    if (!text.starts_with(',')) return fail(Code::malformed, "no comma after attribute", name);
    text.remove_prefix(1);
    if (text.empty()) return fail(Code::malformed, "a comma ends the attribute list after", name);
  }
  return out;
}

std::string take(const Attributes& attributes, std::string_view name) {
  const auto found = attributes.find(name);
  return found == attributes.end() ? std::string{} : found->second;
}

Result<std::string> need(const Attributes& attributes, std::string_view name) {
  const auto found = attributes.find(name);
  if (found == attributes.end()) return fail(Code::malformed, "required attribute is missing:", name);
  return found->second;
}

/// `<n>[@<o>]`; without an offset the range begins where the one before ended (RFC 8216 §4.3.2.2).
Result<ByteRange> parse_range(std::string_view text, std::optional<std::uint64_t> next) {
  const std::size_t at = text.find('@');
  const auto bytes = parse_integer(text.substr(0, at));
  if (!bytes) return bytes.error().in("byte range");
  if (at == std::string_view::npos) {
    if (!next) return fail(Code::malformed, "byte range without an offset, and none before it");
    return ByteRange{*next, static_cast<std::uint64_t>(*bytes)};
  }
  const auto offset = parse_integer(text.substr(at + 1), INT64_MAX / 2);
  if (!offset) return offset.error().in("byte range");
  return ByteRange{static_cast<std::uint64_t>(*offset), static_cast<std::uint64_t>(*bytes)};
}

Result<HlsVariant> parse_variant(const Attributes& attributes) {
  HlsVariant out;
  const auto bandwidth_text = need(attributes, "BANDWIDTH");
  if (!bandwidth_text) return pass(bandwidth_text);
  const auto bandwidth = parse_integer(*bandwidth_text);
  if (!bandwidth) return bandwidth.error().in("BANDWIDTH");
  out.bandwidth = *bandwidth;
  if (const std::string average = take(attributes, "AVERAGE-BANDWIDTH"); !average.empty()) {
    const auto value = parse_integer(average);
    if (!value) return value.error().in("AVERAGE-BANDWIDTH");
    out.average_bandwidth = *value;
  }
  out.codecs = take(attributes, "CODECS");
  if (const std::string size = take(attributes, "RESOLUTION"); !size.empty()) {
    const std::size_t x = size.find('x');
    if (x == std::string::npos) return fail(Code::malformed, "RESOLUTION:", size);
    const auto width = parse_integer(std::string_view{size}.substr(0, x), 65'535);
    const auto height = parse_integer(std::string_view{size}.substr(x + 1), 65'535);
    if (!width || !height) return fail(Code::malformed, "RESOLUTION:", size);
    out.width = *width;
    out.height = *height;
  }
  if (const std::string rate = take(attributes, "FRAME-RATE"); !rate.empty()) {
    const auto us = parse_seconds_us(rate);  // the same form: a decimal floating point without a sign
    if (!us) return us.error().in("FRAME-RATE");
    out.fps = static_cast<double>(*us) / 1e6;
  }
  out.audio_group = take(attributes, "AUDIO");
  return out;
}

Result<HlsRendition> parse_rendition(const Attributes& attributes) {
  HlsRendition out;
  for (const auto& [name, into] : {std::pair{"TYPE", &out.type}, {"GROUP-ID", &out.group}, {"NAME", &out.name}}) {
    auto value = need(attributes, name);
    if (!value) return pass(value);
    *into = std::move(*value);
  }
  out.uri = take(attributes, "URI");
  const std::string fallback = take(attributes, "DEFAULT");
  if (!fallback.empty() && fallback != "YES" && fallback != "NO") return fail(Code::malformed, "DEFAULT:", fallback);
  out.is_default = fallback == "YES";
  if (out.is_default && take(attributes, "AUTOSELECT") == "NO") {
    return fail(Code::malformed, "DEFAULT=YES with AUTOSELECT=NO");
  }
  return out;
}

/// Reads line by line; each tag of RFC 8216 §4.3 that is known here has a handler, others are passed over.
class Reader {
 public:
  Result<void> line(std::string_view text);
  Result<std::variant<HlsMultivariant, HlsMedia>> finish();

 private:
  enum class Kind { unknown, multivariant, media };
  Result<void> tag(std::string_view name, std::string_view value);
  Result<void> media_tag(std::string_view name, std::string_view value);
  Result<void> segment_tag(std::string_view name, std::string_view value);
  Result<void> uri(std::string_view text);
  Result<void> is(Kind kind, std::string_view because);
  Result<void> once(std::string_view name);

  bool first_ = true;
  Kind kind_ = Kind::unknown;
  HlsMultivariant multi_;
  HlsMedia media_;
  std::vector<std::string> seen_;  ///< tags that may stand once
  std::optional<HlsVariant> variant_;
  std::optional<std::int64_t> duration_us_;
  HlsSegment next_;
  std::optional<HlsMap> map_;
  std::optional<std::string> range_;
  std::string range_uri_;
  std::optional<std::uint64_t> range_end_;
};

Result<void> Reader::is(Kind kind, std::string_view because) {
  if (kind_ != Kind::unknown && kind_ != kind) {
    return fail(Code::malformed, "tags of a multivariant and of a media playlist in one:", because);
  }
  kind_ = kind;
  return {};
}

Result<void> Reader::once(std::string_view name) {
  if (std::ranges::find(seen_, name) != seen_.end()) return fail(Code::malformed, "tag twice:", name);
  seen_.emplace_back(name);
  return {};
}

Result<void> Reader::line(std::string_view text) {
  if (std::exchange(first_, false)) {
    if (text == "#EXTM3U") return {};
    return fail(Code::malformed, "the first line is not #EXTM3U");
  }
  if (text.empty()) return {};
  if (text[0] != '#') return uri(text);
  if (!text.starts_with("#EXT")) return {};  // a comment
  const std::size_t colon = text.find(':');
  const std::string_view name = text.substr(1, colon == std::string_view::npos ? colon : colon - 1);
  const std::string_view value = colon == std::string_view::npos ? std::string_view{} : text.substr(colon + 1);
  if (auto read = tag(name, value); !read) return read.error().in(name);
  return {};
}

Result<void> Reader::tag(std::string_view name, std::string_view value) {
  if (name == "EXTM3U") return fail(Code::malformed, "not on the first line");
  if (name == "EXT-X-VERSION") {
    if (auto first = once(name); !first) return first;
    const auto version = parse_integer(value, 100);
    if (!version) return pass(version);
    multi_.version = media_.version = *version;
    media_.version_stated = true;
    return {};
  }
  if (name == "EXT-X-INDEPENDENT-SEGMENTS") {
    if (auto first = once(name); !first) return first;
    multi_.independent_segments = media_.independent_segments = true;
    return {};
  }
  if (name == "EXT-X-STREAM-INF") {
    if (auto kind = is(Kind::multivariant, name); !kind) return kind;
    if (variant_) return fail(Code::malformed, "no URI follows the EXT-X-STREAM-INF before");
    const auto attributes = parse_attributes(value);
    if (!attributes) return pass(attributes);
    auto variant = parse_variant(*attributes);
    if (!variant) return pass(variant);
    variant_ = std::move(*variant);
    return {};
  }
  if (name == "EXT-X-MEDIA") {
    if (auto kind = is(Kind::multivariant, name); !kind) return kind;
    if (multi_.renditions.size() >= kVariantsMax) return fail(Code::limit, "renditions:", multi_.renditions.size());
    const auto attributes = parse_attributes(value);
    if (!attributes) return pass(attributes);
    auto rendition = parse_rendition(*attributes);
    if (!rendition) return pass(rendition);
    multi_.renditions.push_back(std::move(*rendition));
    return {};
  }
  return media_tag(name, value);
}

Result<void> Reader::media_tag(std::string_view name, std::string_view value) {
  struct Number {
    std::string_view name;
    std::int64_t* into;
    std::int64_t max;
  };
  for (const Number& number : {Number{"EXT-X-TARGETDURATION", &media_.target_duration_s, kDurationSecondsMax},
                               Number{"EXT-X-MEDIA-SEQUENCE", &media_.media_sequence, INT64_MAX / 2},
                               Number{"EXT-X-DISCONTINUITY-SEQUENCE", &media_.discontinuity_sequence, INT64_MAX / 2}}) {
    if (name != number.name) continue;
    if (auto kind = is(Kind::media, name); !kind) return kind;
    if (auto first = once(name); !first) return first;
    if (name != "EXT-X-TARGETDURATION" && !media_.segments.empty()) {
      return fail(Code::malformed, "stands behind a segment (RFC 8216 4.3.3)");
    }
    const auto parsed = parse_integer(value, number.max);
    if (!parsed) return pass(parsed);
    *number.into = *parsed;
    return {};
  }
  if (name == "EXT-X-PLAYLIST-TYPE") {
    if (auto kind = is(Kind::media, name); !kind) return kind;
    if (auto first = once(name); !first) return first;
    if (value != "VOD" && value != "EVENT") return fail(Code::malformed, "neither VOD nor EVENT:", value.substr(0, 20));
    media_.playlist_type = value;
    return {};
  }
  if (name == "EXT-X-ENDLIST") {
    if (auto kind = is(Kind::media, name); !kind) return kind;
    media_.ended = true;
    return once(name);
  }
  return segment_tag(name, value);
}

Result<void> Reader::segment_tag(std::string_view name, std::string_view value) {
  if (name == "EXTINF") {
    if (auto kind = is(Kind::media, name); !kind) return kind;
    if (duration_us_) return fail(Code::malformed, "twice for one segment");
    const std::size_t comma = value.find(',');
    if (comma == std::string_view::npos) return fail(Code::malformed, "no comma behind the duration");
    const auto us = parse_seconds_us(value.substr(0, comma));
    if (!us) return pass(us);
    media_.fractions = media_.fractions || value.substr(0, comma).find('.') != std::string_view::npos;
    duration_us_ = *us;
    return {};
  }
  if (name == "EXT-X-DISCONTINUITY" || name == "EXT-X-GAP") {
    if (auto kind = is(Kind::media, name); !kind) return kind;
    (name == "EXT-X-GAP" ? next_.gap : next_.discontinuity) = true;
    return {};
  }
  if (name == "EXT-X-BYTERANGE") {
    if (auto kind = is(Kind::media, name); !kind) return kind;
    range_ = std::string{value};
    return {};
  }
  if (name == "EXT-X-MAP") {
    if (auto kind = is(Kind::media, name); !kind) return kind;
    const auto attributes = parse_attributes(value);
    if (!attributes) return pass(attributes);
    HlsMap map;
    auto target = need(*attributes, "URI");
    if (!target) return pass(target);
    map.uri = std::move(*target);
    if (const std::string text = take(*attributes, "BYTERANGE"); !text.empty()) {
      const auto range = parse_range(text, 0);
      if (!range) return pass(range);
      map.range = *range;
    }
    map_ = std::move(map);
    return {};
  }
  if (name == "EXT-X-PROGRAM-DATE-TIME") {
    if (auto kind = is(Kind::media, name); !kind) return kind;
    const auto ms = parse_date_time_ms(value);
    if (!ms) return pass(ms);
    next_.program_date_time_ms = *ms;
    return {};
  }
  if (name == "EXT-X-KEY" || name == "EXT-X-SESSION-KEY") {
    const auto attributes = parse_attributes(value);
    if (!attributes) return pass(attributes);
    if (take(*attributes, "METHOD") != "NONE") return fail(Code::unsupported, "encrypted media is not looked into");
  }
  return {};
}

Result<void> Reader::uri(std::string_view text) {
  if (variant_) {
    if (multi_.variants.size() >= kVariantsMax) return fail(Code::limit, "variants:", multi_.variants.size());
    variant_->uri = text;
    multi_.variants.push_back(std::move(*variant_));
    variant_.reset();
    return {};
  }
  if (kind_ == Kind::multivariant) return fail(Code::malformed, "a URI without EXT-X-STREAM-INF before it");
  if (!duration_us_) return fail(Code::malformed, "a segment without EXTINF:", text.substr(0, 80));
  if (media_.segments.size() >= kSegmentsMax) return fail(Code::limit, "segments:", media_.segments.size());
  next_.uri = text;
  next_.duration_us = *std::exchange(duration_us_, std::nullopt);
  next_.map = map_;
  if (range_) {
    const auto range = parse_range(*range_, text == range_uri_ ? range_end_ : std::nullopt);
    if (!range) return range.error().in("EXT-X-BYTERANGE");
    next_.range = *range;
    range_uri_ = text;
    range_end_ = range->offset + range->bytes;
    range_.reset();
  }
  media_.segments.push_back(std::exchange(next_, HlsSegment{}));
  return {};
}

Result<std::variant<HlsMultivariant, HlsMedia>> Reader::finish() {
  if (first_) return fail(Code::malformed, "empty");
  if (variant_) return fail(Code::malformed, "no URI follows the last EXT-X-STREAM-INF");
  if (duration_us_) return fail(Code::malformed, "no URI follows the last EXTINF");
  if (kind_ == Kind::multivariant) {
    if (multi_.variants.empty()) return fail(Code::malformed, "no variant");
    return std::variant<HlsMultivariant, HlsMedia>{std::move(multi_)};
  }
  if (kind_ == Kind::unknown) return fail(Code::malformed, "neither a multivariant nor a media playlist");
  if (std::ranges::find(seen_, "EXT-X-TARGETDURATION") == seen_.end()) {
    return fail(Code::malformed, "EXT-X-TARGETDURATION is missing");
  }
  return std::variant<HlsMultivariant, HlsMedia>{std::move(media_)};
}

}  // namespace

Result<std::int64_t> parse_seconds_us(std::string_view text) {
  const std::size_t point = text.find('.');
  const auto whole = parse_integer(text.substr(0, point), kDurationSecondsMax);
  if (!whole) return pass(whole);
  std::int64_t us = *whole * 1'000'000;
  if (point == std::string_view::npos) return us;
  const std::string_view fraction = text.substr(point + 1);
  if (fraction.empty() || fraction.size() > 20)
    return fail(Code::malformed, "not a decimal number:", text.substr(0, 40));
  std::int64_t unit = 100'000;
  for (const char c : fraction) {
    if (c < '0' || c > '9') return fail(Code::malformed, "not a decimal number:", text.substr(0, 40));
    us += (c - '0') * unit;
    unit /= 10;
  }
  return us;
}

Result<std::int64_t> parse_date_time_ms(std::string_view text) {
  const auto bad = [&] { return fail(Code::malformed, "not a date and time with its zone:", text.substr(0, 40)); };
  const auto digits = [&](std::size_t at, std::size_t count, std::int64_t& into) {
    if (at + count > text.size()) return false;
    into = 0;
    for (const char c : text.substr(at, count)) {
      if (c < '0' || c > '9') return false;
      into = into * 10 + (c - '0');
    }
    return true;
  };
  std::int64_t year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  if (text.size() < 20 || !digits(0, 4, year) || text[4] != '-' || !digits(5, 2, month) || text[7] != '-' ||
      !digits(8, 2, day) || text[10] != 'T' || !digits(11, 2, hour) || text[13] != ':' || !digits(14, 2, minute) ||
      text[16] != ':' || !digits(17, 2, second)) {
    return bad();
  }
  const std::chrono::year_month_day date{std::chrono::year{static_cast<int>(year)},
                                         std::chrono::month{static_cast<unsigned>(month)},
                                         std::chrono::day{static_cast<unsigned>(day)}};
  if (!date.ok() || hour > 23 || minute > 59 || second > 60) return bad();
  std::size_t at = 19;
  std::int64_t ms = 0;
  if (text[at] == '.') {
    std::int64_t unit = 100;
    const std::size_t begin = ++at;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, unit /= 10) ms += (text[at] - '0') * unit;
    if (at == begin) return bad();
  }
  std::int64_t offset_minutes = 0;
  const std::string_view zone = text.substr(at);
  if (zone != "Z") {
    std::int64_t hours = 0, minutes = 0;
    const bool colon = zone.size() == 6 && zone[3] == ':';
    if ((!colon && zone.size() != 5) || (zone[0] != '+' && zone[0] != '-')) return bad();
    if (!digits(at + 1, 2, hours) || !digits(at + (colon ? 4 : 3), 2, minutes)) return bad();
    offset_minutes = (hours * 60 + minutes) * (zone[0] == '-' ? -1 : 1);
  }
  const std::int64_t days = std::chrono::sys_days{date}.time_since_epoch().count();
  return (((days * 24 + hour) * 60 + minute - offset_minutes) * 60 + second) * 1'000 + ms;
}

Result<std::variant<HlsMultivariant, HlsMedia>> parse_hls(std::string_view text) {
  if (text.size() > kPlaylistBytesMax) return fail(Code::limit, "playlist bytes:", text.size());
  if (text.starts_with("\xEF\xBB\xBF")) return fail(Code::malformed, "a byte order mark (RFC 8216 4)");
  Reader reader;
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    ++number;
    const std::string place = "line " + std::to_string(number);
    if (line.size() > kLineBytesMax) return fail(Code::limit, place + ": bytes", line.size());
    const bool control = std::ranges::any_of(line, [](char c) { return static_cast<unsigned char>(c) < 0x20; });
    if (control) return fail(Code::malformed, place + ": control characters");
    if (auto read = reader.line(line); !read) return read.error().in(place);
  }
  return reader.finish();
}

}  // namespace ribalta::check
