// Results, bytes, ids and units: what everything else stands on.
#include <doctest/doctest.h>

#include <cerrno>
#include <set>

#include "core/bytes.h"
#include "core/ids.h"
#include "core/result.h"
#include "core/units.h"

using namespace ribalta;

TEST_CASE("error: each layer adds what it was doing, outside first") {
  const Error inner = fail(Code::malformed, "truncated at byte", 4096).error();
  const Error middle = inner.in("segment index").error();
  CHECK(middle.in("resume rendition", "720p").error().message ==
        "resume rendition 720p: segment index: truncated at byte 4096");
  CHECK(middle.code == Code::malformed);
  const Result<int> failed = pass(Result<void>{std::unexpected<Error>{inner}});
  CHECK(failed.error().message == inner.message);
}

TEST_CASE("fail_errno: a full disk and a missing file are told from the rest") {
  errno = ENOSPC;
  CHECK(fail_errno("write", "a").error().code == Code::no_space);
  errno = EDQUOT;
  CHECK(fail_errno("write").error().code == Code::no_space);
  errno = ENOENT;
  CHECK(fail_errno("open", "/a").error().message == "open /a: No such file or directory");
  errno = EACCES;
  CHECK(fail_errno("open").error().code == Code::io);
}

TEST_CASE("bytes: a reader takes what is there and says where it ended") {
  const Bytes data = from_hex("01 0203 040506 0708090a 0b0c0d0e0f101112").value();
  ByteReader reader{data};
  CHECK(reader.u8().value() == 1);
  CHECK(reader.be16().value() == 0x0203);
  CHECK(reader.be24().value() == 0x040506);
  CHECK(reader.be32().value() == 0x0708090A);
  CHECK(reader.be64().value() == 0x0B0C0D0E0F101112);
  CHECK(reader.done());
  CHECK(reader.u8().error().message == "truncated at byte 18: wanted 1");
  CHECK(reader.take(0).value().empty());
  CHECK(reader.skip(1).error().code == Code::malformed);
}

TEST_CASE("bytes: a reader cut at every byte fails exactly where the bytes are missing") {
  const Bytes data(7);
  for (std::size_t cut = 0; cut < data.size(); ++cut) {
    ByteReader reader{ByteSpan{data}.first(cut)};
    const bool first = reader.be32().has_value();
    CHECK(first == (cut >= 4));
    if (!first) CHECK(reader.position() == 0);
    if (first) CHECK_FALSE(reader.be24().has_value());
  }
}

TEST_CASE("bytes: a writer's numbers are what a reader reads; sizes are patched in") {
  ByteWriter writer;
  writer.be32(0);
  writer.text("ab");
  writer.be24(0x123456);
  writer.zeros(1);
  writer.patch_be32(0, static_cast<std::uint32_t>(writer.size()));
  CHECK(to_hex(writer.view()) == "0000000a616212345600");
}

TEST_CASE("base64: RFC 4648's vectors, both ways and with both alphabets") {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, coded] : vectors) {
    CHECK(to_base64(as_bytes(plain)) == coded);
    CHECK(as_text(from_base64(coded).value()) == plain);
    std::string bare = coded;
    while (bare.ends_with('=')) bare.pop_back();
    CHECK(to_base64url(as_bytes(plain)) == bare);
    CHECK(as_text(from_base64url(bare).value()) == plain);
  }
  CHECK(to_base64url(from_hex("fbff").value()) == "-_8");
  CHECK(to_base64(from_hex("fbff").value()) == "+/8=");
}

TEST_CASE("base64: another alphabet, missing padding, and a second spelling of the same bytes are malformed") {
  for (const char* text : {"Zg", "Zg=", "Z===", "Zh==", "Zm9v\n", "-_8=", "Zg==Zg==", "====", "="}) {
    CAPTURE(text);
    CHECK(from_base64(text).error().code == Code::malformed);
  }
  for (const char* text : {"Z", "Zh", "Zg==", "+/8", "Zm9vY"}) {
    CAPTURE(text);
    CHECK(from_base64url(text).error().code == Code::malformed);
  }
}

