#include "packager/live/timeline.h"

#include <algorithm>
#include <cassert>
#include <cstdlib>

namespace ribalta::packager {

void Timeline::resume(const Span& last, Epoch period_epoch) {
  assert(!started_);
  started_ = true;
  msn_ = last.msn + 1;
  period_epoch_ = period_epoch;
  if (last.ends_period) {
    period_ = last.period + 1;
    return;
  }
  period_ = last.period;
  period_empty_ = false;
  end_ = last.end;
}

void Timeline::source_changed(MediaTime at, Epoch epoch) {
  if (!started_) {  // the first period begins by itself
    period_epoch_ = std::max(period_epoch_, epoch);
    return;
  }
  if (epoch < period_epoch_) return;
  if (epoch == period_epoch_) {
    const bool joins = period_start_ && std::abs(elapsed_us(*period_start_, at)) < kPeriodJoinUs;
    if (joins) return;
  }
  if (mark_ && mark_->epoch > epoch) return;
  if (mark_ && mark_->epoch == epoch && compare(mark_->at, at) <= 0) return;
  mark_ = Mark{at, epoch};
}

bool Timeline::period_due(MediaTime at) const {
  if (end_ && elapsed_us(*end_, at) > hole_max_us()) return true;
  return mark_ && elapsed_us(mark_->at, at) >= -kBoundaryToleranceUs;
}

/// Writers stamp in whole milliseconds or frames, so a key frame that is meant for the target may come a little before
/// it; and one that is early is still taken when the next would come too late for TARGETDURATION.
bool Timeline::segment_due(MediaTime at) const {
  if (!open_->keyed) return true;
  const std::int64_t elapsed = elapsed_us(open_->start, at);
  const std::int64_t target = settings_.segment_target_ms * 1'000;
  const std::int64_t slack = key_interval_us_ > 0 ? std::min(target / 10, key_interval_us_ / 2) : target / 10;
  if (elapsed >= target - slack) return true;
  return elapsed > 0 && elapsed + key_interval_us_ > limit_us();
}

void Timeline::close(std::vector<Span>& closed, MediaTime end, MediaTime next_start, bool ends_period) {
  Span span;
  span.msn = msn_++;
  span.period = period_;
  span.start = open_->start;
  span.end = end;
  span.next_start = next_start;
  span.keyed = open_->keyed;
  span.ends_period = ends_period;
  closed.push_back(span);
  open_.reset();
}

/// With no key frame in time the span is cut where its rounded duration would pass TARGETDURATION. What follows has no
/// key frame at its start, so it is a gap in video; audio is whole in both.
void Timeline::split_overlong(std::vector<Span>& closed) {
  while (open_ && elapsed_us(open_->start, *end_) > limit_us()) {
    const MediaTime start = open_->start;
    const MediaTime cut{start.ticks + settings_.target_duration_s * start.timescale, start.timescale};
    close(closed, cut, cut, false);
    open_ = Open{cut, false};
  }
}

void Timeline::begin_period(MediaTime at) {
  if (mark_ && elapsed_us(at, mark_->at) < kPeriodJoinUs) {  // it is what this period begins with
    period_epoch_ = std::max(period_epoch_, mark_->epoch);
    mark_.reset();
  }
  period_start_ = at;
  key_interval_us_ = 0;
  last_key_.reset();
}

std::vector<Span> Timeline::on_reference(const ReferenceChunk& chunk) {
  std::vector<Span> closed;
  const MediaTime at = chunk.position;
  const bool jumped = end_ && elapsed_us(*end_, at) > kReferenceHoleUsMax;
  if (!chunk.key && (!open_ || jumped)) return closed;  // nothing can begin here

  if (chunk.key) {
    const bool period = started_ && period_due(at);
    if (last_key_ && !period) key_interval_us_ = std::max<std::int64_t>(0, elapsed_us(*last_key_, at));
    if (period) {
      if (open_) close(closed, *end_, at, true);
      if (!period_empty_) ++period_;
      begin_period(at);
    } else if (period_empty_) {
      begin_period(at);
    } else {
      if (jumped) {  // an encoded reference was away: the time until here is there, and is a gap
        if (!open_) open_ = Open{*end_, false};
        end_ = at;
        split_overlong(closed);
      }
      if (open_ && segment_due(at)) close(closed, at, at, false);
    }
    if (!open_) open_ = Open{at, true};
    period_empty_ = false;
    started_ = true;
    last_key_ = at;
  }
  end_ = MediaTime{at.ticks + chunk.duration, at.timescale};
  split_overlong(closed);
  return closed;
}

std::vector<Span> Timeline::finish() {
  std::vector<Span> closed;
  if (!open_) return closed;
  if (compare(*end_, open_->start) > 0) close(closed, *end_, *end_, true);
  open_.reset();
  return closed;
}

}  // namespace ribalta::packager
