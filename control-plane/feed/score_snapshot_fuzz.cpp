// A scorer's snapshot from a disk that anybody may have written to: it is refused, or the scorer that comes of it gives
// finite scores and writes the very same bytes. The checksum at the end is made to fit, or nothing behind it were
// tried.
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>

#include "control-plane/feed/score.h"

namespace {

std::uint64_t fnv1a(ribalta::ByteSpan bytes) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const std::byte byte : bytes) hash = (hash ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3;
  return hash;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ribalta;
  static feed::Scorer scorer{{"near", "popular"}, {.slots_log2 = feed::kSlotsLog2Min}};
  const ByteSpan raw{reinterpret_cast<const std::byte*>(data), size};
  if (scorer.restore(raw) && scorer.snapshot() != Bytes{raw.begin(), raw.end()}) std::abort();

  ByteWriter writer;
  writer.bytes(raw);
  writer.be64(fnv1a(raw));
  if (!scorer.restore(writer.view())) return 0;
  if (const Bytes again = scorer.snapshot(); as_text(again) != as_text(writer.view())) std::abort();
  feed::Example example;
  example.evidence.score = {1, -2};
  example.evidence.place = {1, 0.5F};
  example.item = feed::ItemId{5};
  example.topics = {feed::TopicId{3}, feed::TopicId{9}};
  if (!std::isfinite(scorer.score(example))) std::abort();
  scorer.learn(example, feed::Outcomes{3});
  if (!std::isfinite(scorer.score(example))) std::abort();
  return 0;
}
