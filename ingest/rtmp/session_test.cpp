#include "ingest/rtmp/session.h"

#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <limits>

#include "ingest/rtmp/flv.h"
#include "ingest/rtmp/testing/publisher.h"

using namespace ribalta;
using namespace ribalta::rtmp;
using amf0::Value;

namespace {

/// A session and the publisher that talks to it, in one process.
struct Conversation {
  Session session{HandshakeBlock{}};
  testing::Publisher publisher;

  Result<std::optional<Event>> say(ByteSpan bytes) { return session.next(bytes); }
  Result<std::optional<Event>> say(const Bytes& bytes) { return say(ByteSpan{bytes}); }
  /// Codes and names of what the session answered since the last call.
  std::vector<Command> heard() { return publisher.hear(session.take_output()); }

  void connect() {
    REQUIRE(say(publisher.handshake()).has_value());
    REQUIRE(say(publisher.connect("live")).has_value());
    REQUIRE(say(publisher.call("createStream", {})).has_value());
    heard();
  }
  void publish() {
    connect();
    const auto asked = say(publisher.publish("key"));
    REQUIRE(asked.has_value());
    REQUIRE(asked->has_value());
    session.accept_publish();
    heard();
  }
};

bool nothing(const Result<std::optional<Event>>& said) { return said.has_value() && !said->has_value(); }

std::string code_of(const Command& command) {
  for (const Value& value : command.arguments) {
    if (!value.text_of("code").empty()) return std::string{value.text_of("code")};
  }
  return {};
}

}  // namespace

TEST_CASE("session: OBS's order reaches publish, with an answer to each call") {
  Conversation talk;
  CHECK(nothing(talk.say(talk.publisher.handshake())));
  CHECK(talk.session.handshake_done());
  CHECK(talk.say(talk.publisher.set_chunk_size(4096)).has_value());
  CHECK(talk.say(talk.publisher.connect("live")).has_value());
  std::vector<Command> heard = talk.heard();
  REQUIRE(heard.size() == 1);
  CHECK(heard[0].name == "_result");
  CHECK(code_of(heard[0]) == "NetConnection.Connect.Success");
  // releaseStream, FCPublish and createStream come in one segment.
  Bytes together = talk.publisher.call("releaseStream", {Value::of("key")});
  for (const Bytes& more :
       {talk.publisher.call("FCPublish", {Value::of("key")}), talk.publisher.call("createStream", {})}) {
    together.insert(together.end(), more.begin(), more.end());
  }
  CHECK(talk.say(together).has_value());
  heard = talk.heard();
  REQUIRE(heard.size() == 3);
  CHECK(heard[2].arguments.at(0).number == 1.0);
  const auto asked = talk.say(talk.publisher.publish("key?token=1"));
  REQUIRE(asked.has_value());
  REQUIRE(asked->has_value());
  const auto* request = std::get_if<PublishRequest>(&**asked);
  REQUIRE(request != nullptr);
  CHECK(request->name.app == "live");
  CHECK(request->name.key == "key");
  CHECK(request->client == "test");
  talk.session.accept_publish();
  heard = talk.heard();
  REQUIRE(heard.size() == 1);
  CHECK(code_of(heard[0]) == "NetStream.Publish.Start");
  CHECK(heard[0].stream == 1);
}

TEST_CASE("session: media after publish are events; before it they are passed over") {
  Conversation talk;
  talk.connect();
  CHECK(nothing(talk.say(talk.publisher.media(MessageType::video, 0, Bytes(10)))));
  Conversation other;
  other.publish();
  const auto event = other.say(other.publisher.media(MessageType::audio, 40, Bytes(3)));
  REQUIRE(event.has_value());
  REQUIRE(event->has_value());
  const auto& media = std::get<MediaMessage>(**event);
  CHECK(media.kind == MediaMessage::Kind::audio);
  CHECK(media.time_ms == 40);
  CHECK(media.payload.size() == 3);
}

