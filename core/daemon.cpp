#include "core/daemon.h"

#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <iostream>
#include <mutex>
#include <thread>

#include "core/log.h"

namespace ribalta {
namespace {

namespace fs = std::filesystem;

/// A loop that is late by more than this has been held up by something that should have been elsewhere.
constexpr std::chrono::milliseconds kLoopLagMax{50};
constexpr std::chrono::milliseconds kLoopLagEvery{100};
/// How long loops may take to come to rest after a drain, before what is left is cut.
constexpr std::chrono::milliseconds kRest{2'000};
constexpr std::chrono::milliseconds kReadyAgain{50};

struct Flags {
  std::string config_file;
  bool check = false;
  std::vector<std::string> values;  ///< `section.key` each
};

/// More than any role's limits add up to; what closes descriptors one by one up to the limit still ends.
constexpr rlim_t kDescriptorsMax = 65'536;

/// A login's soft limit is 1024 descriptors, for programs that call select(). Ours do not, and their own limits on
/// connections are what holds.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = std::min(limit.rlim_max, kDescriptorsMax);
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = wanted;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) log_warning("the limit on descriptors stays", {{"allowed", wanted}});
}

/// The whole configuration, checked whole: `--check` and a start differ in nothing here.
Result<NodeConfig> check_configuration(const Role& role, ConfigReader& reader) {
  NodeConfig node = read_node_config(reader, role.name);
  if (role.read_config) role.read_config(reader);
  if (!node.data.empty()) {
    if (const auto secret = read_node_secret(node); !secret) {
      reader.complain("node", "secret_file", secret.error().message);
    }
    if (const auto run = check_folder(node.run); !run) reader.complain("node", "run", run.error().message);
    if (const auto store = check_folder(node.store); !store) reader.complain("store", "folder", store.error().message);
    if (role.check_config) role.check_config(node, reader);
  }
  if (const Result<void> finished = reader.finish(); !finished) return pass(finished);
  return node;
}

/// @return the process's exit code.
int print_values(const ConfigReader& reader, const std::vector<std::string>& keys) {
  for (const std::string& key : keys) {
    const std::size_t dot = key.find('.');
    const auto value = dot == std::string::npos ? std::nullopt : reader.value(key.substr(0, dot), key.substr(dot + 1));
    if (!value) {
      std::cerr << "--value: this daemon has no key " << key << '\n';
      return 2;
    }
    std::cout << *value << '\n';
  }
  return 0;
}

/// The blocking pools and coroutines that began again, as metrics: looked at when somebody asks.
class PoolMetrics {
 public:
  explicit PoolMetrics(Metrics& metrics)
      : begun_again_(metrics.counter("ribalta_coroutines_begun_again_total",
                                     "Loops that ended by an exception and were begun again")) {
    const std::array<const char*, kBlockingPools> names{"requests", "background"};
    for (std::size_t i = 0; i < kBlockingPools; ++i) {
      const MetricLabels labels{{"pool", names[i]}};
      waiting_[i] = &metrics.gauge("ribalta_blocking_waiting", "Work in line for the disk and database pool", labels);
      running_[i] = &metrics.gauge("ribalta_blocking_running", "Work that the disk and database pool does", labels);
      refused_[i] =
          &metrics.counter("ribalta_blocking_refused_total", "Work refused because the line was full", labels);
    }
  }
  void look() {
    const std::scoped_lock lock{mutex_};
    const AsyncCounts now = async_counts();
    for (std::size_t i = 0; i < kBlockingPools; ++i) {
      waiting_[i]->set(static_cast<double>(now.pools[i].waiting));
      running_[i]->set(static_cast<double>(now.pools[i].running));
      refused_[i]->add(static_cast<double>(now.pools[i].refused - told_.pools[i].refused));
    }
    begun_again_.add(static_cast<double>(now.begun_again - told_.begun_again));
    told_ = now;
  }

 private:
  std::mutex mutex_;
  AsyncCounts told_;
  Counter& begun_again_;
  std::array<Gauge*, kBlockingPools> waiting_{};
  std::array<Gauge*, kBlockingPools> running_{};
  std::array<Counter*, kBlockingPools> refused_{};
};

/// What runs beside the role: its health asked on loop 0, the loops' lag, readiness, the signal.
class Running {
 public:
  Running(const Role& role, Node& node)
      : role_(role), node_(node), signals_(node.loops->loop(0), SIGTERM, SIGINT), pools_(node.metrics) {}

