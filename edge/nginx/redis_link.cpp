#include "edge/nginx/redis_link.h"

#include <arpa/inet.h>

#include <charconv>
#include <memory>

#include "core/redis/reply_guard.h"

namespace ribalta::edge {

struct RedisLink::Pending {
  RedisLink* link;
  OnReply on_reply;
  void* data;
};

Result<RedisAddress> RedisAddress::parse(std::string_view text) {
  if (text.starts_with("unix:/") && text.size() <= 5 + 107)
    return RedisAddress{.unix_path = std::string{text.substr(5)}, .host = {}};
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return fail(Code::malformed, "redis address: unix:/PATH or IP:PORT wanted");
  RedisAddress out{.unix_path = {}, .host = std::string{text.substr(0, colon)}};
  const std::string_view port = text.substr(colon + 1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), out.port);
  in_addr v4{};
  if (error != std::errc{} || end != port.data() + port.size() || out.port < 1 || out.port > 65535 ||
      inet_pton(AF_INET, out.host.c_str(), &v4) != 1) {
    return fail(Code::malformed, "redis address: unix:/PATH or IP:PORT wanted");
  }
  return out;
}

RedisLink::RedisLink(RedisAddress address, Owner& owner, ngx_log_t* log)
    : address_(std::move(address)), owner_(owner), log_(log) {
  timer_ident_.fd = static_cast<ngx_socket_t>(-1);
  timer_ident_.data = this;
  timer_.data = &timer_ident_;
  timer_.handler = handle_timer;
  timer_.log = log;
  timer_.cancelable = 1;  // never delays the end of a worker
}

RedisLink::~RedisLink() { stop(); }

void RedisLink::stop() {
  stopped_ = true;
  if (timer_.timer_set) ngx_del_timer(&timer_);
  if (context_ != nullptr) redisAsyncFree(context_);
}

void RedisLink::arm(ngx_msec_t ms) {
  if (timer_.timer_set) ngx_del_timer(&timer_);
  ngx_add_timer(&timer_, ms);
}

// --- connecting ------------------------------------------------------------------------------------------------------

void RedisLink::connect() {
  context_ = address_.unix_path.empty() ? redisAsyncConnect(address_.host.c_str(), address_.port)
                                        : redisAsyncConnectUnix(address_.unix_path.c_str());
  if (context_ == nullptr) return retry_later();
  if (context_->err == 0) connection_ = ngx_get_connection(context_->c.fd, log_);
  if (connection_ == nullptr) {  // refused at once, or nginx has no connection left
    redisAsyncFree(context_);
    context_ = nullptr;
    return retry_later();
  }
  redis::guard_replies(*context_->c.reader, *context_);
  connection_->data = this;
  connection_->log = log_;
  connection_->read->handler = handle_read;
  connection_->write->handler = handle_write;
  connection_->read->log = log_;
  connection_->write->log = log_;

  // Level-triggered: hiredis reads at most 16 KB a call, and the rest must wake us again.
  context_->data = this;
  context_->ev.data = this;
  context_->ev.addRead = [](void* data) {
    ngx_event_t* event = of(data).connection_->read;
    if (!event->active) ngx_add_event(event, NGX_READ_EVENT, NGX_LEVEL_EVENT);
  };
  context_->ev.delRead = [](void* data) {
    ngx_event_t* event = of(data).connection_->read;
    if (event->active) ngx_del_event(event, NGX_READ_EVENT, 0);
  };
  context_->ev.addWrite = [](void* data) {
    ngx_event_t* event = of(data).connection_->write;
    if (!event->active) ngx_add_event(event, NGX_WRITE_EVENT, NGX_LEVEL_EVENT);
  };
  context_->ev.delWrite = [](void* data) {
    ngx_event_t* event = of(data).connection_->write;
    if (event->active) ngx_del_event(event, NGX_WRITE_EVENT, 0);
  };
  context_->ev.cleanup = [](void* data) { of(data).forget_connection(); };
  redisAsyncSetConnectCallback(context_, [](const redisAsyncContext* context, int status) {
    RedisLink& link = of(context->data);
    guarded(link.log_, [&] { link.on_connected(status == REDIS_OK); });
  });
  arm(kRedisConnectMs);
}

void RedisLink::on_connected(bool good) {
  if (!good) return;  // hiredis frees the context next, which calls forget_connection
  connected_ = true;
  retry_ms_ = kRedisRetryMinMs;
  if (timer_.timer_set) ngx_del_timer(&timer_);
  if (loss_logged_) ngx_log_error(NGX_LOG_NOTICE, log_, 0, "ribalta: redis: connected again");
  loss_logged_ = false;
  owner_.redis_connected(*this);
}

