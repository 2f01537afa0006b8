#include "ingest/door/refusals.h"

#include <doctest/doctest.h>

using namespace ribalta::ingest;

TEST_CASE("refusals: a reason is written once for each client, then counted; the next period writes it again") {
  Refusals refusals;
  CHECK(refusals.note("192.0.2.1", "HTTP on the RTMP port"));
  CHECK_FALSE(refusals.note("192.0.2.1", "HTTP on the RTMP port"));
  CHECK_FALSE(refusals.note("192.0.2.1", "HTTP on the RTMP port"));
  CHECK(refusals.note("192.0.2.1", "no handshake within the deadline"));
  CHECK(refusals.note("192.0.2.2", "HTTP on the RTMP port"));
  const auto repeated = refusals.end_period();
  REQUIRE(repeated.size() == 1);
  CHECK(repeated[0].reason == "HTTP on the RTMP port");
  CHECK(repeated[0].client == "192.0.2.1");
  CHECK(repeated[0].count == 2);
  CHECK(refusals.end_period().empty());
  CHECK(refusals.note("192.0.2.1", "HTTP on the RTMP port"));
}

TEST_CASE("refusals: a flood of clients and reasons writes 64 lines and is counted beyond") {
  Refusals refusals;
  std::size_t written = 0;
  for (int i = 0; i < 10'000; ++i) {
    if (refusals.note("192.0.2." + std::to_string(i % 100), "handshake: version " + std::to_string(i))) ++written;
  }
  CHECK(written == kRefusalLinesMax);
  const auto repeated = refusals.end_period();
  REQUIRE(repeated.size() == 1);
  CHECK(repeated[0].reason.empty());
  CHECK(repeated[0].count == 10'000 - kRefusalLinesMax);
}
