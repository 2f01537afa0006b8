#include <doctest/doctest.h>

#include "core/media/box_reader.h"
#include "core/media/media_testing.h"

using namespace ribalta;
using namespace ribalta::media;
using namespace ribalta::media::testing;

namespace {

Bytes header(std::uint32_t size, const char (&name)[5]) {
  ByteWriter out;
  out.be32(size);
  out.be32(box_type(name));
  return out.take();
}

}  // namespace

TEST_CASE("boxes come out whole however they were cut") {
  const Bytes all = hex("0000000c 66726565 01020304  00000008 73747970  00000001 6d646174 0000000000000012 aabb");
  for (std::size_t piece = 1; piece <= all.size(); ++piece) {
    BoxReader reader;
    std::vector<Bytes> boxes;
    for (std::size_t at = 0; at < all.size(); at += piece) {
      reader.feed(ByteSpan{all}.subspan(at, std::min(piece, all.size() - at)));
      for (;;) {
        auto box = reader.next();
        REQUIRE(box);
        if (!*box) break;
        boxes.push_back(std::move(**box));
      }
    }
    REQUIRE(boxes.size() == 3);
    CHECK(boxes[0].size() == 12);
    CHECK(boxes[1].size() == 8);
    CHECK(boxes[2].size() == 18);
    CHECK(reader.pending() == 0);
  }
}

TEST_CASE("a declared size over the limit is refused before its bytes come; at the limit it is waited for") {
  struct Each {
    const char (&name)[5];
    std::uint64_t limit;
  };
  const BoxLimits limits;
  for (const Each each :
       {Each{"moov", limits.init_bytes_max}, Each{"moof", limits.moof_bytes_max}, Each{"mdat", limits.mdat_bytes_max},
        Each{"sidx", limits.sidx_bytes_max}, Each{"abcd", limits.other_bytes_max}}) {
    BoxReader good;
    good.feed(header(static_cast<std::uint32_t>(each.limit), each.name));
    CHECK(good.next());
    BoxReader bad;
    bad.feed(header(static_cast<std::uint32_t>(each.limit + 1), each.name));
    CHECK(bad.next().error().code == Code::limit);
    bad.feed(Bytes(1000));
    CHECK(bad.next().error().code == Code::limit);
  }
}

TEST_CASE("a 64-bit size that would overflow is refused") {
  BoxReader reader;
  reader.feed(hex("00000001 6d646174 ffffffffffffffff"));
  CHECK(reader.next().error().code == Code::limit);
}

TEST_CASE("sizes of 0, and sizes smaller than the header, are refused") {
  for (const std::uint32_t size : {2U, 7U}) {
    BoxReader reader;
    reader.feed(header(size, "free"));
    CHECK(reader.next().error().code == Code::malformed);
  }
  BoxReader open_ended;
  open_ended.feed(header(0, "mdat"));
  CHECK(open_ended.next().error().code == Code::unsupported);
  BoxReader wide;
  wide.feed(hex("00000001 6d646174 000000000000000f"));
  CHECK(wide.next().error().code == Code::malformed);
}

TEST_CASE("a box inside a box may not run past it") {
  const Bytes bytes = hex("0000000d 66726565 01020304");
  ByteReader reader{bytes};
  CHECK(read_box(reader).error().code == Code::malformed);
}

TEST_CASE("a type that is no text is shown as numbers") {
  CHECK(box_name(box_type("moov")) == "moov");
  CHECK(box_name(0x6D000AFF) == "m\\x00\\x0A\\xFF");
}
