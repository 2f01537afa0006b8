// Redis on the event loop (hiredis 0.14 behind this header). Redis holds only what may be lost: every error here means
// "unknown", never "absent", and callers go on without it. Each key and channel is in docs/redis.md.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/async.h"
#include "core/result.h"

namespace ribalta::redis {

struct Reply {
  enum class Kind : std::uint8_t { nil, text, integer, array };
  Kind kind = Kind::nil;
  std::string text;
  std::int64_t integer = 0;
  std::vector<Reply> array;
};

inline constexpr std::size_t kReplyBytesMax = 1024 * 1024;  ///< a longer answer is an error: nothing of ours is so long
inline constexpr std::size_t kCommandsWaitingMax = 10'000;  ///< beyond: refused at once as unavailable

/// Pipelined commands on one connection, reconnected by itself with back-off (100 ms … 2 s).
class Client {
 public:
  /// `unix:/path` or `HOST:PORT`. Connects in the background.
  static std::shared_ptr<Client> create(asio::any_io_executor loop, std::string address,
                                        std::chrono::milliseconds timeout = std::chrono::milliseconds{500});
  virtual ~Client() = default;
  /// Arguments are binary safe. @error unavailable: not connected; timeout (the connection is then dropped, since
  /// replies pair by order); malformed: Redis answered with an error. Callable from the client's loop only.
  virtual Task<Result<Reply>> command(std::vector<std::string> arguments) = 0;
  /// Called (on the loop) each time a connection is made: rebuild what Redis may have lost.
  virtual void on_connected(std::function<void()> callback) = 0;
  [[nodiscard]] virtual bool connected() const = 0;
  virtual void close() = 0;
};

/// A connection that only listens; subscriptions are renewed after a reconnect.
class Subscriber {
 public:
  using OnMessage = std::function<void(std::string_view channel, std::string_view message)>;
  static std::shared_ptr<Subscriber> create(asio::any_io_executor loop, std::string address);
  virtual ~Subscriber() = default;
  virtual void subscribe(std::string channel, OnMessage on_message) = 0;
  /// Called after each (re)connect once the subscriptions stand: bells may have rung unheard meanwhile.
  virtual void on_subscribed(std::function<void()> callback) = 0;
  virtual void close() = 0;
};

}  // namespace ribalta::redis
