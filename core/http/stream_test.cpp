// Bodies that flow while both sides are at work: chunked uploads, held answers, clients and servers that leave.
#include <doctest/doctest.h>

#include <future>

#include "core/http/client.h"
#include "core/http/server.h"
#include "core/testing/run.h"

using namespace ribalta;
using namespace ribalta::http;
using namespace std::chrono_literals;
using ribalta::testing::run_on;
using ribalta::testing::TemporaryFolder;

namespace {

struct House {
  TemporaryFolder folder;
  LoopPool loops{2};
  Address address{.unix_path = folder.path() / "test.sock"};
  std::unique_ptr<Server> server;

  explicit House(const Router& router, ServerLimits limits = {}) {
    server = Server::listen(loops, address, router.handler(), limits).value();
    loops.start();
  }
  ~House() {
    server->drain();
    loops.stop(5s);
    server.reset();
  }
  House(const House&) = delete;
  House& operator=(const House&) = delete;
};

Request put_request() { return {.method = "PUT", .target = "/tracks/a", .fields = {{"Ribalta-Epoch", "1"}}}; }

}  // namespace

TEST_CASE("upload: each piece reaches the handler before the next is written") {
  std::promise<std::string> first;
  std::promise<std::string> second;
  Router router;
  router.add("PUT", "/tracks/{track}", [&](Exchange& exchange, const Router::Parameters&) -> Task<void> {
    CHECK(exchange.head().fields.get("ribalta-epoch") == "1");
    Result<ByteSpan> piece = co_await exchange.read_some();
    first.set_value(std::string{as_text(*piece)});
    piece = co_await exchange.read_some();
    second.set_value(std::string{as_text(*piece)});
    piece = co_await exchange.read_some();
    CHECK(piece->empty());
    co_await exchange.respond(Response::text(200, "whole"));
  });
  House house{router};
  auto upload = run_on(house.loops, Upload::open(house.address, put_request())).value();
  REQUIRE(run_on(house.loops, upload->write(as_bytes("one"))).has_value());
  CHECK(first.get_future().get() == "one");
  REQUIRE(run_on(house.loops, upload->write(as_bytes("two"))).has_value());
  CHECK(second.get_future().get() == "two");
  CHECK(run_on(house.loops, upload->finish()).value().body == "whole");
  run_on(house.loops, [](std::unique_ptr<Upload> ended) -> Task<void> { co_return ended.reset(); }(std::move(upload)));
}

TEST_CASE("upload: megabytes arrive whole and in order, in pieces of at most 64 KiB") {
  std::promise<bool> good;
  Router router;
  router.add("PUT", "/tracks/{track}", [&](Exchange& exchange, const Router::Parameters&) -> Task<void> {
    std::size_t total = 0;
    bool in_order = true;
    while (true) {
      const Result<ByteSpan> piece = co_await exchange.read_some();
      if (!piece || piece->empty()) break;
      in_order = in_order && piece->size() <= 64 * 1024;
      for (const std::byte b : *piece) in_order = in_order && b == static_cast<std::byte>((total++ / 1000) & 0xFF);
    }
    good.set_value(in_order && total == 20'000'000);
    co_await exchange.respond(Response::text(200, ""));
  });
  House house{router};
  run_on(
      house.loops,
      [](Address address) -> Task<void> {
        Request request = put_request();
        Result<std::unique_ptr<Upload>> opened = co_await Upload::open(address, std::move(request));
        Bytes piece(1'000'000);
        for (std::size_t at = 0; at < 20; ++at) {
          for (std::size_t i = 0; i < piece.size(); ++i)
            piece[i] = static_cast<std::byte>(((at * 1'000'000 + i) / 1000) & 0xFF);
          const Result<void> written = co_await (*opened)->write(piece);
          CHECK(written.has_value());
        }
        const Result<Response> answer = co_await (*opened)->finish();
        CHECK(answer.value().status == 200);
      }(house.address),
      1);
  CHECK(good.get_future().get());
}

