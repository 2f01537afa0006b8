// What a stranger sends after the handshake, under production's limits: the chunk reader in fragments sized by the
// input must say the same as with the whole input. The first byte seeds the fragments. (Whole conversations are in
// stream/publish_fuzz.cpp.)
#include <cstdlib>

#include "ingest/rtmp/chunk_reader.h"

using namespace ribalta;
using namespace ribalta::rtmp;

namespace {

struct Told {
  std::vector<Message> messages;
  bool failed = false;
};

void tell(ChunkReader& reader, ByteSpan bytes, Told& told) {
  while (!told.failed) {
    auto message = reader.next(bytes);
    if (!message) told.failed = true;
    if (!message || !*message) return;
    told.messages.push_back(std::move(**message));
  }
}

void must(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ByteSpan bytes{reinterpret_cast<const std::byte*>(data + 1), size - 1};
  Told whole;
  ChunkReader once;
  once.set_authorised((data[0] & 1) != 0);
  tell(once, bytes, whole);

  Told pieces;
  ChunkReader again;
  again.set_authorised((data[0] & 1) != 0);
  std::uint32_t seed = data[0] + 1U;
  for (std::size_t at = 0; at < bytes.size() && !pieces.failed;) {
    seed = seed * 1664525 + 1013904223;
    const std::size_t count = std::min<std::size_t>(bytes.size() - at, 1 + (seed >> 24) % 37);
    tell(again, bytes.subspan(at, count), pieces);
    at += count;
    must(again.bytes_held() <= 2 * kReassemblyBytesMax);
  }
  must(whole.failed == pieces.failed);
  must(whole.messages.size() == pieces.messages.size());
  for (std::size_t i = 0; i < whole.messages.size(); ++i) {
    must(whole.messages[i].payload == pieces.messages[i].payload);
    must(whole.messages[i].time_ms == pieces.messages[i].time_ms);
    must(whole.messages[i].type == pieces.messages[i].type);
  }
  return 0;
}
