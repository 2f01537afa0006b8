#include "core/redis/link.h"

#include <sys/ioctl.h>

#include <algorithm>
#include <cassert>

#include "core/redis/reply_guard.h"

namespace ribalta::redis {
namespace {

/// hiredis reads at most this much for one call of redisAsyncHandleRead.
constexpr int kReadBytes = 16 * 1024;
/// Beyond a reply's own bytes: protocol, and replies that are read together with it.
constexpr std::size_t kReplyOverhead = 64 * 1024;
static_assert(kReplyElementsMax * sizeof(Reply) >= kReplyBytesMax, "an array that fits is never refused by its count");
/// Deeper arrays than any command of ours answers with.
constexpr int kReplyDepthMax = 8;

Result<void> copy_into(const redisReply& from, Reply& to, std::size_t& bytes, int depth) {
  if (depth > kReplyDepthMax) return fail(Code::limit, "redis: a reply nested too deep");
  bytes += sizeof(Reply) + from.len;
  if (bytes > kReplyBytesMax) return fail(Code::limit, "redis: a reply too large");
  switch (from.type) {
    case REDIS_REPLY_NIL:
      return {};
    case REDIS_REPLY_INTEGER:
      to.kind = Reply::Kind::integer;
      to.integer = from.integer;
      return {};
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
      to.kind = Reply::Kind::text;
      to.text.assign(from.str, static_cast<std::size_t>(from.len));
      return {};
    case REDIS_REPLY_ERROR:
      return fail(Code::malformed, "redis:", std::string_view{from.str, static_cast<std::size_t>(from.len)});
    case REDIS_REPLY_ARRAY:
      to.kind = Reply::Kind::array;
      for (std::size_t i = 0; i < from.elements; ++i) {
        const Result<void> copied = copy_into(*from.element[i], to.array.emplace_back(), bytes, depth + 1);
        if (!copied) return copied;
      }
      return {};
    default:
      return fail(Code::malformed, "redis: a reply of unknown kind", from.type);
  }
}

}  // namespace

Result<Reply> copy_reply(const redisReply& reply) {
  Reply copy;
  std::size_t bytes = 0;
  const Result<void> copied = copy_into(reply, copy, bytes, 0);
  if (!copied) return pass(copied);
  return copy;
}

Result<void> Link::connect(const http::Address& address, std::function<void()> on_change) {
  assert(context_ == nullptr);
  // A host is a numeric address, or a name that the machine knows itself: hiredis asks for it while the loop waits.
  context_ = address.unix_path.empty() ? redisAsyncConnect(address.host.c_str(), address.port)
                                       : redisAsyncConnectUnix(address.unix_path.c_str());
  if (context_ == nullptr) return fail(Code::unavailable, "redis: no memory");
  if (context_->err != 0) {
    const std::string reason = context_->errstr;
    redisAsyncFree(std::exchange(context_, nullptr));
    return fail(Code::unavailable, "redis: connect:", reason);
  }
  guard_replies(*context_->c.reader, *context_);
  if (address.unix_path.empty()) redisEnableKeepAlive(&context_->c);
  boost::system::error_code error;
  descriptor_.assign(context_->c.fd, error);
  if (error) {
    redisAsyncFree(std::exchange(context_, nullptr));
    return fail(Code::unavailable, "redis:", error.message());
  }
  on_change_ = std::move(on_change);
  context_->data = this;
  context_->ev.data = this;
  context_->ev.addRead = [](void* data) {
    of(data).reading_ = true;
    of(data).arm_read();
  };
  context_->ev.delRead = [](void* data) { of(data).reading_ = false; };
  context_->ev.addWrite = [](void* data) {
    of(data).writing_ = true;
    of(data).arm_write();
  };
  context_->ev.delWrite = [](void* data) { of(data).writing_ = false; };
  context_->ev.cleanup = [](void* data) {
    of(data).reading_ = of(data).writing_ = false;
    if (of(data).descriptor_.is_open()) of(data).descriptor_.release();  // hiredis closes it
  };
  redisAsyncSetDisconnectCallback(context_,
                                  [](const redisAsyncContext* context, int) { of(context->data).context_gone(true); });
  redisAsyncSetConnectCallback(context_, [](const redisAsyncContext* context, int status) {
    Link& link = of(context->data);
    if (status != REDIS_OK) return link.context_gone(true);  // hiredis frees it after this
    link.connected_ = true;
    link.on_change_();
  });
  return {};
}

void Link::context_gone(bool changed) {
  context_ = nullptr;
  connected_ = false;
  if (changed && on_change_) on_change_();
}

bool Link::send(const std::vector<std::string>& arguments, redisCallbackFn* on_reply, void* context) {
  if (context_ == nullptr) return false;
  std::vector<const char*> texts;
  std::vector<std::size_t> sizes;
  for (const std::string& argument : arguments) {
    texts.push_back(argument.data());
    sizes.push_back(argument.size());
  }
  return redisAsyncCommandArgv(context_, on_reply, context, static_cast<int>(texts.size()), texts.data(),
                               sizes.data()) == REDIS_OK;
}

void Link::drop() {
  if (context_ == nullptr) return;
  on_change_ = nullptr;
  // Null before it is freed: its callbacks see a connection that has ended.
  redisAsyncFree(std::exchange(context_, nullptr));
  connected_ = false;
}

void Link::arm_read() {
  if (std::exchange(read_armed_, true)) return;
  descriptor_.async_wait(asio::posix::stream_descriptor::wait_read,
                         [link = weak_from_this()](boost::system::error_code error) {
                           const std::shared_ptr<Link> self = link.lock();
                           if (!self) return;
                           self->read_armed_ = false;
                           if (error || self->context_ == nullptr || !self->reading_) return;
                           self->on_readable();
                           if (self->context_ != nullptr && self->reading_) self->arm_read();
                         });
}

void Link::on_readable() {
  int waiting = 0;
  ::ioctl(context_->c.fd, FIONREAD, &waiting);
  bytes_since_reply_ += static_cast<std::size_t>(std::clamp(waiting, 0, kReadBytes));
  if (bytes_since_reply_ > kReplyBytesMax + kReplyOverhead) {
    const std::function<void()> tell = on_change_;
    drop();
    if (tell) tell();
    return;
  }
  redisAsyncHandleRead(context_);
}

void Link::arm_write() {
  if (std::exchange(write_armed_, true)) return;
  descriptor_.async_wait(asio::posix::stream_descriptor::wait_write,
                         [link = weak_from_this()](boost::system::error_code error) {
                           const std::shared_ptr<Link> self = link.lock();
                           if (!self) return;
                           self->write_armed_ = false;
                           if (error || self->context_ == nullptr || !self->writing_) return;
                           redisAsyncHandleWrite(self->context_);
                           if (self->context_ != nullptr && self->writing_) self->arm_write();
                         });
}

}  // namespace ribalta::redis
