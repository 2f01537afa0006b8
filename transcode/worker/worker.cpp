#include "transcode/worker/worker.h"

#include <algorithm>
#include <utility>

#include "core/log.h"
#include "transcode/worker/live_job.h"
#include "transcode/worker/vod_job.h"

namespace ribalta::transcode {
namespace {

/// Bells may be lost with Redis; jobs are not.
constexpr std::chrono::milliseconds kAskEvery{5'000};
/// A control plane that restarts is back within seconds.
constexpr std::chrono::milliseconds kAskAgainAfterError{1'000};

}  // namespace

struct Worker::Queue {
  Queue(std::string name, std::int64_t most, asio::any_io_executor loop, Metrics& metrics)
      : kind(std::move(name)),
        room(static_cast<std::size_t>(most)),
        changed(std::move(loop)),
        running_gauge(metrics.gauge("ribalta_transcode_jobs_running", "jobs under way", {{"kind", kind}})),
        started(metrics.counter("ribalta_transcode_jobs_started_total", "jobs taken", {{"kind", kind}})) {}

  std::string kind;
  std::size_t room;
  Event changed;  ///< a bell rang, a job ended, or we are stopping
  std::vector<std::shared_ptr<Lease>> running;
  bool asking = false;
  std::string trouble;
  Gauge& running_gauge;
  Counter& started;
};

Worker::Worker(Node& node, const TranscodeConfig& config)
    : context_{node, completed(config, node.config), ControlClient{{}, node.node_secret, node.id}},
      loop_(node.loops->loop(0)) {
  queues_[0] = std::make_shared<Queue>("live", context_.config.live_jobs_max, loop_, node.metrics);
  queues_[1] = std::make_shared<Queue>("vod", context_.config.vod_jobs_max, loop_, node.metrics);
}

Worker::~Worker() = default;

Result<void> Worker::start() {
  const Result<http::Address> control = http::Address::parse(context_.config.control);
  if (!control) return control.error().in("transcode.control");
  if (const auto packager = http::Address::parse(context_.config.packager); !packager) {
    return packager.error().in("transcode.packager");
  }
  context_.control = ControlClient{*control, context_.node.node_secret, context_.node.id};
  if (context_.node.subscriber) {
    const auto ring = [this](std::string_view kind) {
      for (const auto& queue : queues_) {
        if (kind.empty() || queue->kind == kind) queue->changed.notify_all();
      }
    };
    context_.node.subscriber->on_subscribed([ring] { ring({}); });
    context_.node.subscriber->subscribe("bell:jobs",
                                        [ring](std::string_view, std::string_view message) { ring(message); });
  }
  for (const auto& queue : queues_) {
    // Begun again after an exception: what runs is the queue's, and jobs are the control plane's.
    if (queue->room > 0) spawn_essential(loop_, "ask for jobs", [this, queue] { return ask(queue); });
  }
  return {};
}

Task<void> Worker::ask(std::shared_ptr<Queue> queue) {
  queue->asking = true;
  const AtEnd over{[queue] {
    queue->asking = false;
    queue->changed.notify_all();
  }};
  while (!draining_) {
    const std::uint64_t seen = queue->changed.version();
    std::chrono::milliseconds pause = kAskEvery;
    if (queue->running.size() < queue->room) {
      Result<std::optional<Job>> job = co_await context_.control.lease(queue->kind);
      if (!job) {
        if (queue->trouble.empty()) log_warning("no jobs to be had", {{"kind", queue->kind}, {"error", job.error()}});
        queue->trouble = job.error().message;
        pause = kAskAgainAfterError;
      } else {
        queue->trouble.clear();
        if (*job) {
          Job leased = std::move(**job);
          spawn(loop_, "job", run(queue, std::move(leased)));
          continue;  // perhaps there is another
        }
      }
    }
    co_await queue->changed.wait(seen, pause);
  }
}

Task<void> Worker::run(std::shared_ptr<Queue> queue, Job job) {
  const auto lease = std::make_shared<Lease>(loop_);
  queue->running.push_back(lease);
  // A job that ends by an exception gives its room back too; without heartbeats its lease ends, and another takes it.
  const AtEnd over{[queue, lease] {
    lease->done = true;
    lease->changed.notify_all();
    std::erase(queue->running, lease);
    queue->running_gauge.set(static_cast<double>(queue->running.size()));
    queue->changed.notify_all();
  }};
  queue->running_gauge.set(static_cast<double>(queue->running.size()));
  queue->started.add();
  log_info("job taken", {{"job", job.job.view()}, {"kind", job.kind}, {"epoch", job.epoch}, {"attempt", job.attempt}});
  lease->draining = draining_;
  lease->stop = draining_;
  if (queue->kind == "vod") {
    co_await run_vod_job(context_, std::move(job), lease);
  } else {
    co_await run_live_job(context_, std::move(job), lease);
  }
}

Task<void> Worker::drain(std::chrono::milliseconds deadline) {
  draining_ = true;
  for (const auto& queue : queues_) {
    for (const auto& lease : queue->running) {
      lease->draining = true;
      lease->stop = true;
      lease->changed.notify_all();
    }
    queue->changed.notify_all();
  }
  const auto until = std::chrono::steady_clock::now() + deadline;
  for (const auto& queue : queues_) {
    while (!queue->running.empty() || queue->asking) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
      if (left <= std::chrono::milliseconds{0}) co_return;
      const std::uint64_t seen = queue->changed.version();
      co_await queue->changed.wait(seen, left);
    }
  }
}

std::string Worker::health() const {
  return {};  // without a control plane there is nothing to do, and nothing wrong here
}

}  // namespace ribalta::transcode
