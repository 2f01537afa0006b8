// Passwords as Argon2id (libsodium). Hashing costs tens of milliseconds and megabytes on purpose, so it runs on threads
// of its own, few at a time, with a short queue: a crowd that tries passwords is told to come back, and nobody else
// waits for it.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "core/async.h"
#include "core/result.h"

namespace ribalta::control {

/// 64 MiB and 3 passes: RFC 9106's second recommended option (§4), on one lane as libsodium has it.
struct PasswordCost {
  unsigned long long passes = 3;
  std::size_t memory_bytes = 64 * 1024 * 1024;
};

inline constexpr std::size_t kPasswordCharsMin = 8;
inline constexpr std::size_t kPasswordCharsMax = 256;
/// Hashes at once: their memory is this times 64 MiB.
inline constexpr std::size_t kHashesAtOnce = 2;
/// Waiting or at work; beyond: unavailable. At a tenth of a second each and two at once, the last waits under 2 s.
inline constexpr std::size_t kHashesWaitingMax = 32;
/// Of one client (core/network.h), so that none has the line for itself: four clients leave room for others.
inline constexpr std::size_t kHashesWaitingClientMax = 6;
static_assert(4 * kHashesWaitingClientMax < kHashesWaitingMax);

class Passwords {
 public:
  explicit Passwords(PasswordCost cost = {});
  ~Passwords();
  Passwords(const Passwords&) = delete;
  Passwords& operator=(const Passwords&) = delete;

  /// @param client  for whom: its network_of(address).
  /// @error limit: too many of that client wait; unavailable: too many of all; internal: no memory.
  Task<Result<std::string>> hash(std::string password, std::string client);
  /// An empty `hashed` (no such account, or one without a password) costs the same time and is never right.
  Task<Result<bool>> verify(std::string hashed, std::string password, std::string client);

 private:
  struct State;
  class Place;
  std::unique_ptr<State> state_;
};

/// Counts characters, not bytes, of UTF-8.
std::size_t count_chars(std::string_view utf8);

}  // namespace ribalta::control
