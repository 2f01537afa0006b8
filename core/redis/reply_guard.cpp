#include "core/redis/reply_guard.h"

#include <cstdint>
#include <string_view>
#include <utility>

namespace ribalta::redis {
namespace {

/// What hiredis makes of bytes by itself: one table for all readers.
redisReplyObjectFunctions own{};

enum class Made : std::uint8_t { text, array, other };

/// hiredis counts on: each reply of a connection without subscriptions was asked for; each of one with subscriptions
/// is an array that begins with two texts, what happened and the channel. (Of unsubscribing, which we never do, it
/// wants more.)
bool is_expected(const redisReadTask& task, Made made) {
  const auto& context = *static_cast<const redisAsyncContext*>(task.privdata);
  const bool subscribed = (context.c.flags & REDIS_SUBSCRIBED) != 0;
  if (task.parent == nullptr) return subscribed ? made == Made::array : context.replies.head != nullptr;
  const bool names_message = subscribed && task.parent->parent == nullptr && task.idx < 2;
  return !names_message || (made == Made::text && task.type == REDIS_REPLY_STRING);
}

bool is_event(const redisReadTask& task, std::string_view text) {
  const auto& context = *static_cast<const redisAsyncContext*>(task.privdata);
  const bool names_event = (context.c.flags & REDIS_SUBSCRIBED) != 0 && task.parent != nullptr &&
                           task.parent->parent == nullptr && task.idx == 0;
  return !names_event || text == "subscribe" || text == "message";
}

void* create_string(const redisReadTask* task, char* text, std::size_t size) {
  if (!is_expected(*task, Made::text) || !is_event(*task, {text, size})) return nullptr;
  return own.createString(task, text, size);
}

void* create_array(const redisReadTask* task, int elements) {
  const auto& context = *static_cast<const redisAsyncContext*>(task->privdata);
  const bool message = task->parent == nullptr && (context.c.flags & REDIS_SUBSCRIBED) != 0;
  const bool fits = elements >= (message ? 3 : 0) && static_cast<std::size_t>(elements) <= kReplyElementsMax;
  return fits && is_expected(*task, Made::array) ? own.createArray(task, elements) : nullptr;
}

void* create_integer(const redisReadTask* task, long long value) {
  return is_expected(*task, Made::other) ? own.createInteger(task, value) : nullptr;
}

void* create_nil(const redisReadTask* task) { return is_expected(*task, Made::other) ? own.createNil(task) : nullptr; }

}  // namespace

void guard_replies(redisReader& reader, redisAsyncContext& context) {
  static redisReplyObjectFunctions guarded = [&reader] {
    own = *reader.fn;
    return redisReplyObjectFunctions{.createString = create_string,
                                     .createArray = create_array,
                                     .createInteger = create_integer,
                                     .createNil = create_nil,
                                     .freeObject = own.freeObject};
  }();
  reader.fn = &guarded;
  reader.privdata = &context;
}

}  // namespace ribalta::redis
