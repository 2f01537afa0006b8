// A whole publish, from the first byte of the handshake to chunks in the rings: bytes in fragments sized by the input
// must give the same events, the same answers and the same end as all at once, and answers stay in proportion to what
// came. The first byte: bit 0 says that the input has its own handshake, the others seed the fragments.
#include <cstdlib>

#include "ingest/rtmp/rtmp.h"
#include "ingest/stream/source.h"
#include "ingest/stream/testing/rings.h"

using namespace ribalta;
using namespace ribalta::ingest;

namespace {

void must(bool holds) {
  if (!holds) std::abort();
}

/// Nothing that a client can say has a longer answer than this times what it said, the handshake aside. The worst is an
/// acknowledgement for each byte, which a client may ask for.
constexpr std::size_t kAnswerRatioMax = 32;
constexpr std::size_t kAnswerBytesMax = 8 * 1024;

/// What a connection does with a session (door/connection.cpp), without socket and clock.
struct Talk {
  rtmp::Session session{rtmp::HandshakeBlock{}};
  Source source{{}};
  Bytes answers;
  std::vector<std::pair<std::size_t, std::int64_t>> events;  ///< kind, or size of a media message; its time
  bool over = false;

  void say(ByteSpan bytes) {
    const std::size_t came = bytes.size();
    std::size_t answered = 0;
    while (!over) {
      auto event = session.next(bytes);
      if (event && *event) take(**event);
      const Bytes output = session.take_output();
      answered += output.size();
      answers.insert(answers.end(), output.begin(), output.end());
      if (!event) over = true;
      if (!event || !*event) break;
    }
    must(answered <= kAnswerBytesMax + kAnswerRatioMax * came);
  }

  void take(const rtmp::Event& event) {
    if (const auto* request = std::get_if<rtmp::PublishRequest>(&event)) {
      events.emplace_back(0, 0);
      if (request->name.key.front() == '!') {  // a key that is wrong
        session.refuse_publish("NetStream.Publish.BadName", "wrong");
        over = true;
      } else {
        session.accept_publish();
      }
    } else if (const auto* media = std::get_if<rtmp::MediaMessage>(&event)) {
      must(session.publishing());
      events.emplace_back(2 + media->payload.size(), media->time_ms);
      const auto arrival_ms = static_cast<std::int64_t>(events.size()) * 20;
      const auto taken = source.on_media(*media, arrival_ms, {});
      if (!taken) {
        session.end_publish("NetStream.Publish.Denied", taken.error().message);
        over = true;
      }
    } else if (const auto* announced = std::get_if<rtmp::Announced>(&event)) {
      must(session.publishing());
      must(announced->video || announced->audio);
      events.emplace_back(1, announced->video.value_or(0) + announced->audio.value_or(0));
      source.on_announced(*announced);
    } else {
      events.emplace_back(1, 0);
    }
  }

  /// What was answered after the handshake, acknowledgements aside: those depend on how the bytes came.
  Bytes said() {
    constexpr std::size_t handshake = 1 + 2 * rtmp::kHandshakeBytes;
    if (answers.size() < handshake) return answers;
    rtmp::ChunkReader reader;
    ByteSpan bytes = ByteSpan{answers}.subspan(handshake);
    Bytes out;
    while (true) {
      const auto message = reader.next(bytes);
      must(message.has_value());
      if (!*message) break;
      if ((*message)->type == rtmp::MessageType::acknowledgement) continue;
      out.push_back(static_cast<std::byte>((*message)->type));
      out.insert(out.end(), (*message)->payload.begin(), (*message)->payload.end());
    }
    return out;
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ByteSpan bytes{reinterpret_cast<const std::byte*>(data + 1), size - 1};
  Talk whole;
  Talk pieces;
  if ((data[0] & 1) == 0) {
    Bytes hello(1 + 2 * rtmp::kHandshakeBytes);
    hello[0] = std::byte{3};
    whole.say(hello);
    pieces.say(hello);
    must(whole.session.handshake_done() && !whole.over);
  }
  whole.say(bytes);
  std::uint32_t seed = data[0];
  for (std::size_t at = 0; at < bytes.size() && !pieces.over;) {
    seed = seed * 1664525 + 1013904223;
    const std::size_t count = std::min<std::size_t>(bytes.size() - at, 1 + (seed >> 20) % 1500);
    pieces.say(bytes.subspan(at, seed % 7 == 0 ? 1 : count));
    at += seed % 7 == 0 ? 1 : count;
  }
  must(whole.over == pieces.over);
  must(whole.events == pieces.events);
  must(whole.session.publishing() == pieces.session.publishing());
  must(whole.said() == pieces.said());
  for (Talk* talk : {&whole, &pieces}) {
    talk->source.flush();
    ingest::testing::check_rings(talk->source);
    (void)talk->source.report();
    (void)talk->source.health(0);
  }
  return 0;
}