  Result<void> start();
  /// Waits for the signal and for the drain after it.
  void wait_until_stopped() { stopped_.get_future().wait(); }
  void end();
  /// Whether something essential was given up: why the stop was.
  [[nodiscard]] bool failed() { return !failure().empty(); }

 private:
  Task<std::string> health();
  Task<void> answer_health(http::Exchange& exchange);
  Task<void> answer_metrics(http::Exchange& exchange);
  Task<void> watch_lag(std::size_t shard);
  Task<void> tell_readiness(int descriptor);
  Task<void> wait_for_signal();
  void fail_for(std::string_view coroutine);
  std::string failure() {
    const std::scoped_lock lock{failure_mutex_};
    return failure_;
  }

  const Role& role_;
  Node& node_;
  asio::signal_set signals_;
  std::unique_ptr<http::Server> server_;
  std::atomic<bool> stopping_{false};
  std::promise<void> stopped_;
  PoolMetrics pools_;
  std::mutex failure_mutex_;
  std::string failure_;  ///< what essential was given up
};

/// Something essential throws again and again: nothing good comes of going on, and a fresh process may. Streams and
/// uploads survive a restart, which is why this is the same orderly stop as a signal's.
void Running::fail_for(std::string_view coroutine) {
  {
    const std::scoped_lock lock{failure_mutex_};
    if (failure_.empty()) failure_ = std::string{coroutine} + " keeps failing: restarting";
  }
  // A wait that has not begun yet looks at the failure first.
  asio::post(node_.loops->loop(0), [this] { signals_.cancel(); });
}

Task<std::string> Running::health() {
  std::string wrong = failure();
  if (!wrong.empty()) co_return wrong;
  if (stopping_) {
    wrong = "stopping";
  } else if (role_.health) {
    wrong = role_.health();
  }
  co_return wrong;
}

Task<void> Running::answer_health(http::Exchange& exchange) {
  // A role's health is asked on loop 0 alone, wherever the question came in.
  const std::string wrong = co_await asio::co_spawn(node_.loops->loop(0), health(), asio::use_awaitable);
  http::Response response = wrong.empty() ? http::Response::text(200, "ok\n") : http::Response::text(503, wrong + "\n");
  response.fields.set("Cache-Control", "no-store");
  co_await exchange.respond(std::move(response));
}

Task<void> Running::answer_metrics(http::Exchange& exchange) {
  pools_.look();
  std::string text = node_.metrics.text();
  http::Response response{200, {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}}, std::move(text)};
  co_await exchange.respond(std::move(response));
}

Task<void> Running::watch_lag(std::size_t shard) {
  const MetricLabels labels{{"loop", std::to_string(shard)}};
  Gauge& lag = node_.metrics.gauge("ribalta_loop_lag_seconds", "How late the event loop woke last", labels);
  Counter& late =
      node_.metrics.counter("ribalta_loop_late_total", "Times that the event loop woke over 50 ms late", labels);
  while (!stopping_) {
    const auto due = std::chrono::steady_clock::now() + kLoopLagEvery;
    co_await sleep_for(kLoopLagEvery);
    const auto behind = std::chrono::steady_clock::now() - due;
    lag.set(std::chrono::duration<double>(behind).count());
    if (behind > kLoopLagMax) late.add();
  }
}

/// s6's readiness protocol: a newline on the descriptor, which is then closed.
Task<void> Running::tell_readiness(int descriptor) {
  std::string said;
  while (!stopping_) {
    const std::string wrong = co_await health();
    if (wrong.empty()) {
      log_info("ready", {{"node", node_.id.view()}});
      if (descriptor >= 0 && ::write(descriptor, "\n", 1) != 1) log_warning("nobody reads the readiness", {});
      break;
    }
    if (wrong != said) log_info("not ready yet", {{"reason", wrong}});
    said = wrong;
    co_await sleep_for(kReadyAgain);
  }
  if (descriptor >= 0) ::close(descriptor);
}

Task<void> Running::wait_for_signal() {
  int signal = 0;
  if (failure().empty()) {
    const auto [error, came] = co_await signals_.async_wait(kTuple);
    signal = error ? 0 : came;
  }
  // A second signal ends the process where it stands.
  boost::system::error_code ignored;
  signals_.clear(ignored);
  std::signal(SIGTERM, SIG_DFL);
  std::signal(SIGINT, SIG_DFL);
  log_info("stopping", {{"signal", signal}, {"failure", failure()}});
  stopping_ = true;
  server_->drain();
  if (role_.drain) {
    try {
      co_await role_.drain(role_.drain_deadline);
    } catch (const std::exception& exception) {
      log_error("drain ended by an exception", {{"what", exception.what()}});
    }
  }
  node_.subscriber->close();
  node_.redis->close();
  stopped_.set_value();
}