/// hiredis is about to close the socket and free the context: by our wish, by an error, or because Redis left.
void RedisLink::forget_connection() {
  if (connection_ == nullptr) return;
  if (connection_->read->active) ngx_del_event(connection_->read, NGX_READ_EVENT, 0);
  if (connection_->write->active) ngx_del_event(connection_->write, NGX_WRITE_EVENT, 0);
  if (connection_->read->posted) {
    ngx_delete_posted_event(connection_->read);  // a macro of several statements
  }
  if (connection_->write->posted) {
    ngx_delete_posted_event(connection_->write);  // a macro of several statements
  }
  ngx_free_connection(connection_);
  connection_->fd = static_cast<ngx_socket_t>(-1);
  connection_ = nullptr;
  context_ = nullptr;
  asked_.clear();
  const bool was_connected = std::exchange(connected_, false);
  if (stopped_) return;
  retry_later();
  if (was_connected) guarded(log_, [this] { owner_.redis_lost(*this); });
}

void RedisLink::retry_later() {
  if (stopped_) return;
  if (!std::exchange(loss_logged_, true)) {
    ngx_log_error(NGX_LOG_WARN, log_, 0, "ribalta: redis: no connection, going on with what is known");
  }
  arm(retry_ms_);
  retry_ms_ = ngx_min(retry_ms_ * 2, kRedisRetryMaxMs);
}

void RedisLink::drop(const char* why) {
  ngx_log_error(NGX_LOG_WARN, log_, 0, "ribalta: redis: %s", why);
  redisAsyncFree(context_);
}

void RedisLink::on_timer() {
  if (stopped_) return;
  if (context_ == nullptr) return connect();
  if (!connected_) return drop("connecting takes too long");
  if (asked_.empty()) return;
  const ngx_msec_t waited = ngx_current_msec - asked_.front();
  if (waited >= kRedisAnswerMs) return drop("an answer takes too long");
  arm(kRedisAnswerMs - waited);
}

// --- talking ---------------------------------------------------------------------------------------------------------

bool RedisLink::get(std::string_view key, OnReply on_reply, void* data) {
  if (!connected_ || asked_.size() >= kRedisPendingMax) return false;
  auto pending = std::make_unique<Pending>(this, on_reply, data);
  const char* words[] = {"GET", key.data()};
  const std::size_t lengths[] = {3, key.size()};
  const auto on_answer = [](redisAsyncContext*, void* reply, void* taken) {
    const std::unique_ptr<Pending> done{static_cast<Pending*>(taken)};
    RedisLink& link = *done->link;
    if (link.stopped_) return;
    if (!link.asked_.empty()) link.asked_.pop_front();
    guarded(link.log_, [&] { done->on_reply(static_cast<const redisReply*>(reply), done->data); });
  };
  asked_.push_back(ngx_msec_t{ngx_current_msec});
  if (redisAsyncCommandArgv(context_, on_answer, pending.get(), 2, words, lengths) != REDIS_OK) {
    asked_.pop_back();
    return false;
  }
  static_cast<void>(pending.release());  // hiredis calls on_answer exactly once, also when the connection ends
  if (!timer_.timer_set) ngx_add_timer(&timer_, kRedisAnswerMs);
  return true;
}

bool RedisLink::subscribe(std::string_view channel) {
  if (!connected_) return false;
  const char* words[] = {"SUBSCRIBE", channel.data()};
  const std::size_t lengths[] = {9, channel.size()};
  const auto on_message = [](redisAsyncContext*, void* data, void* self) {
    RedisLink& link = of(self);
    const auto* reply = static_cast<const redisReply*>(data);
    if (link.stopped_ || reply == nullptr || reply->type != REDIS_REPLY_ARRAY || reply->elements != 3) return;
    const auto text = [reply](std::size_t i) {
      const redisReply* part = reply->element[i];
      return part->type == REDIS_REPLY_STRING ? std::string_view{part->str, static_cast<std::size_t>(part->len)}
                                              : std::string_view{};
    };
    guarded(link.log_, [&] {
      if (text(0) == "subscribe") link.owner_.redis_subscribed();
      if (text(0) == "message") link.owner_.redis_message(text(1), text(2));
    });
  };
  return redisAsyncCommandArgv(context_, on_message, this, 2, words, lengths) == REDIS_OK;
}

// --- events ----------------------------------------------------------------------------------------------------------

void RedisLink::handle_read(ngx_event_t* event) {
  RedisLink& link = of(static_cast<ngx_connection_t*>(event->data)->data);
  if (link.context_ != nullptr) redisAsyncHandleRead(link.context_);
}

void RedisLink::handle_write(ngx_event_t* event) {
  RedisLink& link = of(static_cast<ngx_connection_t*>(event->data)->data);
  if (link.context_ != nullptr) redisAsyncHandleWrite(link.context_);
}

void RedisLink::handle_timer(ngx_event_t* event) {
  RedisLink& link = of(static_cast<ngx_connection_t*>(event->data)->data);
  guarded(link.log_, [&link] { link.on_timer(); });
}

}  // namespace ribalta::edge