TEST_CASE("hex: white space is passed over, odd counts and other characters are malformed") {
  CHECK(to_hex(from_hex(" 0A\n fF\t").value()) == "0aff");
  CHECK(from_hex("0").error().code == Code::malformed);
  CHECK(from_hex("0g").error().code == Code::malformed);
}

TEST_CASE("ids: random ones differ, read back, and hold only good characters") {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const VideoId id = VideoId::random();
    CHECK(VideoId::parse(id.view()).value() == id);
    CHECK(seen.insert(id.text()).second);
  }
  CHECK_FALSE(is_id("0123456789abcde"));
  CHECK_FALSE(is_id("0123456789abcdef0"));
  CHECK(is_id("0123456789abcdef"));
  for (const char bad : {'i', 'l', 'o', 'u', 'A', '.', '/', '\0', ' '}) {
    std::string text = "0123456789abcde";
    text.push_back(bad);
    CHECK(VideoId::parse(text).error().code == Code::malformed);
  }
}

TEST_CASE("track names: a letter first, then letters, digits, '-' and '_', at most 32") {
  for (const char* name : {"src-v", "v720", "a128", "x", "a_b"}) CHECK(is_track_name(name));
  for (const char* name : {"", "7v", "-v", "V", "a.b", "a/b", "a b"}) CHECK_FALSE(is_track_name(name));
  CHECK(is_track_name(std::string(32, 'a')));
  CHECK_FALSE(is_track_name(std::string(33, 'a')));
}

TEST_CASE("rescale: a decode time counted from 1970 at 10 MHz keeps every tick at 90 kHz") {
  CHECK(rescale_floor({17'000'000'000'000'000, 10'000'000}, 90'000).ticks == 153'000'000'000'000);
}

TEST_CASE("rescale_floor rounds down on both sides of zero, rescale_nearest to the nearest") {
  CHECK(rescale_floor({1, 3}, 1).ticks == 0);
  CHECK(rescale_floor({-1, 3}, 1).ticks == -1);
  CHECK(rescale_floor({-3, 3}, 1).ticks == -1);
  CHECK(rescale_nearest({1, 3}, 1).ticks == 0);
  CHECK(rescale_nearest({2, 3}, 1).ticks == 1);
  CHECK(rescale_nearest({1, 2}, 1).ticks == 1);
  CHECK(rescale_nearest({-1, 3}, 1).ticks == 0);
  CHECK(rescale_nearest({-2, 3}, 1).ticks == -1);
  CHECK(rescale_nearest({1024, 48'000}, 90'000).ticks == 1920);
}

TEST_CASE("compare orders instants of different clocks without rounding") {
  CHECK(compare({1, 3}, {333'333'333, 1'000'000'000}) == std::strong_ordering::greater);
  CHECK(compare({90'000, 90'000}, {48'000, 48'000}) == std::strong_ordering::equal);
  CHECK(compare({-1, 1}, {0, 48'000}) == std::strong_ordering::less);
}

TEST_CASE("wall clock: RFC 3339 with milliseconds, before 1970 too") {
  CHECK(to_rfc3339(from_unix_ms(0)) == "1970-01-01T00:00:00.000Z");
  CHECK(to_rfc3339(from_unix_ms(1'795'469'283'123)) == "2026-11-23T21:28:03.123Z");
  CHECK(to_rfc3339(from_unix_ms(-1)) == "1969-12-31T23:59:59.999Z");
}

TEST_CASE("UTF-8: every form of 1 to 4 bytes, and each way to be none") {
  for (const char* good : {"", "a", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80",
                           "\xEF\xBF\xBF", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF", "l'età di Zoë 漢 🎁"})
    CHECK_MESSAGE(is_utf8(good), good);
  for (const char* bad :
       {"\x80", "\xBF", "\xC0\xAF", "\xC1\xBF", "\xC2", "\xC2 ", "\xE0\x9F\xBF", "\xE0\xA0", "\xED\xA0\x80",
        "\xF0\x8F\xBF\xBF", "\xF0\x90\x80", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "a\xE2\x82"})
    CHECK_FALSE(is_utf8(bad));
}
