// The running control plane: what its handlers share. Rules live in live.h, farm.h, catalogue.h and identity.h; this is
// where they meet the database, the clock, Redis and the other rooms.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "control-plane/catalogue.h"
#include "control-plane/config.h"
#include "control-plane/farm.h"
#include "control-plane/live.h"
#include "control-plane/nodes.h"
#include "control-plane/outcome.h"
#include "control-plane/passwords.h"
#include "control-plane/rate_limit.h"
#include "control-plane/secrets.h"
#include "core/daemon.h"
#include "core/http/client.h"
#include "core/sql/sql.h"

namespace ribalta::control {

/// Failed attempts to sign in, in kSignInWindow. An address is a client's: its /64 in IPv6 (core/network.h). Per
/// address and name together: nobody can lock somebody else out from elsewhere.
inline constexpr std::int64_t kSignInTriesPair = 10;
inline constexpr std::int64_t kSignInTriesAddress = 30;
/// Of one name from all addresses together. Beyond, the name is under attack from many, and each site (an address, or
/// an IPv6 /48) has only kSignInTriesSiteAttacked for it: guessing slows down to a fifth and less, and the owner still
/// comes in from where they are. Nobody is locked out by others.
inline constexpr std::int64_t kSignInTriesName = 200;
inline constexpr std::int64_t kSignInTriesSiteAttacked = 2;
inline constexpr std::chrono::minutes kSignInWindow{10};
/// Accounts made from one address: a school is one address too.
inline constexpr std::int64_t kSignUpsAddress = 60;
inline constexpr std::chrono::hours kSignUpWindow{1};
/// Wrong stream keys from one address.
inline constexpr std::int64_t kWrongKeysAddress = 30;
/// An owner's "end" rests the key; so many are remembered.
inline constexpr std::size_t kRestingMax = 10'000;

struct ControlOptions {
  PasswordCost password_cost;
  std::function<std::int64_t()> now_ms;  ///< the clock; the wall's by default
};

/// The database is asked each second and waited for 5 s.
inline constexpr std::int64_t kDatabaseSilenceMs = 10'000;

class Control {
 public:
  /// Opens the database (and migrates it) and the secrets. Blocks: called before the loops run.
  static Result<std::shared_ptr<Control>> open(Node& node, Config config, ControlOptions options = {});

  Node& node;
  Config config;
  std::shared_ptr<sql::Database> database;
  Secrets secrets;
  std::filesystem::path secrets_folder;
  http::Address packager;
  Passwords passwords;
  Workers workers;
  Nodes nodes;
  RateLimit sign_in_pair{kSignInTriesPair, kSignInWindow};
  RateLimit sign_in_address{kSignInTriesAddress, kSignInWindow};
  RateLimit sign_in_name{kSignInTriesName, kSignInWindow};
  RateLimit sign_in_site_attacked{kSignInTriesSiteAttacked, kSignInWindow};
  RateLimit sign_up_address{kSignUpsAddress, kSignUpWindow};
  RateLimit wrong_key_address{kWrongKeysAddress, kSignInWindow};

  [[nodiscard]] std::int64_t now_ms() const { return now_ms_(); }
  [[nodiscard]] std::int64_t started_ms() const { return started_ms_; }
  [[nodiscard]] LiveRules live_rules();
  [[nodiscard]] UploadRules upload_rules() const;
  [[nodiscard]] VodLimits vod_limits() const;
  /// What the farm can do for one more live stream, given how many run.
  [[nodiscard]] LiveFarm farm(std::int64_t live_jobs) const;

  /// Statements on their own, on the disk pool. What other daemons and our own loops ask goes on Lane::background: a
  /// crowd on the public API must not cost a stream its heartbeat.
  template <Lane lane = Lane::request, class Work>
  auto read(Work work) -> Task<std::invoke_result_t<Work, sql::Session&>> {
    auto call = [held = database, work = std::move(work)] { return held->read(work); };
    co_return co_await run_blocking<lane>(std::move(call));
  }
  /// One transaction, on the disk pool.
  template <Lane lane = Lane::request, class Work>
  auto write(std::string_view name, Work work) -> Task<std::invoke_result_t<Work, sql::Session&>> {
    auto call = [held = database, name, work = std::move(work)] { return held->write(name, work); };
    co_return co_await run_blocking<lane>(std::move(call));
  }

  /// What is wrong, or nothing. The background work asks the database each second and notes when it answered.
  [[nodiscard]] std::string health() const;
  void note_database_answered() { database_answered_ms_ = now_ms(); }

  /// Errands were written, jobs queued: somebody should look. Callable from any loop.
  void wake() const {
    if (on_wake) on_wake();
  }
  std::function<void()> on_wake;

  /// The owner ended the broadcast on the site: the key rests, since encoders come back by themselves.
  void rest_key(UserId user);
  /// Seconds that the key still rests; 0: it does not.
  std::int64_t resting_s(UserId user);

  /// The signed-up world may come in.
  [[nodiscard]] bool setup_done() const { return setup_done_; }
  void set_setup_done() { setup_done_ = true; }
  /// The one-time token; empty once it was used.
  [[nodiscard]] std::string setup_token() const;

 private:
  Control(Node& on, Config with, std::shared_ptr<sql::Database> db, Secrets kept, ControlOptions options);
  Result<void> read_setup();

  std::function<std::int64_t()> now_ms_;
  std::int64_t started_ms_ = 0;
  std::atomic<std::int64_t> database_answered_ms_{0};
  std::atomic<bool> setup_done_{false};
  std::string setup_token_;
  std::mutex resting_mutex_;
  std::map<std::string, std::int64_t> resting_;
};

/// Redis is spoken to on its own loop. An error is "unknown".
Task<Result<redis::Reply>> redis_command(Node& node, std::vector<std::string> arguments);
/// A signed call to another daemon.
Task<Result<http::Response>> call_room(Node& node, http::Address address, std::string method, std::string target,
                                       std::string body);

}  // namespace ribalta::control
