#include "transcode/worker/vod_job.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/json/value.hpp>
#include <cmath>
#include <thread>
#include <utility>

#include "core/json.h"
#include "core/log.h"
#include "transcode/sandbox/vod_child.h"
#include "transcode/worker/vod_store.h"

namespace ribalta::transcode {
namespace {

constexpr std::string_view kOursSentence = "Something went wrong on our side; processing starts again by itself.";

/// What control-plane keeps of a result (docs/contracts.md, "VOD result").
struct VodResult {
  std::string version;
  std::int64_t duration_ms = 0;
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::vector<VideoTrackRecord> tracks;
  bool poster = true;
};
BOOST_DESCRIBE_STRUCT(VodResult, (), (version, duration_ms, width, height, tracks, poster))

/// How the work on an upload ended.
struct Outcome {
  std::optional<VodResult> result;
  std::optional<JobFailure> failure;
};

Outcome failed(std::string_view kind, std::string_view reason, bool retry) {
  return {.result = {}, .failure = JobFailure{std::string{kind}, std::string{reason}, retry}};
}

SourceLimits narrowed(SourceLimits limits, const std::optional<JobLimits>& job) {
  if (!job) return limits;
  if (job->bytes_max) limits.bytes_max = std::min(limits.bytes_max, *job->bytes_max);
  if (job->duration_ms_max)
    limits.duration_s_max = std::min(limits.duration_s_max, (*job->duration_ms_max + 999) / 1000);
  if (job->side_max) limits.side_max = std::min(limits.side_max, *job->side_max);
  if (job->fps_max) limits.fps_max = std::min(limits.fps_max, static_cast<std::int64_t>(std::ceil(*job->fps_max)));
  return limits;
}

Outcome explain(const WorkFailure& failure, const Job& job) {
  log_warning("upload not published", {{"job", job.job.view()},
                                       {"epoch", job.epoch},
                                       {"attempt", job.attempt},
                                       {"kind", failure.refusal ? to_string(failure.refusal->kind) : "worker"},
                                       {"reason", failure.reason},
                                       {"detail", failure.refusal ? failure.refusal->detail : std::string{}}});
  if (!failure.refusal) return failed("worker", kOursSentence, true);
  // A crash may have been bad luck: it is tried once more before the file is blamed.
  return failed(to_string(failure.refusal->kind), failure.refusal->sentence, failure.crashed && job.attempt <= 1);
}

/// Everything that blocks; on a thread of its own.
Outcome work(ObjectStore& store, Metrics& metrics, const TranscodeConfig& config, const Job& job, Lease& lease) {
  const Result<std::filesystem::path> path = store.local_path(*job.input);
  if (!path) {
    log_error("an upload's bytes are not there", {{"job", job.job.view()}, {"error", path.error()}});
    return failed("worker", kOursSentence, true);
  }
  const Descriptor input{::open(path->c_str(), O_RDONLY | O_CLOEXEC)};
  struct stat status{};
  if (input.get() < 0 || ::fstat(input.get(), &status) != 0) return failed("worker", kOursSentence, true);

  VodChildOptions options;
  options.program = config.program;
  options.jail.memory_mb = config.child_memory_mb;
  options.jail.cpu_s = std::chrono::duration_cast<std::chrono::seconds>(config.child_cpu).count();
  options.settings.limits = narrowed(config.limits, job.limits);
  options.settings.short_side_max = config.short_side_max;
  options.settings.rungs_max = config.rungs_max;
  options.settings.preset = config.vod_preset;
  options.settings.crf = static_cast<double>(config.vod_crf_tenths) / 10;
  options.settings.cores = config.cores;
  const media::LadderOptions ladder{
      .short_side_max = config.short_side_max, .fps_max = 60, .rungs_max = static_cast<std::size_t>(config.rungs_max)};
  VodStore sink{
      store, config.spool, job.video->text(), *job.version, options.settings.segment_ms, ladder, [&lease](double done) {
        lease.progress = done;
      }};
  const auto summary =
      run_vod_child(input.get(), static_cast<std::uint64_t>(status.st_size), options, sink, lease.stop);
  if (!summary) return explain(summary.error(), job);
  const Result<VideoRecord> record = sink.publish(*summary);
  if (!record) {
    log_error("an upload's tracks could not be stored", {{"job", job.job.view()}, {"error", record.error()}});
    static_cast<void>(sink.remove());
    return failed("worker", kOursSentence, true);
  }
  log_info("upload transcoded", {{"job", job.job.view()},
                                 {"video", job.video->view()},
                                 {"rungs", record->video_tracks.size()},
                                 {"duration_ms", record->duration_ms},
                                 {"encode_ms", summary->encode_ms},
                                 {"frames", summary->frames},
                                 {"decode_errors", summary->decode_errors}});
  metrics.counter("ribalta_transcode_vod_frames_total", "pictures encoded, each in every rung")
      .add(static_cast<double>(summary->frames));
  metrics.counter("ribalta_transcode_vod_media_seconds_total", "length of what was transcoded")
      .add(static_cast<double>(record->duration_ms) / 1000);
  metrics.counter("ribalta_transcode_vod_encode_seconds_total", "wall time that it took")
      .add(static_cast<double>(summary->encode_ms) / 1000);
  const VideoTrackRecord& top = record->video_tracks.front();
  return {.result = VodResult{*job.version, record->duration_ms, top.width, top.height, record->video_tracks, true},
          .failure = {}};
}

bool is_version(const std::string& version) {
  return !version.empty() && version.size() <= 20 &&
         std::ranges::all_of(version, [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

Task<void> run_vod_job(WorkerContext& context, Job job, std::shared_ptr<Lease> lease) {
  if (!job.video || !job.version || !job.input || !is_version(*job.version) || !is_object_key(*job.input)) {
    JobFailure broken{"worker", std::string{kOursSentence}, false};
    co_await tell_failed(lease, context.control, job.job, job.epoch, std::move(broken));
    co_return;
  }
  spawn(lease->loop, "vod heartbeat", keep_lease(lease, context.control, job.job, job.epoch, "encode"));

  // A thread for the whole job: the child lives as long as the thread that started it.
  struct Finished {
    std::optional<Outcome> outcome;
  };
  const auto finished = std::make_shared<Finished>();
  std::thread thread{[&context, &job, lease, finished] {
    Outcome outcome;
    try {
      outcome = work(*context.node.store, context.node.metrics, context.config, job, *lease);
    } catch (const std::exception& error) {  // out of memory, or a bug: this job's end, not that of the lives beside it
      log_error("a job's work threw", {{"job", job.job.view()}, {"what", error.what()}});
      outcome.failure = JobFailure{"worker", std::string{kOursSentence}, true};
    }
    asio::post(lease->loop, [lease, finished, outcome = std::move(outcome)]() mutable {
      finished->outcome = std::move(outcome);
      lease->changed.notify_all();
    });
  }};
  const AtEnd joined{[&thread, &lease] {  // where waiting for it threw
    if (!thread.joinable()) return;
    lease->stop = true;
    thread.join();
  }};
  while (!finished->outcome) {
    const std::uint64_t seen = lease->changed.version();
    if (finished->outcome) break;
    co_await lease->changed.wait(seen, std::chrono::seconds{60});
  }
  thread.join();  // it has posted, and is at its end

  const Outcome outcome = std::move(*finished->outcome);
  LeaseState state = LeaseState::lost;
  const bool wanted = !lease->lost && !lease->cancelled;
  if (wanted && outcome.result) {
    const Result<boost::json::value> result = json_parse(json_write(*outcome.result));
    state = co_await tell_complete(lease, context.control, job.job, job.epoch, *result);
  } else if (wanted && outcome.failure) {
    state = co_await tell_failed(lease, context.control, job.job, job.epoch, *outcome.failure);
  }
  lease->done = true;
  lease->changed.notify_all();
  const std::string how = !wanted ? "given up" : outcome.result ? "published" : outcome.failure->kind;
  count_end(context, "vod", state == LeaseState::lost && outcome.result ? "lost" : how);
  // A result that nobody takes is removed; one whose fate is unknown stays for the sweeper.
  if (outcome.result && (state == LeaseState::lost || !wanted)) {
    const std::string prefix = "vod/" + job.video->text() + "/" + *job.version + "/";
    ObjectStore& store = *context.node.store;
    const Result<void> removed =
        co_await run_blocking<Lane::background>([&store, prefix] { return store.remove_all(prefix); });
    if (!removed) log_error("a result that nobody wanted stays", {{"key", prefix}, {"error", removed.error()}});
  }
}

}  // namespace ribalta::transcode
