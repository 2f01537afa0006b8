#include "core/testing/database.h"

#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cassert>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

namespace ribalta::testing {
namespace {

namespace fs = std::filesystem;

class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "ribalta-sql-XXXXXX").string();
    if (!mkdtemp(name.data())) std::abort();
    path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

/// Debian keeps them out of PATH: /usr/lib/postgresql/{version}/bin.
fs::path postgres_programs() {
  fs::path newest;
  std::error_code ignored;
  for (const auto& version : fs::directory_iterator("/usr/lib/postgresql", ignored)) {
    const fs::path bin = version.path() / "bin";
    if (fs::exists(bin / "initdb") && fs::exists(bin / "postgres") && bin > newest) newest = bin;
  }
  return newest;
}

/// PostgreSQL refuses to run as root, so its programs then run as user postgres, which owns the cluster's folder.
class Cluster {
 public:
  explicit Cluster(const fs::path& programs) {
    const std::string data = (folder_.path() / "data").string();
    std::vector<std::string> as_user;
    if (geteuid() == 0) {
      const passwd* user = getpwnam("postgres");  // NOLINT(concurrency-mt-unsafe): one thread so far
      if (!user || chown(folder_.path().c_str(), user->pw_uid, user->pw_gid) != 0) return;
      as_user = {"setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"};
    }
    std::vector<std::string> init = as_user;
    for (const char* argument : {"-U", "ribalta", "-A", "trust", "-E", "UTF8", "--no-locale", "-N", "-D"})
      init.emplace_back(argument);
    init.insert(init.begin() + static_cast<std::ptrdiff_t>(as_user.size()), (programs / "initdb").string());
    init.push_back(data);
    if (const pid_t made = start(init); made < 0 || !ended_well(made)) return;

    std::vector<std::string> serve = as_user;
    serve.push_back((programs / "postgres").string());
    for (const std::string& argument :
         {std::string{"-D"}, data, std::string{"-c"}, std::string{"listen_addresses="}, std::string{"-c"},
          "unix_socket_directories=" + folder_.path().string(), std::string{"-c"}, std::string{"fsync=off"}}) {
      serve.push_back(argument);
    }
    server_ = start(serve);
    for (int i = 0; i < 600 && !running_; ++i) {  // until it answers; it tells nobody when it is ready
      running_ = server_ > 0 && sql::Database::open({.address = address("postgres"), .connections = 1}).has_value();
      if (!running_) std::this_thread::sleep_for(std::chrono::milliseconds{50});
    }
  }
  ~Cluster() {
    if (server_ <= 0) return;
    kill(server_, SIGINT);  // fast stop: does not wait for clients
    waitpid(server_, nullptr, 0);
  }
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  [[nodiscard]] bool running() const { return running_; }
  [[nodiscard]] std::string address(const std::string& database) const {
    return "postgresql:host=" + folder_.path().string() + " user=ribalta dbname=" + database;
  }

 private:
  pid_t start(const std::vector<std::string>& command) {
    const std::string log = (folder_.path() / "log").string();
    std::vector<char*> arguments;
    for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
    arguments.push_back(nullptr);
    std::fflush(nullptr);  // or the child would write it again
    const pid_t child = fork();
    if (child != 0) return child;
    prctl(PR_SET_PDEATHSIG, SIGINT);
    if (!std::freopen(log.c_str(), "a", stdout) || !std::freopen(log.c_str(), "a", stderr)) _exit(126);
    if (chdir("/") != 0) _exit(126);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  static bool ended_well(pid_t child) {
    int status = 0;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }

  Folder folder_;
  pid_t server_ = -1;
  bool running_ = false;
};

Cluster& cluster() {
  static Cluster one{postgres_programs()};
  return one;
}

}  // namespace

const std::vector<sql::Engine>& engines() {
  static const std::vector<sql::Engine> found = [] {
    std::vector<sql::Engine> list{sql::Engine::sqlite};
    if (postgres_programs().empty()) {
      std::fputs("PostgreSQL is left out: no initdb under /usr/lib/postgresql\n", stderr);
      return list;
    }
    if (!cluster().running()) {
      std::fputs("PostgreSQL is installed, and a private cluster did not start\n", stderr);
      std::abort();
    }
    list.push_back(sql::Engine::postgresql);
    return list;
  }();
  return found;
}

std::string fresh_database(sql::Engine engine) {
  static int count = 0;
  ++count;
  if (engine == sql::Engine::sqlite) {
    static const Folder folder;
    return "sqlite:" + (folder.path() / ("test" + std::to_string(count) + ".sqlite")).string();
  }
  const std::string name = "test" + std::to_string(count);
  auto server = sql::Database::open({.address = cluster().address("postgres"), .connections = 1});
  assert(server);
  const auto made =
      (*server)->read([&](sql::Session& session) { return session.run("create", "CREATE DATABASE " + name); });
  assert(made);
  return cluster().address(name);
}

}  // namespace ribalta::testing
