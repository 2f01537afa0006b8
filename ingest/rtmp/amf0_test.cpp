#include "ingest/rtmp/amf0.h"

#include <doctest/doctest.h>

#include <cmath>

using namespace ribalta;
using namespace ribalta::rtmp;
using amf0::Value;

namespace {

Result<Value> read(std::string_view text) {
  const Bytes bytes = from_hex(text).value();
  return amf0::Reader{bytes}.next();
}

std::string nested(std::size_t depth, std::string_view innermost) {
  std::string text;
  for (std::size_t i = 0; i < depth; ++i) text += "03 0001 61";
  text += innermost;
  for (std::size_t i = 0; i < depth; ++i) text += "0000 09";
  return text;
}

}  // namespace

TEST_CASE("AMF0: numbers, booleans, strings, null and undefined") {
  CHECK(read("00 3ff0000000000000")->number == 1.0);
  CHECK(std::isnan(read("00 7ff8000000000000")->number));
  CHECK(read("01 01")->boolean);
  CHECK_FALSE(read("01 00")->boolean);
  CHECK(read("02 0003 616263")->text == "abc");
  CHECK(read("0c 00000003 616263")->text == "abc");
  CHECK(read("0f 00000003 3c612f")->kind == Value::Kind::text);
  CHECK(read("05")->kind == Value::Kind::null);
  CHECK(read("06")->kind == Value::Kind::undefined);
  CHECK(read("0d")->kind == Value::Kind::undefined);
  CHECK(read("07 0001")->kind == Value::Kind::undefined);
  CHECK(read("0b 3ff0000000000000 0000")->kind == Value::Kind::date);
}

TEST_CASE("AMF0: strings keep bytes that are no UTF-8, and NUL") {
  CHECK(read("02 0003 ff0061")->text == std::string{"\xFF\0a", 3});
}

TEST_CASE("AMF0: objects keep order and repeats; the first of a name is found") {
  const Result<Value> value = read("03 0001 61 01 01  0001 62 05  0001 61 01 00  0000 09");
  REQUIRE(value.has_value());
  CHECK(value->properties.size() == 3);
  CHECK(value->find("a")->boolean);
  CHECK(value->find("z") == nullptr);
  CHECK(value->text_of("a").empty());
}

TEST_CASE("AMF0: an array's count is a hint, and its end marker may be missing at the end of the message") {
  CHECK(read("08 00000000 0001 61 05 0000 09")->properties.size() == 1);
  CHECK(read("08 ffffffff 0001 61 05 0000 09")->properties.size() == 1);
  CHECK(read("08 00000001 0001 61 05")->properties.size() == 1);
  CHECK(read("03 0001 61 05").error().code == Code::malformed);
}

TEST_CASE("AMF0: strict arrays and typed objects") {
  CHECK(read("0a 00000002 05 0101")->elements.size() == 2);
  CHECK(read("0a 00000002 05").error().code == Code::malformed);
  CHECK(read("10 0002 6161 0001 61 05 0000 09")->properties.size() == 1);
}

TEST_CASE("AMF0: AMF3 inside is refused as unsupported, unknown markers as malformed") {
  CHECK(read("11").error().code == Code::unsupported);
  CHECK(read("04").error().code == Code::malformed);
  CHECK(read("ff").error().code == Code::malformed);
}

TEST_CASE("AMF0: 32 levels are read, 33 are refused") {
  CHECK(read(nested(kAmfDepthMax - 1, "05")).has_value());
  CHECK(read(nested(kAmfDepthMax, "05")).error().code == Code::limit);
  CHECK(read(nested(20'000, "05")).error().code == Code::limit);
}

TEST_CASE("AMF0: 1024 values are read, one more is refused, nested or side by side") {
  const auto array = [](std::uint32_t count) {
    ByteWriter out;
    out.u8(0x0A);
    out.be32(count);
    for (std::uint32_t i = 0; i < count; ++i) out.u8(0x05);
    return amf0::Reader{out.view()}.next();
  };
  CHECK(array(kAmfElementsMax - 1).has_value());
  CHECK(array(kAmfElementsMax).error().code == Code::limit);
  CHECK(read("0a ffffffff").error().code == Code::limit);
  const Bytes nulls(kAmfElementsMax + 1, std::byte{0x05});
  amf0::Reader reader{nulls};
  for (std::size_t i = 0; i < kAmfElementsMax; ++i) REQUIRE(reader.next().has_value());
  CHECK(reader.next().error().code == Code::limit);
}

TEST_CASE("AMF0: messages of 64 KB are read, one byte more is refused") {
  ByteWriter out;
  out.u8(0x0C);
  out.be32(kCommandMessageBytesMax - 5);
  out.zeros(kCommandMessageBytesMax - 5);
  CHECK(amf0::Reader{out.view()}.next().has_value());
  out.u8(0);
  CHECK(amf0::Reader{out.view()}.next().error().code == Code::limit);
}

TEST_CASE("AMF0: cut at any byte, a value is refused as malformed") {
  const Bytes whole = from_hex(
                          "03 0001 61 02 0002 6262 0001 62 00 3ff0000000000000 0001 63 0a 00000001 01 01"
                          "0001 64 0b 3ff0000000000000 0000 0001 65 0c 00000001 61 0000 09")
                          .value();
  CHECK(amf0::Reader{whole}.next().has_value());
  for (std::size_t cut = 0; cut < whole.size(); ++cut) {
    const Result<Value> value = amf0::Reader{ByteSpan{whole}.first(cut)}.next();
    REQUIRE_FALSE(value.has_value());
    CHECK(value.error().code == Code::malformed);
  }
}

TEST_CASE("AMF0: what is written is read back equal") {
  Value strict{.kind = Value::Kind::array, .elements = {Value::null(), Value::of(2.5)}};
  const Value value = Value::object({{"a", Value::of(1.5)},
                                     {"b", Value::of(true)},
                                     {"c", Value::of("text")},
                                     {"d", Value::object({{"e", Value::null()}})},
                                     {"f", strict},
                                     {"g", Value{}}});
  ByteWriter out;
  amf0::write(value, out);
  CHECK(amf0::Reader{out.view()}.next() == value);
  ByteWriter text;
  amf0::write(Value::of(std::string(60'000, 'x')), text);
  CHECK(amf0::Reader{text.view()}.next()->text.size() == 60'000);
}
