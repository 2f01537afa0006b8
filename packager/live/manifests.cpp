#include "packager/live/manifests.h"

#include <algorithm>
#include <cassert>

#include "packager/manifest/dash.h"
#include "packager/manifest/hls.h"

namespace ribalta::packager {
namespace {

/// Ladders may have fewer audio rungs than video rungs: the upper half hears the upper audio.
std::size_t audio_for(std::size_t video, const media::LadderPlan& plan) {
  return video * plan.audio.size() / std::max<std::size_t>(1, plan.video.size());
}

std::string audio_group(std::size_t index) { return "audio-" + std::to_string(index); }

WallTime wall_at(MediaTime time, const LiveTimes& times) {
  return from_unix_ms(times.start_unix_ms) + to_milliseconds(time);
}

std::int64_t to_us(std::int64_t ticks, std::uint32_t timescale) {
  return rescale_nearest({ticks, timescale}, 1'000'000).ticks;
}

/// The rows of one DASH Period as one track has them; without segments when it is a gap all through.
DashRepresentation representation(const Window& window, const std::vector<const Row*>& rows, std::size_t index) {
  DashRepresentation out;
  const std::string& name = window.tracks()[index].name;
  out.id = name;
  for (const Row* row : rows) {
    const Piece& piece = row->pieces[index];
    if (piece.state != Piece::State::present) continue;
    if (out.segments.empty()) {
      out.timescale = piece.init->config.timescale;
      out.presentation_time_offset = rescale_nearest(row->manifest_start, out.timescale).ticks;
      out.init_uri = name + "/" + init_name(piece.init->number);
      out.media_uri = name + "/" + std::to_string(piece.epoch.value) + "-$Number$.m4s";
      out.start_number = row->span.msn;
    }
    out.segments.push_back({piece.presentation_time, piece.duration});
  }
  return out;
}

DashPeriod period(const Window& window, const std::vector<const Row*>& rows) {
  DashPeriod out;
  out.id = std::to_string(rows.front()->manifest_period);
  out.start_us = rescale_floor(rows.front()->manifest_start, 1'000'000).ticks;
  const media::LadderPlan& plan = *window.plan();
  DashAdaptationSet video{.kind = media::TrackKind::video};
  for (std::size_t i = 0; i < plan.video.size(); ++i) {
    DashRepresentation made = representation(window, rows, i);
    if (made.segments.empty()) continue;
    made.codecs = plan.video[i].codecs;
    made.bandwidth = plan.video[i].bandwidth;
    made.width = plan.video[i].width;
    made.height = plan.video[i].height;
    made.fps = plan.video[i].fps;
    video.representations.push_back(std::move(made));
  }
  DashAdaptationSet audio{.kind = media::TrackKind::audio};
  for (std::size_t i = 0; i < plan.audio.size(); ++i) {
    DashRepresentation made = representation(window, rows, plan.video.size() + i);
    if (made.segments.empty()) continue;
    made.codecs = plan.audio[i].codecs;
    made.bandwidth = plan.audio[i].bandwidth;
    made.sample_rate = plan.audio[i].sample_rate;
    made.channels = plan.audio[i].channels;
    audio.representations.push_back(std::move(made));
  }
  if (!video.representations.empty()) out.adaptation_sets.push_back(std::move(video));
  if (!audio.representations.empty()) out.adaptation_sets.push_back(std::move(audio));
  return out;
}

}  // namespace

std::string segment_name(Epoch epoch, std::int64_t msn) {
  return std::to_string(epoch.value) + "-" + std::to_string(msn) + ".m4s";
}
std::string init_name(std::int64_t number) { return "init-" + std::to_string(number) + ".mp4"; }

std::string live_multivariant(const media::LadderPlan& plan) {
  HlsMultivariant out;
  for (std::size_t i = 0; i < plan.audio.size() && !plan.video.empty(); ++i) {
    const media::LadderAudio& audio = plan.audio[i];
    out.audio.push_back({.group = audio_group(i),
                         .name = "Audio",
                         .channels = audio.channels,
                         .is_default = true,
                         .uri = audio.track + ".m3u8"});
  }
  for (std::size_t i = 0; i < plan.video.size(); ++i) {
    const media::LadderVideo& video = plan.video[i];
    HlsVariant variant{.bandwidth = video.bandwidth,
                       .average_bandwidth = video.bitrate,
                       .codecs = video.codecs,
                       .width = video.width,
                       .height = video.height,
                       .fps = video.fps,
                       .uri = video.track + ".m3u8"};
    if (!plan.audio.empty()) {
      const std::size_t heard = audio_for(i, plan);
      const media::LadderAudio& audio = plan.audio[heard];
      variant.bandwidth += audio.bandwidth;
      variant.average_bandwidth += audio.bitrate;
      variant.codecs += "," + audio.codecs;
      variant.audio_group = audio_group(heard);
    }
    out.variants.push_back(std::move(variant));
  }
  if (plan.video.empty()) {
    for (const media::LadderAudio& audio : plan.audio) {
      out.variants.push_back({.bandwidth = audio.bandwidth,
                              .average_bandwidth = audio.bitrate,
                              .codecs = audio.codecs,
                              .uri = audio.track + ".m3u8"});
    }
  }
  return write_multivariant(out);
}

std::string live_media_playlist(const Window& window, std::size_t track, const LiveTimes& times) {
  assert(window.plan() && track < window.tracks().size());
  HlsMediaPlaylist out;
  out.target_duration_s = window.plan()->target_duration_s;
  out.ended = times.ended;
  out.media_sequence = window.first_listed(window.announced());
  const std::string& name = window.tracks()[track].name;
  std::optional<std::int64_t> period_before;
  for (const Row& row : window.rows()) {
    if (row.span.msn > window.announced()) break;
    if (row.span.msn < out.media_sequence) continue;
    if (!period_before) out.discontinuity_sequence = row.span.period;
    const Piece& piece = row.pieces[track];
    HlsSegment segment;
    segment.discontinuity = period_before && *period_before != row.span.period;
    period_before = row.span.period;
    segment.gap = piece.state != Piece::State::present;
    segment.uri = name + "/" + segment_name(piece.epoch, row.span.msn);
    MediaTime begins = row.span.start;
    if (segment.gap) {
      segment.duration_us = row.span.duration_us();
    } else {
      const std::uint32_t timescale = piece.init->config.timescale;
      begins = {piece.presentation_time, timescale};
      segment.duration_us = to_us(piece.duration, timescale);
      segment.map_uri = name + "/" + init_name(piece.init->number);
    }
    segment.program_date_time = wall_at(begins, times);
    out.segments.push_back(std::move(segment));
  }
  return write_media_playlist(out);
}

std::string live_mpd(const Window& window, const LiveTimes& times, WallTime now) {
  assert(window.plan());
  const std::int64_t target_us = window.plan()->target_duration_s * 1'000'000;
  DashManifest out;
  out.dynamic = !times.ended;
  out.availability_start = from_unix_ms(times.start_unix_ms);
  out.now = now;
  out.update_period_us = target_us;
  out.presentation_delay_us = 3 * target_us;
  out.segment_duration_max_us = target_us + 500'000;  // what rounds to the target
  std::vector<const Row*> rows;
  const auto flush = [&] {
    if (!rows.empty()) out.periods.push_back(period(window, rows));
    rows.clear();
  };
  for (const Row& row : window.rows()) {
    if (row.span.msn > window.announced()) break;
    if (row.span.msn < window.first_listed(window.announced())) continue;
    if (!rows.empty() && rows.back()->manifest_period != row.manifest_period) flush();
    rows.push_back(&row);
    out.time_shift_depth_us += row.span.duration_us();
    out.duration_us = rescale_floor(row.span.end, 1'000'000).ticks;
  }
  flush();
  out.time_shift_depth_us = std::max(out.time_shift_depth_us, 4 * target_us);
  return write_mpd(out);
}

}  // namespace ribalta::packager
