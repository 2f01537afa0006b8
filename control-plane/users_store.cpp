#include "control-plane/users_store.h"

#include "control-plane/store.h"

namespace ribalta::control {
namespace {

constexpr std::string_view kColumns =
    "u.id, u.name, u.password, u.admin, u.creator, u.suspended, u.created, u.live_title";
using Row = std::tuple<std::string, std::string, std::string, bool, bool, bool, std::int64_t, std::string>;

User user_from(Row& row) {
  auto& [id, name, password, admin, creator, suspended, created, live_title] = row;
  return {stored_id<UserId>(id), std::move(name), std::move(password), admin, creator, suspended, created,
          std::move(live_title)};
}

Result<std::optional<User>> one(sql::Session& session, std::string_view statement, const std::string& rest,
                                const sql::Values& values) {
  auto row = session.row<std::string, std::string, std::string, bool, bool, bool, std::int64_t, std::string>(
      statement, "SELECT " + std::string{kColumns} + " FROM users u " + rest, values);
  if (!row) return pass(row);
  if (!*row) return std::optional<User>{};
  return std::optional<User>{user_from(**row)};
}

}  // namespace

Result<void> UsersStore::insert(const User& user) {
  return done(sql_.run("users.insert",
                       "INSERT INTO users (id, name, password, admin, creator, suspended, created, live_title) "
                       "VALUES (:1, :2, :3, :4, :5, :6, :7, :8)",
                       {user.id.view(), user.name, user.password, user.admin, user.creator, user.suspended,
                        user.created, user.live_title}));
}

Result<std::optional<User>> UsersStore::by_id(UserId id) {
  return one(sql_, "users.by_id", "WHERE u.id = :1", {id.view()});
}

Result<std::optional<User>> UsersStore::by_name(std::string_view name) {
  return one(sql_, "users.by_name", "WHERE u.name = :1 AND u.removed = 0", {name});
}

Result<void> UsersStore::set_password(UserId id, std::string_view password) {
  return done(sql_.run("users.set_password", "UPDATE users SET password = :2 WHERE id = :1", {id.view(), password}));
}

Result<void> UsersStore::set_roles(UserId id, bool admin, bool creator, bool suspended) {
  return done(sql_.run("users.set_roles", "UPDATE users SET admin = :2, creator = :3, suspended = :4 WHERE id = :1",
                       {id.view(), admin, creator, suspended}));
}

Result<void> UsersStore::set_live_title(UserId id, std::string_view title) {
  return done(sql_.run("users.set_live_title", "UPDATE users SET live_title = :2 WHERE id = :1", {id.view(), title}));
}

Result<void> UsersStore::set_removed(UserId id, std::int64_t now) {
  // No name of anybody's has a colon (check_name).
  const std::string nobody = "removed:" + id.text();
  if (auto gone = sql_.run("stream_keys.remove_of", "DELETE FROM stream_keys WHERE user_id = :1", {id.view()}); !gone)
    return pass(gone);
  return done(sql_.run("users.set_removed",
                       "UPDATE users SET name = :2, password = '', admin = 0, creator = 0, suspended = 1, "
                       "live_title = '', removed = :3 WHERE id = :1",
                       {id.view(), nobody, now}));
}

Result<std::int64_t> UsersStore::count() {
  return number(sql_.row<std::int64_t>("users.count", "SELECT COUNT(*) FROM users WHERE removed = 0"));
}

Result<std::int64_t> UsersStore::count_admins() {
  return number(
      sql_.row<std::int64_t>("users.count_admins", "SELECT COUNT(*) FROM users WHERE admin = 1 AND suspended = 0"));
}

Result<std::optional<SealedKey>> UsersStore::key_of(UserId id) {
  auto row = sql_.row<std::string, std::string, std::int64_t>(
      "stream_keys.of_user", "SELECT hash, sealed, created FROM stream_keys WHERE user_id = :1", {id.view()});
  if (!row) return pass(row);
  if (!*row) return std::optional<SealedKey>{};
  auto& [hash, sealed, created] = **row;
  return std::optional<SealedKey>{SealedKey{std::move(hash), std::move(sealed), created}};
}

Result<std::optional<User>> UsersStore::by_key_hash(std::string_view hash) {
  return one(sql_, "users.by_key_hash", "JOIN stream_keys k ON k.user_id = u.id WHERE k.hash = :1", {hash});
}

Result<void> UsersStore::set_key(UserId id, const SealedKey& key) {
  return done(sql_.run(
      "stream_keys.set",
      "INSERT INTO stream_keys (user_id, hash, sealed, created) VALUES (:1, :2, :3, :4) "
      "ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash, sealed = excluded.sealed, created = excluded.created",
      {id.view(), key.hash, key.sealed, key.created}));
}

Result<void> UsersStore::insert_fact(std::string_view name, std::string_view value) {
  return done(sql_.run("facts.insert", "INSERT INTO facts (name, value) VALUES (:1, :2)", {name, value}));
}

Result<std::optional<std::string>> UsersStore::fact(std::string_view name) {
  auto row = sql_.row<std::string>("facts.get", "SELECT value FROM facts WHERE name = :1", {name});
  if (!row) return pass(row);
  if (!*row) return std::optional<std::string>{};
  return std::optional<std::string>{std::move(std::get<0>(**row))};
}

}  // namespace ribalta::control
