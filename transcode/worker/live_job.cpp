#include "transcode/worker/live_job.h"

#include <algorithm>
#include <utility>

#include "core/internal_auth.h"
#include "core/json.h"
#include "core/log.h"
#include "core/units.h"
#include "transcode/media/audio.h"
#include "transcode/worker/live_session.h"

namespace ribalta::transcode {
namespace {

constexpr std::chrono::milliseconds kBreakPauseFirst{200};
constexpr std::chrono::milliseconds kBreakPauseMax{3'000};
/// A try that wrote so many chunks got somewhere: breaks are counted anew.
constexpr std::uint64_t kChunksOfProgress = 300;

/// The packager lets the slowest healthy rung be two segments behind; beyond, it publishes gaps.
constexpr std::int64_t kSegmentsBehindMax = 2;

/// GET …/head of a track.
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

/// A track as the packager has it; none: it does not exist yet. @error unavailable: nobody knows.
Task<Result<std::optional<TrackHead>>> head_of(WorkerContext& context, http::Address packager, StreamId stream,
                                               std::string track) {
  http::Request get;
  get.target = "/tracks/" + stream.text() + "/" + track + "/head";
  get.fields.set(kNodeField, sign_internal(context.node.node_secret, context.node.id, "GET", get.target, wall_now()));
  const Result<http::Response> answer = co_await http::call(std::move(packager), std::move(get));
  if (!answer) co_return pass(answer);
  if (answer->status == 404) co_return std::optional<TrackHead>{};
  if (answer->status != 200) co_return fail(Code::unavailable, "head of " + track + ": status", answer->status);
  const Result<TrackHead> head = json_read<TrackHead>(answer->body, JsonUnknown::ignore);
  if (!head) co_return head.error().in("head of", track);
  co_return std::optional<TrackHead>{*head};
}

/// Where a track goes on. What lies further behind the source than kSegmentsBehindMax was announced as a gap: it would
/// only keep the newest segments waiting.
Task<Result<std::int64_t>> resume_point(WorkerContext& context, const LiveTask& task, std::string track,
                                        std::string source) {
  const Result<std::optional<TrackHead>> mine = co_await head_of(context, task.packager, task.stream, std::move(track));
  if (!mine) co_return pass(mine);
  const Result<std::optional<TrackHead>> theirs =
      co_await head_of(context, task.packager, task.stream, std::move(source));
  if (!theirs) co_return pass(theirs);
  const std::int64_t durable = *mine ? (*mine)->decode_time_durable : 0;
  if (!*theirs || (*theirs)->timescale <= 0 || (*theirs)->timescale > 1'000'000) co_return durable;
  // A rung counts as the source's video does; encoded sound at 48 kHz, whatever the source's rate.
  const bool sound = (*theirs)->timescale != kVideoTimescale;
  const MediaTime edge{(*theirs)->decode_time, static_cast<std::uint32_t>((*theirs)->timescale)};
  const std::int64_t timescale = sound ? kAudioRate : kVideoTimescale;
  const std::int64_t newest = rescale_floor(edge, static_cast<std::uint32_t>(timescale)).ticks;
  const std::int64_t segment = task.settings.segment_ms * timescale / 1000;
  if (newest - durable <= kSegmentsBehindMax * segment) co_return durable;
  const std::int64_t from = newest - kSegmentsBehindMax * segment;
  co_return (from + segment - 1) / segment* segment;
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
  const std::string source_video = job.source_video.value_or("src-v");
  const std::string source_audio = job.source_audio.value_or("src-a");
  if (!is_track_name(source_video) || !is_track_name(source_audio))
    co_return fail(Code::malformed, "job: source track");
  LiveSettings& settings = task.settings;
  settings.follow_source_keys = takes_part(job.plan->video);
  settings.segment_ms = std::clamp<std::int64_t>(job.plan->segment_target_ms, 200, 20'000);
  settings.preset = context.config.live_preset;
  settings.cores = context.config.cores;
  for (const media::LadderVideo& rung : job.plan->video) {
    if (rung.passthrough) continue;
    if (!is_track_name(rung.track)) co_return fail(Code::malformed, "plan: track", rung.track);
    const Result<std::int64_t> from = co_await resume_point(context, task, rung.track, source_video);
    if (!from) co_return pass(from);
    settings.rungs.push_back({rung, *from});
  }
  for (const media::LadderAudio& audio : job.plan->audio) {
    if (audio.passthrough || !settings.audio.empty()) continue;
    if (!is_track_name(audio.track)) co_return fail(Code::malformed, "plan: track", audio.track);
    const Result<std::int64_t> from = co_await resume_point(context, task, audio.track, source_audio);
    if (!from) co_return pass(from);
    settings.audio.push_back(audio);
    settings.audio_resume_at = *from;
  }
  if (settings.rungs.size() + settings.audio.size() > kTracksNumberedMax) co_return fail(Code::limit, "plan: tracks");
  if (!settings.rungs.empty()) task.source_video = source_video;
  if (!settings.audio.empty()) task.source_audio = source_audio;
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
  const std::string_view how_text = how == LiveEnd::stream_ended ? "stream ended"
                                    : how == LiveEnd::fenced     ? "lost"
                                    : how == LiveEnd::stopped    ? "given up"
                                                                 : "broken";
  log_info("live job ended", {{"job", job.job.view()}, {"stream", job.stream->view()}, {"how", how_text}});
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
  count_end(context, "live", how_text);
}

}  // namespace ribalta::transcode
