#include "ingest/rtmp/chunk_reader.h"

#include <doctest/doctest.h>

#include <string>

using namespace ribalta;
using namespace ribalta::rtmp;

namespace {

Bytes hex(std::string_view text) { return from_hex(text).value(); }

/// Everything the reader says about these bytes, fed whole.
struct Read {
  std::vector<Message> messages;
  std::optional<Error> error;
};
Read read_with(ChunkReader& reader, ByteSpan bytes) {
  Read read;
  while (true) {
    auto next = reader.next(bytes);
    if (!next) {
      read.error = next.error();
      return read;
    }
    if (!*next) return read;
    read.messages.push_back(std::move(**next));
  }
}
Read read_all(std::string_view text) {
  ChunkReader reader;
  reader.set_authorised(true);
  const Bytes bytes = hex(text);
  return read_with(reader, bytes);
}
std::string payload(const Message& message) { return to_hex(message.payload); }

std::string repeat(std::string_view text, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += text;
  return out;
}

}  // namespace

TEST_CASE("set chunk size: zero is refused, since no message could ever end") {
  CHECK(parse_set_chunk_size(hex("00 00 00 00")).error().code == Code::malformed);
}
TEST_CASE("set chunk size: 1 is the least, sizes over 24 bits mean 24 bits, the top bit is refused") {
  CHECK(parse_set_chunk_size(hex("00 00 00 01")) == 1);
  CHECK(parse_set_chunk_size(hex("00 ff ff ff")) == 0xFFFFFF);
  CHECK(parse_set_chunk_size(hex("01 00 00 00")) == 0xFFFFFF);
  CHECK(parse_set_chunk_size(hex("7f ff ff ff")) == 0xFFFFFF);
  CHECK_FALSE(parse_set_chunk_size(hex("80 00 00 00")).has_value());
  CHECK_FALSE(parse_set_chunk_size(hex("00 00 01")).has_value());
  CHECK_FALSE(parse_set_chunk_size(hex("00 00 00 01 00")).has_value());
}

TEST_CASE("chunks: headers of types 0 to 3 carry on length, type, stream and time") {
  const Read read = read_all(
      "04 00000a 000001 08 01000000 a1"  // type 0: time 10
      "44 000005 000002 09 b1 b2"        // type 1: +5, another length and type
      "84 000007 c1 c2"                  // type 2: +7
      "c4 d1 d2");                       // type 3 begins a message: +7 again
  REQUIRE(read.messages.size() == 4);
  CHECK(read.messages[0].time_ms == 10);
  CHECK(read.messages[0].type == MessageType::audio);
  CHECK(read.messages[1].time_ms == 15);
  CHECK(read.messages[1].type == MessageType::video);
  CHECK(read.messages[1].stream == 1);
  CHECK(read.messages[2].time_ms == 22);
  CHECK(payload(read.messages[2]) == "c1c2");
  CHECK(read.messages[3].time_ms == 29);
  CHECK(payload(read.messages[3]) == "d1d2");
}

TEST_CASE("chunks: type 3 after type 0 adds its timestamp when that can be a frame's length, else nothing") {
  CHECK(read_all("04 000017 000001 08 01000000 a1 c4 a2").messages.at(1).time_ms == 0x17 + 0x17);
  CHECK(read_all("04 0003e8 000001 08 01000000 a1 c4 a2").messages.at(1).time_ms == 2000);
  CHECK(read_all("04 0003e9 000001 08 01000000 a1 c4 a2").messages.at(1).time_ms == 1001);
  CHECK(read_all("04 123456 000001 08 01000000 a1 c4 a2").messages.at(1).time_ms == 0x123456);
}

TEST_CASE("chunks: ids of one, two and three bytes name different chunk streams") {
  const Read read = read_all(
      "3f 000000 000001 08 01000000 a1"
      "00 00 000000 000001 08 01000000 a2"     // 64
      "01 00 01 000000 000001 08 01000000 a3"  // 64 + 256
      "01 ff ff 000000 000001 08 01000000 a4"  // 65599
      "c0 00 b2");                             // 64 again, one byte more
  REQUIRE(read.messages.size() == 5);
  CHECK(payload(read.messages[4]) == "b2");
}

