#include "ingest/rtmp/chunk_writer.h"

#include <doctest/doctest.h>

using namespace ribalta;
using namespace ribalta::rtmp;

TEST_CASE("chunk writer: a short message is one chunk with a type 0 header, its stream id little endian") {
  Bytes out;
  ChunkWriter{}.write({MessageType::command, 0x01020304, 5, {std::byte{0xAA}}}, 3, out);
  CHECK(to_hex(out) ==
        "03"
        "000005"
        "000001"
        "14"
        "04030201"
        "aa");
}

TEST_CASE("chunk writer: chunk stream ids take one, two or three bytes") {
  const auto basic = [](std::uint32_t id) {
    Bytes out;
    ChunkWriter{}.write({MessageType::command, 0, 0, {}}, id, out);
    return to_hex(ByteSpan{out}.first(out.size() - 11));
  };
  CHECK(basic(2) == "02");
  CHECK(basic(63) == "3f");
  CHECK(basic(64) == "0000");
  CHECK(basic(319) == "00ff");
  CHECK(basic(320) == "010001");
  CHECK(basic(65'599) == "01ffff");
}

TEST_CASE(
    "chunk writer: what it writes, the reader reads, at every size around the chunk size and every time around 24 "
    "bits") {
  for (const std::size_t size : {0, 1, 127, 128, 129, 256, 257, 5000}) {
    for (const std::int64_t time : {0LL, 0xFFFFFELL, 0xFFFFFFLL, 0x1000000LL, 0xFFFFFFFFLL}) {
      Message message{MessageType::command, 1, time, Bytes(size, std::byte{0x5A})};
      Bytes out;
      ChunkWriter{}.write(message, 400, out);
      ChunkReader reader;
      ByteSpan bytes = out;
      const auto read = reader.next(bytes);
      REQUIRE(read.has_value());
      REQUIRE(read->has_value());
      CHECK((*read)->payload == message.payload);
      CHECK((*read)->time_ms == time);
      CHECK((*read)->stream == 1);
    }
  }
}
