#include "control-plane/streams_store.h"

#include "control-plane/store.h"

namespace ribalta::control {
namespace {

constexpr std::string_view kSelect =
    "SELECT s.id, s.user_id, u.name, s.title, s.state, s.node, s.epoch, s.started, s.heard, s.ended, s.health, "
    "s.source, "
    "s.plan, s.plan_sent, s.removed FROM streams s JOIN users u ON u.id = s.user_id ";

StreamState state_from(std::string_view text) {
  for (const StreamState state : {StreamState::starting, StreamState::live, StreamState::interrupted}) {
    if (to_string(state) == text) return state;
  }
  return StreamState::ended;
}

Result<std::vector<Stream>> many(sql::Session& session, std::string_view name, const std::string& rest,
                                 const sql::Values& values) {
  auto rows = session.rows<std::string, std::string, std::string, std::string, std::string, std::string, std::int64_t,
                           std::int64_t, std::int64_t, std::int64_t, std::string, std::string, std::string, bool, bool>(
      name, std::string{kSelect} + rest, values);
  if (!rows) return pass(rows);
  std::vector<Stream> streams;
  for (auto& [id, user, user_name, title, state, node, epoch, started, heard, ended, health, source, plan, sent,
              removed] : *rows) {
    streams.push_back({stored_id<StreamId>(id), stored_id<UserId>(user), std::move(user_name), std::move(title),
                       state_from(state), std::move(node), epoch, started, heard, ended, std::move(health),
                       std::move(source), std::move(plan), sent, removed});
  }
  return streams;
}

Result<std::optional<Stream>> one(sql::Session& session, std::string_view name, const std::string& rest,
                                  const sql::Values& values) {
  auto found = many(session, name, rest, values);
  if (!found) return pass(found);
  if (found->empty()) return std::optional<Stream>{};
  return std::optional<Stream>{std::move(found->front())};
}

}  // namespace

std::string_view to_string(StreamState state) {
  switch (state) {
    case StreamState::starting:
      return "starting";
    case StreamState::live:
      return "live";
    case StreamState::interrupted:
      return "interrupted";
    case StreamState::ended:
      return "ended";
  }
  return "ended";
}

Result<void> StreamsStore::insert(const Stream& stream) {
  return done(
      sql_.run("streams.insert",
               "INSERT INTO streams (id, user_id, title, state, node, epoch, started, heard, ended, health, source, "
               "plan, plan_sent, removed) VALUES (:1, :2, :3, :4, :5, :6, :7, :8, 0, '', '', '', 0, 0)",
               {stream.id.view(), stream.user.view(), stream.title, to_string(stream.state), stream.node, stream.epoch,
                stream.started, stream.heard}));
}

Result<std::optional<Stream>> StreamsStore::by_id(StreamId id) {
  return one(sql_, "streams.by_id", "WHERE s.id = :1", {id.view()});
}

Result<std::optional<Stream>> StreamsStore::active_of(UserId user) {
  return one(sql_, "streams.active_of", "WHERE s.user_id = :1 AND s.state <> 'ended'", {user.view()});
}

Result<std::vector<Stream>> StreamsStore::active(std::int64_t limit) {
  return many(sql_, "streams.active",
              "WHERE s.state <> 'ended' AND u.suspended = 0 ORDER BY s.started DESC, s.id LIMIT :1", {limit});
}

Result<void> StreamsStore::set_holder(StreamId id, std::string_view node, std::int64_t epoch, std::int64_t now) {
  return done(
      sql_.run("streams.set_holder",
               "UPDATE streams SET node = :2, epoch = :3, heard = :4, "
               "state = CASE WHEN plan_sent = 1 THEN 'live' ELSE 'starting' END WHERE id = :1 AND state <> 'ended'",
               {id.view(), node, epoch, now}));
}

Result<void> StreamsStore::set_heard(StreamId id, std::int64_t now, StreamState state) {
  return done(sql_.run("streams.set_heard",
                       "UPDATE streams SET heard = :2, state = :3 WHERE id = :1 AND state <> 'ended'",
                       {id.view(), now, to_string(state)}));
}

Result<void> StreamsStore::set_health(StreamId id, std::string_view health) {
  return done(sql_.run("streams.set_health", "UPDATE streams SET health = :2 WHERE id = :1", {id.view(), health}));
}

Result<void> StreamsStore::set_state(StreamId id, StreamState state) {
  return done(sql_.run("streams.set_state", "UPDATE streams SET state = :2 WHERE id = :1 AND state <> 'ended'",
                       {id.view(), to_string(state)}));
}

Result<void> StreamsStore::set_title(StreamId id, std::string_view title) {
  return done(sql_.run("streams.set_title", "UPDATE streams SET title = :2 WHERE id = :1", {id.view(), title}));
}

Result<void> StreamsStore::set_plan(StreamId id, std::string_view source, std::string_view plan) {
  return done(sql_.run("streams.set_plan", "UPDATE streams SET source = :2, plan = :3 WHERE id = :1",
                       {id.view(), source, plan}));
}

Result<void> StreamsStore::set_plan_sent(StreamId id) {
  return done(
      sql_.run("streams.set_plan_sent",
               "UPDATE streams SET plan_sent = 1, state = CASE WHEN state = 'starting' THEN 'live' ELSE state END "
               "WHERE id = :1",
               {id.view()}));
}

Result<void> StreamsStore::set_ended(StreamId id, std::int64_t now) {
  return done(sql_.run("streams.set_ended",
                       "UPDATE streams SET state = 'ended', ended = :2 WHERE id = :1 AND state <> 'ended'",
                       {id.view(), now}));
}

Result<void> StreamsStore::set_removed(StreamId id) {
  return done(sql_.run("streams.set_removed", "UPDATE streams SET removed = 1 WHERE id = :1", {id.view()}));
}

Result<void> StreamsStore::forget_words_of(UserId user) {
  return done(sql_.run("streams.forget_words_of",
                       "UPDATE streams SET title = '', node = '', health = '', source = '', plan = '' "
                       "WHERE user_id = :1 AND state = 'ended'",
                       {user.view()}));
}

Result<std::vector<Stream>> StreamsStore::silent_since(std::int64_t before, std::int64_t limit) {
  return many(sql_, "streams.silent_since", "WHERE s.state <> 'ended' AND s.heard < :1 ORDER BY s.heard LIMIT :2",
              {before, limit});
}

Result<std::vector<StreamId>> StreamsStore::ended_before(std::int64_t before, std::int64_t limit) {
  auto rows = sql_.rows<std::string>(
      "streams.ended_before",
      "SELECT id FROM streams WHERE state = 'ended' AND removed = 0 AND ended < :1 ORDER BY ended LIMIT :2",
      {before, limit});
  if (!rows) return pass(rows);
  std::vector<StreamId> ids;
  for (const auto& [id] : *rows) ids.push_back(stored_id<StreamId>(id));
  return ids;
}

Result<std::vector<StreamId>> StreamsStore::kept_of(UserId user) {
  auto rows = sql_.rows<std::string>("streams.kept_of", "SELECT id FROM streams WHERE user_id = :1 AND removed = 0",
                                     {user.view()});
  if (!rows) return pass(rows);
  std::vector<StreamId> ids;
  for (const auto& [id] : *rows) ids.push_back(stored_id<StreamId>(id));
  return ids;
}

Result<std::vector<StreamId>> StreamsStore::removed_since(std::int64_t ended_since, std::string_view after,
                                                          std::int64_t limit) {
  auto rows = sql_.rows<std::string>(
      "streams.removed_since",
      "SELECT id FROM streams WHERE state = 'ended' AND removed = 1 AND ended >= :1 AND id > :2 ORDER BY id LIMIT :3",
      {ended_since, after, limit});
  if (!rows) return pass(rows);
  std::vector<StreamId> ids;
  for (const auto& [id] : *rows) ids.push_back(stored_id<StreamId>(id));
  return ids;
}

Result<std::int64_t> StreamsStore::count_active() {
  return number(sql_.row<std::int64_t>("streams.count_active", "SELECT COUNT(*) FROM streams WHERE state <> 'ended'"));
}

}  // namespace ribalta::control