TEST_CASE("chunks: the same chunk stream named in two and in three bytes is one") {
  const Read read = read_all("00 05 000000 000001 08 01000000 a1  c1 05 00 a2");
  REQUIRE(read.messages.size() == 2);
}

TEST_CASE("chunks: interleaved messages are put together each on its own") {
  const Read read = read_all("04 000000 000082 09 01000000" + repeat("a1", 128) +  // video: 130 bytes
                             "05 000000 000002 08 01000000 b1b2" +                 // audio in between
                             "c4 a1a1");
  REQUIRE(read.messages.size() == 2);
  CHECK(read.messages[0].type == MessageType::audio);
  CHECK(payload(read.messages[1]) == repeat("a1", 130));
}

TEST_CASE("chunks: a new chunk size counts from the next chunk on, also inside another message") {
  const Read read = read_all("04 000000 000085 09 01000000" + repeat("a1", 128) +
                             "02 000000 000004 01 00000000 00000002" +  // 2 bytes from now on
                             "c4 a2a2 c4 a3a3 c4 a4");
  REQUIRE(read.messages.size() == 1);
  CHECK(payload(read.messages[0]) == repeat("a1", 128) + "a2a2a3a3a4");
}

TEST_CASE("chunks: abort forgets the half message of one chunk stream only") {
  const Read read =
      read_all("04 000000 000081 09 01000000" + repeat("a1", 128) + "05 000000 000081 08 01000000" + repeat("b1", 128) +
               "02 000000 000004 02 00000000 00000004"
               "04 000009 000001 09 01000000 cc"
               "c5 b2");
  REQUIRE(read.messages.size() == 2);
  CHECK(payload(read.messages[0]) == "cc");
  CHECK(payload(read.messages[1]) == repeat("b1", 128) + "b2");
}

TEST_CASE("chunks: abort of an unknown or idle chunk stream changes nothing") {
  CHECK(read_all("02 000000 000004 02 00000000 00000063 04 000000 000001 08 01000000 a1").messages.size() == 1);
}

TEST_CASE("chunks: messages of no bytes are whole at once") {
  const Read read = read_all("04 000000 000000 08 01000000  c4  04 000001 000001 08 01000000 a1");
  REQUIRE(read.messages.size() == 3);
  CHECK(read.messages[0].payload.empty());
}

TEST_CASE("extended time: 0xFFFFFE fits, 0xFFFFFF and more follow in four bytes") {
  CHECK(read_all("04 fffffe 000001 08 01000000 a1").messages.at(0).time_ms == 0xFFFFFE);
  CHECK(read_all("04 ffffff 000001 08 01000000 00ffffff a1").messages.at(0).time_ms == 0xFFFFFF);
  CHECK(read_all("04 ffffff 000001 08 01000000 01000000 a1").messages.at(0).time_ms == 0x1000000);
}

TEST_CASE("extended time: clients that repeat it in type 3 chunks and clients that do not are both read") {
  const std::string first = "04 ffffff 000082 09 01000000 01000000" + repeat("a1", 128);
  const Read repeated = read_all(first + "c4 01000000 b1b2");
  const Read bare = read_all(first + "c4 b1b2");
  REQUIRE(repeated.messages.size() == 1);
  REQUIRE(bare.messages.size() == 1);
  CHECK(payload(repeated.messages[0]) == repeat("a1", 128) + "b1b2");
  CHECK(payload(bare.messages[0]) == repeat("a1", 128) + "b1b2");
}

TEST_CASE(
    "extended time: payload that begins like the time is put back, into this message and the next chunk's header") {
  // 2 bytes are left; the payload begins with 01 00 as the time does, and the next chunk is not 00 00.
  const Read read = read_all("04 ffffff 000082 09 01000000 01000000" + repeat("a1", 128) +
                             "c4 0100"
                             "05 000000 000001 08 01000000 cc");
  REQUIRE(read.messages.size() == 2);
  CHECK(payload(read.messages[0]) == repeat("a1", 128) + "0100");
  CHECK(payload(read.messages[1]) == "cc");
  // 1 byte is left, and the first byte of the next chunk looks like the time's: 01 | 00 07 (chunk stream 71).
  const Read more = read_all("04 ffffff 000081 09 01000000 01000000" + repeat("a1", 128) +
                             "c4 01"
                             "00 07 000005 000001 08 01000000 cc");
  REQUIRE(more.messages.size() == 2);
  CHECK(payload(more.messages[0]) == repeat("a1", 128) + "01");
  CHECK(payload(more.messages[1]) == "cc");
  CHECK(more.messages[1].time_ms == 5);
}

