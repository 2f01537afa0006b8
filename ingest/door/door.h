// The RTMP and RTMPS listeners.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "core/async.h"
#include "core/result.h"
#include "ingest/config.h"
#include "ingest/door/connection.h"
#include "ingest/door/guard.h"
#include "ingest/door/wire.h"

namespace ribalta::ingest {

class Door {
 public:
  /// Binds both ports (RTMPS where there is a certificate) and accepts once the loops run. The door outlives the loops'
  /// threads. @error conflict: a port is taken; io: the address or the certificate.
  static Result<std::unique_ptr<Door>> open(LoopPool& loops, const IngestConfig& config, DoorContext context);

  [[nodiscard]] std::uint16_t rtmp_port() const { return rtmp_.port; }
  /// 0 without a certificate.
  [[nodiscard]] std::uint16_t rtmps_port() const { return rtmps_.port; }
  [[nodiscard]] std::size_t connections() const { return counts_.size(); }
  /// How many were let in and are over.
  [[nodiscard]] std::uint64_t connections_ended() const { return counts_.left(); }
  /// Counts the publishers; tests make a crowd of one with it.
  [[nodiscard]] Pace& pace() { return pace_; }
  /// No new connections; publishers are told and closed. Returns when all are gone, or after `deadline`. On loop 0.
  Task<void> drain(std::chrono::milliseconds deadline);

 private:
  using Acceptor = asio::ip::tcp::acceptor;

  Door(LoopPool& loops, const IngestConfig& config, DoorContext context);
  /// The acceptor belongs to the coroutine that accepts, and so goes with its loop, whichever of loops and door goes
  /// first.
  struct Listener {
    std::weak_ptr<Acceptor> acceptor;
    std::uint16_t port = 0;
  };
  Result<Listener> listen(const std::string& address, std::uint16_t port, bool tls);
  Task<void> accept(std::shared_ptr<Acceptor> acceptor, bool tls);
  static Task<void> serve(std::shared_ptr<Connection> connection, ConnectionCounts::Place place, Gauge& connected);

  LoopPool& loops_;
  DoorContext context_;
  ConnectionCounts counts_;
  Pace pace_;
  std::unique_ptr<TlsContext> tls_;
  Listener rtmp_;
  Listener rtmps_;
  std::size_t next_loop_ = 0;
  bool draining_ = false;
};

}  // namespace ribalta::ingest
