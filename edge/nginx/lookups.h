// Questions to Redis on behalf of requests: those that ask for the same thing at once share one question.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "edge/nginx/redis_link.h"
#include "edge/nginx/shared.h"

namespace ribalta::edge {

class Lookups;

/// A request that waits. It may leave at any time by being destroyed.
class Waiter {
 public:
  Waiter() = default;
  virtual ~Waiter() { leave(); }
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;
  void leave();

 protected:
  /// The answer is there (also when it is that Redis gave none). Called from the loop, after the waiter was taken off
  /// the list.
  virtual void answered(Answer answer) = 0;

 private:
  friend class Lookups;
  Waiter* next_ = nullptr;
  Waiter** link_ = nullptr;  ///< what points at this one; null: does not wait
};

/// What one worker holds: its connections and the questions on their way.
class Lookups final : public RedisLink::Owner {
 public:
  /// @param listens  told of each purge, in the worker that listens to them for all; empty in the others.
  Lookups(const RedisAddress& redis, Zone zone, std::function<void(const Tag&)> listens, ngx_log_t* log);
  ~Lookups() override;

  void start();
  /// @return true: `waiter` is told later. False: there is no connection to ask over.
  bool ask(MediaKind kind, std::string_view id, Waiter& waiter);
  [[nodiscard]] Zone& zone() { return zone_; }

 private:
  struct Question {
    Lookups* owner = nullptr;
    MediaKind kind{};
    std::string id;
    std::string key;
    std::uint64_t asked_ms = 0;
    Waiter* waiters = nullptr;
  };
  static void on_reply(const redisReply* reply, void* data);
  void finish(Question& question, const redisReply* reply);

  void redis_connected(RedisLink& link) override;
  void redis_lost(RedisLink& link) override;
  void redis_message(std::string_view channel, std::string_view text) override;
  void redis_subscribed() override;

  Zone zone_;
  ngx_log_t* log_;
  std::unordered_map<std::string, std::unique_ptr<Question>> questions_;  ///< by Redis key
  RedisLink commands_;
  std::function<void(const Tag&)> on_purge_;
  std::unique_ptr<RedisLink> messages_;  ///< only in the worker that listens to purges for all
};

}  // namespace ribalta::edge