TEST_CASE("extended time: every cut of the two dialects reads the same as the whole") {
  for (const char* again : {"", "01000000"}) {
    const Bytes bytes = hex("04 ffffff 000105 09 01000000 01000000" + repeat("a1", 128) + "c4" + again +
                            repeat("01", 128) + "c4" + again +
                            "0100001005"
                            "05 000000 000001 08 01000000 cc");
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
      ChunkReader reader;
      reader.set_authorised(true);
      Read read = read_with(reader, ByteSpan{bytes}.first(cut));
      const Read rest = read_with(reader, ByteSpan{bytes}.subspan(cut));
      CHECK_FALSE(read.error.has_value());
      CHECK_FALSE(rest.error.has_value());
      for (const Message& message : rest.messages) read.messages.push_back(message);
      REQUIRE(read.messages.size() == 2);
      CHECK(payload(read.messages[0]) == repeat("a1", 128) + repeat("01", 128) + "0100001005");
      CHECK(payload(read.messages[1]) == "cc");
    }
  }
}

TEST_CASE("extended time: in a type 1 header it is a delta, or the time itself where that is nearer") {
  const std::string at_hour_four = "04 fffff0 000001 08 01000000 a1";
  CHECK(read_all(at_hour_four + "44 ffffff 000001 08 01000005 a2").messages.at(1).time_ms == 0x1000005);
  CHECK(read_all("04 000000 000001 08 01000000 a1 44 ffffff 000001 08 02000000 a2").messages.at(1).time_ms ==
        0x2000000);
}

TEST_CASE("time: 32 bits wrap after 49.7 days and go on in 64") {
  const Read read = read_all(
      "04 ffffff 000001 08 01000000 fffffff0 a1"
      "04 00000a 000001 08 01000000 a2"           // type 0 after the wrap
      "05 ffffff 000001 09 01000000 fffffffa b1"  // the other track is a little behind
      "44 000014 000001 08 a3");
  REQUIRE(read.messages.size() == 4);
  CHECK(read.messages[0].time_ms == 0xFFFFFFF0LL);
  CHECK(read.messages[1].time_ms == 0x10000000ALL);
  CHECK(read.messages[2].time_ms == 0xFFFFFFFALL);
  CHECK(read.messages[3].time_ms == 0x10000000ALL + 20);
  CHECK(unwrap_time(0x1'0000'0005, 0xFFFFFFFF) == 0xFFFFFFFF);
  CHECK(unwrap_time(0, 5) == 5);
}

TEST_CASE(
    "chunks: a first header of type 1 is taken, as librtmp begins its control stream; of type 2 or 3 it is refused") {
  CHECK(read_all("42 000000 000006 04 000300000000").messages.size() == 1);
  CHECK(read_all("84 000007 a1").error->code == Code::malformed);
  CHECK(read_all("c4 a1").error->code == Code::malformed);
}

TEST_CASE("chunks: a message may not begin inside another on the same chunk stream") {
  CHECK(read_all("04 000000 000081 09 01000000" + repeat("a1", 128) + "04 000000 000001 09 01000000 a1").error->code ==
        Code::malformed);
}

TEST_CASE("time: one message half of 32 bits away does not turn the next into a wrap; two in a row move the clock") {
  const auto at = [](std::uint32_t time) {
    ByteWriter out;
    out.bytes(hex("04 ffffff 000000 08 01000000"));
    out.be32(time);
    return out.take();
  };
  for (const std::uint32_t wild : {0x81000000U, 0x80FFFFFFU, 0x81000001U}) {
    ChunkReader reader;
    reader.set_authorised(true);
    std::vector<std::int64_t> times;
    for (const std::uint32_t time : {0x1000000U, wild, 0x1000010U, 0x0FFFFFFU, 0x1000020U}) {
      times.push_back(read_with(reader, at(time)).messages.at(0).time_ms);
    }
    CHECK(times[2] == 0x1000010);
    CHECK(times[3] == 0x0FFFFFF);
    CHECK(times[4] == 0x1000020);
  }
  ChunkReader reader;
  reader.set_authorised(true);
  std::int64_t last = 0;
  for (const std::uint32_t time : {0x1000000U, 0x70000000U, 0x70000020U, 0xE0000000U, 0xE0000020U, 0x40U}) {
    last = read_with(reader, at(time)).messages.at(0).time_ms;
  }
  CHECK(last == 0x100000040LL);
}

