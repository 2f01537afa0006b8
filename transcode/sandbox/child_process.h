// Starts our own program again as the child that does the media work, with four descriptors and nothing else.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "core/result.h"

namespace ribalta::transcode {

/// A file descriptor that is closed when its owner goes.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int value) : value_(value) {}
  Descriptor(Descriptor&& other) noexcept : value_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor() { reset(); }
  [[nodiscard]] int get() const { return value_; }
  [[nodiscard]] int release();
  void reset();

 private:
  int value_ = -1;
};

/// The descriptor on which the child finds the uploaded file.
inline constexpr int kInputDescriptor = 3;
inline constexpr const char* kChildFlag = "--media-child";

struct ChildOptions {
  std::filesystem::path program;  ///< ours; empty: /proc/self/exe
  int input = -1;                 ///< open for reading; -1: the child gets none
  int niceness = 0;
};

/// A running child. Destroying it kills the process and waits for it. The child also dies when the thread that started
/// it ends, and so when we are killed.
class ChildProcess {
 public:
  static Result<ChildProcess> start(const ChildOptions& options);
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&&) = delete;
  ~ChildProcess();

  Descriptor to_child;    ///< messages; its standard input
  Descriptor from_child;  ///< messages; its standard output
  Descriptor log;         ///< its standard error
  void kill();
  /// How it ended, in a few words (`exit 0`, `signal 9`), or nothing while it runs. Does not wait.
  std::optional<std::string> ended();
  /// Waits for its end. Blocks: kill() it first, or know that it ends.
  std::string wait();

 private:
  explicit ChildProcess(pid_t pid) : pid_(pid) {}
  pid_t pid_ = -1;
};

}  // namespace ribalta::transcode
