#include "transcode/worker/live_job.h"

#include <algorithm>
#include <utility>

#include "core/internal_auth.h"
#include "core/json.h"
#include "core/log.h"
#include "transcode/worker/live_session.h"

namespace ribalta::transcode {
namespace {

constexpr std::chrono::milliseconds kBreakPauseFirst{200};
constexpr std::chrono::milliseconds kBreakPauseMax{3'000};
/// A try that wrote so many chunks got somewhere: breaks are counted anew.
constexpr std::uint64_t kChunksOfProgress = 300;

/// GET …/head of a rung.
struct TrackHead {
  std::int64_t epoch = 0;
  std::int64_t decode_time = 0;
  std::int64_t decode_time_durable = 0;
  std::int64_t timescale = 0;
};
BOOST_DESCRIBE_STRUCT(TrackHead, (), (epoch, decode_time, decode_time_durable, timescale))

/// Where the stream's packager is, as Redis knows it.
Task<http::Address> packager_of(WorkerContext& context, StreamId stream) {
  http::Address otherwise = *http::Address::parse(context.config.packager);
  if (!context.node.redis) co_return otherwise;
  std::vector<std::string> command{"GET", "stream:" + stream.text() + ":origin"};
  const Result<redis::Reply> reply = co_await context.node.redis->command(std::move(command));
  if (!reply || reply->kind != redis::Reply::Kind::text) co_return otherwise;
  const Result<http::Address> address = http::Address::parse(reply->text);
  if (address) co_return *address;
  co_return otherwise;
}

/// Up to where a track is whole and durable; 0 when it does not exist yet. @error unavailable: nobody knows.
Task<Result<std::int64_t>> durable_end(WorkerContext& context, http::Address packager, StreamId stream, std::string track) {
  http::Request get;
  get.target = "/tracks/" + stream.text() + "/" + track + "/head";
  get.fields.set(kNodeField, sign_internal(context.node.node_secret, context.node.id, "GET", get.target, wall_now()));
  const Result<http::Response> answer = co_await http::call(std::move(packager), std::move(get));
  if (!answer) co_return pass(answer);
  if (answer->status == 404) co_return std::int64_t{0};
  if (answer->status != 200) co_return fail(Code::unavailable, "head of " + track + ": status", answer->status);
  const Result<TrackHead> head = json_read<TrackHead>(answer->body, JsonUnknown::ignore);
  if (!head) co_return head.error().in("head of", track);
  co_return head->decode_time_durable;
}

bool takes_part(const std::vector<media::LadderVideo>& video) {
  return std::ranges::any_of(video, [](const media::LadderVideo& rung) { return rung.passthrough; });
}

/// What the plan leaves to us, and where each track goes on.
Task<Result<LiveTask>> prepare(WorkerContext& context, const Job& job) {
  LiveTask task{.stream = *job.stream,
                .epoch = job.epoch,
                .packager = co_await packager_of(context, *job.stream),
                .source_video = {},
                .source_audio = {},
                .settings = {}};
  LiveSettings& settings = task.settings;
  settings.follow_source_keys = takes_part(job.plan->video);
  settings.segment_ms = std::clamp<std::int64_t>(job.plan->segment_target_ms, 200, 20'000);
  settings.preset = context.config.live_preset;
  settings.cores = context.config.cores;
  for (const media::LadderVideo& rung : job.plan->video) {
    if (rung.passthrough) continue;
    if (!is_track_name(rung.track)) co_return fail(Code::malformed, "plan: track", rung.track);
    const Result<std::int64_t> durable = co_await durable_end(context, task.packager, task.stream, rung.track);
    if (!durable) co_return pass(durable);
    settings.rungs.push_back({rung, *durable});
  }
  for (const media::LadderAudio& audio : job.plan->audio) {
    if (audio.passthrough || !settings.audio.empty()) continue;
    if (!is_track_name(audio.track)) co_return fail(Code::malformed, "plan: track", audio.track);
    const Result<std::int64_t> durable = co_await durable_end(context, task.packager, task.stream, audio.track);
    if (!durable) co_return pass(durable);
    settings.audio.push_back(audio);
    settings.audio_resume_at = *durable;
  }
  if (settings.rungs.size() + settings.audio.size() > kTracksNumberedMax) co_return fail(Code::limit, "plan: tracks");
  if (!settings.rungs.empty()) task.source_video = job.source_video.value_or("src-v");
  if (!settings.audio.empty()) task.source_audio = job.source_audio.value_or("src-a");
  co_return task;
}

/// Tries until there is an end that means something.
Task<LiveEnd> work(WorkerContext& context, const Job& job, const std::shared_ptr<Lease>& lease) {
  int breaks = 0;
  std::chrono::milliseconds pause = kBreakPauseFirst;
  while (!lease->stop) {
    Result<LiveTask> task = co_await prepare(context, job);
    std::string reason;
    if (task) {
      if (task->settings.rungs.empty() && task->settings.audio.empty()) co_return LiveEnd::stream_ended;
      const auto session = std::make_shared<LiveSession>(context, std::move(*task), lease);
      const LiveEnd how = co_await session->run();
      if (how != LiveEnd::broken) co_return how;
      reason = session->reason();
      if (session->chunks() >= kChunksOfProgress) {
        breaks = 0;
        pause = kBreakPauseFirst;
      }
    } else {
      reason = task.error().message;
    }
    log_warning("live interrupted", {{"job", job.job.view()}, {"stream", job.stream->view()}, {"reason", reason}});
    if (++breaks >= kLiveBreaksMax) co_return LiveEnd::broken;
    const std::uint64_t seen = lease->changed.version();
    if (!lease->stop) co_await lease->changed.wait(seen, pause);
    pause = std::min(pause * 2, kBreakPauseMax);
  }
  co_return LiveEnd::stopped;
}

}  // namespace

Task<void> run_live_job(WorkerContext& context, Job job, std::shared_ptr<Lease> lease) {
  constexpr std::string_view kSentence = "The qualities of this broadcast could not be made.";
  if (!job.stream || !job.plan) {
    JobFailure broken{"worker", std::string{kSentence}, false};
    co_await tell_failed(lease, context.control, job.job, job.epoch, std::move(broken));
    co_return;
  }
  spawn(lease->loop, "live heartbeat", keep_lease(lease, context.control, job.job, job.epoch, "live"));
  const LiveEnd how = co_await work(context, job, lease);
  log_info("live job ended", {{"job", job.job.view()},
                              {"stream", job.stream->view()},
                              {"how", how == LiveEnd::stream_ended ? "stream ended"
                                      : how == LiveEnd::fenced     ? "fenced"
                                      : how == LiveEnd::stopped    ? "stopped"
                                                                   : "broken"}});
  if (!lease->lost && !lease->cancelled && how != LiveEnd::fenced) {
    if (how == LiveEnd::stream_ended) {
      co_await tell_complete(lease, context.control, job.job, job.epoch, boost::json::object{});
    } else {
      JobFailure again{"worker", std::string{kSentence}, true};
      co_await tell_failed(lease, context.control, job.job, job.epoch, std::move(again));
    }
  }
  lease->done = true;
  lease->changed.notify_all();
}

}  // namespace ribalta::transcode
