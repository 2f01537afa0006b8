// One connection of hiredis 0.14 on an Asio loop: readiness in, replies out. It lives for one connection; whoever holds
// it makes another when this one has ended. Inside core/redis only.
#pragma once

#include <hiredis/async.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <memory>
#include <string>

#include "core/async.h"
#include "core/http/http.h"
#include "core/redis/redis.h"

namespace ribalta::redis {

class Link : public std::enable_shared_from_this<Link> {
 public:
  explicit Link(const asio::any_io_executor& loop) : descriptor_(loop) {}
  ~Link() { drop(); }
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  /// Begins to connect. `on_change` is called once it is connected, and once it has ended (also when it never stood).
  /// @error unavailable: at once refused.
  Result<void> connect(const http::Address& address, std::function<void()> on_change);
  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] bool ended() const { return context_ == nullptr; }

  /// `on_reply` is called once for a command (again and again for SUBSCRIBE), with null when the connection has ended.
  /// @return false: the connection has ended, and on_reply will not be called.
  bool send(const std::vector<std::string>& arguments, redisCallbackFn* on_reply, void* context);
  /// Ends it; whatever waits for a reply gets null.
  void drop();
  /// To be called with each reply: so much of what was read is accounted for.
  void reply_came() { bytes_since_reply_ = 0; }

 private:
  static Link& of(void* data) { return *static_cast<Link*>(data); }
  void arm_read();
  void arm_write();
  void on_readable();
  void context_gone(bool changed);

  asio::posix::stream_descriptor descriptor_;
  redisAsyncContext* context_ = nullptr;
  std::function<void()> on_change_;
  std::size_t bytes_since_reply_ = 0;
  bool connected_ = false;
  bool reading_ = false;  ///< hiredis wants to read; armed_: a wait is under way
  bool writing_ = false;
  bool read_armed_ = false;
  bool write_armed_ = false;
};

/// The reply, copied. @error malformed: Redis answered with an error; limit: over kReplyBytesMax.
Result<Reply> copy_reply(const redisReply& reply);

}  // namespace ribalta::redis
