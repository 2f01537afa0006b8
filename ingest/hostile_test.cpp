// Clients that mean harm, or know no better, against the real door: each is refused with a reason, and the door lives
// on.
#include <doctest/doctest.h>

#include <stdexcept>
#include <thread>

#include "ingest/testing/client.h"
#include "ingest/testing/house.h"

using namespace ribalta;
using namespace ribalta::ingest;
using namespace ribalta::ingest::testing;
using namespace std::chrono_literals;

namespace {

bool lives(House& house) {
  Client client{house.door->rtmp_port()};
  client.connect_as_publisher();
  client.send(client.publisher.publish("good"));
  return client.hears("NetStream.Publish.Start");
}

}  // namespace

TEST_CASE("hostile: a connection that ends by an exception gives its place back") {
  struct Throwing : Counter {
    std::atomic<int> calls{0};
    void add(double) override {
      ++calls;
      throw std::runtime_error("a bug");
    }
  };
  Throwing refused;
  std::unique_ptr<Door> second;  // outlives the house's loops
  House house;
  const PublisherContext publishers{house.rooms, house.memory, house.metrics.counter("a", ""),
                                    house.metrics.counter("b", ""), house.metrics.counter("c", "")};
  const DoorContext context{publishers,
                            house.registry,
                            house.refusals,
                            house.metrics.counter("d", ""),
                            refused,
                            house.metrics.gauge("f", ""),
                            house.metrics.gauge("g", "")};
  IngestConfig config;
  config.rtmp_port = 0;
  second = Door::open(house.loops, config, context).value();
  Client client{second->rtmp_port()};
  client.send(as_bytes(std::string_view{"GET / HTTP/1.1\r\n\r\n"}));
  CHECK(client.closed());
  for (int i = 0; i < 500 && second->connections() > 0; ++i) std::this_thread::sleep_for(10ms);
  CHECK(refused.calls == 1);
  CHECK(second->connections() == 0);
}

TEST_CASE("hostile: a wrong key is refused in words, and the connection is closed") {
  House house;
  Client client{house.door->rtmp_port()};
  client.connect_as_publisher();
  client.send(client.publisher.publish("wrong"));
  CHECK(client.hears("NetStream.Publish.BadName"));
  CHECK(client.text().find("The stream key is wrong, says the test.") != std::string::npos);
  CHECK(client.closed());
}

TEST_CASE("hostile: a busy key is refused in the control plane's words") {
  House house;
  house.control.answer_with([](const FakeCall&) { return http::Response::error(403, "busy", "Busy, says the test."); });
  Client client{house.door->rtmp_port()};
  client.connect_as_publisher();
  client.send(client.publisher.publish("good"));
  CHECK(client.hears("Busy, says the test."));
  CHECK(client.closed());
}

TEST_CASE("hostile: a control plane that is away for a moment refuses nobody") {
  House house;
  std::atomic<int> asked = 0;
  house.control.answer_with([&](const FakeCall& call) {
    if (call.path == "/internal/v1/publish" && ++asked < 3) return http::Response::text(503, "restarting");
    return house.answer(call);
  });
  CHECK(lives(house));
  CHECK(asked == 3);
}

TEST_CASE("hostile: HTTP, TLS and RTMPE on the port for RTMP are closed at once") {
  House house;
  for (const std::string_view hello : {std::string_view{"GET / HTTP/1.1\r\n\r\n"},
                                       std::string_view{"\x16\x03\x01\x02\x00", 5}, std::string_view{"\x06"}}) {
    Client client{house.door->rtmp_port()};
    client.send(as_bytes(hello));
    CHECK(client.closed());
    CHECK(client.text().empty());
  }
  CHECK(lives(house));
}

TEST_CASE("hostile: a handshake that drips is closed though bytes keep coming") {
  House house;
  Client client{house.door->rtmp_port()};
  client.send(as_bytes("\x03"));
  bool open = true;
  for (int i = 0; i < 300 && open; ++i) {  // the deadline is what is tested: 5 s, and we would drip for 30
    open = client.drip(100ms);
  }
  CHECK_FALSE(open);
  CHECK(lives(house));
}

