#include "transcode/testing/children.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>
#include <vector>

namespace ribalta::transcode::testing {
namespace {

constexpr std::chrono::seconds kPatience{60};

std::string text_of(const std::filesystem::path& file) {
  std::ifstream in{file, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

/// Parent and CPU time of a process (proc(5), stat: fields 4, 14 and 15, after the name in brackets).
struct Stat {
  pid_t parent = 0;
  std::chrono::milliseconds cpu{0};
};
Stat stat_of(const std::filesystem::path& process) {
  const std::string text = text_of(process / "stat");
  const std::size_t end = text.rfind(')');
  if (end == std::string::npos) return {};
  std::istringstream in{text.substr(end + 1)};
  const std::istream_iterator<std::string> begin{in};
  const std::vector<std::string> fields{begin, {}};
  if (fields.size() < 13) return {};
  const long ticks = std::stol(fields[11]) + std::stol(fields[12]);
  return {std::stoi(fields[1]), std::chrono::milliseconds{ticks * 1000 / ::sysconf(_SC_CLK_TCK)}};
}

}  // namespace

pid_t await_media_child(std::chrono::milliseconds cpu_min) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (std::chrono::steady_clock::now() < until) {
    for (const auto& entry : std::filesystem::directory_iterator{"/proc"}) {
      const std::string name = entry.path().filename().string();
      if (name.find_first_not_of("0123456789") != std::string::npos) continue;
      const Stat stat = stat_of(entry.path());
      if (stat.parent != ::getpid() || stat.cpu < cpu_min) continue;
      if (text_of(entry.path() / "cmdline").find("--media-child") != std::string::npos) return std::stoi(name);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{10});  // processes announce nothing to those beside them
  }
  FAIL("no media child has worked for ", cpu_min.count(), " ms");
  return -1;
}

std::string status_of(pid_t pid, const std::string& name) {
  std::istringstream lines{text_of("/proc/" + std::to_string(pid) + "/status")};
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(name + ":")) return line.substr(line.find_first_not_of("\t ", name.size() + 1));
  }
  return {};
}

}  // namespace ribalta::transcode::testing
