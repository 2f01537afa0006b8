// The same bytes as one piece and in pieces sized by the input: the same items, or the same error.
#include <cassert>
#include <cstdlib>
#include <string>

#include "core/media/cmaf_reader.h"

using namespace ribalta;
using namespace ribalta::media;

namespace {

/// One line an item; ends with the error or the end.
std::string tell(ByteSpan bytes, ByteSpan cuts) {
  std::string told;
  CmafReader reader;
  std::size_t at = 0;
  std::size_t turn = 0;
  while (at < bytes.size()) {
    std::size_t piece = bytes.size();
    if (!cuts.empty()) piece = 1 + std::to_integer<std::size_t>(cuts[turn++ % cuts.size()]);
    piece = std::min(piece, bytes.size() - at);
    reader.feed(bytes.subspan(at, piece));
    at += piece;
    for (;;) {
      const auto item = reader.next();
      if (!item) return told + item.error().message;
      if (!*item) break;
      if (const auto* init = std::get_if<InitItem>(&**item)) {
        told += "init " + std::to_string(init->raw->size()) + " " + std::to_string(init->config.timescale) + "\n";
      } else {
        const auto& chunk = std::get<ChunkItem>(**item);
        told += "chunk " + std::to_string(chunk.raw->size()) + " " + std::to_string(chunk.chunk.decode_time) + " " +
                std::to_string(chunk.chunk.duration) + " " + std::to_string(chunk.chunk.samples.size()) + "\n";
        std::size_t sum = 0;
        for (const Sample& sample : chunk.chunk.samples) {
          for (const std::byte byte : sample.data)
            sum += std::to_integer<std::size_t>(byte);  // each byte is ours to read
        }
        told += std::to_string(sum) + "\n";
      }
    }
  }
  const auto ended = reader.finish();
  return told + (ended ? "end" : ended.error().message);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteSpan input{reinterpret_cast<const std::byte*>(data), size};
  if (input.empty()) return 0;
  // The first byte says how many bytes of the rest are sizes of pieces.
  const std::size_t cuts = std::min<std::size_t>(std::to_integer<std::size_t>(input[0]) % 16 + 1, input.size() - 1);
  const ByteSpan bytes = input.subspan(1 + cuts);
  if (tell(bytes, {}) != tell(bytes, input.subspan(1, cuts))) std::abort();
  return 0;
}
