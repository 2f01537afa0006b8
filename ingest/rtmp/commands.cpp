#include "ingest/rtmp/commands.h"

#include <algorithm>

namespace ribalta::rtmp {
namespace {

Message command_message(std::uint32_t stream, std::initializer_list<amf0::Value> values) {
  ByteWriter out;
  for (const amf0::Value& value : values) amf0::write(value, out);
  return {.type = MessageType::command, .stream = stream, .payload = out.take()};
}

Message control_message(MessageType type, ByteWriter payload) { return {.type = type, .payload = payload.take()}; }

std::optional<std::int64_t> bits_a_second(const amf0::Value& properties, std::string_view name) {
  const amf0::Value* kilobits = properties.find(name);
  if (kilobits == nullptr || kilobits->kind != amf0::Value::Kind::number) return std::nullopt;
  // Not a number compares as false.
  if (!(kilobits->number >= 1 && kilobits->number <= static_cast<double>(kAnnouncedMax) / 1000)) return std::nullopt;
  return static_cast<std::int64_t>(kilobits->number * 1000);
}

bool is_visible(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7F' && c != '"' && c != '\\'; });
}

}  // namespace

std::string_view Command::text_argument(std::size_t index) const {
  if (index >= arguments.size() || arguments[index].kind != amf0::Value::Kind::text) return {};
  return arguments[index].text;
}

std::optional<Announced> parse_metadata(ByteSpan payload) {
  amf0::Reader reader{payload};
  Result<amf0::Value> value = reader.next();
  if (value && value->kind == amf0::Value::Kind::text && value->text == "@setDataFrame") value = reader.next();
  if (!value || value->kind != amf0::Value::Kind::text || value->text != "onMetaData") return std::nullopt;
  const Result<amf0::Value> properties = reader.next();
  if (!properties) return std::nullopt;
  const Announced announced{bits_a_second(*properties, "videodatarate"), bits_a_second(*properties, "audiodatarate")};
  if (!announced.video && !announced.audio) return std::nullopt;
  return announced;
}

Result<Command> parse_command(const Message& message) {
  ByteSpan payload = message.payload;
  if (message.type == MessageType::command_amf3) {
    if (payload.empty() || payload.front() != std::byte{0}) return fail(Code::unsupported, "command in AMF3");
    payload = payload.subspan(1);
  }
  amf0::Reader reader{payload};
  Result<amf0::Value> name = reader.next();
  if (!name) return name.error().in("command");
  if (name->kind != amf0::Value::Kind::text) return fail(Code::malformed, "command: its name is no string");
  Command command{.name = std::move(name->text), .stream = message.stream};

  // Several clients leave out the transaction or the object; what is missing reads as 0 and undefined.
  for (std::size_t position = 0; !reader.done(); ++position) {
    Result<amf0::Value> value = reader.next();
    if (!value) return value.error().in("command");
    if (position == 0) {
      if (value->kind == amf0::Value::Kind::number) command.transaction = value->number;
    } else if (position == 1) {
      command.object = std::move(*value);
    } else {
      command.arguments.push_back(std::move(*value));
    }
  }
  return command;
}

Result<StreamName> parse_stream_name(std::string_view app, std::string_view name) {
  if (app.size() > kNameBytesMax) return fail(Code::limit, "app: bytes", app.size());
  if (name.size() > kNameBytesMax) return fail(Code::limit, "stream key: bytes", name.size());
  app = app.substr(0, app.find('?'));
  name = name.substr(0, name.find('?'));
  while (app.ends_with('/')) app.remove_suffix(1);
  while (name.ends_with('/')) name.remove_suffix(1);
  if (name.empty()) {
    const std::size_t slash = app.rfind('/');
    if (slash != std::string_view::npos) {
      name = app.substr(slash + 1);
      app = app.substr(0, slash);
    } else if (app != "live") {
      name = std::exchange(app, std::string_view{});
    }
  } else if (const std::size_t slash = name.rfind('/'); slash != std::string_view::npos) {
    if (app.empty()) app = name.substr(0, slash);
    name = name.substr(slash + 1);
  }
  if (name.empty()) return fail(Code::malformed, "no stream key was given");
  if (!is_visible(name) || name == "." || name == "..") return fail(Code::malformed, "stream key: characters");
  if (!is_visible(app)) return fail(Code::malformed, "app: characters");
  return StreamName{std::string{app}, std::string{name}};
}

Message make_result(double transaction, amf0::Value properties, amf0::Value information) {
  return command_message(
      0, {amf0::Value::of("_result"), amf0::Value::of(transaction), std::move(properties), std::move(information)});
}

Message make_error(double transaction, std::string_view code, std::string_view description) {
  return command_message(0, {amf0::Value::of("_error"), amf0::Value::of(transaction), amf0::Value::null(),
                             amf0::Value::object({{"level", amf0::Value::of("error")},
                                                  {"code", amf0::Value::of(code)},
                                                  {"description", amf0::Value::of(description)}})});
}

Message make_status(std::uint32_t stream, std::string_view level, std::string_view code, std::string_view description) {
  return command_message(stream, {amf0::Value::of("onStatus"), amf0::Value::of(0.0), amf0::Value::null(),
                                  amf0::Value::object({{"level", amf0::Value::of(level)},
                                                       {"code", amf0::Value::of(code)},
                                                       {"description", amf0::Value::of(description)}})});
}

Message make_set_chunk_size(std::uint32_t size) {
  ByteWriter out;
  out.be32(size);
  return control_message(MessageType::set_chunk_size, std::move(out));
}

Message make_acknowledgement(std::uint32_t sequence) {
  ByteWriter out;
  out.be32(sequence);
  return control_message(MessageType::acknowledgement, std::move(out));
}

Message make_window_size(std::uint32_t size) {
  ByteWriter out;
  out.be32(size);
  return control_message(MessageType::window_size, std::move(out));
}

Message make_peer_bandwidth(std::uint32_t size) {
  ByteWriter out;
  out.be32(size);
  out.u8(2);  // dynamic (§5.4.5)
  return control_message(MessageType::peer_bandwidth, std::move(out));
}

Message make_user_control(std::uint16_t event, std::uint32_t value) {
  ByteWriter out;
  out.be16(event);
  out.be32(value);
  return control_message(MessageType::user_control, std::move(out));
}

}  // namespace ribalta::rtmp
