// For tests: the media children of this process, seen from outside as an operator would.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>

namespace ribalta::transcode::testing {

/// A media child of this process that has worked for so long (CPU time); waits for one. It may end at any moment.
pid_t await_media_child(std::chrono::milliseconds cpu_min);
/// The value of a line of /proc/PID/status: `Seccomp` gives `2`.
std::string status_of(pid_t pid, const std::string& name);

}  // namespace ribalta::transcode::testing