TEST_CASE("hostile: each kind of nonsense is refused for its own reason, and the reason is told") {
  using rtmp::MessageType;
  namespace amf0 = rtmp::amf0;
  House house;
  const auto chunk = [](std::uint8_t stream, MessageType type, std::uint32_t length, ByteSpan body) {
    ByteWriter out;
    out.u8(stream);
    out.be24(0);
    out.be24(length);
    out.u8(static_cast<std::uint8_t>(type));
    out.be32(0x01000000);
    out.bytes(body);
    return out.take();
  };
  const auto command = [](std::string_view amf) {
    rtmp::testing::Publisher publisher;
    ByteWriter payload;
    amf0::write(amf0::Value::of("connect"), payload);
    payload.bytes(from_hex(amf).value());
    return publisher.control(MessageType::command, payload.take());
  };
  Bytes streams;
  for (std::uint8_t i = 0; i < 60; ++i) {
    const Bytes one = chunk(static_cast<std::uint8_t>(3 + i), MessageType::video, 0xFFFFFF, Bytes(128));
    streams.insert(streams.end(), one.begin(), one.end());
  }
  std::string nested;
  for (int i = 0; i < 20'000; ++i) nested += "030000";  // an object whose property without a name is an object …
  rtmp::testing::Publisher publisher;
  const std::pair<const char*, Bytes> kinds[] = {
      {"message of type 9: bytes 16777215", streams},
      {"command: AMF0: nested deeper than 32", command(nested)},
      {"command: AMF0 array: elements 4294967295", command("0affffffff")},
      {"command: AMF0 string: ", command("0cffffffff41")},
      {"set chunk size: zero", publisher.control(MessageType::set_chunk_size, from_hex("00000000").value())},
      {"set chunk size: top bit set", publisher.control(MessageType::set_chunk_size, from_hex("ffffffff").value())},
      {"message of type 20: bytes 1048576", chunk(3, MessageType::command, 1024 * 1024, Bytes(128))},
      {"chunk: first header of a chunk stream has type 3", from_hex("c4010203").value()},
      {"a command came before connect", publisher.call("createStream", {})},
      {"the client left before it published", publisher.connect("live")},
      {"the client left in the middle of the handshake", {}},
  };
  for (const auto& [reason, bytes] : kinds) {
    for (int twice = 0; twice < 2; ++twice) {  // the first is a line of its own, the second is counted
      Client client{house.door->rtmp_port()};
      const Bytes hello = rtmp::testing::Publisher::handshake();
      client.send(bytes.empty() ? ByteSpan{hello}.first(700) : ByteSpan{hello});
      client.send(bytes);
      client.hang_up();
      CHECK(client.closed());
    }
    for (int i = 0; i < 2000 && house.door->connections() > 0; ++i) std::this_thread::sleep_for(10ms);
    const auto told = house.refusals.end_period();
    REQUIRE_MESSAGE(told.size() == 1, reason);
    CHECK_MESSAGE(told[0].reason.starts_with(reason), told[0].reason);
    CHECK(told[0].client == "127.0.0.1");
    CHECK(told[0].count == 1);
  }
  CHECK(lives(house));
}

TEST_CASE("hostile: who only looks whether the port is open is no refusal") {
  House house;
  for (int twice = 0; twice < 2; ++twice) {
    Client client{house.door->rtmp_port()};
    client.hang_up();
    CHECK(client.closed());
  }
  CHECK(lives(house));
  CHECK(house.refusals.end_period().empty());
}

TEST_CASE("hostile: a publisher that asks for an answer to every byte and reads none of them is shown out") {
  House house;
  Client client{house.door->rtmp_port()};
  client.connect_as_publisher();
  client.send(client.publisher.publish("good"));
  REQUIRE(client.hears("NetStream.Publish.Start"));
  client.send(client.publisher.control(rtmp::MessageType::window_size, from_hex("00000001").value()));
  client.send(client.publisher.media(rtmp::MessageType::audio, 0, {}));
  // Each byte is a message of no bytes, and asks for 16 bytes of acknowledgement. Sending stands still when the door
  // has no room for its answers, and ends when it closes.
  const Bytes flood(1024 * 1024, std::byte{0xC4});
  for (int i = 0; i < 1000 && client.send(flood); ++i) {
  }
  CHECK(client.closed());
  for (int i = 0; i < 2000 && house.door->connections() > 0; ++i) std::this_thread::sleep_for(10ms);
  CHECK(house.door->connections() == 0);
  CHECK(lives(house));
}

TEST_CASE("hostile: garbage after the handshake is refused") {
  House house;
  for (std::uint32_t seed = 1; seed < 30; ++seed) {
    Client client{house.door->rtmp_port()};
    client.send(rtmp::testing::Publisher::handshake());
    Bytes garbage(70'000);
    std::uint32_t random = seed;
    for (std::byte& byte : garbage) byte = static_cast<std::byte>((random = random * 1664525 + 1013904223) >> 24);
    client.send(garbage);
    CHECK(client.closed());
  }
  CHECK(lives(house));
}

TEST_CASE("hostile: more connections of one address than allowed are closed at once") {
  House house{IngestConfig{.connections_per_address_max = 3}};
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(std::make_unique<Client>(house.door->rtmp_port()));
    clients.back()->connect_as_publisher();
  }
  Client fourth{house.door->rtmp_port()};
  CHECK(fourth.closed());
  for (const auto& client : clients) {
    client->hang_up();
    CHECK(client->closed());
  }
  // A place is given back right after its connection was closed: whoever knocks in between is closed at once, and
  // knocks again.
  bool let_in = false;
  for (int knocks = 0; knocks < 1000 && !let_in; ++knocks) let_in = lives(house);
  CHECK(let_in);
}

TEST_CASE("hostile: HEVC is refused with a sentence that says what to set") {
  House house;
  SUBCASE("alone") {}
  SUBCASE("in a crowd") { house.make_crowd(); }
  Client client{house.door->rtmp_port()};
  client.connect_as_publisher();
  client.send(client.publisher.publish("good"));
  REQUIRE(client.hears("NetStream.Publish.Start"));
  client.send(client.publisher.media(rtmp::MessageType::video, 0, from_hex("90 68766331 00").value()));
  CHECK(client.hears("The video is HEVC; please set the encoder to H.264."));
  CHECK(client.closed());
}

TEST_CASE("hostile: a half-open connection of the same key gives way to the new one") {
  House house;
  SUBCASE("alone") {}
  SUBCASE("in a crowd") { house.make_crowd(); }
  Client first{house.door->rtmp_port()};
  first.connect_as_publisher();
  first.send(first.publisher.publish("good"));
  REQUIRE(first.hears("NetStream.Publish.Start"));
  std::this_thread::sleep_for(kYieldAfter + 200ms);  // silence is what is being tested
  Client second{house.door->rtmp_port()};
  second.connect_as_publisher();
  second.send(second.publisher.publish("good"));
  CHECK(second.hears("NetStream.Publish.Start"));
  CHECK(first.closed());
  const auto beats = house.control.calls("/heartbeat");
  bool interrupted = false;
  for (const FakeCall& beat : beats) interrupted = interrupted || beat.body.find("interrupted") != std::string::npos;
  CHECK(interrupted);
}
