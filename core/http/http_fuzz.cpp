// Targets, queries, cookies and addresses from strangers.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/http/http.h"

using namespace ribalta;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  if (const Result<std::string> decoded = http::percent_decode(text)) {
    if (decoded->size() > text.size()) std::abort();
    if (http::percent_decode(http::percent_encode(*decoded)).value() != *decoded) std::abort();
  }
  if (const Result<http::SplitTarget> target = http::split_target(text)) {
    const std::string& path = target->path;
    const bool climbs =
        path.find("/../") != std::string::npos || path.ends_with("/..") || path.find("//") != std::string::npos;
    if (!path.starts_with('/') || climbs || path.find('\0') != std::string::npos) std::abort();
  }
  http::RequestHead head;
  head.query = text;
  head.fields.add("Cookie", text);
  static_cast<void>(head.query_value("a"));
  static_cast<void>(head.cookie("a"));
  if (const Result<http::Address> address = http::Address::parse(text)) {
    if (!http::Address::parse(address->text())) std::abort();
  }
  return 0;
}
