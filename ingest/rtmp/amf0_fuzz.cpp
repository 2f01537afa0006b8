// Any bytes as an AMF0 message: reading ends, and what was read can be written and read again as the same.
#include <cstdlib>

#include "ingest/rtmp/amf0.h"
#include "ingest/rtmp/commands.h"

using namespace ribalta;
using namespace ribalta::rtmp;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteSpan bytes{reinterpret_cast<const std::byte*>(data), size};
  amf0::Reader reader{bytes};
  while (!reader.done()) {
    const Result<amf0::Value> value = reader.next();
    if (!value) break;
    ByteWriter out;
    amf0::write(*value, out);
    if (out.size() > kCommandMessageBytesMax) continue;
    const Result<amf0::Value> again = amf0::Reader{out.view()}.next();
    if (!again) std::abort();
    ByteWriter twice;  // bytes are compared, since NaN differs from itself
    amf0::write(*again, twice);
    if (to_hex(twice.view()) != to_hex(out.view())) std::abort();
  }
  [[maybe_unused]] const auto read =
      parse_command({.type = MessageType::command, .payload = Bytes{bytes.begin(), bytes.end()}});
  [[maybe_unused]] const auto read_amf3 =
      parse_command({.type = MessageType::command_amf3, .payload = Bytes{bytes.begin(), bytes.end()}});
  return 0;
}
