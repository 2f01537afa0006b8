// Chunks to messages (RTMP 1.0 §5.3). Bytes go in as they come from the socket, in pieces of any size; whole messages
// come out. Set Chunk Size and Abort are obeyed here and not handed on, since they are about chunks.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "core/bytes.h"
#include "core/result.h"
#include "ingest/rtmp/limits.h"

namespace ribalta::rtmp {

/// Message types (RTMP 1.0 §5.4, §7.1).
enum class MessageType : std::uint8_t {
  set_chunk_size = 1,
  abort = 2,
  acknowledgement = 3,
  user_control = 4,
  window_size = 5,
  peer_bandwidth = 6,
  audio = 8,
  video = 9,
  data_amf3 = 15,
  shared_object_amf3 = 16,
  command_amf3 = 17,
  data = 18,
  shared_object = 19,
  command = 20,
  aggregate = 22,
};

struct Message {
  MessageType type{};
  std::uint32_t stream = 0;  ///< message stream id: 0 for the connection, then what createStream answered
  /// Milliseconds on the publisher's clock, its 32 bits carried on past their wrap (49.7 days).
  std::int64_t time_ms = 0;
  Bytes payload;
};

class ChunkReader {
 public:
  /// Takes bytes from the front of `bytes` until a message is whole or they are used up.
  /// @return the message, or nothing when more bytes are needed.
  /// @error malformed: broken chunk headers; limit: a message longer than its kind may be, a time beyond kTimeMsMax,
  /// too many chunk streams, or too many bytes in unfinished messages. After an error the reader is of no more use.
  Result<std::optional<Message>> next(ByteSpan& bytes);

  /// Audio and video messages are held to the limit of commands until the key is accepted.
  void set_authorised(bool authorised) { authorised_ = authorised; }
  /// Bytes held in unfinished messages, as allocated.
  [[nodiscard]] std::size_t bytes_held() const;

 private:
  struct ChunkStream {
    std::uint32_t id = 0;
    std::uint32_t length = 0;
    MessageType type{};
    std::uint32_t stream = 0;
    std::int64_t time_ms = 0;               ///< of the newest message
    std::int64_t delta_ms = 0;              ///< what a type 3 header that begins a message adds
    std::optional<std::uint32_t> extended;  ///< the extended field of the newest full header, if it had one
    bool busy = false;                      ///< a message is half here
    Bytes payload;
  };
  enum class State { basic, header, extended, extended_again, payload };

  Result<std::optional<Message>> run(ByteSpan& in);
  void begin_basic();
  Result<void> read_basic(std::byte byte);
  Result<void> select_stream(std::uint32_t id);
  Result<void> read_header();
  void read_time(std::uint32_t field, bool is_extended);
  void read_extended_again(ByteSpan& in);
  Result<void> check_message(const ChunkStream& stream) const;
  void begin_payload();
  Result<std::size_t> append(ByteSpan bytes);
  Result<std::optional<Message>> end_message();
  Result<bool> obey(const Message& message);
  [[nodiscard]] std::int64_t unwrap(std::uint32_t time) const;
  void follow_clock(std::int64_t time_ms);

  State state_ = State::basic;
  std::array<std::byte, 12> header_{};
  std::size_t header_have_ = 0;
  std::size_t header_want_ = 1;
  std::uint8_t format_ = 0;
  std::size_t current_ = 0;       ///< index into streams_
  std::uint32_t chunk_left_ = 0;  ///< payload bytes until the next chunk header
  std::uint32_t chunk_bytes_ = kChunkBytesDefault;
  std::vector<ChunkStream> streams_;
  Bytes replay_;                   ///< at most 3 bytes that were taken for an extended timestamp and are not
  std::size_t bytes_pending_ = 0;  ///< payload bytes of unfinished messages
  std::optional<std::int64_t> media_time_ms_;    ///< of the newest media message that the clock was believed of
  std::optional<std::int64_t> suspect_time_ms_;  ///< of one far from it
  bool authorised_ = false;
};

/// Reads the payload of a Set Chunk Size message (RTMP 1.0 §5.4.1).
/// @param payload  4 bytes, big endian; the top bit is 0.
/// @return the publisher's new chunk size in bytes, 1..kChunkBytesMax.
/// @error malformed: another length, the top bit set, or a size of 0 (no message could ever end).
Result<std::uint32_t> parse_set_chunk_size(ByteSpan payload);

/// A 32-bit clock carried on: the 64-bit time nearest to `last` whose low 32 bits are `time`.
std::int64_t unwrap_time(std::int64_t last, std::uint32_t time);

}  // namespace ribalta::rtmp
