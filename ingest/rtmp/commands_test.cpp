#include "ingest/rtmp/commands.h"

#include <doctest/doctest.h>

using namespace ribalta;
using namespace ribalta::rtmp;
using amf0::Value;

namespace {
Message message_of(std::initializer_list<Value> values, MessageType type = MessageType::command) {
  ByteWriter out;
  if (type == MessageType::command_amf3) out.u8(0);
  for (const Value& value : values) amf0::write(value, out);
  return {.type = type, .stream = 1, .payload = out.take()};
}
std::string key_of(std::string_view app, std::string_view name) {
  const Result<StreamName> parsed = parse_stream_name(app, name);
  return parsed ? parsed->app + "|" + parsed->key : "error";
}
}  // namespace

TEST_CASE("command: name, transaction, object and arguments, in AMF0 and in AMF3's envelope") {
  for (const MessageType type : {MessageType::command, MessageType::command_amf3}) {
    const Result<Command> command = parse_command(
        message_of({Value::of("publish"), Value::of(5.0), Value::null(), Value::of("k"), Value::of("live")}, type));
    REQUIRE(command.has_value());
    CHECK(command->name == "publish");
    CHECK(command->transaction == 5.0);
    CHECK(command->text_argument(0) == "k");
    CHECK(command->text_argument(1) == "live");
    CHECK(command->text_argument(2).empty());
  }
}

TEST_CASE("command: a missing transaction or object is no error; a missing name or a number for a name is") {
  CHECK(parse_command(message_of({Value::of("x")})).has_value());
  CHECK(parse_command(message_of({Value::of("x"), Value::null()}))->transaction == 0);
  CHECK_FALSE(parse_command(message_of({})).has_value());
  CHECK_FALSE(parse_command(message_of({Value::of(1.0)})).has_value());
}

TEST_CASE("command: real AMF3 is refused as unsupported") {
  Message message = message_of({Value::of("x")});
  message.type = MessageType::command_amf3;
  CHECK(parse_command(message).error().code == Code::unsupported);
}

TEST_CASE("stream name: the key is found where encoders put it") {
  CHECK(key_of("live", "abc") == "live|abc");
  CHECK(key_of("live/", "abc") == "live|abc");
  CHECK(key_of("live?x=1", "abc?token=1/2") == "live|abc");
  CHECK(key_of("live/abc", "") == "live|abc");
  CHECK(key_of("live/abc/", "?x") == "live|abc");
  CHECK(key_of("abc", "") == "|abc");
  CHECK(key_of("", "live/abc") == "live|abc");
  CHECK(key_of("", "abc") == "|abc");
  CHECK(key_of("live", "x/abc") == "live|abc");
}

TEST_CASE("stream name: no key, dots, blanks and control characters are refused") {
  for (const char* name : {"", "/", "?x", "..", ".", "a b", "a\nb", "a\"b", "a\\b", "\x7F", "é"})
    CHECK(key_of("live", name) == "error");
  CHECK(key_of("", "") == "error");
  CHECK(key_of("li\nve", "abc") == "error");
}

TEST_CASE("stream name: 256 bytes are taken, one more is refused") {
  CHECK(parse_stream_name("live", std::string(kNameBytesMax, 'k')).has_value());
  CHECK(parse_stream_name("live", std::string(kNameBytesMax + 1, 'k')).error().code == Code::limit);
  CHECK(parse_stream_name(std::string(kNameBytesMax + 1, 'a'), "k").error().code == Code::limit);
}
