#include "ingest/rtmp/amf0.h"

#include <algorithm>
#include <bit>

namespace ribalta::rtmp::amf0 {
namespace {

// AMF 0, §2.1: type markers.
constexpr std::uint8_t kNumber = 0x00;
constexpr std::uint8_t kBoolean = 0x01;
constexpr std::uint8_t kString = 0x02;
constexpr std::uint8_t kObject = 0x03;
constexpr std::uint8_t kNull = 0x05;
constexpr std::uint8_t kUndefined = 0x06;
constexpr std::uint8_t kReference = 0x07;
constexpr std::uint8_t kEcmaArray = 0x08;
constexpr std::uint8_t kObjectEnd = 0x09;
constexpr std::uint8_t kStrictArray = 0x0A;
constexpr std::uint8_t kDate = 0x0B;
constexpr std::uint8_t kLongString = 0x0C;
constexpr std::uint8_t kUnsupported = 0x0D;
constexpr std::uint8_t kXml = 0x0F;
constexpr std::uint8_t kTypedObject = 0x10;
constexpr std::uint8_t kAmf3 = 0x11;

}  // namespace

Value Value::of(double number) { return {.kind = Kind::number, .number = number}; }
Value Value::of(bool boolean) { return {.kind = Kind::boolean, .boolean = boolean}; }
Value Value::of(std::string_view text) { return {.kind = Kind::text, .text = std::string{text}}; }
Value Value::null() { return {.kind = Kind::null}; }
Value Value::object(std::vector<std::pair<std::string, Value>> properties) {
  return {.kind = Kind::object, .properties = std::move(properties)};
}

const Value* Value::find(std::string_view name) const {
  const auto found = std::ranges::find_if(properties, [name](const auto& property) { return property.first == name; });
  return found == properties.end() ? nullptr : &found->second;
}

std::string_view Value::text_of(std::string_view name) const {
  const Value* value = find(name);
  return value != nullptr && value->kind == Kind::text ? std::string_view{value->text} : std::string_view{};
}

Result<Value> Reader::next() {
  if (bytes_.position() + bytes_.left() > kCommandMessageBytesMax) {
    return fail(Code::limit, "AMF0: bytes", bytes_.position() + bytes_.left());
  }
  return read(0);
}

Result<Value> Reader::read(std::size_t depth) {
  if (depth == kAmfDepthMax) return fail(Code::limit, "AMF0: nested deeper than", kAmfDepthMax);
  if (++elements_ > kAmfElementsMax) return fail(Code::limit, "AMF0: values, more than", kAmfElementsMax);
  const Result<std::uint8_t> marker = bytes_.u8();
  if (!marker) return marker.error().in("AMF0 marker");
  return read_marked(*marker, depth);
}

Result<Value> Reader::read_marked(std::uint8_t marker, std::size_t depth) {
  switch (marker) {
    case kNumber: {
      const Result<std::uint64_t> bits = bytes_.be64();
      if (!bits) return bits.error().in("AMF0 number");
      return Value::of(std::bit_cast<double>(*bits));
    }
    case kBoolean: {
      const Result<std::uint8_t> flag = bytes_.u8();
      if (!flag) return flag.error().in("AMF0 boolean");
      return Value::of(*flag != 0);
    }
    case kString: {
      const Result<std::string> text = read_short_text();
      if (!text) return pass(text);
      return Value::of(*text);
    }
    case kXml:
    case kLongString: {
      const Result<std::uint32_t> size = bytes_.be32();
      if (!size) return size.error().in("AMF0 long string");
      const Result<std::string> text = read_text(*size);
      if (!text) return pass(text);
      return Value::of(*text);
    }
    case kTypedObject: {
      const Result<std::string> name = read_short_text();
      if (!name) return pass(name);
      return read_properties(false, depth);
    }
    case kObject:
      return read_properties(false, depth);
    case kEcmaArray: {
      const Result<std::uint32_t> hint = bytes_.be32();  // 0 or wrong with several encoders: not looked at
      if (!hint) return hint.error().in("AMF0 array");
      return read_properties(true, depth);
    }
    case kStrictArray:
      return read_elements(depth);
    case kDate: {
      const Result<std::uint64_t> bits = bytes_.be64();
      const Result<std::uint16_t> zone = bits ? bytes_.be16() : Result<std::uint16_t>{0};
      if (!bits || !zone) return fail(Code::malformed, "AMF0 date: cut short");
      Value date = Value::of(std::bit_cast<double>(*bits));
      date.kind = Value::Kind::date;
      return date;
    }
    case kReference: {
      const Result<std::uint16_t> index = bytes_.be16();
      if (!index) return index.error().in("AMF0 reference");
      return Value{};
    }
    case kNull:
      return Value::null();
    case kUndefined:
    case kUnsupported:
      return Value{};
    case kAmf3:
      return fail(Code::unsupported, "AMF3 inside AMF0");
    default:
      return fail(Code::malformed, "AMF0: unknown marker", marker);
  }
}

Result<std::string> Reader::read_text(std::size_t size) {
  const Result<ByteSpan> bytes = bytes_.take(size);
  if (!bytes) return bytes.error().in("AMF0 string");
  return std::string{as_text(*bytes)};
}

Result<std::string> Reader::read_short_text() {
  const Result<std::uint16_t> size = bytes_.be16();
  if (!size) return size.error().in("AMF0 string");
  return read_text(*size);
}

/// Names and values up to the end marker (an empty name, then 9). Some cameras leave it out at the end of a message.
Result<Value> Reader::read_properties(bool end_may_be_missing, std::size_t depth) {
  Value object = Value::object({});
  while (!(end_may_be_missing && bytes_.done())) {
    Result<std::string> name = read_short_text();
    if (!name) return pass(name);
    if (name->empty() && !bytes_.done() && read_u8(bytes_.rest()) == kObjectEnd) {
      const Result<void> end = bytes_.skip(1);
      assert(end.has_value());
      break;
    }
    Result<Value> value = read(depth + 1);
    if (!value) return value;
    object.properties.emplace_back(std::move(*name), std::move(*value));
  }
  return object;
}

Result<Value> Reader::read_elements(std::size_t depth) {
  const Result<std::uint32_t> count = bytes_.be32();
  if (!count) return count.error().in("AMF0 array");
  if (*count > kAmfElementsMax) return fail(Code::limit, "AMF0 array: elements", *count);
  Value array{.kind = Value::Kind::array};
  for (std::uint32_t i = 0; i < *count; ++i) {
    Result<Value> value = read(depth + 1);
    if (!value) return value;
    array.elements.push_back(std::move(*value));
  }
  return array;
}

void write(const Value& value, ByteWriter& out) {
  switch (value.kind) {
    case Value::Kind::number:
      out.u8(kNumber);
      out.be64(std::bit_cast<std::uint64_t>(value.number));
      break;
    case Value::Kind::boolean:
      out.u8(kBoolean);
      out.u8(value.boolean ? 1 : 0);
      break;
    case Value::Kind::text:
      if (value.text.size() > 0xFFFF) {
        out.u8(kLongString);
        out.be32(static_cast<std::uint32_t>(value.text.size()));
      } else {
        out.u8(kString);
        out.be16(static_cast<std::uint16_t>(value.text.size()));
      }
      out.text(value.text);
      break;
    case Value::Kind::object:
      out.u8(kObject);
      for (const auto& [name, property] : value.properties) {
        assert(name.size() <= 0xFFFF);
        out.be16(static_cast<std::uint16_t>(name.size()));
        out.text(name);
        write(property, out);
      }
      out.be16(0);
      out.u8(kObjectEnd);
      break;
    case Value::Kind::null:
      out.u8(kNull);
      break;
    case Value::Kind::undefined:
      out.u8(kUndefined);
      break;
    case Value::Kind::array:
      out.u8(kStrictArray);
      out.be32(static_cast<std::uint32_t>(value.elements.size()));
      for (const Value& element : value.elements) write(element, out);
      break;
    case Value::Kind::date:
      out.u8(kDate);
      out.be64(std::bit_cast<std::uint64_t>(value.number));
      out.be16(0);
      break;
  }
}

}  // namespace ribalta::rtmp::amf0
