#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <sstream>

#include "client/commands.h"

namespace ribalta::client {
namespace {

namespace fs = std::filesystem;

constexpr std::array<const char*, 4> kRoles{"control", "packager", "ingest", "transcode"};

/// The environment that the daemons get: ours, and what `up` was told (DATA/run/environment, lines NAME=VALUE).
std::vector<std::string> daemon_environment(const fs::path& data) {
  std::vector<std::string> pairs;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) pairs.emplace_back(*entry);
  if (const Result<std::string> text = read_small(data / "run/environment")) {
    std::istringstream lines{*text};
    for (std::string line; std::getline(lines, line);) {
      if (line.find('=') != std::string::npos) pairs.push_back(line);
    }
  }
  return pairs;
}

/// @return the exit code; 127 when it could not be run.
int run(const fs::path& program, const fs::path& config, std::vector<std::string> environment) {
  std::vector<std::string> words{program.string(), "--config", config.string(), "--check"};
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  std::vector<char*> variables;
  variables.reserve(environment.size() + 1);
  for (std::string& pair : environment) variables.push_back(pair.data());
  variables.push_back(nullptr);
  pid_t child = -1;
  if (::posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments.data(), variables.data()) != 0) return 127;
  int status = 0;
  if (::waitpid(child, &status, 0) != child || !WIFEXITED(status)) return 127;
  return WEXITSTATUS(status);
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
  for (const char* role : kRoles) {
    const fs::path program = programs / (std::string{"ribalta-"} + role);
    std::fflush(stdout);
    const int code = run(program, config, environment);
    if (code == 127) std::fprintf(stderr, "%s could not be run.\n", program.c_str());
    if (code != 0) good = false;
    std::printf("%-10s %s\n", role, code == 0 ? "ok" : "wrong, see above");
  }
  return good ? 0 : 1;
}

}  // namespace ribalta::client
