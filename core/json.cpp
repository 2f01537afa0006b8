#include "core/json.h"

#include <array>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

namespace ribalta {

Result<boost::json::value> json_parse(std::string_view text) {
  boost::json::parse_options options;
  options.max_depth = kJsonDepthMax;
  boost::system::error_code error;
  boost::json::value value = boost::json::parse({text.data(), text.size()}, error, {}, options);
  if (error) return fail(Code::malformed, "JSON:", error.message());
  return value;
}

namespace json_detail {

std::string path_of(const std::string& path, std::string_view field) { return path + "." + std::string{field}; }
std::string path_of(const std::string& path, std::size_t index) { return path + "[" + std::to_string(index) + "]"; }

std::unexpected<Error> wrong(const std::string& path, std::string_view what) {
  return fail(Code::malformed, path + ":", what);
}

void write_text(std::string& out, std::string_view text) {
  out += boost::json::serialize(boost::json::string_view{text.data(), text.size()});
}

void write_number(std::string& out, double number) {
  if (!std::isfinite(number)) {
    out += "null";  // JSON has no word for it (RFC 8259 §6)
    return;
  }
  std::array<char, 32> text{};
  const double unsigned_zero = number == 0 ? 0 : number;  // "-0" would be read as a whole number, and lose its sign
  const auto end = std::to_chars(text.data(), text.data() + text.size(), unsigned_zero);
  out.append(text.data(), end.ptr);
}

void write_value(std::string& out, const boost::json::value& value) { out += boost::json::serialize(value); }

}  // namespace json_detail
}  // namespace ribalta
