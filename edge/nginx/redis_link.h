// One connection to Redis inside nginx's event loop. hiredis 0.14 knows neither timeouts nor reconnects: both are here.
// While there is no connection, `get` says so at once; nobody waits for a Redis that is down.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>

#include "core/result.h"
#include "edge/nginx/nginx.h"

struct redisAsyncContext;
struct redisReply;

namespace ribalta::edge {

inline constexpr ngx_msec_t kRedisConnectMs = 1'000;
/// A local Redis answers in 0.1 ms; one that takes this long is stuck, and a viewer's request stops waiting for it.
inline constexpr ngx_msec_t kRedisAnswerMs = 250;
inline constexpr ngx_msec_t kRedisRetryMinMs = 50;
inline constexpr ngx_msec_t kRedisRetryMaxMs = 1'000;
/// Questions on the way at once. Requests for the same thing share one, so that this is reached only by a scan.
inline constexpr std::size_t kRedisPendingMax = 4'096;

struct RedisAddress {
  std::string unix_path;  ///< when not empty, the rest is unused
  std::string host;       ///< an IP address
  int port = 0;
  /// `unix:/path` or `IP:PORT`.
  static Result<RedisAddress> parse(std::string_view text);
};

class RedisLink {
 public:
  /// What the owner wants to know. Called from the event loop; must not throw.
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual void redis_connected(RedisLink&) {}
    virtual void redis_lost(RedisLink&) {}
    /// A message on a channel that was subscribed to.
    virtual void redis_message(std::string_view /*channel*/, std::string_view /*text*/) {}
    /// The subscription stands: messages from here on are not missed.
    virtual void redis_subscribed() {}
  };
  /// `reply` is null when there was no answer: unknown, which is not absent. Called exactly once for each `get` that
  /// was taken, and never after `stop`.
  using OnReply = void (*)(const redisReply* reply, void* data);

  RedisLink(RedisAddress address, Owner& owner, ngx_log_t* log);
  ~RedisLink();
  RedisLink(const RedisLink&) = delete;
  RedisLink& operator=(const RedisLink&) = delete;

  void start() { connect(); }
  /// Frees the connection without telling anybody. For the end of the worker: nginx complains of open sockets.
  void stop();

  [[nodiscard]] bool connected() const { return connected_; }
  /// @return false when there is no connection or too much is on its way: `on_reply` is not called then.
  bool get(std::string_view key, OnReply on_reply, void* data);
  bool subscribe(std::string_view channel);

 private:
  struct Pending;
  void connect();
  void retry_later();
  void drop(const char* why);
  void forget_connection();
  void on_connected(bool good);
  void on_timer();
  void arm(ngx_msec_t ms);

  static void handle_read(ngx_event_t* event);
  static void handle_write(ngx_event_t* event);
  static void handle_timer(ngx_event_t* event);
  static RedisLink& of(void* data) { return *static_cast<RedisLink*>(data); }

  RedisAddress address_;
  Owner& owner_;
  ngx_log_t* log_;
  redisAsyncContext* context_ = nullptr;
  ngx_connection_t* connection_ = nullptr;
  bool connected_ = false;
  bool stopped_ = false;
  bool loss_logged_ = false;
  ngx_msec_t retry_ms_ = kRedisRetryMinMs;
  std::deque<ngx_msec_t> asked_;  ///< when each question on its way was asked; answers come in order
  ngx_event_t timer_{};           ///< connecting: its deadline; connected: the oldest answer's; else: the next attempt
  ngx_connection_t timer_ident_{};  ///< nginx's debug log takes an event's data for a connection
};

}  // namespace ribalta::edge
