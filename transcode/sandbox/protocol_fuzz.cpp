// What a child that has been taken over could send: fragments sized by the input, compared with the whole.
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "transcode/sandbox/protocol.h"

using namespace ribalta;
using namespace ribalta::transcode;

namespace {
std::vector<std::size_t> sizes_of(ByteSpan bytes, std::size_t step) {
  MessageReader reader;
  std::vector<std::size_t> sizes;
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    reader.feed(bytes.subspan(at, std::min(step, bytes.size() - at)));
    for (;;) {
      const auto next = reader.next();
      if (!next) return sizes;
      if (!*next) break;
      sizes.push_back((*next)->payload.size());
    }
  }
  return sizes;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const ByteSpan bytes{reinterpret_cast<const std::byte*>(data) + 1, size - 1};
  const auto whole = sizes_of(bytes, std::max<std::size_t>(1, bytes.size()));
  const auto parts = sizes_of(bytes, std::size_t{data[0]} % 64 + 1);
  assert(whole == parts);
  return 0;
}
