#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <set>
#include <sstream>

#include "client/commands.h"
#include "client/instance.h"

namespace ribalta::client {
namespace {

namespace fs = std::filesystem;

constexpr std::array<const char*, 4> kRoles{"control", "packager", "ingest", "transcode"};
/// What one daemon may say of a configuration of at most 1 MiB; more is cut.
constexpr std::size_t kSaidBytesMax = 256 * 1024;

/// The environment that the daemons get: what `up` was told (DATA/run/environment, lines NAME=VALUE), then ours. Of two
/// with the same name the first counts.
std::vector<std::string> daemon_environment(const fs::path& data) {
  std::vector<std::string> pairs;
  if (const Result<std::string> text = read_small(data / "run/environment")) {
    std::istringstream lines{*text};
    for (std::string line; std::getline(lines, line);) {
      if (line.find('=') != std::string::npos) pairs.push_back(line);
    }
  }
  std::error_code ignored;
  pairs.push_back("RIBALTA_NODE_DATA=" + fs::absolute(data, ignored).string());  // as `up` says it, also before a start
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) pairs.emplace_back(*entry);
  return pairs;
}

/// Root asks as the user that the daemons run as (the data folder's owner): what root can read, they may not.
std::vector<std::string> words_before(const fs::path& data) {
  struct stat status{};
  if (::geteuid() != 0 || ::stat(data.c_str(), &status) != 0 || status.st_uid == 0) return {};
  return {"setpriv", "--reuid=" + std::to_string(status.st_uid), "--regid=" + std::to_string(status.st_gid),
          "--clear-groups"};
}

struct Ran {
  int code = 127;  ///< the exit code; 127 when it could not be run
  std::string said;
};

std::string read_all(int descriptor) {
  std::string all;
  std::array<char, 4096> piece{};
  ssize_t got = 0;
  while ((got = ::read(descriptor, piece.data(), piece.size())) > 0) {
    if (all.size() < kSaidBytesMax) all.append(piece.data(), static_cast<std::size_t>(got));
  }
  return all;
}

Ran run(std::vector<std::string> words, std::vector<std::string> environment) {
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  std::vector<char*> variables;
  variables.reserve(environment.size() + 1);
  for (std::string& pair : environment) variables.push_back(pair.data());
  variables.push_back(nullptr);
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return {};
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
  pid_t child = -1;
  const int spawned =
      ::posix_spawnp(&child, words.front().c_str(), &actions, nullptr, arguments.data(), variables.data());
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  Ran ran;
  if (spawned == 0) {
    ran.said = read_all(ends[0]);
    int status = 0;
    if (::waitpid(child, &status, 0) == child && WIFEXITED(status)) ran.code = WEXITSTATUS(status);
  }
  ::close(ends[0]);
  return ran;
}

}  // namespace

int config_check(const fs::path& data, const fs::path& programs) {
  const fs::path config = data / "ribalta.toml";
  std::error_code ignored;
  if (!fs::exists(config, ignored)) {
    std::fprintf(stderr, "There is no %s. scripts/up makes it, or say --data DIR.\n", config.c_str());
    return 1;
  }
  const std::vector<std::string> environment = daemon_environment(data);
  bool good = true;
  std::set<std::string> said;  // what all of them read is said once
  for (const char* role : kRoles) {
    const fs::path program = programs / (std::string{"ribalta-"} + role);
    std::vector<std::string> words = words_before(data);
    for (const std::string& word : {program.string(), std::string{"--config"}, config.string(), std::string{"--check"}})
      words.push_back(word);
    const Ran ran = run(std::move(words), environment);
    std::istringstream lines{ran.said};
    for (std::string line; std::getline(lines, line);) {
      if (said.insert(line).second) std::fprintf(stderr, "%s\n", line.c_str());
    }
    if (ran.code == 127) std::fprintf(stderr, "%s could not be run.\n", program.c_str());
    if (ran.code != 0) good = false;
    std::printf("%-10s %s\n", role, ran.code == 0 ? "ok" : "wrong, see above");
    std::fflush(stdout);
  }
  return good ? 0 : 1;
}

}  // namespace ribalta::client
