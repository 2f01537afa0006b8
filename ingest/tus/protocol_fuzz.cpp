// Any text as each of tus' fields.
#include "ingest/tus/protocol.h"

using namespace ribalta;
using namespace ribalta::ingest;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  [[maybe_unused]] const auto parsed_size = tus::parse_size(text);
  [[maybe_unused]] const auto checksum = tus::parse_checksum(text);
  const Result<tus::Metadata> metadata = tus::Metadata::parse(text);
  if (metadata) (void)metadata->get("filename");
  return 0;
}
