// What a Redis, or what sits in its place, could answer: raw RESP through hiredis' reader into our copy, as one piece
// and in pieces sized by the input. The same replies, within the limits; a reader that has given up says nothing more.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "core/bytes.h"
#include "core/redis/link.h"
#include "core/redis/reply_guard.h"

using namespace ribalta;

namespace {

void must(bool holds) {
  if (!holds) std::abort();
}

struct FreeReader {
  void operator()(redisReader* reader) const { redisReaderFree(reader); }
};
struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};

void tell_reply(const redis::Reply& reply, std::string& told, std::size_t& bytes) {
  bytes += sizeof(reply) + reply.text.size();
  told += std::to_string(static_cast<int>(reply.kind)) + ' ' + std::to_string(reply.integer) + ' ' + reply.text + '[';
  must(reply.kind == redis::Reply::Kind::array || reply.array.empty());
  must(reply.kind == redis::Reply::Kind::text || reply.text.empty());
  for (const redis::Reply& element : reply.array) tell_reply(element, told, bytes);
  told += ']';
}

/// What hiredis asserts of a connection with subscriptions.
void must_be_message(const redisReply& reply) {
  must(reply.type == REDIS_REPLY_ARRAY && reply.elements >= 2);
  must(reply.element[0]->type == REDIS_REPLY_STRING && reply.element[1]->type == REDIS_REPLY_STRING);
  must(std::string_view{reply.element[0]->str} != "unsubscribe");  // it then asserts about the third
}

/// A line for each reply. @param asked  how many replies somebody waits for; without subscriptions.
std::string tell(ByteSpan bytes, ByteSpan cuts, bool subscribed, std::size_t asked) {
  std::string told;
  redisCallback waiting{};
  redisAsyncContext context{};
  if (subscribed) context.c.flags = REDIS_SUBSCRIBED;
  const std::unique_ptr<redisReader, FreeReader> reader{redisReaderCreate()};
  redis::guard_replies(*reader, context);
  std::size_t turn = 0;
  std::size_t replies = 0;
  while (!bytes.empty()) {
    std::size_t piece = bytes.size();
    if (!cuts.empty()) piece = std::min(piece, 1 + std::to_integer<std::size_t>(cuts[turn++ % cuts.size()]));
    // A reader that has given up takes nothing more.
    if (redisReaderFeed(reader.get(), reinterpret_cast<const char*>(bytes.data()), piece) != REDIS_OK) break;
    bytes = bytes.subspan(piece);
    for (;;) {
      context.replies.head = replies < asked ? &waiting : nullptr;
      void* raw = nullptr;
      if (redisReaderGetReply(reader.get(), &raw) != REDIS_OK) return told + "given up";
      const std::unique_ptr<redisReply, FreeReply> reply{static_cast<redisReply*>(raw)};
      if (!reply) break;
      ++replies;
      must(subscribed || replies <= asked);
      if (subscribed) must_be_message(*reply);
      const Result<redis::Reply> copied = redis::copy_reply(*reply);
      if (copied) {
        std::size_t size = 0;
        tell_reply(*copied, told, size);
        must(size <= redis::kReplyBytesMax);
      } else {
        told += copied.error().message;
      }
      told += '\n';
    }
  }
  return told;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteSpan input{reinterpret_cast<const std::byte*>(data), size};
  if (input.empty()) return 0;
  // The first byte: how many bytes of the rest are sizes of pieces, whether there are subscriptions, who waits.
  const auto first = std::to_integer<std::size_t>(input[0]);
  const std::size_t cuts = std::min<std::size_t>(first % 16 + 1, input.size() - 1);
  const bool subscribed = (first & 0x10) != 0;
  const std::size_t asked = first >> 5;
  const ByteSpan bytes = input.subspan(1 + cuts);
  must(tell(bytes, {}, subscribed, asked) == tell(bytes, input.subspan(1, cuts), subscribed, asked));
  return 0;
}
