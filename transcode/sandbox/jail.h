// Takes from this process what media work does not need: files, network, other processes, new programs, unbounded
// memory and time. What stays are the descriptors that are open.
#pragma once

#include <cstdint>

#include "core/result.h"

namespace ribalta::transcode {

struct JailLimits {
  std::uint64_t memory_bytes = std::uint64_t{4} * 1024 * 1024 * 1024;  ///< address space
  std::uint64_t cpu_s = 0;                                             ///< 0: unlimited (live)
};

/// To be called before the first stranger's byte is read; there is no way back. Threads may be started later.
/// @error unsupported: the kernel refuses; the process must then end.
Result<void> enter_jail(const JailLimits& limits);

}  // namespace ribalta::transcode
