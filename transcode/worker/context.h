// What jobs of this worker share.
#pragma once

#include <memory>

#include "core/daemon.h"
#include "transcode/config.h"
#include "transcode/worker/control_client.h"

namespace ribalta::transcode {

struct WorkerContext {
  Node& node;
  TranscodeConfig config;  ///< completed
  ControlClient control;
};

}  // namespace ribalta::transcode
