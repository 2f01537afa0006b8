// hiredis 0.14 asserts about what Redis sends: a message with a single element, or a reply that nobody asked for, ends
// the process. This stands before it, where replies are made out of bytes: such a reply is refused, and with it the
// connection, as if there were no memory for it. For everything that has a redisAsyncContext, nginx's module too.
#pragma once

#include <hiredis/async.h>

#include <cstddef>

namespace ribalta::redis {

/// Elements of one array. hiredis takes memory for the count that Redis says (16 GB for the largest), before any came.
inline constexpr std::size_t kReplyElementsMax = 16 * 1024;

/// To be called once, after the context was made and before anything is read. @param reader  the context's, or another.
void guard_replies(redisReader& reader, redisAsyncContext& context);

}  // namespace ribalta::redis