TEST_CASE("session: bytes glued behind publish wait until it was answered") {
  Conversation talk;
  talk.connect();
  Bytes together = talk.publisher.publish("key");
  const Bytes media = talk.publisher.media(MessageType::video, 0, Bytes(5));
  together.insert(together.end(), media.begin(), media.end());
  ByteSpan bytes = together;
  const auto asked = talk.session.next(bytes);
  REQUIRE(asked.has_value());
  CHECK(asked->has_value());
  CHECK(bytes.size() == media.size());
  talk.session.accept_publish();
  const auto first = talk.session.next(bytes);
  REQUIRE(first.has_value());
  CHECK(std::holds_alternative<MediaMessage>(**first));
}

TEST_CASE("session: a refusal is an onStatus error with a sentence on the publisher's stream") {
  Conversation talk;
  talk.connect();
  REQUIRE(talk.say(talk.publisher.publish("key")).has_value());
  talk.session.refuse_publish("NetStream.Publish.BadName", "The stream key is wrong.");
  const std::vector<Command> heard = talk.heard();
  REQUIRE(heard.size() == 1);
  CHECK(heard[0].name == "onStatus");
  CHECK(heard[0].arguments.at(0).text_of("level") == "error");
  CHECK(heard[0].arguments.at(0).text_of("description") == "The stream key is wrong.");
  CHECK(nothing(talk.say(talk.publisher.media(MessageType::video, 0, Bytes(5)))));
}

TEST_CASE("session: FCUnpublish ends a publish, deleteStream after it changes nothing, and it may publish again") {
  Conversation talk;
  talk.publish();
  const auto ended = talk.say(talk.publisher.call("FCUnpublish", {Value::of("key")}));
  REQUIRE(ended.has_value());
  REQUIRE(ended->has_value());
  CHECK(std::holds_alternative<PublishEnded>(**ended));
  CHECK_FALSE(talk.session.publishing());
  CHECK(nothing(talk.say(talk.publisher.call("deleteStream", {Value::of(1.0)}))));
  const auto again = talk.say(talk.publisher.publish("key"));
  REQUIRE(again.has_value());
  CHECK(std::holds_alternative<PublishRequest>(**again));
}

TEST_CASE("session: play is refused with a status and an error") {
  Conversation talk;
  talk.connect();
  CHECK_FALSE(talk.say(talk.publisher.call("play", {Value::of("key")})).has_value());
  const std::vector<Command> heard = talk.heard();
  REQUIRE(heard.size() == 1);
  CHECK(code_of(heard[0]) == "NetStream.Play.StreamNotFound");
}

TEST_CASE("session: a call that nobody knows is answered with _error, a notice is not") {
  Conversation talk;
  talk.connect();
  CHECK(talk.say(talk.publisher.call("doSomething", {})).has_value());
  CHECK(talk.heard().at(0).name == "_error");
  CHECK(talk.say(talk.publisher.notice("onSomething")).has_value());
  CHECK(talk.heard().empty());
}

TEST_CASE("session: commands before connect, and a second publish, end the connection") {
  Conversation talk;
  REQUIRE(talk.say(talk.publisher.handshake()).has_value());
  CHECK_FALSE(talk.say(talk.publisher.call("createStream", {})).has_value());
  Conversation twice;
  twice.publish();
  CHECK_FALSE(twice.say(twice.publisher.publish("other")).has_value());
  CHECK(code_of(twice.heard().at(0)) == "NetStream.Publish.BadName");
}

TEST_CASE("session: connect may come twice, and publish without createStream") {
  Conversation talk;
  REQUIRE(talk.say(talk.publisher.handshake()).has_value());
  REQUIRE(talk.say(talk.publisher.connect("a")).has_value());
  REQUIRE(talk.say(talk.publisher.connect("live")).has_value());
  const auto asked = talk.say(talk.publisher.publish("key"));
  REQUIRE(asked.has_value());
  CHECK(std::get<PublishRequest>(**asked).name.app == "live");
}

TEST_CASE("session: a key that cannot be one is refused in words") {
  Conversation talk;
  talk.connect();
  CHECK_FALSE(talk.say(talk.publisher.publish("..")).has_value());
  CHECK(code_of(talk.heard().at(0)) == "NetStream.Publish.BadName");
}

TEST_CASE("session: 8 message streams are created, the next ends the connection") {
  Conversation talk;
  talk.connect();
  for (std::uint32_t i = 1; i < kMessageStreamsMax; ++i)
    REQUIRE(talk.say(talk.publisher.call("createStream", {})).has_value());
  CHECK(talk.say(talk.publisher.call("createStream", {})).error().code == Code::limit);
}

