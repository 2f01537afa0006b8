// One upload from its lease to its end.
#pragma once

#include <memory>

#include "transcode/worker/context.h"
#include "transcode/worker/lease.h"

namespace ribalta::transcode {

/// Works on the upload (a thread and a child), publishes, and tells the control plane how it ended.
Task<void> run_vod_job(WorkerContext& context, Job job, std::shared_ptr<Lease> lease);

}  // namespace ribalta::transcode
