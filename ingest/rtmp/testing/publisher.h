// The other side of a conversation, for tests: what an encoder says, as bytes, and what it hears.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ingest/rtmp/chunk_writer.h"
#include "ingest/rtmp/commands.h"
#include "ingest/rtmp/handshake.h"

namespace ribalta::rtmp::testing {

class Publisher {
 public:
  /// C0, C1 (simple) and C2.
  static Bytes handshake() {
    Bytes bytes(1 + 2 * kHandshakeBytes);
    bytes[0] = std::byte{3};
    return bytes;
  }
  Bytes set_chunk_size(std::uint32_t size) {
    Bytes out = control(MessageType::set_chunk_size, make_set_chunk_size(size).payload);
    writer_.set_chunk_bytes(size);
    return out;
  }
  Bytes connect(std::string_view app) {
    return command(0, "connect", next_transaction(),
                   {amf0::Value::object({{"app", amf0::Value::of(app)}, {"flashVer", amf0::Value::of("test")}})});
  }
  Bytes call(std::string_view name, std::vector<amf0::Value> arguments) {
    arguments.insert(arguments.begin(), amf0::Value::null());
    return command(0, name, next_transaction(), arguments);
  }
  Bytes notice(std::string_view name) { return command(0, name, 0, {amf0::Value::null()}); }
  Bytes publish(std::string_view name) {
    return command(1, "publish", next_transaction(),
                   {amf0::Value::null(), amf0::Value::of(name), amf0::Value::of("live")});
  }
  Bytes media(MessageType type, std::int64_t time_ms, Bytes payload) {
    Bytes out;
    writer_.write({type, 1, time_ms, std::move(payload)}, type == MessageType::audio ? 4 : 6, out);
    return out;
  }
  Bytes metadata(const std::vector<amf0::Value>& values) {
    ByteWriter payload;
    for (const amf0::Value& value : values) amf0::write(value, payload);
    Bytes out;
    writer_.write({MessageType::data, 1, 0, payload.take()}, 4, out);
    return out;
  }
  Bytes control(MessageType type, Bytes payload) {
    Bytes out;
    writer_.write({type, 0, 0, std::move(payload)}, kControlChunkStream, out);
    return out;
  }

  /// Reads what the server sent (its handshake first); commands are returned, the rest is counted.
  std::vector<Command> hear(ByteSpan bytes) {
    std::vector<Command> commands;
    const std::size_t skipped = std::min(bytes.size(), handshake_left_);
    handshake_left_ -= skipped;
    bytes = bytes.subspan(skipped);
    while (true) {
      auto message = reader_.next(bytes);
      if (!message || !*message) return commands;
      if ((*message)->type == MessageType::command) commands.push_back(parse_command(**message).value());
      if ((*message)->type == MessageType::acknowledgement) ++acknowledgements;
      if ((*message)->type == MessageType::user_control && read_be16((*message)->payload) == kPingResponse) {
        pong = read_be32(ByteSpan{(*message)->payload}.subspan(2));
      }
    }
  }

  int acknowledgements = 0;
  std::optional<std::uint32_t> pong;

 private:
  double next_transaction() { return ++transaction_; }
  Bytes command(std::uint32_t stream, std::string_view name, double transaction,
                const std::vector<amf0::Value>& values) {
    ByteWriter payload;
    amf0::write(amf0::Value::of(name), payload);
    amf0::write(amf0::Value::of(transaction), payload);
    for (const amf0::Value& value : values) amf0::write(value, payload);
    Bytes out;
    writer_.write({MessageType::command, stream, 0, payload.take()}, 3, out);
    return out;
  }

  ChunkWriter writer_;
  ChunkReader reader_;
  std::size_t handshake_left_ = 1 + 2 * kHandshakeBytes;
  double transaction_ = 0;
};

}  // namespace ribalta::rtmp::testing
