#include "core/http/server.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <cstring>

#include "core/http/server_connection.h"
#include "core/log.h"

namespace ribalta::http {
namespace {

using Acceptor = asio::basic_socket_acceptor<asio::generic::stream_protocol>;
using Endpoint = asio::generic::stream_protocol::endpoint;

/// Out of descriptors or memory: accepting at once again would spin.
constexpr std::chrono::milliseconds kAcceptAgain{100};

std::string peer_text(const Endpoint& endpoint) {
  const int family = endpoint.protocol().family();
  if (family != AF_INET && family != AF_INET6) return "unix";
  asio::ip::tcp::endpoint ip;
  std::memcpy(ip.data(), endpoint.data(), std::min(endpoint.size(), ip.capacity()));
  ip.resize(endpoint.size());
  return ip.address().to_string();
}

/// A socket file that nobody listens on is what a killed server leaves.
Result<void> remove_stale(const std::string& path) {
  struct stat found{};
  if (::lstat(path.c_str(), &found) != 0) return {};
  if (!S_ISSOCK(found.st_mode)) return fail(Code::conflict, "listen: something else is at", path);
  const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) return fail_errno("listen: socket");
  const asio::local::stream_protocol::endpoint endpoint{path};
  const int connected = ::connect(probe, endpoint.data(), static_cast<socklen_t>(endpoint.size()));
  const bool refused = connected != 0 && errno == ECONNREFUSED;
  ::close(probe);
  if (!refused) return fail(Code::conflict, "listen: another server answers at", path);
  if (::unlink(path.c_str()) != 0) return fail_errno("listen: remove", path);
  return {};
}

Result<Endpoint> endpoint_of(const Address& address) {
  if (!address.unix_path.empty()) {
    if (address.unix_path.size() > kUnixPathBytesMax)
      return fail(Code::limit, "listen: path over 107 bytes:", address.unix_path);
    return Endpoint{asio::local::stream_protocol::endpoint{address.unix_path}};
  }
  ErrorCode error;
  const std::string host = address.host == "localhost" ? "127.0.0.1" : address.host;
  const asio::ip::address ip = asio::ip::make_address(host, error);
  if (error) return fail(Code::malformed, "listen: not a numeric address:", address.host);
  return Endpoint{asio::ip::tcp::endpoint{ip, address.port}};
}

class ListeningServer final : public Server {
 public:
  ListeningServer(std::shared_ptr<ServerCore> core, std::shared_ptr<Acceptor> acceptor, std::uint16_t port)
      : core_(std::move(core)), acceptor_(std::move(acceptor)), port_(port) {}

  ~ListeningServer() override {
    stop_accepting();
    core_->draining = true;
    on_each_loop([](Connection& connection) { connection.cut(); });
  }

  [[nodiscard]] std::uint16_t port() const override { return port_; }
  [[nodiscard]] std::size_t connections() const override { return core_->count; }

  void drain() override {
    core_->draining = true;
    stop_accepting();
    on_each_loop([](Connection& connection) { connection.close_if_idle(); });
  }

 private:
  void stop_accepting() {
    asio::post(core_->loops[0], [acceptor = acceptor_] {
      ErrorCode ignored;
      acceptor->close(ignored);
    });
  }
  template <class Do>
  void on_each_loop(Do act) {
    for (std::size_t i = 0; i < core_->loops.size(); ++i) {
      asio::post(core_->loops[i], [core = core_, i, act] {
        for (Connection* connection : core->connections[i]) act(*connection);
      });
    }
  }

