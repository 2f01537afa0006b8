// An HTTP/1.1 server that streams both ways: a handler may read the body piece by piece as the sender writes it, and
// may write an answer chunk by chunk, each flushed at once. Thousands of held requests cost a coroutine each.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/async.h"
#include "core/bytes.h"
#include "core/http/http.h"
#include "core/metrics.h"

namespace ribalta::http {

struct ServerLimits {
  std::size_t header_bytes_max = 16 * 1024;           ///< request line and fields; beyond: 431
  std::uint64_t body_bytes_max = 1024 * 1024;         ///< for read_all; streamed bodies are the handler's to bound
  std::chrono::milliseconds header_deadline{10'000};  ///< from the first byte (or accept) to the blank line
  std::chrono::milliseconds body_idle{30'000};   ///< between two pieces of a body; beyond: the read fails with timeout
  std::chrono::milliseconds write_idle{30'000};  ///< a client that reads nothing this long is cut
  std::chrono::milliseconds keep_alive{75'000};
  std::size_t connections_max = 20'000;  ///< beyond: accepted and answered 503 at once
};

/// One request and its answer, as a handler sees them. Lives until the handler returns.
class Exchange {
 public:
  virtual ~Exchange() = default;

  [[nodiscard]] virtual const RequestHead& head() const = 0;
  /// The next piece of the body as it came (at most 64 KiB); empty at its end. The span lives until the next call.
  /// @error closed: the client left; timeout; malformed.
  virtual Task<Result<ByteSpan>> read_some() = 0;
  /// The whole body. @error limit: over body_bytes_max (or `max` where given).
  virtual Task<Result<std::string>> read_all(std::optional<std::uint64_t> max = std::nullopt) = 0;

  /// A whole answer. Exactly one of respond and start is called; a handler that does neither is answered with 500.
  virtual Task<Result<void>> respond(Response response) = 0;
  /// Begins an answer of unknown length (chunked; HEAD sends no body). `write` flushes; `finish` ends it well; a
  /// handler that returns without finish cuts the connection, so that the reader sees that it is not whole.
  virtual Task<Result<void>> start(ResponseHead head) = 0;
  /// The same with a known length (Content-Length).
  virtual Task<Result<void>> start(ResponseHead head, std::uint64_t content_length) = 0;
  virtual Task<Result<void>> write(ByteSpan bytes) = 0;
  virtual Task<Result<void>> finish() = 0;

  /// True once the client has closed its side while nothing of it is being read (checked without blocking): a held
  /// request should look before it goes on holding. `until_gone_or` waits for an event, the limit or the client
  /// leaving.
  [[nodiscard]] virtual bool client_gone() = 0;
  enum class Woken { event, limit, gone };
  virtual Task<Woken> until_gone_or(Event& event, std::uint64_t seen, std::chrono::milliseconds limit) = 0;

  /// Cuts the connection from another coroutine on the same loop: pending reads and writes end with `closed`.
  virtual void cut() = 0;
  [[nodiscard]] virtual asio::any_io_executor loop() const = 0;
  [[nodiscard]] virtual bool answered() const = 0;
};

using Handler = std::function<Task<void>(Exchange&)>;

/// Matches method and path pattern (`/tracks/{stream}/{track}/head`; `{rest...}` takes the remaining path).
class Router {
 public:
  using Parameters = std::vector<std::pair<std::string, std::string>>;
  using Route = std::function<Task<void>(Exchange&, const Parameters&)>;
  void add(std::string_view method, std::string_view pattern, Route route);
  /// 404 for an unknown path, 405 with Allow for a known path and another method. GET routes answer HEAD too.
  [[nodiscard]] Handler handler() const;
  /// METHOD and pattern of every route, for the test that holds the server against its OpenAPI document.
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> routes() const;

 private:
  struct Entry {
    std::string method;
    std::string pattern;
    std::vector<std::string> segments;
    Route route;
  };
  std::vector<Entry> entries_;
};
/// The parameter of that name; the pattern has it, or it is our bug.
std::string_view parameter(const Router::Parameters& parameters, std::string_view name);

class Server {
 public:
  /// Binds and listens (a stale Unix socket file is replaced; its mode is 0660). @error conflict: the port is taken.
  static Result<std::unique_ptr<Server>> listen(LoopPool& loops, const Address& address, Handler handler,
                                                ServerLimits limits = {}, Metrics* metrics = nullptr);
  virtual ~Server() = default;
  /// The port that was bound, where 0 was asked for.
  [[nodiscard]] virtual std::uint16_t port() const = 0;
  /// No new connections; idle ones are closed at once, busy ones after their answer.
  virtual void drain() = 0;
  [[nodiscard]] virtual std::size_t connections() const = 0;
};

}  // namespace ribalta::http