TEST_CASE("session: 64 KB before a key is accepted end the connection") {
  Conversation talk;
  talk.connect();
  std::optional<Error> error;
  std::size_t sent = 0;
  while (!error && sent < 2 * kUnauthorisedBytesMax) {
    const Bytes notice = talk.publisher.notice(std::string(1000, 'x'));
    const auto said = talk.say(notice);
    if (!said) error = said.error();
    sent += notice.size();
  }
  REQUIRE(error.has_value());
  CHECK(error->code == Code::limit);
  CHECK(sent <= kUnauthorisedBytesMax + 1100);
}

TEST_CASE("session: received bytes are acknowledged by the window, and pings are answered") {
  Conversation talk;
  talk.publish();
  ByteWriter window;
  window.be32(1000);
  REQUIRE(talk.say(talk.publisher.control(MessageType::window_size, window.take())).has_value());
  talk.publisher.acknowledgements = 0;
  for (std::uint32_t i = 0; i < 10; ++i)
    REQUIRE(talk.say(talk.publisher.media(MessageType::video, i, Bytes(300))).has_value());
  talk.heard();
  CHECK(talk.publisher.acknowledgements == 2);  // 314 bytes each: after the fourth and the eighth
  ByteWriter ping;
  ping.be16(kPingRequest);
  ping.be32(77);
  REQUIRE(talk.say(talk.publisher.control(MessageType::user_control, ping.take())).has_value());
  talk.heard();
  CHECK(talk.publisher.pong == 77);
}

TEST_CASE("session: an aggregate message is its tags, the first at the message's time") {
  Conversation talk;
  talk.publish();
  ByteWriter body;
  for (const std::uint32_t time : {1000U, 1040U}) {
    body.u8(time == 1000 ? 9 : 8);
    body.be24(2);
    body.be24(time);
    body.be32(0);
    body.be16(0xABCD);
    body.be32(99);  // a wrong back pointer
  }
  const Bytes aggregate = talk.publisher.media(MessageType::aggregate, 500, body.take());
  ByteSpan bytes = aggregate;
  const auto video = talk.session.next(bytes);
  const auto audio = talk.session.next(bytes);
  REQUIRE(video.has_value());
  REQUIRE(audio.has_value());
  CHECK(std::get<MediaMessage>(**video).time_ms == 500);
  CHECK(std::get<MediaMessage>(**audio).time_ms == 540);
  CHECK(std::get<MediaMessage>(**audio).kind == MediaMessage::Kind::audio);
}

TEST_CASE("session: aggregates of 128 tags are split, of one more refused, and cut ones too") {
  const auto aggregate = [](std::size_t tags, std::size_t cut) {
    Conversation talk;
    talk.publish();
    ByteWriter body;
    for (std::size_t i = 0; i < tags; ++i) body.bytes(from_hex("08 000001 000000 00 000000 aa 0000000c").value());
    Bytes bytes = body.take();
    bytes.resize(bytes.size() - cut);
    return talk.say(talk.publisher.media(MessageType::aggregate, 0, std::move(bytes)));
  };
  CHECK(aggregate(kAggregateTagsMax, 0).has_value());
  CHECK(aggregate(kAggregateTagsMax + 1, 0).error().code == Code::limit);
  CHECK(aggregate(1, 4).has_value());
  CHECK(aggregate(1, 5).error().code == Code::malformed);
}

