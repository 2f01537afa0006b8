// What every daemon has in common: configuration, log, loops, /healthz and /metrics on its internal socket (event-loop
// lag too), Redis, object store, readiness for the supervisor, and a graceful stop on SIGTERM or SIGINT.
//
//   int main(int argc, char** argv) {
//     return daemon_main({.role = "packager", …}, argc, argv);
//   }
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/async.h"
#include "core/config.h"
#include "core/http/server.h"
#include "core/ids.h"
#include "core/metrics.h"
#include "core/redis/redis.h"
#include "core/result.h"
#include "core/store/object_store.h"

namespace ribalta {

/// One running daemon. Made whole before anything starts; handed to the role.
struct Node {
  NodeConfig config;
  NodeId id = NodeId::random();
  std::string role;
  std::string node_secret;  ///< signs internal calls, see core/internal_auth.h
  Metrics metrics;
  std::unique_ptr<LoopPool> loops;
  std::unique_ptr<ObjectStore> store;
  std::shared_ptr<redis::Client> redis;           ///< on loop 0
  std::shared_ptr<redis::Subscriber> subscriber;  ///< on loop 0
};

/// A role: what `main` hands to daemon_main.
struct Role {
  std::string name;  ///< section of ribalta.toml and the socket's name: `data/run/NAME.sock`
  /// Describes and reads the role's own section.
  std::function<void(ConfigReader&)> read_config;
  /// What single fields can't show: complains in the reader. `--check` and every start call it, before anything starts.
  std::function<void(const NodeConfig&, ConfigReader&)> check_config;
  /// Adds the role's routes and starts its work; called once, before the loops run.
  std::function<Result<void>(Node&, http::Router&)> start;
  /// What is wrong right now, or empty: /healthz answers 200 "ok" or 503 with the sentence.
  std::function<std::string()> health;
  /// Begins a graceful stop (SIGTERM); returns when nothing more is worth waiting for, or after `deadline`.
  std::function<Task<void>(std::chrono::milliseconds deadline)> drain;
  std::chrono::milliseconds drain_deadline{5'000};
  http::ServerLimits limits{};
  std::string more_help;  ///< what else the program does, at the end of --help
};

/// Reads flags (`--config FILE`; `--check`: check the configuration as a start does, say what is wrong, exit; `--value
/// SECTION.KEY`: the same, and print the value that holds), starts the role, writes a newline to the descriptor in
/// RIBALTA_READY_FD when /healthz would say ok (s6's readiness protocol), waits for a signal, drains.
/// Where something essential keeps failing (core/async.h), the daemon says so at /healthz, drains, and ends with 3.
/// @return the process's exit code: 0 stopped as asked, 1 could not start (the reason is on standard error), 2 bad
/// usage, kExitFailed.
inline constexpr int kExitFailed = 3;
int daemon_main(const Role& role, int argc, char** argv);

}  // namespace ribalta