  std::shared_ptr<ServerCore> core_;
  std::shared_ptr<Acceptor> acceptor_;
  std::uint16_t port_;
};

void refuse_busy(Socket& socket) {
  constexpr std::string_view text{
      "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"};
  // Fits the empty send buffer of a new connection; nobody waits for a client that we have no room for.
  static_cast<void>(::send(socket.native_handle(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
}

Task<void> accept_connections(std::shared_ptr<ServerCore> core, std::shared_ptr<Acceptor> acceptor) {
  std::size_t next = 0;
  while (acceptor->is_open()) {
    const std::size_t shard = next++ % core->loops.size();
    Endpoint from;
    auto [error, socket] = co_await acceptor->async_accept(core->loops[shard], from, kTuple);
    if (error) {
      if (!acceptor->is_open() || error == asio::error::operation_aborted) break;
      log_warning("accept failed", {{"reason", error.message()}});
      co_await sleep_for(kAcceptAgain);
      continue;
    }
    if (core->count >= core->limits.connections_max || core->draining) {
      if (core->metrics.refused != nullptr) core->metrics.refused->add();
      refuse_busy(socket);
      continue;
    }
    ConnectionPlace place{core};
    const asio::any_io_executor loop = core->loops[shard];
    std::string peer = peer_text(from);
    Task<void> served = serve_connection(std::move(place), std::move(socket), shard, std::move(peer));
    spawn(loop, "http connection", std::move(served));
  }
}

void add_metrics(ServerCore& core, Metrics& metrics) {
  core.metrics.connections = &metrics.gauge("ribalta_http_connections", "Open connections of the HTTP server");
  core.metrics.refused =
      &metrics.counter("ribalta_http_refused_total", "Connections answered 503 because there were too many");
  const std::vector<std::string> classes{"cut", "1xx", "2xx", "3xx", "4xx", "5xx"};
  for (const std::string& status : classes) {
    core.metrics.answers.push_back(
        &metrics.counter("ribalta_http_answers_total", "Requests by the class of their answer", {{"status", status}}));
  }
}

}  // namespace

Result<std::unique_ptr<Server>> Server::listen(LoopPool& loops, const Address& address, Handler handler,
                                               ServerLimits limits, Metrics* metrics) {
  const Result<Endpoint> endpoint = endpoint_of(address);
  if (!endpoint) return pass(endpoint);
  if (!address.unix_path.empty()) {
    const Result<void> removed = remove_stale(address.unix_path);
    if (!removed) return pass(removed);
  }
  auto acceptor = std::make_shared<Acceptor>(loops.loop(0));
  ErrorCode error;
  acceptor->open(endpoint->protocol(), error);
  if (error) return fail(Code::io, "listen: open:", error.message());
  if (address.unix_path.empty()) acceptor->set_option(asio::socket_base::reuse_address{true}, error);
  acceptor->bind(*endpoint, error);
  if (error) {
    const bool taken = error == asio::error::address_in_use;
    return fail(taken ? Code::conflict : Code::io, "listen on " + address.text() + ":", error.message());
  }
  if (!address.unix_path.empty() && ::chmod(address.unix_path.c_str(), 0660) != 0) {
    return fail_errno("listen: mode of", address.unix_path);
  }
  acceptor->listen(asio::socket_base::max_listen_connections, error);
  if (error) return fail(Code::io, "listen on " + address.text() + ":", error.message());
  std::uint16_t port = 0;
  if (address.unix_path.empty()) {
    asio::ip::tcp::endpoint bound;
    const Endpoint local = acceptor->local_endpoint(error);
    std::memcpy(bound.data(), local.data(), std::min(local.size(), bound.capacity()));
    port = bound.port();
  }

  auto core = std::make_shared<ServerCore>();
  core->handler = std::move(handler);
  core->limits = limits;
  for (std::size_t i = 0; i < loops.size(); ++i) core->loops.push_back(loops.loop(i));
  core->connections.resize(loops.size());
  if (metrics != nullptr) add_metrics(*core, *metrics);
  // Begun again after an exception: those who are connected go on, and who comes next finds the acceptor where it was.
  spawn_essential(loops.loop(0), "http accept", [core, acceptor] { return accept_connections(core, acceptor); });
  return std::make_unique<ListeningServer>(std::move(core), std::move(acceptor), port);
}

}  // namespace ribalta::http
