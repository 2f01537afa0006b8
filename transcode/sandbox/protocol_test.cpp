#include "transcode/sandbox/protocol.h"

#include <doctest/doctest.h>

using namespace ribalta;
using namespace ribalta::transcode;

namespace {
Bytes message(MessageKind kind, std::uint8_t track, std::string_view payload) {
  Bytes bytes = message_header(kind, track, payload.size());
  const ByteSpan text = as_bytes(payload);
  bytes.insert(bytes.end(), text.begin(), text.end());
  return bytes;
}
}  // namespace

TEST_CASE("messages: any cut of the bytes gives the same messages") {
  Bytes all = message(MessageKind::note, 0, "a sentence");
  const Bytes second = message(MessageKind::chunk, 3, "moofmdat");
  all.insert(all.end(), second.begin(), second.end());
  for (std::size_t cut = 0; cut <= all.size(); ++cut) {
    MessageReader reader;
    std::vector<Message> got;
    for (const ByteSpan part : {ByteSpan{all}.first(cut), ByteSpan{all}.subspan(cut)}) {
      reader.feed(part);
      for (;;) {
        auto next = reader.next();
        REQUIRE(next.has_value());
        if (!*next) break;
        got.push_back(std::move(**next));
      }
    }
    REQUIRE(got.size() == 2);
    CHECK(as_text(got[0].payload) == "a sentence");
    CHECK(got[1].track == 3);
    CHECK(reader.pending() == 0);
  }
}

TEST_CASE("messages: a size over its kind's limit is refused before its bytes come") {
  struct Case {
    MessageKind kind;
    std::size_t most;
  };
  for (const Case& each : {Case{MessageKind::note, kTextBytesMax}, Case{MessageKind::poster, kPosterBytesMax},
                           Case{MessageKind::progress, 4}, Case{MessageKind::chunk, kMessageBytesMax}}) {
    MessageReader fits;
    fits.feed(message_header(each.kind, 0, each.most));
    CHECK(fits.next().has_value());
    ByteWriter over;
    over.be32(static_cast<std::uint32_t>(each.most) + 1);
    over.u8(static_cast<std::uint8_t>(each.kind));
    over.zeros(3);
    MessageReader refused;
    refused.feed(over.view());
    CHECK(refused.next().error().code == Code::limit);
    CHECK(refused.next().error().code == Code::limit);
  }
}

TEST_CASE("messages: unknown kinds and tracks are refused") {
  MessageReader kind;
  kind.feed(from_hex("00000000 63 00 0000").value());
  CHECK(kind.next().error().code == Code::malformed);
  MessageReader track;
  track.feed(message(MessageKind::chunk, kTracksNumberedMax, "x"));
  CHECK(track.next().error().code == Code::limit);
}
