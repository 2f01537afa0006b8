#include "ingest/door/door.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>

#include "core/log.h"
#include "core/network.h"

namespace ribalta::ingest {
namespace {

using ErrorCode = boost::system::error_code;
/// After an accept that failed (no descriptors are left), before the next.
constexpr std::chrono::milliseconds kAcceptPause{100};
constexpr std::chrono::milliseconds kDrainLook{50};

}  // namespace

Door::Door(LoopPool& loops, const IngestConfig& config, DoorContext context)
    : loops_(loops),
      context_(context),
      counts_(static_cast<std::size_t>(config.connections_max),
              static_cast<std::size_t>(config.connections_per_address_max)),
      pace_(loops.size()) {}

Result<std::unique_ptr<Door>> Door::open(LoopPool& loops, const IngestConfig& config, DoorContext context) {
  std::unique_ptr<Door> door{new Door{loops, config, context}};
  Result<Listener> rtmp = door->listen(config.rtmp_address, config.rtmp_port, false);
  if (!rtmp) return rtmp.error().in("RTMP");
  door->rtmp_ = std::move(*rtmp);
  if (!config.tls_cert.empty()) {
    Result<std::unique_ptr<TlsContext>> tls = TlsContext::open(config.tls_cert, config.tls_key);
    if (!tls) return tls.error().in("RTMPS");
    door->tls_ = std::move(*tls);
    Result<Listener> rtmps = door->listen(config.rtmp_address, config.rtmps_port, true);
    if (!rtmps) return rtmps.error().in("RTMPS");
    door->rtmps_ = std::move(*rtmps);
  }
  return door;
}

Result<Door::Listener> Door::listen(const std::string& address, std::uint16_t port, bool tls) {
  ErrorCode error;
  const asio::ip::address parsed = asio::ip::make_address(address, error);
  if (error) return fail(Code::io, "not an address to listen on:", address);
  const asio::ip::tcp::endpoint endpoint{parsed, port};
  auto acceptor = std::make_shared<Acceptor>(loops_.loop(0));
  acceptor->open(endpoint.protocol(), error);
  if (!error) acceptor->set_option(asio::socket_base::reuse_address{true}, error);
  if (!error) acceptor->bind(endpoint, error);
  if (!error) acceptor->listen(asio::socket_base::max_listen_connections, error);
  const std::uint16_t bound = error ? std::uint16_t{0} : acceptor->local_endpoint(error).port();
  if (error) {
    const Code code = error == asio::error::address_in_use ? Code::conflict : Code::io;
    return fail(code, "port " + std::to_string(port) + ":", error.message());
  }
  Listener listener{acceptor, bound};
  // Begun again after an exception: publishers who are connected go on, and the next finds the acceptor where it was.
  spawn_essential(loops_.loop(0), tls ? "accept RTMPS" : "accept RTMP",
                  [this, acceptor, tls] { return accept(acceptor, tls); });
  return listener;
}

Task<void> Door::accept(std::shared_ptr<Acceptor> acceptor, bool tls) {
  while (!draining_) {
    const asio::any_io_executor loop = loops_.loop(next_loop_++);
    TcpSocket socket{loop};
    const auto [error] = co_await acceptor->async_accept(socket, kTuple);
    if (draining_ || error == asio::error::operation_aborted) break;
    if (error) {
      if (context_.refusals.note({}, error.message())) log_warning("accept failed", {{"reason", error.message()}});
      co_await sleep_for(kAcceptPause);
      continue;
    }
    ErrorCode gone;
    const asio::ip::tcp::endpoint peer = socket.remote_endpoint(gone);
    if (gone) continue;
    std::string address = peer.address().to_string();
    Result<ConnectionCounts::Place> place = counts_.enter(address);
    if (!place) {
      context_.refused.add();
      if (context_.refusals.note(network_of(address), place.error().message)) {
        log_info("connection refused", {{"address", address}, {"reason", place.error()}});
      }
      continue;  // closed at once
    }
    tune(socket);
    std::unique_ptr<Wire> wire = tls ? tls_->make_wire(std::move(socket)) : make_wire(std::move(socket));
    auto connection = std::make_shared<Connection>(context_, pace_, loop, std::move(wire), std::move(address));
    spawn(loop, "RTMP connection", serve(std::move(connection), std::move(*place), context_.connected));
  }
}

/// The place is held by this coroutine, and given back however it ends.
Task<void> Door::serve(std::shared_ptr<Connection> connection, ConnectionCounts::Place, Gauge& connected) {
  connected.add(1);
  const AtEnd left{[&connected] { connected.add(-1); }};
  co_await Connection::run(std::move(connection));
}

Task<void> Door::drain(std::chrono::milliseconds deadline) {
  const auto until = std::chrono::steady_clock::now() + deadline;
  draining_ = true;
  ErrorCode ignored;
  for (const Listener* listener : {&rtmp_, &rtmps_}) {
    if (const auto acceptor = listener->acceptor.lock()) acceptor->close(ignored);
  }
  for (const std::shared_ptr<Connection>& connection : context_.registry.all()) {
    asio::post(connection->loop(),
               [connection] { connection->end("The server restarts; the stream goes on when you reconnect."); });
  }
  while (counts_.size() > 0 && std::chrono::steady_clock::now() < until) co_await sleep_for(kDrainLook);
}

}  // namespace ribalta::ingest