TEST_CASE("limits: a clock that runs away by weeks with every message is refused long before 64 bits end") {
  ChunkReader reader;
  reader.set_authorised(true);
  std::optional<Error> error;
  std::int64_t weeks = 0;
  while (!error && weeks < kTimeMsMax >> 30) {
    ByteWriter twice;  // the first of a jump is not believed yet
    for (int i = 0; i < 2; ++i) {
      twice.bytes(hex("04 ffffff 000000 08 01000000"));
      twice.be32(static_cast<std::uint32_t>(weeks * 0x7FFFFFFF));
    }
    error = read_with(reader, twice.view()).error;
    ++weeks;
  }
  REQUIRE(error.has_value());
  CHECK(error->code == Code::limit);
  CHECK(weeks * 0x7FFFFFFF > kTimeMsMax);
}

TEST_CASE("limits: 64 chunk streams are taken, the next is refused") {
  ChunkReader reader;
  reader.set_authorised(true);
  for (std::size_t i = 0; i < kChunkStreamsMax; ++i) {
    ByteWriter out;
    out.u8(0);
    out.u8(static_cast<std::uint8_t>(i));
    out.bytes(hex("000000 000001 08 01000000 a1"));
    CHECK(read_with(reader, out.view()).messages.size() == 1);
  }
  CHECK(read_with(reader, hex("03 000000 000001 08 01000000 a1")).error->code == Code::limit);
}

TEST_CASE("limits: a message's declared length is checked by its type before any payload is taken") {
  CHECK_FALSE(read_all("04 000000 800000 09 01000000").error.has_value());
  CHECK(read_all("04 000000 800001 09 01000000").error->code == Code::limit);
  CHECK_FALSE(read_all("03 000000 010000 14 00000000").error.has_value());
  CHECK(read_all("03 000000 010001 14 00000000").error->code == Code::limit);
  CHECK_FALSE(read_all("02 000000 000010 04 00000000").error.has_value());
  CHECK(read_all("02 000000 000011 04 00000000").error->code == Code::limit);
}

TEST_CASE("limits: before a key is accepted, media messages are held to the limit of commands") {
  ChunkReader reader;
  CHECK(read_with(reader, hex("04 000000 010001 09 01000000")).error->code == Code::limit);
}

TEST_CASE("limits: sixty chunk streams that declare 8 MB each hold no more than what came") {
  ChunkReader reader;
  reader.set_authorised(true);
  for (std::uint8_t i = 0; i < 60; ++i) {
    ByteWriter out;
    out.u8(static_cast<std::uint8_t>(3 + i));
    out.bytes(hex("000000 800000 09 01000000" + repeat("ee", 128)));
    CHECK_FALSE(read_with(reader, out.view()).error.has_value());
  }
  CHECK(reader.bytes_held() <= std::size_t{60} * 256);
}

TEST_CASE("limits: unfinished messages together stay under the reassembly budget") {
  ChunkReader reader;
  reader.set_authorised(true);
  CHECK_FALSE(read_with(reader, hex("02 000000 000004 01 00000000 00100000")).error.has_value());
  const Bytes mebibyte(1024 * 1024, std::byte{0x77});
  std::optional<Error> error;
  std::size_t sent = 0;
  for (std::uint8_t i = 0; i < 16 && !error; ++i) {
    ByteWriter out;
    out.u8(static_cast<std::uint8_t>(3 + i));
    out.bytes(hex("000000 800000 09 01000000"));
    out.bytes(mebibyte);
    error = read_with(reader, out.view()).error;
    if (!error) sent += mebibyte.size();
  }
  REQUIRE(error.has_value());
  CHECK(error->code == Code::limit);
  CHECK(sent <= kReassemblyBytesMax);
  CHECK(sent + mebibyte.size() > kReassemblyBytesMax);
}
