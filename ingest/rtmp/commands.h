// RTMP's commands (RTMP 1.0 §7.2) as values: what clients ask, read from AMF0 once, and what we answer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/result.h"
#include "ingest/rtmp/amf0.h"
#include "ingest/rtmp/chunk_reader.h"

namespace ribalta::rtmp {

/// One command as it came: its name, its transaction and what follows.
struct Command {
  std::string name;
  double transaction = 0;
  amf0::Value object;  ///< command object: null or absent for most
  std::vector<amf0::Value> arguments;
  std::uint32_t stream = 0;  ///< message stream it was sent on

  [[nodiscard]] std::string_view text_argument(std::size_t index) const;
};

/// Reads a message of type 20 or 17 (AMF3's envelope: a zero byte, then AMF0).
/// @error malformed: no name, or AMF0 that is broken before the arguments that we need; limit; unsupported: real AMF3.
Result<Command> parse_command(const Message& message);

/// What onMetaData says of the bitrates, in bits a second; nothing where it says none, or one that cannot be.
struct Announced {
  std::optional<std::int64_t> video;
  std::optional<std::int64_t> audio;
};

/// Reads a message of type 18: `onMetaData`, with `@setDataFrame` before it or without, and videodatarate and
/// audiodatarate in it (kbit/s; Adobe Flash Video File Format 10.1, Annex E.5).
/// @return nothing where it is something else, is broken, or says no bitrate that may be (up to kAnnouncedMax).
std::optional<Announced> parse_metadata(ByteSpan payload);

/// What a publisher asked for, cleaned: no query string, no slash, no character that could hurt a log or a path.
struct StreamName {
  std::string app;
  std::string key;  ///< secret: never logged
};

/// Finds the stream key where encoders really put it: in the publish name, behind a slash in it, or as the last part of
/// the app, when somebody pasted the whole address into the server field. Query strings are dropped.
/// @error malformed: no key, or characters outside visible ASCII; limit: over kNameBytesMax.
Result<StreamName> parse_stream_name(std::string_view app, std::string_view name);

Message make_result(double transaction, amf0::Value properties, amf0::Value information);
Message make_error(double transaction, std::string_view code, std::string_view description);
/// onStatus (§7.2.2): `level` is `status` or `error`, `code` like NetStream.Publish.Start.
Message make_status(std::uint32_t stream, std::string_view level, std::string_view code, std::string_view description);
Message make_set_chunk_size(std::uint32_t size);
Message make_acknowledgement(std::uint32_t sequence);
Message make_window_size(std::uint32_t size);
Message make_peer_bandwidth(std::uint32_t size);
Message make_user_control(std::uint16_t event, std::uint32_t value);

/// User control events (§7.1.7).
inline constexpr std::uint16_t kStreamBegin = 0;
inline constexpr std::uint16_t kPingRequest = 6;
inline constexpr std::uint16_t kPingResponse = 7;

}  // namespace ribalta::rtmp
