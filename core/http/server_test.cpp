#include "core/http/server.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <future>

#include "core/http/client.h"
#include "core/testing/run.h"

using namespace ribalta;
using namespace ribalta::http;
using namespace std::chrono_literals;
using ribalta::testing::run_on;
using ribalta::testing::TemporaryFolder;

namespace {

/// A server on a Unix socket of its own, with the loops that it and its clients run on.
struct House {
  TemporaryFolder folder;
  LoopPool loops{2};
  Address address{.unix_path = folder.path() / "test.sock"};
  Metrics metrics;
  std::unique_ptr<Server> server;

  House(const Router& router, ServerLimits limits) {
    server = Server::listen(loops, address, router.handler(), limits, &metrics).value();
    loops.start();
  }
  explicit House(const Router& router) : House(router, ServerLimits{}) {}
  ~House() {
    server->drain();
    loops.stop(5s);
    server.reset();
  }
  House(const House&) = delete;
  House& operator=(const House&) = delete;

  Result<Response> get(std::string target) {
    Request request{.target = std::move(target)};
    return run_on(loops, call(address, std::move(request)), 1);
  }
};

/// A plain blocking socket, for what a well-behaved client never does.
class RawClient {
 public:
  explicit RawClient(const Address& address) {
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    address.unix_path.copy(to.sun_path, sizeof to.sun_path - 1);
    REQUIRE(::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
  }
  ~RawClient() { close(); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;
  void send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t sent = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  /// Until the text ends with `end`, or the server closes.
  std::string read_until(std::string_view end) {
    std::string got;
    char c = 0;
    while (!got.ends_with(end) && ::recv(fd_, &c, 1, 0) == 1) got.push_back(c);
    return got;
  }
  std::string read_all() {
    std::string got;
    char piece[4096];
    for (ssize_t n = 0; (n = ::recv(fd_, piece, sizeof piece, 0)) > 0;) got.append(piece, static_cast<std::size_t>(n));
    return got;
  }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
};

Task<void> echo(Exchange& exchange, const Router::Parameters&) {
  Result<std::string> body = co_await exchange.read_all();
  Response response = body ? Response::text(200, *body) : Response::of(body.error());
  co_await exchange.respond(std::move(response));
}

Task<void> say_path(Exchange& exchange, const Router::Parameters& parameters) {
  std::string text = exchange.head().path;
  for (const auto& [name, value] : parameters) text += " " + name + "=" + value;
  co_await exchange.respond(Response::text(200, text));
}

Router plain_router() {
  Router router;
  router.add("POST", "/echo", echo);
  router.add("GET", "/path/{rest...}", say_path);
  return router;
}

}  // namespace

TEST_CASE("server: a whole request is answered, over a Unix socket and over TCP") {
  House house{plain_router()};
  Request request{.method = "POST", .target = "/echo", .body = "hello"};
  CHECK(run_on(house.loops, call(house.address, request)).value().body == "hello");

  const Address any_port{.host = "127.0.0.1", .port = 0};
  auto tcp = Server::listen(house.loops, any_port, plain_router().handler()).value();
  const Address address{.host = "127.0.0.1", .port = tcp->port()};
  CHECK(run_on(house.loops, call(address, request)).value().body == "hello");
  CHECK(Server::listen(house.loops, address, plain_router().handler()).error().code == Code::conflict);
  tcp->drain();
}

TEST_CASE("server: a socket file that a killed server left is replaced, one in use is a conflict") {
  House house{plain_router()};
  CHECK(Server::listen(house.loops, house.address, plain_router().handler()).error().code == Code::conflict);
  const Address stale{.unix_path = house.folder.path() / "stale.sock"};
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  stale.unix_path.copy(at.sun_path, sizeof at.sun_path - 1);
  REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0);
  ::close(fd);
  auto server = Server::listen(house.loops, stale, plain_router().handler());
  REQUIRE(server.has_value());
  (*server)->drain();
}

TEST_CASE("server: one connection serves request after request, pipelined ones too") {
  House house{plain_router()};
  RawClient client{house.address};
  client.send("GET /path/a HTTP/1.1\r\nHost: x\r\n\r\nGET /path/b HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK(client.read_until("/path/a rest=a").starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(client.read_until("/path/b rest=b").starts_with("HTTP/1.1 200 OK\r\n"));
  client.send("GET /path/c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const std::string last = client.read_all();
  CHECK(last.find("Connection: close\r\n") != std::string::npos);
  CHECK(last.ends_with("/path/c rest=c"));
}

TEST_CASE("server: HEAD gets a GET's fields without its body, and the connection goes on") {
  House house{plain_router()};
  RawClient client{house.address};
  client.send("HEAD /path/ab HTTP/1.1\r\n\r\n");
  const std::string head = client.read_until("\r\n\r\n");
  CHECK(head.find("Content-Length: 16\r\n") != std::string::npos);
  client.send("GET /path/c HTTP/1.1\r\n\r\n");
  CHECK(client.read_until("rest=c").starts_with("HTTP/1.1 200"));
}

TEST_CASE("server: a path that leaves its folder is answered 400 before any handler sees it") {
  House house{plain_router()};
  CHECK(house.get("/path/../x").value().status == 400);
  CHECK(house.get("/path/%2e%2e/x").value().status == 400);
  CHECK(house.get("/path//x").value().status == 400);
  CHECK(house.get("/path/%zz").value().status == 400);
  CHECK(house.get("/path/a%20b").value().body == "/path/a b rest=a b");
}

TEST_CASE("server: a header of the limit passes, one byte more is 431") {
  ServerLimits limits;
  limits.header_bytes_max = 1024;
  House house{plain_router(), limits};
  const std::string start = "GET /path/a HTTP/1.1\r\nX: ";
  const std::string end = "\r\n\r\n";
  for (const auto& [bytes, status] : {std::pair{1024, "HTTP/1.1 200"}, std::pair{1025, "HTTP/1.1 431"}}) {
    RawClient client{house.address};
    client.send(start + std::string(static_cast<std::size_t>(bytes) - start.size() - end.size(), 'x') + end);
    CHECK(client.read_until("\r\n\r\n").starts_with(status));
  }
}

TEST_CASE("server: read_all takes a body of the limit, one byte more is 413, announced or chunked") {
  ServerLimits limits;
  limits.body_bytes_max = 5;
  House house{plain_router(), limits};
  Request request{.method = "POST", .target = "/echo", .body = "12345"};
  CHECK(run_on(house.loops, call(house.address, request)).value().status == 200);
  request.body = "123456";
  CHECK(run_on(house.loops, call(house.address, request)).value().status == 413);
  RawClient client{house.address};
  client.send("POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n");
  CHECK(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 413"));
}

TEST_CASE("server: a request that stops half way is answered 408, a connection that says nothing is closed") {
  ServerLimits limits;
  limits.header_deadline = 200ms;
  limits.keep_alive = 200ms;
  House house{plain_router(), limits};
  RawClient slow{house.address};
  slow.send("GET /path/a HTTP/1.1\r\n\r\nGET /path/b HT");  // the second one's clock begins with its first byte
  CHECK(slow.read_until("rest=a").starts_with("HTTP/1.1 200"));
  CHECK(slow.read_all().starts_with("HTTP/1.1 408"));
  RawClient silent{house.address};
  CHECK(silent.read_all().empty());
}

TEST_CASE("server: what is no HTTP is answered 400") {
  House house{plain_router()};
  RawClient client{house.address};
  client.send("\x16\x03\x01\x02\r\n\r\n");
  CHECK(client.read_all().starts_with("HTTP/1.1 400"));
}

TEST_CASE("server: a body that stops coming ends the read with timeout") {
  ServerLimits limits;
  limits.body_idle = 50ms;
  House house{plain_router(), limits};
  RawClient client{house.address};
  client.send("POST /echo HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc");
  CHECK(client.read_all().starts_with("HTTP/1.1 504"));
}

TEST_CASE("server: Expect: 100-continue is answered when the handler asks for the body") {
  House house{plain_router()};
  RawClient client{house.address};
  client.send("POST /echo HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  CHECK(client.read_until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("hi");
  CHECK(client.read_until("hi").starts_with("HTTP/1.1 200"));
}

TEST_CASE("server: more connections than the limit are answered 503 at once") {
  ServerLimits limits;
  limits.connections_max = 1;
  House house{plain_router(), limits};
  RawClient first{house.address};
  first.send("GET /path/a HTTP/1.1\r\n\r\n");
  CHECK(first.read_until("rest=a").starts_with("HTTP/1.1 200"));
  RawClient second{house.address};
  CHECK(second.read_all().starts_with("HTTP/1.1 503"));
  CHECK(house.metrics.text().find("ribalta_http_refused_total 1") != std::string::npos);
}

TEST_CASE("server: an unread body does not stand before the next request, nor does the answer get lost") {
  Router router;
  router.add("POST", "/ignore", [](Exchange& exchange, const Router::Parameters&) -> Task<void> {
    co_await exchange.respond(Response::text(403, "no"));
  });
  House house{router};
  RawClient client{house.address};
  client.send(
      "POST /ignore HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcPOST /ignore HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
  CHECK(client.read_until("\r\n\r\nno").starts_with("HTTP/1.1 403"));
  CHECK(client.read_until("\r\n\r\nno").starts_with("HTTP/1.1 403"));
  RawClient large{house.address};
  large.send("POST /ignore HTTP/1.1\r\nContent-Length: 900000\r\n\r\n" + std::string(900'000, 'x'));
  CHECK(large.read_all().ends_with("no"));
}

TEST_CASE("server: a handler that throws or says nothing is answered 500") {
  Router router;
  router.add("GET", "/throws", [](Exchange&, const Router::Parameters&) -> Task<void> {
    throw std::runtime_error("a bug");
    co_return;
  });
  router.add("GET", "/silent", [](Exchange&, const Router::Parameters&) -> Task<void> { co_return; });
  House house{router};
  CHECK(house.get("/throws").value().status == 500);
  CHECK(house.get("/silent").value().status == 500);
}

TEST_CASE("router: words win over parameters in whatever order they were added; 404, 405 with Allow") {
  Router router;
  router.add("GET", "/uploads/{id}", say_path);
  router.add("GET", "/uploads/finished", [](Exchange& exchange, const Router::Parameters&) -> Task<void> {
    co_await exchange.respond(Response::text(200, "the word"));
  });
  router.add("DELETE", "/uploads/{id}", say_path);
  House house{router};
  CHECK(house.get("/uploads/finished").value().body == "the word");
  CHECK(house.get("/uploads/abc").value().body == "/uploads/abc id=abc");
  CHECK(house.get("/uploads/").value().status == 404);
  CHECK(house.get("/uploads").value().status == 404);
  CHECK(house.get("/uploads/a/b").value().status == 404);
  Request request{.method = "PUT", .target = "/uploads/abc"};
  const Response refused = run_on(house.loops, call(house.address, request)).value();
  CHECK(refused.status == 405);
  CHECK(refused.fields.get("Allow") == "GET, HEAD, DELETE");
}
