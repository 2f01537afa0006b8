#include "control-plane/views.h"

#include <algorithm>
#include <boost/json/object.hpp>
#include <charconv>

#include "core/json.h"
#include "core/media/ladder.h"
#include "core/tokens.h"
#include "core/units.h"

namespace ribalta::control::view {
namespace {

/// A playing page may stay open for an evening.
constexpr std::chrono::hours kPlaybackLifetime{6};
constexpr std::size_t kWarningsMax = 16;

template <class T>
boost::json::value as_value(const T& described) {
  auto value = json_parse(json_write(described));
  assert(value.has_value());
  return std::move(*value);
}

std::string work_state(const VideoWork& work, bool failed) {
  if (failed) return "failed";
  return work.upload_state == "draft" ? "draft" : "processing";
}

Work work_view(const VideoWork& work) {
  Work view{.filename = work.filename, .bytes = work.bytes};
  const auto failure = failure_of(work);
  view.state = work_state(work, failure.has_value());
  if (failure) view.failure = Failure{failure->kind, failure->reason, failure->retryable};
  if (view.state == "processing") view.stage = work.job == JobState::queued || !work.job ? "queued" : work.stage;
  view.progress = work.job == JobState::leased ? std::clamp(work.progress, 0.0, 1.0) : 0.0;
  view.attempt = work.attempts;
  return view;
}

/// What ingest said last, as much of it as we show. Its text is another room's: read leniently.
void add_health(MyLive& view, const std::string& text) {
  const auto value = json_parse(text);
  if (!value || !value->is_object()) return;
  const boost::json::object& object = value->get_object();
  const auto number = [&object](std::string_view name) -> std::optional<double> {
    const boost::json::value* field = object.if_contains(name);
    if (field == nullptr || !field->is_number()) return std::nullopt;
    return field->to_number<double>();
  };
  const auto whole = [](double positive) { return static_cast<std::int64_t>(std::clamp(positive, 0.0, 1e15)); };
  Health health{.bitrate = whole(number("bitrate").value_or(0)), .fps = number("fps").value_or(0)};
  if (const auto interval = number("keyframe_interval_ms")) health.keyframe_interval_ms = whole(*interval);
  view.health = health;
  const boost::json::value* warnings = object.if_contains("warnings");
  if (warnings == nullptr || !warnings->is_array()) return;
  for (const boost::json::value& warning : warnings->get_array()) {
    if (warning.is_string() && view.warnings.size() < kWarningsMax) view.warnings.emplace_back(warning.get_string());
  }
}

void add_source(MyLive& view, const std::string& text) {
  const auto report = json_read<SourceReport>(text, JsonUnknown::ignore);
  if (!report || !report->video) return;
  view.passthrough = report->video->passthrough;
  if (!report->video->passthrough_reason.empty()) view.passthrough_reason = report->video->passthrough_reason;
}

void add_plan(MyLive& view, const std::string& text) {
  const auto plan = json_read<media::LadderPlan>(text, JsonUnknown::ignore);
  if (!plan) return;
  for (const media::LadderVideo& rung : plan->video) {
    view.rungs.push_back({rung.track, rung.width, rung.height, rung.fps, rung.codecs, rung.bitrate, rung.passthrough});
  }
}

}  // namespace

std::string instant(std::int64_t unix_ms) { return to_rfc3339(from_unix_ms(unix_ms)); }

User user(const control::User& user) {
  return {user.id.text(), user.name, instant(user.created), user.admin, user.creator, user.suspended};
}

Session session(const control::Identity& identity) {
  Session view{.user = nullptr, .csrf = nullptr};
  if (!identity.user) return view;
  view.user = as_value(user(*identity.user));
  if (identity.by_cookie) view.csrf = identity.csrf;
  return view;
}

Session session(const control::User& signed_in, const std::string& csrf) {
  Session view{.user = as_value(user(signed_in)), .csrf = nullptr};
  view.csrf = csrf;
  return view;
}

Token token(const control::ApiToken& token) {
  Token view{.id = token.id, .label = token.label, .created = instant(token.created)};
  if (token.expires > 0) view.expires = instant(token.expires);
  if (token.used > 0) view.used = instant(token.used);
  return view;
}

Video Maker::video(const control::VideoView& view) const {
  const control::Video& video = view.video;
  std::string root = "/v/" + video.id.text() + "/";
  if (!video.is_public) {
    const TokenClaims claims{.audience = video.user.text(),
                             .path_prefix = root,
                             .expires_unix_s = rounded_expiry(now_ms_ / 1000, kPlaybackLifetime)};
    root = "/t/" + mint_token(secrets_.playback(), claims) + root;
  }
  root += std::to_string(video.version) + "/";
  Video made{.id = video.id.text(),
             .title = video.title,
             .author = {video.user.text(), view.user_name},
             .visibility = video.is_public ? "public" : "private",
             .created = instant(video.created),
             .published = instant(video.published),
             .hls = root + "index.m3u8",
             .dash = root + "index.mpd",
             .width = video.width,
             .height = video.height,
             .duration_ms = video.duration_ms};
  if (video.poster) made.poster = root + "poster.jpg";
  return made;
}

MyVideo Maker::my_video(const control::VideoView& view) const {
  MyVideo mine{.id = view.video.id.text(),
               .title = view.video.title,
               .visibility = view.video.is_public ? "public" : "private",
               .created = instant(view.video.created),
               .state = "failed"};
  if (view.work) {
    mine.work = work_view(*view.work);
    mine.state = mine.work->state;
  }
  if (view.video.version > 0) {
    mine.video = video(view);
    mine.state = "ready";
  }
  return mine;
}

Live Maker::live(const control::Stream& stream) const {
  const std::string root = "/live/" + stream.id.text() + "/";
  Live view{.stream = stream.id.text(),
            .author = {stream.user.text(), stream.user_name},
            .title = stream.title,
            .state = std::string{to_string(stream.state)},
            .started = instant(stream.started),
            .hls = root + "index.m3u8",
            .dash = root + "index.mpd"};
  if (stream.ended > 0) view.ended = instant(stream.ended);
  return view;
}

MyLive Maker::my_live(const control::User& user, const std::optional<control::Stream>& stream,
                      const std::optional<control::Job>& job) const {
  MyLive view{.live = nullptr,
              .title = user.live_title,
              .rtmp = config_.rtmp_url,
              .rtmps = rtmps(),
              .live_allowed = user.creator && !user.suspended};
  if (!stream) return view;
  view.live = as_value(live(*stream));
  view.title = stream->title;
  add_health(view, stream->health);
  add_source(view, stream->source);
  add_plan(view, stream->plan);
  if (job && job->state == JobState::failed) {
    view.warnings.emplace_back("The smaller qualities could not be made: " + job->failure_reason);
  }
  return view;
}

StreamKey Maker::stream_key(std::string key, std::int64_t created) const {
  return {.key = std::move(key), .rtmp = config_.rtmp_url, .rtmps = rtmps(), .created = instant(created)};
}

std::optional<std::string> Maker::rtmps() const {
  if (config_.rtmps_url.empty()) return std::nullopt;
  return config_.rtmps_url;
}

std::string cursor_text(std::int64_t at, std::string_view id) { return std::to_string(at) + "-" + std::string{id}; }

Result<control::PageCursor> parse_cursor(std::string_view text) {
  const std::size_t dash = text.find('-');
  std::int64_t at = 0;
  const char* const end = text.data() + std::min(dash, text.size());
  const auto [stopped, error] = std::from_chars(text.data(), end, at);
  if (dash == std::string_view::npos || error != std::errc{} || stopped != end || !is_id(text.substr(dash + 1))) {
    return fail(Code::malformed, "not a cursor");
  }
  return control::PageCursor{at, std::string{text.substr(dash + 1)}};
}

}  // namespace ribalta::control::view
