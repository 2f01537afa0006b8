#include "ingest/stream/source.h"

#include <utility>

namespace ribalta::ingest {

Source::Source(const Start& start)
    : timeline_(start.base_ms), video_(start.video_floor), audio_(start.audio_floor, start.audio_timescale) {}

Ring* Source::ring(TrackSide side) {
  if (side == TrackSide::audio) return audio_.ring();
  return &video_.ring();
}

TrackCounts Source::counts() const {
  const TrackCounts& video = video_.counts();
  const TrackCounts& audio = audio_.counts();
  return {video.frames + audio.frames, video.bytes + audio.bytes, video.dropped_broken + audio.dropped_broken,
          video.dropped_before_key + audio.dropped_before_key};
}

void Source::flush() {
  video_.flush();
  audio_.flush();
}

Result<std::optional<Error>> Source::on_media(const rtmp::MediaMessage& message, std::int64_t arrival_ms,
                                              WallTime arrival) {
  if (message.kind == rtmp::MediaMessage::Kind::video) return take_video(message, arrival_ms, arrival);
  return take_audio(message, arrival_ms);
}

Result<std::optional<Error>> Source::take_video(const rtmp::MediaMessage& message, std::int64_t arrival_ms,
                                                WallTime arrival) {
  const Result<rtmp::VideoTag> tag = rtmp::parse_video_tag(message.payload);
  if (!tag) {
    if (tag.error().code == Code::unsupported) return pass(tag);
    meter_.warn("Video messages that cannot be read were left out.");
    return std::nullopt;
  }
  switch (tag->kind) {
    case rtmp::VideoTag::Kind::header: {
      const Result<void> header = video_.on_header(tag->data);
      if (header) break;
      meter_.warn("The encoder's H.264 header cannot be read.");
      if (!std::exchange(video_header_told_, true)) return header.error();
      break;
    }
    case rtmp::VideoTag::Kind::frame: {
      // Frames that cannot be shown yet do not begin the timeline.
      if (video_.config() == nullptr) {
        video_.on_frame({}, 0, {}, {});
        break;
      }
      const Placed placed = timeline_.place(TrackSide::video, message.time_ms, arrival_ms);
      if (placed.discontinuity) audio_.begin_period();
      video_.on_frame(placed, tag->composition_ms, tag->data, arrival);
      const auto seen = video_.take_seen();
      if (seen) meter_.on_video(*seen, arrival_ms);
      break;
    }
    case rtmp::VideoTag::Kind::end:
      video_.flush();
      break;
    case rtmp::VideoTag::Kind::nothing:
      break;
  }
  return std::nullopt;
}

std::optional<Error> Source::take_audio(const rtmp::MediaMessage& message, std::int64_t arrival_ms) {
  const Result<rtmp::AudioTag> tag = rtmp::parse_audio_tag(message.payload);
  if (!tag) {
    meter_.warn(tag.error().code == Code::unsupported ? tag.error().message
                                                      : "Audio messages that cannot be read were left out.");
    return std::nullopt;
  }
  if (tag->kind == rtmp::AudioTag::Kind::header) {
    const Result<void> header = audio_.on_header(tag->data);
    if (header) return std::nullopt;
    meter_.warn("The encoder's AAC header cannot be read.");
    if (std::exchange(audio_header_told_, true)) return std::nullopt;
    return header.error();
  }
  if (tag->kind != rtmp::AudioTag::Kind::frame || audio_.config() == nullptr) return std::nullopt;
  const Placed placed = timeline_.place(TrackSide::audio, message.time_ms, arrival_ms);
  if (placed.discontinuity) video_.begin_period();
  const std::int64_t duration = audio_.on_frame(placed, timeline_.base_ms(), tag->data);
  if (duration > 0) meter_.on_audio(tag->data.size(), placed.time_ms, arrival_ms);
  return std::nullopt;
}

}  // namespace ribalta::ingest
