// One live from its lease to the stream's end: source tracks from the packager into the child, rungs back to it.
#pragma once

#include <memory>

#include "transcode/worker/context.h"
#include "transcode/worker/lease.h"

namespace ribalta::transcode {

/// Works until the stream ends, the lease is lost, or we are stopping. Whatever breaks in between (the packager
/// restarts, the child dies) is begun again from what is durable; after kLiveBreaksMax in a row the job is given back.
Task<void> run_live_job(WorkerContext& context, Job job, std::shared_ptr<Lease> lease);

inline constexpr int kLiveBreaksMax = 20;

}  // namespace ribalta::transcode
