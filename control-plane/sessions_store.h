// Browser sessions and API tokens in SQL: only hashes of what the bearer holds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control-plane/users_store.h"

namespace ribalta::control {

struct ApiToken {
  std::string id;
  std::string label;
  std::int64_t created = 0;
  std::int64_t expires = 0;  ///< 0: never
  std::int64_t used = 0;     ///< to the hour; 0: never
};

/// `used` is written at most this often: a request costs no write.
inline constexpr std::int64_t kUsedEveryMs = 3'600'000;

class SessionsStore {
 public:
  explicit SessionsStore(sql::Session& session) : sql_(session) {}

  Result<void> insert(std::string_view hash, UserId user, std::int64_t now, std::int64_t expires);
  /// The user of a session that has not expired, and when it was last used.
  struct Found {
    UserId user = UserId::random();
    std::int64_t used = 0;
  };
  Result<std::optional<Found>> find(std::string_view hash, std::int64_t now);
  Result<void> touch(std::string_view hash, std::int64_t now, std::int64_t expires);
  Result<void> remove(std::string_view hash);
  Result<void> remove_all_of(UserId user);
  Result<std::int64_t> remove_expired(std::int64_t now);

  Result<void> insert_token(const ApiToken& token, std::string_view hash, UserId user);
  Result<std::optional<Found>> find_token(std::string_view hash, std::int64_t now);
  Result<void> touch_token(std::string_view hash, std::int64_t now);
  Result<std::vector<ApiToken>> tokens_of(UserId user);
  /// @return whether there was one.
  Result<bool> remove_token(std::string_view id, UserId user);
  Result<void> remove_tokens_of(UserId user);

 private:
  sql::Session& sql_;
};

}  // namespace ribalta::control
