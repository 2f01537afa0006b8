#include "ingest/door/guard.h"

#include <doctest/doctest.h>

using namespace ribalta;
using namespace ribalta::ingest;
using namespace std::chrono_literals;

namespace {
const SteadyTime kAccepted{1000s};
}

TEST_CASE("deadlines: the handshake has five seconds from accept, whatever drips in") {
  Deadlines deadlines{kAccepted};
  for (int i = 0; i < 50; ++i) deadlines.on_bytes(kAccepted + i * 100ms);
  CHECK(deadlines.check(kAccepted + 4999ms).has_value());
  CHECK(deadlines.check(kAccepted + 5000ms).error().message.find("handshake") != std::string::npos);
}

TEST_CASE("deadlines: publish has ten seconds from accept, whatever comes before it") {
  Deadlines deadlines{kAccepted};
  deadlines.on_handshake();
  deadlines.on_bytes(kAccepted + 9900ms);
  CHECK(deadlines.check(kAccepted + 9999ms).has_value());
  CHECK(deadlines.check(kAccepted + 10s).error().message.find("publish") != std::string::npos);
}

TEST_CASE("deadlines: while publishing, ten seconds of silence end the connection; bytes begin them anew") {
  Deadlines deadlines{kAccepted};
  deadlines.on_handshake();
  deadlines.on_publish();
  deadlines.on_bytes(kAccepted + 60s);
  CHECK(deadlines.check(kAccepted + 69'999ms).has_value());
  CHECK_FALSE(deadlines.check(kAccepted + 70s).has_value());
  deadlines.on_bytes(kAccepted + 69s);
  CHECK(deadlines.check(kAccepted + 70s).has_value());
}

TEST_CASE("deadlines: after the end of a publish a client has two seconds to leave or to publish again") {
  Deadlines deadlines{kAccepted};
  deadlines.on_handshake();
  deadlines.on_publish();
  deadlines.on_unpublish(kAccepted + 100s);
  deadlines.on_bytes(kAccepted + 101s);
  CHECK(deadlines.check(kAccepted + 101'999ms).has_value());
  CHECK_FALSE(deadlines.check(kAccepted + 102s).has_value());
  deadlines.on_publish();
  CHECK(deadlines.check(kAccepted + 102s).has_value());
}

TEST_CASE("connections: the limits of one address and of all are kept at the bound and given back") {
  ConnectionCounts counts{3, 2};
  const auto first = counts.enter("a");
  std::optional<Result<ConnectionCounts::Place>> second{counts.enter("a")};
  CHECK(second->has_value());
  CHECK(counts.enter("a").error().code == Code::limit);
  const auto other = counts.enter("b");
  CHECK(other.has_value());
  CHECK(counts.enter("c").error().code == Code::limit);
  CHECK(counts.size() == 3);
  second.reset();
  const auto third = counts.enter("c");
  CHECK(third.has_value());
  CHECK(counts.size() == 3);
}

TEST_CASE("connections: a client with a whole IPv6 /64 is one client, and a neighbouring /64 another") {
  ConnectionCounts counts{10, 2};
  const auto first = counts.enter("2001:db8:1:2::1");
  const auto second = counts.enter("2001:db8:1:2:ffff::9");
  CHECK(counts.enter("2001:db8:1:2::77").error().code == Code::limit);
  CHECK(counts.enter("2001:db8:1:3::1").has_value());
}
