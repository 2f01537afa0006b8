#include "control-plane/sessions_store.h"

#include "control-plane/store.h"

namespace ribalta::control {
namespace {

Result<std::optional<SessionsStore::Found>> found(Result<std::optional<std::tuple<std::string, std::int64_t>>> row) {
  if (!row) return pass(row);
  if (!*row) return std::optional<SessionsStore::Found>{};
  return std::optional<SessionsStore::Found>{{stored_id<UserId>(std::get<0>(**row)), std::get<1>(**row)}};
}

}  // namespace

Result<void> SessionsStore::insert(std::string_view hash, UserId user, std::int64_t now, std::int64_t expires) {
  return done(sql_.run("sessions.insert",
                       "INSERT INTO sessions (hash, user_id, created, used, expires) VALUES (:1, :2, :3, :3, :4)",
                       {hash, user.view(), now, expires}));
}

Result<std::optional<SessionsStore::Found>> SessionsStore::find(std::string_view hash, std::int64_t now) {
  return found(sql_.row<std::string, std::int64_t>(
      "sessions.find", "SELECT user_id, used FROM sessions WHERE hash = :1 AND expires > :2", {hash, now}));
}

Result<void> SessionsStore::touch(std::string_view hash, std::int64_t now, std::int64_t expires) {
  return done(
      sql_.run("sessions.touch", "UPDATE sessions SET used = :2, expires = :3 WHERE hash = :1", {hash, now, expires}));
}

Result<void> SessionsStore::remove(std::string_view hash) {
  return done(sql_.run("sessions.remove", "DELETE FROM sessions WHERE hash = :1", {hash}));
}

Result<void> SessionsStore::remove_all_of(UserId user) {
  return done(sql_.run("sessions.remove_all_of", "DELETE FROM sessions WHERE user_id = :1", {user.view()}));
}

Result<std::int64_t> SessionsStore::remove_expired(std::int64_t now) {
  const auto sessions = sql_.run("sessions.remove_expired", "DELETE FROM sessions WHERE expires <= :1", {now});
  if (!sessions) return sessions;
  const auto tokens =
      sql_.run("api_tokens.remove_expired", "DELETE FROM api_tokens WHERE expires > 0 AND expires <= :1", {now});
  if (!tokens) return tokens;
  return *sessions + *tokens;
}

Result<void> SessionsStore::insert_token(const ApiToken& token, std::string_view hash, UserId user) {
  return done(sql_.run("api_tokens.insert",
                       "INSERT INTO api_tokens (id, hash, user_id, label, created, expires, used) "
                       "VALUES (:1, :2, :3, :4, :5, :6, 0)",
                       {token.id, hash, user.view(), token.label, token.created, token.expires}));
}

Result<std::optional<SessionsStore::Found>> SessionsStore::find_token(std::string_view hash, std::int64_t now) {
  return found(sql_.row<std::string, std::int64_t>(
      "api_tokens.find", "SELECT user_id, used FROM api_tokens WHERE hash = :1 AND (expires = 0 OR expires > :2)",
      {hash, now}));
}

Result<void> SessionsStore::touch_token(std::string_view hash, std::int64_t now) {
  return done(sql_.run("api_tokens.touch", "UPDATE api_tokens SET used = :2 WHERE hash = :1", {hash, now}));
}

Result<std::vector<ApiToken>> SessionsStore::tokens_of(UserId user) {
  auto rows = sql_.rows<std::string, std::string, std::int64_t, std::int64_t, std::int64_t>(
      "api_tokens.of_user",
      "SELECT id, label, created, expires, used FROM api_tokens WHERE user_id = :1 ORDER BY created DESC, id LIMIT 100",
      {user.view()});
  if (!rows) return pass(rows);
  std::vector<ApiToken> tokens;
  for (auto& [id, label, created, expires, used] : *rows) {
    tokens.push_back({std::move(id), std::move(label), created, expires, used});
  }
  return tokens;
}

Result<bool> SessionsStore::remove_token(std::string_view id, UserId user) {
  return hit(sql_.run("api_tokens.remove", "DELETE FROM api_tokens WHERE id = :1 AND user_id = :2", {id, user.view()}));
}

Result<void> SessionsStore::remove_tokens_of(UserId user) {
  return done(sql_.run("api_tokens.remove_of_user", "DELETE FROM api_tokens WHERE user_id = :1", {user.view()}));
}

}  // namespace ribalta::control