TEST_CASE("session: fed byte by byte, a whole conversation gives the same answers") {
  testing::Publisher publisher;
  Bytes all;
  for (const Bytes& part : {publisher.handshake(), publisher.connect("live"), publisher.call("createStream", {}),
                            publisher.publish("key")}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  Session whole{HandshakeBlock{}};
  Session dripped{HandshakeBlock{}};
  ByteSpan bytes = all;
  REQUIRE(whole.next(bytes)->has_value());
  bool asked = false;
  for (std::size_t i = 0; i < all.size(); ++i) {
    ByteSpan one = ByteSpan{all}.subspan(i, 1);
    const auto event = dripped.next(one);
    REQUIRE(event.has_value());
    asked = asked || event->has_value();
  }
  CHECK(asked);
  CHECK(whole.take_output() == dripped.take_output());
}

TEST_CASE(
    "session: what OBS, FFmpeg and GStreamer's two sinks said when they were recorded reaches their first frames") {
  for (const char* name : {"obs-29", "ffmpeg-5.1", "gstreamer-1.22-rtmp2sink", "gstreamer-1.22-rtmpsink"}) {
    std::ifstream file{std::string{RIBALTA_RTMP_CORPUS} + "/" + name, std::ios::binary};
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    REQUIRE_MESSAGE(text.size() > 1000, name);
    Session session{HandshakeBlock{}};
    const Bytes handshake = testing::Publisher::handshake();
    ByteSpan greeting = handshake;
    REQUIRE(session.next(greeting).has_value());
    ByteSpan bytes = as_bytes(text).subspan(1);  // the first byte seeds the fuzzer
    std::string key;
    int video_headers = 0;
    int audio_headers = 0;
    int key_frames = 0;
    while (true) {
      const auto event = session.next(bytes);
      REQUIRE_MESSAGE(event.has_value(), name << ": " << event.error().message);
      if (!*event) break;
      if (const auto* request = std::get_if<PublishRequest>(&**event)) {
        key = request->name.key;
        session.accept_publish();
      }
      const auto* media = std::get_if<MediaMessage>(&**event);
      if (media == nullptr) continue;
      if (media->kind == MediaMessage::Kind::audio) {
        const auto tag = parse_audio_tag(media->payload);
        REQUIRE(tag.has_value());
        if (tag->kind == AudioTag::Kind::header) ++audio_headers;
      } else {
        const auto tag = parse_video_tag(media->payload);
        REQUIRE(tag.has_value());
        if (tag->kind == VideoTag::Kind::header) ++video_headers;
        if (tag->kind == VideoTag::Kind::frame && tag->key) ++key_frames;
      }
    }
    CHECK_MESSAGE(key == "good", name);
    CHECK_MESSAGE(video_headers == 1, name);
    CHECK_MESSAGE(audio_headers == 1, name);
    CHECK_MESSAGE(key_frames >= 1, name);
  }
}

TEST_CASE("metadata: bitrates are announced while publishing, in whatever envelope; those that cannot be are none") {
  const auto object = [](double video, double audio) {
    return Value::object({{"width", Value::of(0.0)},
                          {"videodatarate", Value::of(video)},
                          {"audiodatarate", Value::of(audio)},
                          {"encoder", Value::of("obs")}});
  };
  Conversation talk;
  talk.connect();
  CHECK(nothing(talk.say(talk.publisher.metadata({Value::of("onMetaData"), object(2500, 160)}))));
  const auto asked = talk.say(talk.publisher.publish("key"));
  REQUIRE((asked.has_value() && asked->has_value()));
  talk.session.accept_publish();
  const auto told = [&talk](const std::vector<Value>& values) {
    const auto said = talk.say(talk.publisher.metadata(values));
    REQUIRE(said.has_value());
    const auto* announced = *said ? std::get_if<Announced>(&**said) : nullptr;
    return announced == nullptr ? std::pair<std::int64_t, std::int64_t>{-1, -1}
                                : std::pair{announced->video.value_or(0), announced->audio.value_or(0)};
  };
  using Pair = std::pair<std::int64_t, std::int64_t>;
  CHECK(told({Value::of("@setDataFrame"), Value::of("onMetaData"), object(2500, 160)}) == Pair{2'500'000, 160'000});
  CHECK(told({Value::of("onMetaData"), object(1, 100'000)}) == Pair{1'000, 100'000'000});
  CHECK(told({Value::of("onMetaData"), object(0, 100'001)}) == Pair{-1, -1});
  for (const double never :
       {-1.0, 0.9, 1e300, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    CHECK(told({Value::of("onMetaData"), object(never, 160)}) == Pair{0, 160'000});
  }
  CHECK(told({Value::of("onMetaData"), Value::object({{"videodatarate", Value::of("2500")}})}) == Pair{-1, -1});
  CHECK(told({Value::of("onMetaData")}) == Pair{-1, -1});
  CHECK(told({Value::of("@setDataFrame")}) == Pair{-1, -1});
  CHECK(told({Value::of("onCuePoint"), object(2500, 160)}) == Pair{-1, -1});
  CHECK(told({}) == Pair{-1, -1});
}
