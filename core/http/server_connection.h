// One connection of the server: requests one after the other, each an Exchange for the handler. Inside core/http only.
#pragma once

#include <atomic>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/http/server.h"
#include "core/http/stream.h"

namespace ribalta::http {

class Connection;

/// What acceptor and connections share; each connection holds it, so it outlives the Server where it must.
struct ServerCore {
  Handler handler;
  ServerLimits limits;
  std::vector<asio::any_io_executor> loops;
  std::vector<std::set<Connection*>> connections;  ///< one set a loop, touched on that loop alone
  std::atomic<std::size_t> count{0};
  std::atomic<bool> draining{false};
  struct {
    Gauge* connections = nullptr;
    Counter* refused = nullptr;     ///< beyond connections_max
    std::vector<Counter*> answers;  ///< by the status' first digit, 0: cut
  } metrics;
};

/// One of `connections_max`, given back with it whatever happens in between.
class ConnectionPlace {
 public:
  explicit ConnectionPlace(std::shared_ptr<ServerCore> core) : core_(std::move(core)) { ++core_->count; }
  ConnectionPlace(ConnectionPlace&&) noexcept = default;
  ConnectionPlace& operator=(ConnectionPlace&&) = delete;
  ~ConnectionPlace() {
    if (core_) --core_->count;
  }
  [[nodiscard]] const std::shared_ptr<ServerCore>& core() const { return core_; }

 private:
  std::shared_ptr<ServerCore> core_;
};

class Connection {
 public:
  Connection(ConnectionPlace place, Socket socket, std::size_t shard, std::string peer);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Serves until one side ends it.
  Task<void> serve();
  void close_if_idle() {
    if (idle_) cut();
  }
  void cut() {
    cut_ = true;
    stream_.close();
  }

 private:
  friend class ServerExchange;
  using Parser = boost::beast::http::request_parser<boost::beast::http::buffer_body>;

  /// The next request's head; nothing when the connection is over (an answer has been sent where one was due).
  Task<bool> read_head(Parser& parser, bool first);
  Task<bool> serve_one(bool first);
  Task<void> refuse(unsigned status, std::string_view code, std::string_view message);
  /// More bytes into the buffer. The deadline is the caller's.
  Task<ErrorCode> fill(std::size_t bytes);
  void count_answer(unsigned status);

  ConnectionPlace place_;
  std::shared_ptr<ServerCore> core_;
  Stream stream_;
  std::size_t shard_;
  std::string peer_;
  boost::beast::flat_buffer buffer_;
  bool idle_ = true;
  bool cut_ = false;

  /// A look-out for the client leaving, which may outlast the request that asked for it.
  struct Watch {
    bool pending = false;
    Interrupt* interrupt = nullptr;
  };
  std::shared_ptr<Watch> watch_ = std::make_shared<Watch>();
};

/// A coroutine that owns a connection and serves it.
Task<void> serve_connection(ConnectionPlace place, Socket socket, std::size_t shard, std::string peer);

}  // namespace ribalta::http
