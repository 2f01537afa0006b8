#include "ingest/rtmp/handshake.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace ribalta;
using namespace ribalta::rtmp;

namespace {

HandshakeBlock filled(int seed) {
  HandshakeBlock block{};
  for (std::size_t i = 0; i < block.size(); ++i)
    block[i] = static_cast<std::byte>(i * 7 + static_cast<std::size_t>(seed));
  return block;
}

Bytes hello(const HandshakeBlock& c1) {
  Bytes bytes{std::byte{3}};
  bytes.insert(bytes.end(), c1.begin(), c1.end());
  return bytes;
}

HandshakeBlock simple_c1() {
  HandshakeBlock c1 = filled(5);
  std::fill_n(c1.begin(), 8, std::byte{0});
  return c1;
}

}  // namespace

TEST_CASE("handshake: S2 is an exact echo of a simple C1, sent before C2 has come") {
  Handshake handshake{filled(1)};
  const HandshakeBlock c1 = simple_c1();
  const Bytes in = hello(c1);
  ByteSpan bytes = in;
  Bytes out;
  CHECK(handshake.feed(bytes, out) == false);
  REQUIRE(out.size() == 1 + 2 * kHandshakeBytes);
  CHECK(out[0] == std::byte{3});
  CHECK(std::equal(c1.begin(), c1.end(), out.end() - static_cast<std::ptrdiff_t>(kHandshakeBytes)));
  CHECK_FALSE(handshake.digest());
}

TEST_CASE("handshake: whatever C2 holds ends it, and bytes glued behind it stay") {
  Handshake handshake{filled(1)};
  Bytes in = hello(simple_c1());
  in.resize(in.size() + kHandshakeBytes);
  in.push_back(std::byte{0x42});
  ByteSpan bytes = in;
  Bytes out;
  CHECK(handshake.feed(bytes, out) == true);
  REQUIRE(bytes.size() == 1);
  CHECK(bytes.front() == std::byte{0x42});
}

TEST_CASE("handshake: one byte at a time gives the same answer as all at once") {
  Bytes in = hello(simple_c1());
  in.resize(in.size() + kHandshakeBytes);
  Handshake whole{filled(1)};
  Handshake dripped{filled(1)};
  Bytes out_whole;
  Bytes out_dripped;
  ByteSpan all = in;
  CHECK(whole.feed(all, out_whole) == true);
  for (std::size_t i = 0; i < in.size(); ++i) {
    ByteSpan one = ByteSpan{in}.subspan(i, 1);
    const Result<bool> done = dripped.feed(one, out_dripped);
    REQUIRE(done.has_value());
    CHECK(*done == (i + 1 == in.size()));
  }
  CHECK(out_whole == out_dripped);
}

TEST_CASE("handshake: a digest in either place is found, and answered with a digest in the same place") {
  for (const int schema : {0, 1}) {
    HandshakeBlock c1 = filled(9);
    c1[4] = std::byte{9};
    const std::size_t position = digest_position(c1, schema);
    std::ranges::copy(client_digest(c1, position), c1.begin() + static_cast<std::ptrdiff_t>(position));
    Handshake handshake{filled(3)};
    const Bytes in = hello(c1);
    ByteSpan bytes = in;
    Bytes out;
    REQUIRE(handshake.feed(bytes, out).has_value());
    CHECK(handshake.digest());
    HandshakeBlock s1{};
    std::copy_n(out.begin() + 1, kHandshakeBytes, s1.begin());
    const std::size_t answered = digest_position(s1, schema);
    const auto expected = server_digest(s1, answered);
    CHECK(std::equal(expected.begin(), expected.end(), s1.begin() + static_cast<std::ptrdiff_t>(answered)));
    CHECK_FALSE(std::equal(c1.begin(), c1.end(), out.end() - static_cast<std::ptrdiff_t>(kHandshakeBytes)));
  }
}

TEST_CASE("handshake: a version in C1 without a right digest is answered as a simple one") {
  HandshakeBlock c1 = filled(9);
  Handshake handshake{filled(3)};
  const Bytes in = hello(c1);
  ByteSpan bytes = in;
  Bytes out;
  REQUIRE(handshake.feed(bytes, out).has_value());
  CHECK_FALSE(handshake.digest());
  CHECK(std::equal(c1.begin(), c1.end(), out.end() - static_cast<std::ptrdiff_t>(kHandshakeBytes)));
}

TEST_CASE("handshake: digests stay inside the block wherever the offset bytes point") {
  for (const int schema : {0, 1}) {
    HandshakeBlock block{};
    std::ranges::fill(block, std::byte{0xFF});
    for (int value = 0; value < 256; ++value) {
      block[schema == 0 ? 8 : 772] = static_cast<std::byte>(value);
      CHECK(digest_position(block, schema) + 32 <= kHandshakeBytes);
    }
  }
}

TEST_CASE("handshake: RTMPE, TLS, HTTP and other first bytes are refused at once, each by its name") {
  const auto refused = [](int first) {
    Handshake handshake{filled(1)};
    const Bytes in{static_cast<std::byte>(first)};
    ByteSpan bytes = in;
    Bytes out;
    const Result<bool> done = handshake.feed(bytes, out);
    REQUIRE_FALSE(done.has_value());
    CHECK(out.empty());
    return done.error();
  };
  CHECK(refused(6).code == Code::unsupported);
  CHECK(refused(0x16).message.find("TLS") != std::string::npos);
  CHECK(refused('G').message.find("HTTP") != std::string::npos);
  CHECK(refused(0).code == Code::malformed);
  CHECK(refused(255).code == Code::malformed);
}
