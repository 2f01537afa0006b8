// On an edge of another machine: follows the first node's notices (control-plane/nodes.h) and keeps what they say in
// the Redis of this machine, where the module looks: who may play a video, and purges. Each question is this node's
// heartbeat.
//
// Nothing is pulled through here: media, API and uploads go from nginx to the node port. While the first node is away,
// Redis keeps what it knew, and what is in the cache plays on.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/async.h"
#include "core/http/http.h"
#include "core/redis/redis.h"
#include "core/result.h"

namespace ribalta::edge {

/// Without an answer for so long, health says so. A question is held 4 s when there is nothing new.
inline constexpr std::int64_t kFirstNodeSilenceMs = 10'000;
/// Between two tries while the first node is away.
inline constexpr std::chrono::milliseconds kFollowAgain{1'000};
/// Restricted videos that are kept in mind while all are read anew: 40 MB. Beyond, the edge says so and tries again.
inline constexpr std::size_t kRestrictedMax = 500'000;
/// A page of the first node's answers: 1000 notices, videos or streams, and what a later version may say beside them.
inline constexpr std::uint64_t kAnswerBytesMax = 1024 * 1024;
/// How long a removed stream is remembered: longer than the cache keeps what nobody asks for (a day).
inline constexpr std::int64_t kGoneStreamS = 48 * 3'600;

struct FollowerOptions {
  http::Address first;  ///< nginx's way to the first node (edge/first_node.conf.in)
  std::string version;
  std::function<std::int64_t()> now_ms;
  std::chrono::milliseconds again{kFollowAgain};
};

/// As the first node says it, in its notices and of all that is restricted.
struct Notice {
  std::string kind;    ///< `video` or `stream`
  std::string id;      ///< public id
  std::string access;  ///< of a video: `public`, `token`, `gone`; of a stream: `gone`
};

/// All on one loop, that of its Redis client; `health` from anywhere.
class Follower {
 public:
  Follower(asio::any_io_executor loop, std::shared_ptr<redis::Client> redis, FollowerOptions options);

  /// Goes on until it is stopped.
  Task<void> follow();
  void stop();
  /// One question and what comes of it. @error what stands in the way, in words.
  Task<Result<void>> step();
  /// The same, kept for `health`. @return whether it went well.
  Task<bool> look();
  /// Redis may have forgotten all: the next step reads what is restricted anew.
  void redis_forgot() { cursor_.clear(); }
  /// What is wrong, or empty.
  [[nodiscard]] std::string health() const;

 private:
  Task<Result<std::string>> ask(std::string target);
  Task<Result<void>> read_all();
  /// Videos of Redis that are not among the restricted any more.
  Task<Result<void>> open_others(const std::map<std::string, bool, std::less<>>& restricted);
  Task<Result<void>> keep(Notice notice);
  Task<Result<void>> purge(std::string tag);
  void note(const Result<void>& done);

  std::shared_ptr<redis::Client> redis_;
  FollowerOptions options_;
  Event pause_;
  std::string cursor_;
  bool stopping_ = false;
  mutable std::mutex mutex_;  ///< guards what health says
  std::int64_t well_ms_;      ///< when a step last succeeded
  std::string trouble_;       ///< why the last one did not; empty: it did
  bool unknown_ = false;      ///< the first node does not know us
};

}  // namespace ribalta::edge
