// AMF0, the encoding of RTMP's commands and metadata (Action Message Format AMF 0, 2007). Reading is bounded in depth,
// in values and in bytes; what a peer says about counts is never believed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/bytes.h"
#include "core/result.h"
#include "ingest/rtmp/limits.h"

namespace ribalta::rtmp::amf0 {

struct Value {
  enum class Kind : std::uint8_t { number, boolean, text, object, null, undefined, array, date };
  Kind kind = Kind::undefined;
  double number = 0;  ///< number; milliseconds since 1970 of a date. May be NaN or infinite
  bool boolean = false;
  std::string text;  ///< string, long string, XML: bytes as they came, not checked to be UTF-8
  std::vector<std::pair<std::string, Value>> properties;  ///< object, ECMA array, typed object, in order, repeats kept
  std::vector<Value> elements;                            ///< strict array

  static Value of(double number);
  static Value of(bool boolean);
  static Value of(std::string_view text);
  static Value of(const char* text) { return of(std::string_view{text}); }  ///< or a literal would become a boolean
  static Value null();
  static Value object(std::vector<std::pair<std::string, Value>> properties);

  /// The first property of that name, or nothing.
  [[nodiscard]] const Value* find(std::string_view name) const;
  /// The text of that property, or empty where it is absent or no text.
  [[nodiscard]] std::string_view text_of(std::string_view name) const;
  bool operator==(const Value&) const = default;
};

/// Reads one message's values, one after the other.
class Reader {
 public:
  explicit Reader(ByteSpan bytes) : bytes_(bytes) {}
  [[nodiscard]] bool done() const { return bytes_.done(); }

  /// The next value. A reference (marker 7) is read as undefined: nothing that encoders send needs one.
  /// @error malformed: cut short, or an unknown marker; limit: kAmfDepthMax or kAmfElementsMax, or a message over
  /// kCommandMessageBytesMax; unsupported: AMF3 inside (marker 0x11).
  Result<Value> next();

 private:
  Result<Value> read(std::size_t depth);
  Result<Value> read_marked(std::uint8_t marker, std::size_t depth);
  Result<std::string> read_text(std::size_t size);
  Result<std::string> read_short_text();
  Result<Value> read_properties(bool end_may_be_missing, std::size_t depth);
  Result<Value> read_elements(std::size_t depth);

  ByteReader bytes_;
  std::size_t elements_ = 0;
};

/// Appends a value. Texts over 65 535 bytes become long strings; objects are written as objects.
void write(const Value& value, ByteWriter& out);

}  // namespace ribalta::rtmp::amf0
