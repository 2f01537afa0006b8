// Live streams (one broadcast each) in SQL.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.h"
#include "core/result.h"
#include "core/sql/sql.h"

namespace ribalta::control {

enum class StreamState : std::uint8_t { starting, live, interrupted, ended };
std::string_view to_string(StreamState state);

struct Stream {
  StreamId id = StreamId::random();
  UserId user = UserId::random();
  std::string user_name;  ///< read with it, not written
  std::string title;
  StreamState state = StreamState::starting;
  std::string node;        ///< the ingest that holds the publisher
  std::int64_t epoch = 1;  ///< of the publish
  std::int64_t started = 0;
  std::int64_t heard = 0;  ///< when ingest last said `publishing`
  std::int64_t ended = 0;
  std::string health;  ///< JSON; empty: none yet
  std::string source;  ///< JSON; empty: none yet
  std::string plan;    ///< JSON; empty: none yet
  bool plan_sent = false;
  bool removed = false;
};

class StreamsStore {
 public:
  explicit StreamsStore(sql::Session& session) : sql_(session) {}

  /// @error conflict: the id is known, or the user has a stream that has not ended.
  Result<void> insert(const Stream& stream);
  Result<std::optional<Stream>> by_id(StreamId id);
  /// The user's stream that has not ended.
  Result<std::optional<Stream>> active_of(UserId user);
  /// Streams that have not ended and whose owner is not suspended, newest first.
  Result<std::vector<Stream>> active(std::int64_t limit);

  /// A publisher came (back): a higher epoch, held by another or the same node.
  Result<void> set_holder(StreamId id, std::string_view node, std::int64_t epoch, std::int64_t now);
  Result<void> set_heard(StreamId id, std::int64_t now, StreamState state);
  Result<void> set_health(StreamId id, std::string_view health);
  Result<void> set_state(StreamId id, StreamState state);
  Result<void> set_title(StreamId id, std::string_view title);
  Result<void> set_plan(StreamId id, std::string_view source, std::string_view plan);
  /// The packager holds the plan: the stream can be watched.
  Result<void> set_plan_sent(StreamId id);
  Result<void> set_ended(StreamId id, std::int64_t now);
  Result<void> set_removed(StreamId id);
  /// Of one whose account is removed: titles, and what was noted of encoder and source.
  Result<void> forget_words_of(UserId user);

  /// Not ended, and nothing heard since `before`.
  Result<std::vector<Stream>> silent_since(std::int64_t before, std::int64_t limit);
  /// Ended before that instant, media still there.
  Result<std::vector<StreamId>> ended_before(std::int64_t before, std::int64_t limit);
  /// The user's streams whose media is still there, ended or not.
  Result<std::vector<StreamId>> kept_of(UserId user);
  /// Whose media were removed, of those that ended since then: a page of them, by id, after `after` (empty: the first).
  Result<std::vector<StreamId>> removed_since(std::int64_t ended_since, std::string_view after, std::int64_t limit);
  Result<std::int64_t> count_active();

 private:
  sql::Session& sql_;
};

}  // namespace ribalta::control
