// For tests: runs a coroutine on a loop of a pool and waits for what it returns; an exception comes out of run_on.
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "core/async.h"

namespace ribalta::testing {

template <class T>
T run_on(const LoopPool& loops, Task<T> task, std::size_t shard = 0) {
  return asio::co_spawn(loops.loop(shard), std::move(task), asio::use_future).get();
}

/// A new folder with a short name (socket paths have at most 107 bytes), removed with what is in it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = "/tmp/ribalta-test-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace ribalta::testing
