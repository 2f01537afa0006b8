#include "ingest/rtmp/session.h"

#include <algorithm>
#include <cassert>

namespace ribalta::rtmp {
namespace {

/// What a client calls itself, for logs: visible characters and spaces, at most 64.
std::string clean(std::string_view text) {
  std::string out{text.substr(0, 64)};
  std::ranges::replace_if(out, [](char c) { return c < ' ' || c > '~' || c == '"'; }, '?');
  return out;
}

}  // namespace

Result<std::optional<Event>> Session::next(ByteSpan& bytes) {
  if (!handshake_done_) {
    const Result<bool> done = handshake_.feed(bytes, output_);
    if (!done) return done.error().in("handshake");
    handshake_done_ = *done;
    if (!handshake_done_) return std::nullopt;
  }
  while (true) {
    if (!waiting_.empty()) {
      Event event = std::move(waiting_.front());
      waiting_.pop_front();
      return event;
    }
    const std::size_t before = bytes.size();
    Result<std::optional<Message>> message = reader_.next(bytes);
    const std::size_t taken = before - bytes.size();
    bytes_in_ += taken;
    acknowledge();
    if (!message) return pass(message);
    if (state_ != State::publishing) {
      bytes_unauthorised_ += taken;
      if (bytes_unauthorised_ > kUnauthorisedBytesMax) {
        return fail(Code::limit, "before a key was accepted: bytes", bytes_unauthorised_);
      }
    }
    if (!*message) return std::nullopt;
    Happened happened = on_message(std::move(**message));
    if (!happened || *happened) return happened;
  }
}

void Session::acknowledge() {
  if (bytes_in_ - bytes_acknowledged_ < window_bytes_) return;
  bytes_acknowledged_ = bytes_in_;
  send(make_acknowledgement(static_cast<std::uint32_t>(bytes_in_)), kControlChunkStream);  // wraps at 2^32 (§5.4.3)
}

void Session::send(const Message& message, std::uint32_t chunk_stream) {
  writer_.write(message, chunk_stream, output_);
}

Session::Happened Session::on_message(Message message) {
  switch (message.type) {
    case MessageType::audio:
    case MessageType::video:
      return on_media(std::move(message));
    case MessageType::aggregate: {
      const Result<void> split = split_aggregate(message);
      if (!split) return pass(split);
      return std::nullopt;
    }
    case MessageType::command:
    case MessageType::command_amf3: {
      const Result<Command> command = parse_command(message);
      if (!command) return pass(command);
      return on_command(*command);
    }
    case MessageType::user_control:
      on_user_control(message);
      return std::nullopt;
    case MessageType::window_size:
      // What the client wants acknowledged (§5.4.4); 0 would never end.
      if (message.payload.size() == 4) window_bytes_ = std::max<std::uint32_t>(1, read_be32(message.payload));
      return std::nullopt;
    case MessageType::data:
      return on_data(message);
    // Shared objects and types that nobody knows are passed over (§7.1).
    default:
      return std::nullopt;
  }
}

Session::Happened Session::on_media(Message message) {
  if (state_ != State::publishing) return std::nullopt;
  const auto kind = message.type == MessageType::audio ? MediaMessage::Kind::audio : MediaMessage::Kind::video;
  return MediaMessage{kind, message.time_ms, std::move(message.payload)};
}

/// Of metadata only the bitrates are looked at: widths of 0 and 1000 frames a second are common, and what matters is
/// measured. No encoder sends any that is worth an end of its stream, so what is broken is passed over.
Session::Happened Session::on_data(const Message& message) const {
  if (state_ != State::publishing) return std::nullopt;
  const std::optional<Announced> announced = parse_metadata(message.payload);
  if (!announced) return std::nullopt;
  return *announced;
}

/// An aggregate message (§7.1.6): FLV tags one after the other, each with a back pointer that is often wrong. The first
/// tag's time is the message's.
Result<void> Session::split_aggregate(const Message& message) {
  if (state_ != State::publishing) return {};
  ByteReader reader{message.payload};
  std::optional<std::uint32_t> first;
  for (std::size_t tags = 0; !reader.done(); ++tags) {
    if (tags == kAggregateTagsMax) return fail(Code::limit, "aggregate: tags, more than", kAggregateTagsMax);
    const Result<ByteSpan> header = reader.take(11);
    if (!header) return header.error().in("aggregate");
    const std::uint8_t type = read_u8(*header);
    const std::uint32_t size = read_be24(header->subspan(1));
    const std::uint32_t time = read_be24(header->subspan(4)) | static_cast<std::uint32_t>(read_u8(header->subspan(7)))
                                                                   << 24;
    const Result<ByteSpan> body = reader.take(size);
    if (!body) return body.error().in("aggregate");
    const Result<void> back = reader.skip(std::min<std::size_t>(4, reader.left()));
    assert(back.has_value());
    if (!first) first = time;
    const std::int64_t time_ms = message.time_ms + static_cast<std::int32_t>(time - *first);
    if (type == static_cast<std::uint8_t>(MessageType::audio)) {
      waiting_.push_back(MediaMessage{MediaMessage::Kind::audio, time_ms, {body->begin(), body->end()}});
    } else if (type == static_cast<std::uint8_t>(MessageType::video)) {
      waiting_.push_back(MediaMessage{MediaMessage::Kind::video, time_ms, {body->begin(), body->end()}});
    }
  }
  return {};
}

void Session::on_user_control(const Message& message) {
  if (message.payload.size() < 6) return;
  const ByteSpan payload = message.payload;
  if (read_be16(payload) == kPingRequest) {
    send(make_user_control(kPingResponse, read_be32(payload.subspan(2))), kControlChunkStream);
  }
}

Session::Happened Session::on_command(const Command& command) {
  const std::string& name = command.name;
  const auto done = [](const Result<void>& result) -> Happened {
    if (!result) return pass(result);
    return std::nullopt;
  };
  if (name == "connect") return done(on_connect(command));
  if (state_ == State::fresh) return fail(Code::malformed, "a command came before connect");
  if (name == "createStream") return done(on_create_stream(command));
  if (name == "publish") return on_publish(command);
  if (name == "FCUnpublish" || name == "deleteStream" || name == "closeStream") return on_unpublish();
  if (name == "releaseStream" || name == "FCPublish" || name == "_checkbw") {
    send(make_result(command.transaction, amf0::Value::null(), amf0::Value{}), kCommandChunkStream);
    return std::nullopt;
  }
  if (name == "play" || name == "play2") {
    send(make_status(command.stream, "error", "NetStream.Play.StreamNotFound",
                     "This address takes streams; watch them on the site."),
         kStatusChunkStream);
    return fail(Code::unsupported, "the client wants to play: only publishing is offered here");
  }
  // Answers and notices need no answer; a call does (§7.2.1.2), or some clients wait for it.
  if (command.transaction > 0 && name != "_result" && name != "_error" && name != "onStatus") {
    send(make_error(command.transaction, "NetConnection.Call.Failed", "This call is not offered here."),
         kCommandChunkStream);
  }
  return std::nullopt;
}

Result<void> Session::on_connect(const Command& command) {
  if (state_ == State::fresh) {
    send(make_window_size(kWindowBytes), kControlChunkStream);
    send(make_peer_bandwidth(kWindowBytes), kControlChunkStream);
    send(make_set_chunk_size(kChunkBytesSent), kControlChunkStream);
    writer_.set_chunk_bytes(kChunkBytesSent);
    state_ = State::connected;
  }
  const std::string_view app = command.object.text_of("app");
  if (app.size() > kNameBytesMax) return fail(Code::limit, "connect: app: bytes", app.size());
  app_ = app;
  client_ = clean(command.object.text_of("flashVer"));
  const amf0::Value properties = amf0::Value::object({{"fmsVer", amf0::Value::of("FMS/3,0,1,123")},
                                                      {"capabilities", amf0::Value::of(31.0)},
                                                      {"mode", amf0::Value::of(1.0)}});
  const amf0::Value information = amf0::Value::object({{"level", amf0::Value::of("status")},
                                                       {"code", amf0::Value::of("NetConnection.Connect.Success")},
                                                       {"description", amf0::Value::of("Connection succeeded.")},
                                                       {"objectEncoding", amf0::Value::of(0.0)}});
  send(make_result(command.transaction, properties, information), kCommandChunkStream);
  return {};
}

Result<void> Session::on_create_stream(const Command& command) {
  if (streams_created_ == kMessageStreamsMax)
    return fail(Code::limit, "message streams: more than", kMessageStreamsMax);
  ++streams_created_;
  send(make_result(command.transaction, amf0::Value::null(), amf0::Value::of(static_cast<double>(streams_created_))),
       kCommandChunkStream);
  return {};
}

Session::Happened Session::on_publish(const Command& command) {
  if (state_ == State::publishing) {
    send(make_status(command.stream, "error", "NetStream.Publish.BadName", "One connection carries one stream."),
         kStatusChunkStream);
    return fail(Code::limit, "a second publish on the same connection");
  }
  publish_stream_ = command.stream;
  Result<StreamName> name = parse_stream_name(app_, command.text_argument(0));
  if (!name) {
    refuse_publish("NetStream.Publish.BadName", "The stream key is missing or has characters that no key has.");
    return name.error().in("publish");
  }
  state_ = State::asked;
  return PublishRequest{std::move(*name), client_};
}

Session::Happened Session::on_unpublish() {
  if (state_ != State::publishing) return std::nullopt;
  state_ = State::connected;
  reader_.set_authorised(false);
  bytes_unauthorised_ = 0;
  send(make_status(publish_stream_, "status", "NetStream.Unpublish.Success", "The stream was stopped."),
       kStatusChunkStream);
  return PublishEnded{};
}

void Session::accept_publish() {
  assert(state_ == State::asked);
  state_ = State::publishing;
  reader_.set_authorised(true);
  send(make_user_control(kStreamBegin, publish_stream_), kControlChunkStream);
  send(make_status(publish_stream_, "status", "NetStream.Publish.Start", "The stream is being received."),
       kStatusChunkStream);
}

void Session::refuse_publish(std::string_view code, std::string_view sentence) {
  state_ = State::refused;
  send(make_status(publish_stream_, "error", code, sentence), kStatusChunkStream);
}

void Session::end_publish(std::string_view code, std::string_view sentence) { refuse_publish(code, sentence); }

}  // namespace ribalta::rtmp
