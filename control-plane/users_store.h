// Accounts and stream keys in SQL. All stores are thin: a session that is lent, statements, structs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/ids.h"
#include "core/result.h"
#include "core/sql/sql.h"

namespace ribalta::control {

struct User {
  UserId id = UserId::random();
  std::string name;
  std::string password;  ///< Argon2id; empty: nobody can sign in
  bool admin = false;
  bool creator = false;
  bool suspended = false;
  std::int64_t created = 0;
  std::string live_title;
};

/// A stream key as it is kept: a keyed hash to find it, a secret box to show it to its owner.
struct SealedKey {
  std::string hash;
  std::string sealed;
  std::int64_t created = 0;
};

class UsersStore {
 public:
  explicit UsersStore(sql::Session& session) : sql_(session) {}

  /// @error conflict: the name is taken.
  Result<void> insert(const User& user);
  /// Also one that was removed: it is suspended, and has no name that anybody could have.
  Result<std::optional<User>> by_id(UserId id);
  Result<std::optional<User>> by_name(std::string_view name);
  Result<void> set_password(UserId id, std::string_view password);
  Result<void> set_roles(UserId id, bool admin, bool creator, bool suspended);
  Result<void> set_live_title(UserId id, std::string_view title);
  /// Leaves id and instants: name, password, rights and stream key go. Its name is free again.
  Result<void> set_removed(UserId id, std::int64_t now);
  /// Not the removed ones.
  Result<std::int64_t> count();
  /// Administrators who are not suspended.
  Result<std::int64_t> count_admins();

  Result<std::optional<SealedKey>> key_of(UserId id);
  Result<std::optional<User>> by_key_hash(std::string_view hash);
  /// Sets or replaces it. @error conflict: another account has the same hash.
  Result<void> set_key(UserId id, const SealedKey& key);

  /// @error conflict: it is known already.
  Result<void> insert_fact(std::string_view name, std::string_view value);
  Result<std::optional<std::string>> fact(std::string_view name);

 private:
  sql::Session& sql_;
};

}  // namespace ribalta::control
