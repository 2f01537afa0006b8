#include "edge/media_path.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

#include "core/ids.h"
#include "core/tokens.h"

namespace ribalta::edge {
namespace {

constexpr std::string_view kTokenDoor{"/t/"};
/// sun_path holds 108 bytes with its NUL.
constexpr std::size_t kUnixPathCharsMax = 107;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '.' || c == '_' || c == '-';
}

/// 1..kSegmentCharsMax plain characters, and no leading dot (so neither "." nor "..").
bool is_segment(std::string_view text) {
  return !text.empty() && text.size() <= kSegmentCharsMax && text[0] != '.' && std::ranges::all_of(text, is_name_char);
}

/// Cuts the text before the next '/' off the front of `rest`, and the slash; all of it when there is none.
std::string_view cut_segment(std::string_view& rest) {
  const std::size_t slash = rest.find('/');
  const std::string_view segment = rest.substr(0, slash);
  rest = slash == std::string_view::npos ? std::string_view{} : rest.substr(slash + 1);
  return segment;
}

bool is_rest(std::string_view rest, std::size_t segments_max) {
  for (std::size_t count = 1; count <= segments_max; ++count) {
    const std::size_t slash = rest.find('/');
    if (!is_segment(rest.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    rest = rest.substr(slash + 1);
  }
  return false;
}

struct Directives {
  std::optional<std::uint64_t> msn;
  std::optional<std::uint64_t> part;
  std::string_view skip;
};

Result<void> read_number(std::string_view value, std::optional<std::uint64_t>& out) {
  if (out) return fail(Code::malformed, "delivery directive: repeated");
  if (value.empty() || value.size() > kDirectiveDigitsMax || !std::ranges::all_of(value, is_digit)) {
    return fail(Code::malformed, "delivery directive: not a number");
  }
  std::uint64_t number = 0;
  std::from_chars(value.data(), value.data() + value.size(), number);
  out = number;
  return {};
}

Result<void> read_skip(std::string_view value, std::string_view& out) {
  if (!out.empty()) return fail(Code::malformed, "delivery directive: repeated");
  if (value != "YES" && value != "v2") return fail(Code::malformed, "delivery directive: skip is YES or v2");
  out = value;
  return {};
}

/// @return the directives of a query in one spelling, with '?'; empty when there are none.
Result<std::string> normalise_directives(std::string_view query) {
  Directives directives;
  while (!query.empty()) {
    const std::size_t end = query.find('&');
    const std::string_view pair = query.substr(0, end);
    query = end == std::string_view::npos ? std::string_view{} : query.substr(end + 1);
    const std::size_t equals = std::min(pair.find('='), pair.size());
    const std::string_view name = pair.substr(0, equals);
    const std::string_view value = pair.substr(std::min(equals + 1, pair.size()));
    Result<void> read;
    if (name == "_HLS_msn") read = read_number(value, directives.msn);
    if (name == "_HLS_part") read = read_number(value, directives.part);
    if (name == "_HLS_skip") read = read_skip(value, directives.skip);
    if (!read) return pass(read);
  }
  if (directives.part && !directives.msn) return fail(Code::malformed, "delivery directive: part without msn");
  std::string out;
  if (directives.msn) out += "&_HLS_msn=" + std::to_string(*directives.msn);
  if (directives.part) out += "&_HLS_part=" + std::to_string(*directives.part);
  if (!directives.skip.empty()) out += "&_HLS_skip=" + std::string{directives.skip};
  if (!out.empty()) out[0] = '?';
  return out;
}

Result<void> read_path(std::string_view path, MediaTarget& out) {
  if (path.size() > kPathCharsMax) return fail(Code::limit, "media path: characters", path.size());
  std::string_view rest = path;
  if (rest.starts_with("/live/")) {
    rest.remove_prefix(6);
    out.kind = MediaKind::live;
  } else if (rest.starts_with("/v/")) {
    rest.remove_prefix(3);
    out.kind = MediaKind::vod;
  } else {
    return fail(Code::not_found, "no media path");
  }
  out.id = cut_segment(rest);
  if (!is_id(out.id)) return fail(Code::not_found, "media path: not an id");
  if (out.kind == MediaKind::vod && !is_segment(cut_segment(rest))) {
    return fail(Code::not_found, "media path: not a version");
  }
  if (!is_rest(rest, kRestSegmentsMax)) return fail(Code::not_found, "media path: not a name");
  out.path = path;
  return {};
}

}  // namespace

Result<MediaTarget> parse_media_target(std::string_view target) {
  const std::size_t mark = target.find('?');
  std::string_view path = target.substr(0, mark);
  const std::string_view query = mark == std::string_view::npos ? std::string_view{} : target.substr(mark + 1);
  if (query.size() > kQueryCharsMax) return fail(Code::limit, "query: characters", query.size());

  MediaTarget out;
  if (path.starts_with(kTokenDoor)) {
    const std::size_t slash = path.find('/', kTokenDoor.size());
    if (slash == std::string_view::npos) return fail(Code::not_found, "token without a path");
    out.token = path.substr(kTokenDoor.size(), slash - kTokenDoor.size());
    if (out.token.empty()) return fail(Code::not_found, "empty token");
    if (out.token.size() > kTokenCharsMax) return fail(Code::limit, "token: characters", out.token.size());
    if (!std::ranges::all_of(out.token, is_name_char)) return fail(Code::not_found, "token: characters");
    path.remove_prefix(slash);
  }
  const Result<void> read = read_path(path, out);
  if (!read) return pass(read);
  if (out.kind == MediaKind::live && path.ends_with(".m3u8")) {
    Result<std::string> directives = normalise_directives(query);
    if (!directives) return pass(directives);
    out.query = std::move(*directives);
  }
  return out;
}

std::string cache_key(const MediaTarget& target, bool authorised, std::uint64_t generation) {
  std::string key = authorised ? "t|" : "p|";
  if (generation != 0) key += std::to_string(generation) + "|";
  key += target.path;
  key += target.query;
  return key;
}

std::string mask_token(std::string_view target) {
  if (!target.starts_with(kTokenDoor)) return std::string{target};
  const std::size_t end = std::min(target.find_first_of("/?", kTokenDoor.size()), target.size());
  std::string out{kTokenDoor};
  out += '-';
  out += target.substr(end);
  return out;
}

namespace {

bool is_port(std::string_view text) {
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc{} && end == text.data() + text.size() && port >= 1 && port <= 65535;
}

}  // namespace

Result<std::string> origin_authority(std::string_view address) {
  if (address.starts_with("unix:")) {
    const std::string_view path = address.substr(5);
    const bool plain = std::ranges::all_of(path, [](char c) {
      const auto byte = static_cast<unsigned char>(c);
      return byte > 0x20 && byte != 0x7F && c != ':';
    });
    if (path.empty() || path.size() > kUnixPathCharsMax || path[0] != '/' || !plain) {
      return fail(Code::malformed, "origin: socket path");
    }
    return std::string{address} + ":";
  }
  const std::size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || !is_port(address.substr(colon + 1))) {
    return fail(Code::malformed, "origin: port");
  }
  std::string host{address.substr(0, colon)};
  in_addr v4{};
  in6_addr v6{};
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  const bool good = bracketed ? inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &v6) == 1
                              : inet_pton(AF_INET, host.c_str(), &v4) == 1;
  if (!good || host.find('\0') != std::string::npos) return fail(Code::malformed, "origin: not an address");
  return std::string{address};
}

}  // namespace ribalta::edge
