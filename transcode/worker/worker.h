// The worker: asks for jobs when a bell rings and every 5 s, and runs as many as it has room for. Live and VOD have
// queues and room of their own.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "transcode/worker/context.h"
#include "transcode/worker/lease.h"

namespace ribalta::transcode {

class Worker {
 public:
  Worker(Node& node, const TranscodeConfig& config);
  ~Worker();

  /// Begins to ask for jobs, on the node's loop 0.
  Result<void> start();
  /// No new jobs; what runs is given back for others. Returns when all have ended.
  Task<void> drain(std::chrono::milliseconds deadline);
  [[nodiscard]] std::string health() const;

 private:
  struct Queue;
  Task<void> ask(std::shared_ptr<Queue> queue);
  Task<void> run(std::shared_ptr<Queue> queue, Job job);

  WorkerContext context_;
  asio::any_io_executor loop_;
  std::array<std::shared_ptr<Queue>, 2> queues_;
  bool draining_ = false;
};

}  // namespace ribalta::transcode