TEST_CASE("upload: an early answer ends the next write, or the one that waits, and can be read") {
  Router router;
  router.add("PUT", "/tracks/{track}", [](Exchange& exchange, const Router::Parameters&) -> Task<void> {
    const Result<ByteSpan> piece = co_await exchange.read_some();
    CHECK(piece.has_value());
    Response refusal = Response::error(409, "conflict", "a higher epoch holds the track");
    co_await exchange.respond(std::move(refusal));
  });
  House house{router};
  run_on(
      house.loops,
      [](Address address) -> Task<void> {
        Request request = put_request();
        Result<std::unique_ptr<Upload>> opened = co_await Upload::open(address, std::move(request));
        const Bytes piece(100'000);
        Result<void> written;
        for (int i = 0; i < 1000 && written; ++i) written = co_await (*opened)->write(piece);
        CHECK(written.error().code == Code::closed);
        REQUIRE((*opened)->early_answer().has_value());
        CHECK((*opened)->early_answer()->status == 409);
      }(house.address),
      1);
}

TEST_CASE("server: an answer from another coroutine ends a read that waits, and reaches the client") {
  Router router;
  router.add("PUT", "/tracks/{track}", [](Exchange& exchange, const Router::Parameters&) -> Task<void> {
    spawn(exchange.loop(), "usurper", [](Exchange& taken) -> Task<void> {
      co_await sleep_for(1ms);
      co_await taken.respond(Response::text(409, "taken"));
    }(exchange));
    const Result<ByteSpan> piece = co_await exchange.read_some();
    CHECK(piece.error().code == Code::closed);
  });
  House house{router};
  auto upload = run_on(house.loops, Upload::open(house.address, put_request())).value();
  const Result<Response> answer = run_on(house.loops, [](Upload& waiting) -> Task<Result<Response>> {
    Result<void> written;
    while (written) {
      co_await sleep_for(1ms);
      written = co_await waiting.write(as_bytes("x"));
      if (!written && !waiting.early_answer()) co_return pass(written);
    }
    co_return *waiting.early_answer();
  }(*upload));
  // The first byte may have been read before the answer; either way the client learns who holds the track.
  REQUIRE(answer.has_value());
  CHECK(answer->status == 409);
  run_on(house.loops, [](std::unique_ptr<Upload> ended) -> Task<void> { co_return ended.reset(); }(std::move(upload)));
}

TEST_CASE("download: pieces come as they are written; finish ends it well") {
  Router router;
  std::promise<Event*> ready;
  router.add("GET", "/feed", [&](Exchange& exchange, const Router::Parameters&) -> Task<void> {
    Event event{exchange.loop()};
    co_await exchange.start(ResponseHead{200, {{"Content-Type", "video/mp4"}}});
    co_await exchange.write(as_bytes("one"));
    const std::uint64_t seen = event.version();
    ready.set_value(&event);
    const Exchange::Woken woken = co_await exchange.until_gone_or(event, seen, 60s);
    CHECK(woken == Exchange::Woken::event);
    co_await exchange.write(as_bytes("two"));
    co_await exchange.finish();
  });
  House house{router};
  Request request{.target = "/feed"};
  auto download = run_on(house.loops, Download::open(house.address, request)).value();
  CHECK(download->head().status == 200);
  CHECK(download->head().fields.get("content-type") == "video/mp4");
  CHECK(as_text(run_on(house.loops, download->read_some()).value()) == "one");
  Event* event = ready.get_future().get();
  // The connection was made first, so it is on loop 0, as the event is.
  run_on(house.loops, [](Event& bell) -> Task<void> { co_return bell.notify_all(); }(*event));
  CHECK(as_text(run_on(house.loops, download->read_some()).value()) == "two");
  CHECK(run_on(house.loops, download->read_some()).value().empty());
  run_on(house.loops,
         [](std::unique_ptr<Download> ended) -> Task<void> { co_return ended.reset(); }(std::move(download)));
}

TEST_CASE("download: an answer without finish is seen as cut") {
  Router router;
  router.add("GET", "/cut", [](Exchange& exchange, const Router::Parameters&) -> Task<void> {
    co_await exchange.start(ResponseHead{});
    co_await exchange.write(as_bytes("half"));
  });
  router.add("GET", "/short", [](Exchange& exchange, const Router::Parameters&) -> Task<void> {
    co_await exchange.start(ResponseHead{}, 10);
    co_await exchange.write(as_bytes("half"));
  });
  House house{router};
  for (const char* target : {"/cut", "/short"}) {
    Request request{.target = target};
    const Result<std::string> read =
        run_on(house.loops, [](Address address, Request asked) -> Task<Result<std::string>> {
          auto download = co_await Download::open(address, std::move(asked));
          std::string whole;
          while (true) {
            const Result<ByteSpan> piece = co_await (*download)->read_some();
            if (!piece) co_return pass(piece);
            if (piece->empty()) co_return whole;
            whole += as_text(*piece);
          }
        }(house.address, request));
    CAPTURE(target);
    CHECK(read.error().code == Code::closed);
    CHECK(run_on(house.loops, call(house.address, request)).error().code == Code::unavailable);
  }
}

TEST_CASE("a held request notices that its client left") {
  std::promise<Exchange::Woken> woken;
  Router router;
  std::promise<void> held;
  router.add("GET", "/held", [&](Exchange& exchange, const Router::Parameters&) -> Task<void> {
    Event never{exchange.loop()};
    held.set_value();
    const Exchange::Woken why = co_await exchange.until_gone_or(never, never.version(), 60s);
    CHECK(exchange.client_gone());
    woken.set_value(why);
  });
  House house{router};
  Request request{.target = "/held"};
  spawn(house.loops.loop(1), "reader", [](Address address, Request asked) -> Task<void> {
    ClientLimits limits;
    limits.answer = 20ms;
    limits.read_idle = 20ms;
    const auto download = co_await Download::open(address, std::move(asked), limits);
    CHECK(download.error().code == Code::timeout);
  }(house.address, request));
  held.get_future().get();
  CHECK(woken.get_future().get() == Exchange::Woken::gone);
}

TEST_CASE("a held request whose client has already sent its next one still waits for its event, or its limit") {
  Router router;
  router.add("GET", "/held", [](Exchange& exchange, const Router::Parameters&) -> Task<void> {
    Event never{exchange.loop()};
    const Exchange::Woken why = co_await exchange.until_gone_or(never, never.version(), 20ms);
    co_await exchange.respond(Response::text(200, why == Exchange::Woken::limit ? "limit" : "other"));
  });
  House house{router};
  Request twice{.target = "/held HTTP/1.1\r\nHost: x\r\n\r\nGET /held"};
  // Request splitting is what head_text guards against: the line breaks arrive as spaces, and the target is refused.
  CHECK(run_on(house.loops, call(house.address, twice)).value().status == 400);
  CHECK(run_on(house.loops, call(house.address, Request{.target = "/held"})).value().body == "limit");
}

TEST_CASE("drain: idle connections are closed, a held one gets its answer, and the loops come to rest") {
  Router router;
  std::promise<Event*> held;
  router.add("GET", "/held", [&](Exchange& exchange, const Router::Parameters&) -> Task<void> {
    Event event{exchange.loop()};
    const std::uint64_t seen = event.version();
    held.set_value(&event);
    co_await exchange.until_gone_or(event, seen, 60s);
    co_await exchange.respond(Response::text(503, "stopping"));
  });
  House house{router};
  auto answered =
      asio::co_spawn(house.loops.loop(1), call(house.address, Request{.target = "/held"}), asio::use_future);
  Event* event = held.get_future().get();
  house.server->drain();
  run_on(house.loops, [](Event& bell) -> Task<void> { co_return bell.notify_all(); }(*event));
  CHECK(answered.get().value().body == "stopping");
  CHECK(run_on(house.loops, call(house.address, Request{.target = "/held"})).error().code == Code::unavailable);
}

TEST_CASE("client: nobody there is unavailable, at a socket and at a port") {
  LoopPool loops{1};
  loops.start();
  const Address nowhere{.unix_path = "/tmp/ribalta-nobody.sock"};
  CHECK(run_on(loops, call(nowhere, Request{})).error().code == Code::unavailable);
  const Address port{.host = "127.0.0.1", .port = 1};
  CHECK(run_on(loops, call(port, Request{})).error().code == Code::unavailable);
}

TEST_CASE("client: an answer over body_bytes_max is refused, one of that size is taken") {
  Router router;
  router.add("GET", "/five", [](Exchange& exchange, const Router::Parameters&) -> Task<void> {
    co_await exchange.respond(Response::text(200, "12345"));
  });
  House house{router};
  ClientLimits limits;
  limits.body_bytes_max = 5;
  CHECK(run_on(house.loops, call(house.address, Request{.target = "/five"}, limits)).value().body == "12345");
  limits.body_bytes_max = 4;
  CHECK(run_on(house.loops, call(house.address, Request{.target = "/five"}, limits)).error().code == Code::limit);
}

TEST_CASE("client: a peer that accepts and says nothing is a timeout") {
  Router router;
  router.add("GET", "/never", [](Exchange& exchange, const Router::Parameters&) -> Task<void> {
    Event never{exchange.loop()};
    co_await exchange.until_gone_or(never, never.version(), 60s);
  });
  House house{router};
  ClientLimits limits;
  limits.answer = 20ms;
  CHECK(run_on(house.loops, call(house.address, Request{.target = "/never"}, limits)).error().code == Code::timeout);
}
