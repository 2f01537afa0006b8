// What jobs of this worker share.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/daemon.h"
#include "transcode/config.h"
#include "transcode/worker/control_client.h"

namespace ribalta::transcode {

struct WorkerContext {
  Node& node;
  TranscodeConfig config;  ///< completed
  ControlClient control;
};

/// Counts a job's end. `how`: published, a kind of refusal, worker, lost, given up, …
inline void count_end(WorkerContext& context, std::string_view kind, std::string_view how) {
  context.node.metrics
      .counter("ribalta_transcode_jobs_ended_total", "jobs that ended, and how",
               {{"kind", std::string{kind}}, {"how", std::string{how}}})
      .add();
}

}  // namespace ribalta::transcode
