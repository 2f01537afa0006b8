#include "transcode/media/acceptance.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

using namespace ribalta;
using namespace ribalta::transcode;

namespace {

std::string verdict(const std::filesystem::path& file) {
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  REQUIRE(descriptor >= 0);
  struct stat status{};
  REQUIRE(::fstat(descriptor, &status) == 0);
  capture_log();
  const auto accepted = accept_source(descriptor, static_cast<std::uint64_t>(status.st_size), {});
  ::close(descriptor);
  return accepted ? "accept" : "reject:" + std::string{to_string(accepted.error().kind)};
}

/// `accept (or reject:limits by policy)` allows both; `robust` anything.
bool allows(const std::string& expected, const std::string& got) {
  if (expected.starts_with("robust")) return true;
  std::istringstream words{expected};
  std::string word;
  while (words >> word) {
    while (!word.empty() && (word.front() == '(')) word.erase(0, 1);
    while (!word.empty() && (word.back() == ')' || word.back() == ';' || word.back() == ',')) word.pop_back();
    if (word == got) return true;
  }
  return false;
}

std::vector<std::string> columns(const std::string& line) {
  std::vector<std::string> out;
  std::istringstream in{line};
  for (std::string cell; std::getline(in, cell, '\t');) out.push_back(cell);
  return out;
}

}  // namespace

TEST_CASE("acceptance: every file of the test media gets the verdict that its manifest allows") {
  const char* folder = std::getenv("RIBALTA_TEST_MEDIA");
  if (!folder) {
    MESSAGE("RIBALTA_TEST_MEDIA is not set: real and hostile files were left out");
    return;
  }
  const std::filesystem::path root{folder};
  std::ifstream manifest{root / "MANIFEST.tsv"};
  std::string line;
  std::getline(manifest, line);
  const std::vector<std::string> names = columns(line);
  int files = 0;
  while (std::getline(manifest, line)) {
    const std::vector<std::string> cells = columns(line);
    if (cells.size() < 16) continue;
    const std::string got = verdict(root / cells[0]);
    INFO(cells[0], ": expected ", cells[15], ", got ", got);
    CHECK(allows(cells[15], got));
    ++files;
  }
  CHECK(files > 100);
}

TEST_CASE("acceptance: a display matrix turns and mirrors; what is no quarter turn is left as it is") {
  constexpr std::int32_t one = 1 << 16;
  const auto turn = [](std::int32_t a, std::int32_t b, std::int32_t c, std::int32_t d) {
    const std::int32_t matrix[9] = {a, b, 0, c, d, 0, 0, 0, 1 << 30};
    return orientation_of(matrix);
  };
  CHECK(turn(one, 0, 0, one) == Orientation{false, 0});
  CHECK(turn(0, one, -one, 0) == Orientation{false, 1});
  CHECK(turn(-one, 0, 0, -one) == Orientation{false, 2});
  CHECK(turn(0, -one, one, 0) == Orientation{false, 3});
  CHECK(turn(-one, 0, 0, one) == Orientation{true, 0});
  CHECK(turn(one, 0, 0, -one) == Orientation{true, 2});
  CHECK(turn(0, one, one, 0) == Orientation{true, 3});
  CHECK(turn(0, -one, -one, 0) == Orientation{true, 1});
  CHECK(turn(0, 0, 0, 0) == Orientation{});
  CHECK(turn(one, one, -one, one) == Orientation{});
}