Result<void> Running::start() {
  http::Router router;
  router.add("GET", "/healthz",
             [this](http::Exchange& exchange, const http::Router::Parameters&) { return answer_health(exchange); });
  router.add("GET", "/metrics",
             [this](http::Exchange& exchange, const http::Router::Parameters&) { return answer_metrics(exchange); });
  const Result<void> started = role_.start(node_, router);
  if (!started) return started;

  const http::Address address{.unix_path = node_.config.run / (role_.name + ".sock")};
  auto server = http::Server::listen(*node_.loops, address, router.handler(), role_.limits, &node_.metrics);
  if (!server) return pass(server);
  server_ = std::move(*server);
  for (std::size_t i = 0; i < node_.loops->size(); ++i)
    spawn_essential(node_.loops->loop(i), "loop lag", [this, i] { return watch_lag(i); });
  on_essential_failure([this](std::string_view coroutine) { fail_for(coroutine); });
  spawn(node_.loops->loop(0), "signal", wait_for_signal());

  int descriptor = -1;
  if (const char* text = std::getenv("RIBALTA_READY_FD")) {  // NOLINT(concurrency-mt-unsafe): before any thread
    const std::string_view number{text};
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), descriptor);
    if (error != std::errc{} || end != number.data() + number.size() || descriptor < 0) {
      return fail(Code::malformed, "RIBALTA_READY_FD: not a descriptor:", number);
    }
  }
  spawn(node_.loops->loop(0), "readiness", tell_readiness(descriptor));
  return {};
}

void Running::end() {
  node_.loops->stop(kRest);
  log_info("stopped", {});
}

Result<void> prepare(Node& node) {
  const Result<std::string> secret = read_node_secret(node.config);
  if (!secret) return secret.error().in("node.secret_file");
  node.node_secret = *secret;
  std::error_code error;
  fs::create_directories(node.config.run, error);
  if (error) return fail(Code::io, "node.run " + node.config.run.string() + ":", error.message());
  Result<std::unique_ptr<ObjectStore>> store = open_folder_store(node.config.store);
  if (!store) return store.error().in("store.folder");
  node.store = std::move(*store);
  node.loops = std::make_unique<LoopPool>(std::max(1U, std::thread::hardware_concurrency()));
  node.redis = redis::Client::create(node.loops->loop(0), node.config.redis);
  node.subscriber = redis::Subscriber::create(node.loops->loop(0), node.config.redis);
  return {};
}

int refuse(const Error& error) {
  std::cerr << error.message << '\n';
  return 1;
}

}  // namespace

int daemon_main(const Role& role, int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  Flags flags;
  CLI::App app{"Ribalta's " + role.name + " daemon"};
  app.add_option("--config", flags.config_file, "the configuration file, ribalta.toml")
      ->required()
      ->envname("RIBALTA_CONFIG");
  app.add_flag("--check", flags.check, "check the configuration as a start does, say what is wrong, and exit");
  app.add_option("--value", flags.values, "check, print the value that holds for this key, and exit; may be repeated")
      ->option_text("SECTION.KEY")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.footer(role.more_help);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }

  Result<ConfigReader> reader = ConfigReader::open(flags.config_file);
  if (!reader) return refuse(reader.error());
  Result<NodeConfig> configured = check_configuration(role, *reader);
  if (!configured) return refuse(configured.error());
  if (!flags.values.empty()) return print_values(*reader, flags.values);
  if (flags.check) return 0;
  log_open(configured->log);
  raise_descriptor_limit();

  // Neither is ever destroyed: what a role still holds at the end (timers, sockets) refers to the loops, and coroutines
  // that were cut refer to the role. The process ends; nothing is lost with them.
  static Node* const node = new Node;
  node->config = std::move(*configured);
  node->role = role.name;
  if (const Result<void> prepared = prepare(*node); !prepared) return refuse(prepared.error());
  static Running* const running = new Running{role, *node};
  if (const Result<void> started = running->start(); !started) return refuse(started.error());
  node->loops->start();
  running->wait_until_stopped();
  running->end();
  // The store stays too: the disk pool may still be reading from it. Its lock ends with the process, and unfinished
  // files are removed at the next start.
  return running->failed() ? kExitFailed : 0;
}

}  // namespace ribalta
