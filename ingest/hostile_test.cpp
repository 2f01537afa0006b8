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
  const DoorContext context{publishers, house.registry, house.metrics.counter("d", ""), refused,
                            house.metrics.gauge("f", "")};
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

TEST_CASE("hostile: sixty chunk streams that declare 16 MB each are refused") {
  House house;
  Client client{house.door->rtmp_port()};
  client.connect_as_publisher();
  for (std::uint8_t i = 0; i < 60; ++i) {
    ByteWriter chunk;
    chunk.u8(static_cast<std::uint8_t>(3 + i));
    chunk.be24(0);
    chunk.be24(0xFFFFFF);
    chunk.u8(9);
    chunk.be32(0x01000000);
    chunk.zeros(128);
    client.send(chunk.view());
  }
  CHECK(client.closed());
  CHECK(lives(house));
}

TEST_CASE("hostile: AMF nested twenty thousand deep is refused") {
  House house;
  Client client{house.door->rtmp_port()};
  client.send(rtmp::testing::Publisher::handshake());
  ByteWriter payload;
  rtmp::amf0::write(rtmp::amf0::Value::of("connect"), payload);
  rtmp::amf0::write(rtmp::amf0::Value::of(1.0), payload);
  for (int i = 0; i < 10'000; ++i) payload.bytes(from_hex("03 0001 61").value());
  client.send(client.publisher.control(rtmp::MessageType::command, payload.take()));
  CHECK(client.closed());
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
