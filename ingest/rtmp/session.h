// One publisher's connection as a state machine: bytes in, events and bytes out. No socket and no clock, so that a test
// plays a whole conversation in a microsecond. See rtmp.h for the story.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <variant>

#include "core/bytes.h"
#include "core/result.h"
#include "ingest/rtmp/chunk_reader.h"
#include "ingest/rtmp/chunk_writer.h"
#include "ingest/rtmp/commands.h"
#include "ingest/rtmp/handshake.h"

namespace ribalta::rtmp {

/// `publish` has come: answer it with accept_publish or refuse_publish before the next call of next().
struct PublishRequest {
  StreamName name;
  std::string client;  ///< flashVer, cleaned: what the encoder calls itself
};
struct MediaMessage {
  enum class Kind : std::uint8_t { audio, video };
  Kind kind{};
  std::int64_t time_ms = 0;
  Bytes payload;  ///< an FLV tag's body
};
/// The publisher said that it is over (FCUnpublish, closeStream, deleteStream). It may publish again.
struct PublishEnded {};
using Event = std::variant<PublishRequest, MediaMessage, Announced, PublishEnded>;

class Session {
 public:
  explicit Session(const HandshakeBlock& random) : handshake_(random) {}

  /// Takes bytes from the front of `bytes` until something happens or they are used up. Answers gather in `output`.
  /// @error what the publisher did wrong; what is in `output` may tell it, so send that and close.
  Result<std::optional<Event>> next(ByteSpan& bytes);

  void accept_publish();
  /// Tells the publisher in words; the connection is closed after that.
  /// @param code  NetStream.Publish.BadName (wrong or busy key) or NetStream.Publish.Denied.
  void refuse_publish(std::string_view code, std::string_view sentence);
  /// An error while publishing (the stream was ended, an unknown codec): told in words, then the connection is closed.
  void end_publish(std::string_view code, std::string_view sentence);

  /// What is to be sent, taken.
  Bytes take_output() { return std::exchange(output_, {}); }
  [[nodiscard]] bool handshake_done() const { return handshake_done_; }
  [[nodiscard]] bool publishing() const { return state_ == State::publishing; }
  [[nodiscard]] std::uint64_t bytes_in() const { return bytes_in_; }

 private:
  enum class State { fresh, connected, asked, publishing, refused };
  using Happened = Result<std::optional<Event>>;

  Happened on_message(Message message);
  Happened on_media(Message message);
  Happened on_data(const Message& message) const;
  Result<void> split_aggregate(const Message& message);
  void on_user_control(const Message& message);
  Happened on_command(const Command& command);
  Happened on_publish(const Command& command);
  Happened on_unpublish();
  Result<void> on_connect(const Command& command);
  Result<void> on_create_stream(const Command& command);
  void send(const Message& message, std::uint32_t chunk_stream);
  void acknowledge();

  Handshake handshake_;
  bool handshake_done_ = false;
  ChunkReader reader_;
  ChunkWriter writer_;
  Bytes output_;
  std::deque<Event> waiting_;  ///< the rest of an aggregate message: at most kAggregateTagsMax
  State state_ = State::fresh;
  std::string app_;
  std::string client_;
  std::uint32_t streams_created_ = 0;
  std::uint32_t publish_stream_ = 0;
  std::uint64_t bytes_in_ = 0;            ///< after the handshake
  std::uint64_t bytes_unauthorised_ = 0;  ///< of those, before a key was accepted
  std::uint64_t bytes_acknowledged_ = 0;
  std::uint32_t window_bytes_ = kWindowBytes;
};

}  // namespace ribalta::rtmp
