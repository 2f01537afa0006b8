// What an accepted publisher may send: FLV tags at any time. What comes out must be readable CMAF whose times never go
// back. Input: records of kind, time (4 bytes), size, tag.
#include "ingest/stream/source.h"
#include "ingest/stream/testing/rings.h"

using namespace ribalta;
using namespace ribalta::ingest;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader input{{reinterpret_cast<const std::byte*>(data), size}};
  Source source{{}};
  std::int64_t arrival_ms = 0;
  while (input.left() >= 6) {
    const std::uint8_t kind = *input.u8();
    const auto time_ms = std::int64_t{static_cast<std::int32_t>(*input.be32())};
    const std::size_t length = std::min<std::size_t>(*input.u8(), input.left());
    const ByteSpan body = *input.take(length);
    arrival_ms += kind >> 1;
    const auto side = (kind & 1) != 0 ? rtmp::MediaMessage::Kind::video : rtmp::MediaMessage::Kind::audio;
    [[maybe_unused]] const auto taken = source.on_media({side, time_ms, {body.begin(), body.end()}}, arrival_ms, {});
  }
  source.flush();
  testing::check_rings(source);
  (void)source.report();
  (void)source.health(arrival_ms);
  return 0;
}
