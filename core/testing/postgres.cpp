#include "core/testing/postgres.h"

#include <pwd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <thread>

#include "core/sql/sql.h"

namespace ribalta::testing {
namespace {

namespace fs = std::filesystem;

/// Debian keeps them out of PATH: /usr/lib/postgresql/{version}/bin.
fs::path programs() {
  fs::path newest;
  std::error_code ignored;
  for (const auto& version : fs::directory_iterator("/usr/lib/postgresql", ignored)) {
    const fs::path bin = version.path() / "bin";
    if (fs::exists(bin / "initdb") && fs::exists(bin / "postgres") && bin > newest) newest = bin;
  }
  return newest;
}

std::string program(const char* name) { return (programs() / name).string(); }

/// Runs a statement on a connection of its own.
bool tell(const std::string& address, const std::string& statement) {
  auto server = sql::Database::open({.address = address, .connections = 1});
  if (!server) return false;
  const auto told = (*server)->read([&](sql::Session& session) { return session.run("tell", statement); });
  return told.has_value();
}

/// Neither a server nor a standby tells anybody when it is ready.
template <class Ready>
bool poll(Ready ready) {
  for (int i = 0; i < 600; ++i) {
    if (ready()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds{50});
  }
  return false;
}

}  // namespace

Folder::Folder() {
  std::string name = (fs::temp_directory_path() / "ribalta-sql-XXXXXX").string();
  if (!mkdtemp(name.data())) std::abort();
  path_ = name;
}

Folder::~Folder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

bool PostgresCluster::installed() { return !programs().empty(); }

PostgresCluster::PostgresCluster(Commits commits, std::vector<std::string> environment)
    : commits_(commits), environment_(std::move(environment)) {
  if (!make_folder()) return;
  if (!run({program("initdb"), "-U", "ribalta", "-A", "trust", "-E", "UTF8", "--no-locale", "-N", "-D", data()}))
    return;
  start();
}

std::unique_ptr<PostgresCluster> PostgresCluster::standby_of(PostgresCluster& primary) {
  std::unique_ptr<PostgresCluster> standby{new PostgresCluster};
  standby->commits_ = primary.commits_;
  if (!standby->make_folder()) return standby;
  if (!standby->run({program("pg_basebackup"), "-h", primary.folder().string(), "-U", "ribalta", "-D", standby->data(),
                     "-R", "-X", "stream", "-c", "fast"}))
    return standby;
  if (!standby->start()) return standby;
  standby->running_ = tell(primary.address("postgres"), "ALTER SYSTEM SET synchronous_standby_names = '*'") &&
                      tell(primary.address("postgres"), "SELECT pg_reload_conf()") && poll([&primary] {
                        return tell(primary.address("postgres"),
                                    "SELECT 1 / count(*) FROM pg_stat_replication WHERE sync_state = 'sync'");
                      });
  return standby;
}

PostgresCluster::~PostgresCluster() { kill(); }

std::string PostgresCluster::address(const std::string& database) const {
  return "postgresql:host=" + folder_.path().string() + " user=ribalta dbname=" + database;
}

void PostgresCluster::kill() {
  if (server_ <= 0) return;
  ::kill(server_, SIGKILL);
  waitpid(server_, nullptr, 0);
  server_ = -1;
  running_ = false;
}

void PostgresCluster::stop() {
  if (server_ <= 0) return;
  ::kill(server_, SIGINT);  // fast stop: does not wait for clients
  waitpid(server_, nullptr, 0);
  server_ = -1;
  running_ = false;
}

bool PostgresCluster::start() {
  server_ = -1;
  running_ = poll([this] {
    // As long as a process of a server that was killed lives, the next one ends itself.
    if (server_ > 0 && waitpid(server_, nullptr, WNOHANG) == server_) server_ = -1;
    if (server_ <= 0) server_ = spawn_server();
    return sql::Database::open({.address = address("postgres"), .connections = 1}).has_value();
  });
  if (!running_) std::fputs(("PostgreSQL does not start:\n" + log_end()).c_str(), stderr);
  return running_;
}

pid_t PostgresCluster::spawn_server() const {
  return spawn({program("postgres"), "-D", data(), "-c", "listen_addresses=", "-c",
                "unix_socket_directories=" + folder_.path().string(), "-c",
                commits_ == Commits::quick ? "fsync=off" : "fsync=on"},
               environment_);
}

/// The last of what the server said.
std::string PostgresCluster::log_end() const {
  std::ifstream log{folder_.path() / "log"};
  const std::string text{std::istreambuf_iterator<char>{log}, {}};
  constexpr std::size_t kMost = 4'000;
  return text.size() > kMost ? text.substr(text.size() - kMost) : text;
}

bool PostgresCluster::promote() {
  return tell(address("postgres"), "SELECT 1 / CAST(pg_promote(true, 30) AS integer)") &&
         tell(address("postgres"), "ALTER SYSTEM RESET synchronous_standby_names") &&
         tell(address("postgres"), "SELECT pg_reload_conf()");
}

bool PostgresCluster::make_folder() {
  if (!installed()) return false;
  if (geteuid() != 0) return true;
  const passwd* user = getpwnam("postgres");  // NOLINT(concurrency-mt-unsafe): one thread so far
  return user != nullptr && chown(folder_.path().c_str(), user->pw_uid, user->pw_gid) == 0;
}

bool PostgresCluster::run(std::vector<std::string> command) const {
  const pid_t child = spawn(std::move(command));
  int status = 0;
  return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

pid_t PostgresCluster::spawn(std::vector<std::string> command, const std::vector<std::string>& environment) const {
  if (!environment.empty()) {
    command.insert(command.begin(), environment.begin(), environment.end());
    command.insert(command.begin(), "env");
  }
  if (geteuid() == 0) {
    const std::vector<std::string> as_user{"setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"};
    command.insert(command.begin(), as_user.begin(), as_user.end());
  }
  const std::string log = (folder_.path() / "log").string();
  std::vector<char*> arguments;
  for (std::string& argument : command) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  std::fflush(nullptr);  // or the child would write it again
  const pid_t child = fork();
  if (child != 0) return child;
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGINT);
  if (!std::freopen(log.c_str(), "a", stdout) || !std::freopen(log.c_str(), "a", stderr)) _exit(126);
  if (chdir("/") != 0) _exit(126);
  execvp(arguments[0], arguments.data());
  _exit(127);
}

}  // namespace ribalta::testing
