// The parent's side of an upload's work: starts the child, takes what it makes, and knows how it ended.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <optional>
#include <string>

#include "core/result.h"
#include "transcode/media/sink.h"
#include "transcode/refusal.h"
#include "transcode/sandbox/request.h"

namespace ribalta::transcode {

/// A child that says nothing for so long hangs: it tells progress every few seconds, and measures loudness before.
inline constexpr int kSilenceSecondsMax = 1200;

struct VodChildOptions {
  std::filesystem::path program;  ///< empty: ourselves
  int niceness = 10;              ///< a live goes first
  std::chrono::milliseconds silence_max = std::chrono::seconds{kSilenceSecondsMax};
  JailSettings jail;
  VodSettings settings;
};

/// How work on a file failed.
struct WorkFailure {
  std::optional<Refusal> refusal;  ///< the file's own fault, as the child found it
  std::string reason;              ///< otherwise: what happened, for the log
  bool cancelled = false;
  bool ours = false;     ///< the sink, the disk or the system failed: another attempt may go well
  bool crashed = false;  ///< the child was killed by a signal: the file's fault, or bad luck
};

/// Blocking. Calls `sink` from this thread with what the child sent, bounded and in order, but not yet looked into: the
/// sink checks what the bytes are. Ends early when `cancelled` becomes true.
std::expected<VodSummary, WorkFailure> run_vod_child(int input, std::uint64_t input_bytes,
                                                     const VodChildOptions& options, MediaSink& sink,
                                                     const std::atomic<bool>& cancelled);

}  // namespace ribalta::transcode
