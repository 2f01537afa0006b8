#include "ingest/stream/ring.h"

#include <doctest/doctest.h>

using namespace ribalta;
using namespace ribalta::ingest;

namespace {

RingChunk chunk(std::int64_t time, bool key, std::size_t bytes = 10) {
  static const auto init = std::make_shared<const Bytes>(Bytes(1));
  return {std::make_shared<const Bytes>(Bytes(bytes)), init, time, time + 10, key};
}
Ring filled(std::uint32_t timescale, std::int64_t chunks, std::int64_t gop) {
  Ring ring{timescale};
  for (std::int64_t i = 0; i < chunks; ++i) ring.push(chunk(i * 10, i % gop == 0));
  return ring;
}

}  // namespace

TEST_CASE("ring: what is durable is forgotten up to the last key frame before it") {
  Ring ring = filled(1000, 30, 10);
  ring.trim(150);
  CHECK(ring.first() == 10);
  CHECK(ring.at(ring.first()).decode_time == 100);
  ring.trim(200);
  CHECK(ring.first() == 20);
  ring.trim(100'000);
  CHECK(ring.first() == 20);
  CHECK(ring.end() == 30);
  CHECK(ring.bytes() == 100);
  CHECK(ring.dropped() == 0);
}

TEST_CASE("ring: a writer goes on with the chunk at the head, also in the middle of a GOP that is held") {
  const Ring ring = filled(1000, 30, 10);
  CHECK(ring.resume(0) == 0);
  CHECK(ring.resume(100) == 10);
  CHECK(ring.resume(150) == 15);
  CHECK(ring.resume(300) == 30);
}

TEST_CASE("ring: when the chunk at the head is gone, a writer goes on with the next key frame") {
  Ring ring = filled(1000, 30, 10);
  ring.trim(200);
  CHECK(ring.resume(100) == 20);
  CHECK(ring.resume(155) == 20);
  CHECK(ring.resume(205) == 30);
}

TEST_CASE("ring: over its seconds or its bytes the oldest GOPs go, whole") {
  const Ring ring = filled(10, 30 * 10, 10);
  CHECK(ring.at(ring.first()).key);
  CHECK(ring.at(ring.end() - 1).decode_end - ring.at(ring.first()).decode_time <= kRingSecondsMax * 10);
  CHECK(ring.dropped() == ring.first());
  Ring large{1000};
  for (std::int64_t i = 0; i < 8; ++i) large.push(chunk(i * 10, i % 2 == 0, kRingBytesMax / 4));
  CHECK(large.bytes() <= kRingBytesMax);
  CHECK(large.at(large.first()).key);
}
