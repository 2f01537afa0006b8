// What parent and child say to each other: messages over a pipe, each a header of 8 bytes and a payload. The child has
// seen a stranger's bytes, so the parent takes nothing of it on trust: sizes are checked before their bytes come.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/bytes.h"
#include "core/result.h"

namespace ribalta::transcode {

enum class MessageKind : std::uint8_t {
  // Parent to child.
  request = 1,  ///< JSON, first and once
  media = 2,    ///< live: bytes of a source track as they came (track 0 video, 1 audio)
  end = 3,      ///< live: no more media
  // Child to parent.
  report = 16,    ///< JSON: what the source is, and the plan
  init = 17,      ///< ftyp moov of a track
  chunk = 18,     ///< moof mdat of a track
  poster = 19,    ///< JPEG
  progress = 20,  ///< be32: parts of a million
  summary = 21,   ///< JSON; the last message of work that went well
  refusal = 22,   ///< JSON; the last message of work that did not
  note = 23,      ///< a sentence for the log
};

struct Message {
  MessageKind kind = MessageKind::note;
  std::uint8_t track = 0;
  Bytes payload;
};

/// Two seconds of the largest rung take some megabytes.
inline constexpr std::size_t kMessageBytesMax = 32 * 1024 * 1024;
inline constexpr std::size_t kTextBytesMax = 64 * 1024;  ///< JSON and notes
inline constexpr std::size_t kPosterBytesMax = 4 * 1024 * 1024;
inline constexpr std::size_t kMessageHeaderBytes = 8;
/// Tracks that a ladder can have: rungs and sound.
inline constexpr std::uint8_t kTracksNumberedMax = 16;

/// The most that a message of that kind may carry; nothing for a kind that does not exist.
std::optional<std::size_t> payload_bytes_max(std::uint8_t kind);

/// Header: payload length (be32), kind, track, two zeros.
Bytes message_header(MessageKind kind, std::uint8_t track, std::size_t payload_bytes);

/// Cuts a byte stream into messages, in any cut. @error malformed, limit; every later call gives the same error.
class MessageReader {
 public:
  void feed(ByteSpan bytes);
  Result<std::optional<Message>> next();
  /// Bytes that belong to no whole message: 0 at a clean end.
  [[nodiscard]] std::size_t pending() const { return buffer_.size() - position_; }

 private:
  Bytes buffer_;
  std::size_t position_ = 0;
  std::optional<Error> error_;
};

/// Blocking: the whole message. @error closed: nobody reads any more.
Result<void> write_message(int descriptor, MessageKind kind, std::uint8_t track, ByteSpan payload);
/// Blocking: the next message, or nothing at a clean end.
Result<std::optional<Message>> read_message(int descriptor, MessageReader& reader);

}  // namespace ribalta::transcode
