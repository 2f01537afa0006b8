#include "core/http/http.h"

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <boost/json/string_view.hpp>
#include <charconv>

namespace ribalta::http {
namespace {

bool same_name(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_unreserved(char c) {  // RFC 3986 §2.3
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

std::string quoted(std::string_view text) {
  return boost::json::serialize(boost::json::string_view{text.data(), text.size()});
}

unsigned status_of(Code code) {
  switch (code) {
    case Code::malformed:
      return 400;
    case Code::limit:
      return 413;
    case Code::unsupported:
      return 415;
    case Code::not_found:
      return 404;
    case Code::conflict:
      return 409;
    case Code::unauthorized:
      return 401;
    case Code::forbidden:
      return 403;
    case Code::unavailable:
    case Code::closed:
      return 503;
    case Code::timeout:
      return 504;
    case Code::no_space:
      return 507;
    case Code::io:
    case Code::internal:
      return 500;
  }
  return 500;
}

}  // namespace

void Fields::set(std::string_view name, std::string_view value) {
  std::erase_if(fields_, [name](const auto& field) { return same_name(field.first, name); });
  add(name, value);
}

void Fields::add(std::string_view name, std::string_view value) { fields_.emplace_back(name, value); }

std::string_view Fields::get(std::string_view name) const {
  const auto found = std::ranges::find_if(fields_, [name](const auto& field) { return same_name(field.first, name); });
  return found == fields_.end() ? std::string_view{} : std::string_view{found->second};
}

bool Fields::has(std::string_view name) const {
  return std::ranges::any_of(fields_, [name](const auto& field) { return same_name(field.first, name); });
}

std::string RequestHead::query_value(std::string_view name) const {
  std::string_view rest = query;
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    const std::size_t equals = std::min(pair.find('='), pair.size());
    const Result<std::string> key = percent_decode(pair.substr(0, equals));
    if (!key || *key != name) continue;
    std::string value{pair.substr(std::min(pair.size(), equals + 1))};
    std::ranges::replace(value, '+', ' ');  // forms write a space so (WHATWG URL §5.2); a plus comes as %2B
    Result<std::string> decoded = percent_decode(value);
    return decoded ? std::move(*decoded) : std::string{};
  }
  return {};
}

std::string RequestHead::cookie(std::string_view name) const {
  for (const auto& [field, value] : fields) {
    if (!same_name(field, "cookie")) continue;
    std::string_view rest = value;
    while (!rest.empty()) {
      std::string_view pair = rest.substr(0, rest.find(';'));
      rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
      while (pair.starts_with(' ')) pair.remove_prefix(1);
      const std::size_t equals = pair.find('=');
      if (equals != std::string_view::npos && pair.substr(0, equals) == name)
        return std::string{pair.substr(equals + 1)};
    }
  }
  return {};
}

Response Response::text(unsigned status, std::string_view body) {
  return {status, Fields{{"Content-Type", "text/plain; charset=utf-8"}}, std::string{body}};
}

Response Response::json(unsigned status, std::string body) {
  return {status, Fields{{"Content-Type", "application/json"}}, std::move(body)};
}

Response Response::error(unsigned status, std::string_view code, std::string_view message) {
  return json(status, R"({"error":{"code":)" + quoted(code) + R"(,"message":)" + quoted(message) + "}}");
}

Response Response::of(const Error& error) {
  return Response::error(status_of(error.code), to_string(error.code), error.message);
}

std::string percent_encode(std::string_view text) {
  constexpr std::string_view digits{"0123456789ABCDEF"};
  std::string out;
  for (const char c : text) {
    if (is_unreserved(c)) {
      out.push_back(c);
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out.push_back('%');
      out.push_back(digits[byte >> 4]);
      out.push_back(digits[byte & 15]);
    }
  }
  return out;
}

Result<std::string> percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    const int high = i + 1 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
    if (high < 0 || low < 0) return fail(Code::malformed, "percent escape without two digits at byte", i);
    out.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return out;
}

Result<SplitTarget> split_target(std::string_view target) {
  if (!target.starts_with('/')) return fail(Code::malformed, "the target is not a path");
  const std::size_t question = std::min(target.find('?'), target.size());
  Result<std::string> path = percent_decode(target.substr(0, question));
  if (!path) return path.error().in("path");
  if (path->find('\0') != std::string::npos) return fail(Code::malformed, "path: a NUL");
  if (path->find("//") != std::string::npos) return fail(Code::malformed, "path: an empty segment");
  for (std::size_t at = 0; at < path->size();) {  // each segment begins after a '/'
    const std::size_t end = std::min(path->find('/', at + 1), path->size());
    const std::string_view segment = std::string_view{*path}.substr(at + 1, end - at - 1);
    if (segment == "." || segment == "..") return fail(Code::malformed, "path: a dot segment");
    at = end;
  }
  return SplitTarget{std::move(*path), std::string{target.substr(std::min(target.size(), question + 1))}};
}

Result<Address> Address::parse(std::string_view text) {
  Address address;
  if (text.starts_with("unix:")) {
    address.unix_path = text.substr(5);
    if (address.unix_path.empty()) return fail(Code::malformed, "address: no socket path after unix:");
    if (address.unix_path.size() > kUnixPathBytesMax) {
      return fail(Code::limit, "address: a socket path has at most 107 bytes:", address.unix_path);
    }
    return address;
  }
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return fail(Code::malformed, "address: neither unix:PATH nor HOST:PORT:", text);
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const std::string_view digits = text.substr(colon + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), address.port);
  if (host.empty() || digits.empty() || error != std::errc{} || end != digits.data() + digits.size()) {
    return fail(Code::malformed, "address: neither unix:PATH nor HOST:PORT:", text);
  }
  address.host = host;
  return address;
}

std::string Address::text() const {
  if (!unix_path.empty()) return "unix:" + unix_path;
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

}  // namespace ribalta::http
