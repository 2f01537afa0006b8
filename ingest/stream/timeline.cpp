#include "ingest/stream/timeline.h"

#include <algorithm>

#include "core/units.h"

namespace ribalta::ingest {
namespace {

bool follows(std::int64_t from_ms, std::int64_t to_ms) {
  return to_ms - from_ms <= kJumpForwardMs && from_ms - to_ms <= kJumpBackwardMs;
}

}  // namespace

Placed Timeline::place(TrackSide side, std::int64_t publisher_ms, std::int64_t arrival_ms) {
  Track& track = tracks_[static_cast<std::size_t>(side)];
  const Track& other = tracks_[1 - static_cast<std::size_t>(side)];
  if (!offset_ms_) offset_ms_ = base_ms_ - publisher_ms;
  if (!track.begun) {
    track.begun = true;
    track.era = era_;
    track.offset_ms = *offset_ms_;
    // A track that begins on a clock of its own (far from the other's) is put beside the other one.
    if (other.begun && !follows(other.publisher_ms, publisher_ms) && !follows(publisher_ms, other.publisher_ms)) {
      track.offset_ms = other.time_ms + (arrival_ms - other.arrival_ms) - publisher_ms;
    }
    track.time_ms = publisher_ms + track.offset_ms;
    return settle(track, publisher_ms, arrival_ms, false);
  }
  if (follows(track.publisher_ms, publisher_ms)) return settle(track, publisher_ms, arrival_ms, false);

  // The other track has made this jump already: go with it.
  if (track.era != era_ && follows(other.publisher_ms, publisher_ms)) {
    track.era = era_;
    track.offset_ms = *offset_ms_;
    return settle(track, publisher_ms, arrival_ms, false);
  }
  track.suspects = track.suspects > 0 && follows(track.suspect_ms, publisher_ms) ? track.suspects + 1 : 1;
  track.suspect_ms = publisher_ms;
  if (track.suspects < kJumpFrames) {
    track.time_ms += track.step_ms;
    return {.time_ms = track.time_ms};
  }
  begin_era(track, publisher_ms, arrival_ms);
  return settle(track, publisher_ms, arrival_ms, true);
}

void Timeline::begin_era(Track& track, std::int64_t publisher_ms, std::int64_t arrival_ms) {
  std::int64_t newest_ms = 0;
  for (const Track& each : tracks_) {
    if (each.begun) newest_ms = std::max(newest_ms, each.time_ms);
  }
  const std::int64_t smoothed_ms = newest_ms + track.step_ms;
  const std::int64_t arrived_ms = track.publisher_ms + track.offset_ms + (arrival_ms - track.arrival_ms);
  offset_ms_ = std::max(smoothed_ms, arrived_ms) - publisher_ms;
  track.offset_ms = *offset_ms_;
  track.era = ++era_;
}

Placed Timeline::settle(Track& track, std::int64_t publisher_ms, std::int64_t arrival_ms, bool discontinuity) {
  const std::int64_t step_ms = publisher_ms - track.publisher_ms;
  if (step_ms > 0 && step_ms <= kStepMaxMs) track.step_ms = step_ms;
  track.suspects = 0;
  track.publisher_ms = publisher_ms;
  track.arrival_ms = arrival_ms;
  track.time_ms = std::max(track.time_ms, publisher_ms + track.offset_ms);
  return {.time_ms = track.time_ms, .discontinuity = discontinuity};
}

std::int64_t AudioClock::at(std::int64_t samples) const {
  return base_ + rescale_floor({samples, sample_rate_}, timescale_).ticks;
}

void AudioClock::restart() {
  base_ = at(samples_);
  continues_ = samples_ > 0 || continues_;
  samples_ = 0;
  begun_ = false;
}

std::optional<AudioClock::Span> AudioClock::place(std::int64_t time_ms, std::uint32_t samples) {
  const std::int64_t expected = rescale_nearest({time_ms, 1000}, timescale_).ticks;
  const std::int64_t bound = kAudioDriftMaxMs * timescale_ / 1000;
  if (!begun_) {
    begun_ = true;
    if (!continues_ || expected > base_ + bound) base_ = std::max(base_, expected);
    drifted_ = 0;
  }
  const std::int64_t next = at(samples_);
  if (expected > next + bound) {
    drifted_ = std::max(drifted_, 0) + 1;
  } else if (expected < next - bound) {
    drifted_ = std::min(drifted_, 0) - 1;
  } else {
    drifted_ = 0;
  }
  if (drifted_ >= kAudioDriftFrames) {  // samples are missing: leave a gap
    base_ = expected;
    samples_ = 0;
    drifted_ = 0;
  } else if (drifted_ <= -kAudioDriftFrames) {  // too many: leave packets out until the timestamps are reached
    return std::nullopt;
  }
  const std::int64_t begin = at(samples_);
  samples_ += samples;
  return Span{begin, at(samples_)};
}

}  // namespace ribalta::ingest
