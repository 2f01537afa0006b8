// The rules of live streams: who may publish, which stream a publisher goes on with, the ladder plan, and when a stream
// ends. Plain functions over a SQL session and the time: sockets, clocks and Redis stay outside.
//
//   publish ─▶ starting ─(plan at the packager)─▶ live ⇄ interrupted ─(30 s of silence, or the owner)─▶ ended
#pragma once

#include <boost/describe/class.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "control-plane/identity.h"
#include "control-plane/outcome.h"
#include "control-plane/secrets.h"
#include "control-plane/streams_store.h"
#include "control-plane/users_store.h"
#include "core/ids.h"
#include "core/media/ladder.h"
#include "core/sql/sql.h"

namespace ribalta::control {

/// A publisher who comes back within this goes on with the same stream (docs/contracts.md, "Time, tracks, epochs").
inline constexpr std::int64_t kGraceMs = 30'000;
/// Ingest says `publishing` every 5 s; a holder that is silent this long is taken for dead, and its stream for
/// interrupted.
inline constexpr std::int64_t kHolderSilenceMs = 7'000;
/// After its owner ended a stream on the site: an encoder that reconnects by itself would otherwise be back at once.
inline constexpr std::int64_t kRestAfterEndMs = 60'000;

struct PublishRequest {
  std::string key;
  std::string proposed_stream;
  std::string address;
};
BOOST_DESCRIBE_STRUCT(PublishRequest, (), (key, proposed_stream, address))

struct PublishAnswer {
  StreamId stream = StreamId::random();
  std::int64_t epoch = 1;
  UserId user = UserId::random();
  bool resumed = false;
  std::int64_t start_unix_ms = 0;
};
BOOST_DESCRIBE_STRUCT(PublishAnswer, (), (stream, epoch, user, resumed, start_unix_ms))

struct SourceVideo {
  std::string codecs;
  std::int64_t width = 0;
  std::int64_t height = 0;
  double fps = 0;
  std::int64_t bitrate = 0;
  std::optional<std::int64_t> keyframe_interval_ms;
  bool passthrough = false;
  std::string passthrough_reason;
};
BOOST_DESCRIBE_STRUCT(SourceVideo, (),
                      (codecs, width, height, fps, bitrate, keyframe_interval_ms, passthrough, passthrough_reason))

struct SourceAudio {
  std::string codecs;
  std::int64_t sample_rate = 0;
  std::int64_t channels = 0;
  std::int64_t bitrate = 0;
};
BOOST_DESCRIBE_STRUCT(SourceAudio, (), (codecs, sample_rate, channels, bitrate))

struct SourceReport {
  std::int64_t epoch = 0;
  std::optional<SourceVideo> video;
  std::optional<SourceAudio> audio;
};
BOOST_DESCRIBE_STRUCT(SourceReport, (), (epoch, video, audio))

struct StreamHeartbeat {
  std::int64_t epoch = 0;
  std::string state;  ///< `publishing` or `interrupted`
  boost::json::value health;
  std::string stream_user;
  std::int64_t start_unix_ms = 0;
};
BOOST_DESCRIBE_STRUCT(StreamHeartbeat, (), (epoch, state, health, stream_user, start_unix_ms))

/// What the farm can do for one more stream.
struct LiveFarm {
  bool room = false;  ///< some worker takes live jobs and is not full
  media::LiveLadderOptions options;
};

struct LiveRules {
  std::int64_t keep_ms = 600'000;  ///< media of an ended stream
  /// Seconds that a user's key still rests after they ended a broadcast on the site.
  std::function<std::int64_t(UserId)> resting_s;
};

/// A running ingest: where it called from (`unix` on this machine) and the id that it took at its start.
struct IngestNode {
  std::string peer;
  NodeId id = NodeId::random();
  [[nodiscard]] std::string text() const { return peer + "/" + id.text(); }
};

/// @refusal 403 wrong_key, busy, suspended.
Result<Outcome<PublishAnswer>> publish(sql::Session& session, const Secrets& secrets, const PublishRequest& request,
                                       const IngestNode& node, const LiveRules& rules, std::int64_t now);

/// The plan, as JSON. The first report of a stream makes it; it never changes after that.
/// @refusal 404 not_found; 409 lost: a higher epoch holds the stream; 410 ended; 400 no_media.
Result<Outcome<std::string>> report_source(sql::Session& session, StreamId stream, const SourceReport& report,
                                           const LiveFarm& farm, std::int64_t now);

/// A plan from what the source is. @error limit: a size that no rung can have.
Result<media::LadderPlan> make_plan(StreamId stream, const SourceReport& report, const LiveFarm& farm);

enum class StreamAction : std::uint8_t { go, end };
/// Takes an unknown stream into the catalogue: it was accepted while we were down.
Result<StreamAction> stream_heartbeat(sql::Session& session, StreamId stream, const StreamHeartbeat& beat,
                                      const IngestNode& node, const LiveRules& rules, std::int64_t now);

/// Ends it here and owes the packager the end. Idempotent.
Result<void> end_stream(sql::Session& session, StreamId stream, const LiveRules& rules, std::int64_t now);

/// Ends it where it is on, and owes the removal of its media now: by its owner, or an administrator.
/// @return whose it was. @refusal 404 not_found: nobody's, another's, or removed before.
Result<Outcome<UserId>> take_down_stream(sql::Session& session, const Identity& who, StreamId stream,
                                         const LiveRules& rules, std::int64_t now);

/// Whether sweep_streams has anything to do: a read, so that nothing is written each second.
Result<bool> streams_want_sweep(sql::Session& session, std::int64_t now);
/// Silent ones are interrupted, and ended after the grace period. @return how many were ended.
Result<std::int64_t> sweep_streams(sql::Session& session, const LiveRules& rules, std::int64_t now);

/// A user's stream key, made when there is none.
Result<std::string> stream_key_of(sql::Session& session, const Secrets& secrets, UserId user, std::int64_t now);
Result<std::string> rotate_stream_key(sql::Session& session, const Secrets& secrets, UserId user, std::int64_t now);

}  // namespace ribalta::control
