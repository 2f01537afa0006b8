#include "packager/live/recovery.h"

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include "core/media/track.h"
#include "packager/live/manifests.h"
#include "packager/live/store_job.h"

namespace ribalta::packager {
namespace {

constexpr std::string_view kNotePrefix{"announced."};
/// Gaps that are made up at most; players are told of fewer.
constexpr std::int64_t kGapsMax = 600;
static_assert(kGapsMax < static_cast<std::int64_t>(kLiveRecordRowsMax));
constexpr std::int64_t kMsnMax = std::int64_t{1} << 40;

std::vector<std::string> track_names(const StreamRecord& record) {
  std::vector<std::string> names;
  for (const auto& video : record.plan.video) names.push_back(video.track);
  for (const auto& audio : record.plan.audio) names.push_back(audio.track);
  return names;
}

/// `MSN-PERIOD-TICKS-TIMESCALE`; the ticks may be negative.
std::optional<AnnouncedNote> parse_note(std::string_view text) {
  std::int64_t numbers[4] = {};
  for (std::size_t i = 0; i < 4; ++i) {
    const char* const end = text.data() + text.size();
    const auto [after, error] = std::from_chars(text.data(), end, numbers[i]);
    if (error != std::errc{} || (i < 3 && (after == end || *after != '-')) || (i == 3 && after != end)) {
      return std::nullopt;
    }
    if (i < 3) text.remove_prefix(static_cast<std::size_t>(after - text.data()) + 1);
  }
  const auto [msn, period, ticks, timescale] = numbers;
  const bool sane = msn >= 0 && msn <= kMsnMax && period >= 0 && period <= msn && timescale > 0 &&
                    timescale <= media::kTimescaleMax && ticks >= -(timescale * 3'600) &&
                    ticks / timescale < (std::int64_t{1} << 32);
  if (!sane) return std::nullopt;
  return AnnouncedNote{msn, period, {ticks, static_cast<std::uint32_t>(timescale)}};
}

}  // namespace

std::size_t demote_torn(StreamRecord& record, const StoredObjects& objects) {
  const std::vector<std::string> names = track_names(record);
  std::size_t torn = 0;
  for (std::size_t i = 0; i < record.rows.size(); ++i) {
    const std::int64_t msn = record.first_msn + static_cast<std::int64_t>(i);
    for (std::size_t track = 0; track < record.rows[i].pieces.size(); ++track) {
      RecordPiece& piece = record.rows[i].pieces[track];
      if (piece.state != 1) continue;
      const auto found = objects.find(live_key(record.stream, names[track], segment_name(Epoch{*piece.epoch}, msn)));
      if (found != objects.end() && std::cmp_equal(found->second, *piece.bytes)) continue;
      piece = RecordPiece{.state = 2};
      ++torn;
    }
  }
  return torn;
}

std::optional<AnnouncedNote> note_of(const StreamRecord& record) {
  const std::int64_t row = record.announced - record.first_msn;
  if (record.announced < 0 || row < 0 || row >= static_cast<std::int64_t>(record.rows.size())) return std::nullopt;
  const RecordRow& last = record.rows[static_cast<std::size_t>(row)];
  return AnnouncedNote{record.announced, last.period, {last.end, static_cast<std::uint32_t>(last.timescale)}};
}

std::string note_key(std::string_view stream, const AnnouncedNote& note) {
  std::string key = "live/" + std::string{stream} + "/" + std::string{kNotePrefix};
  for (const std::int64_t number : {note.msn, note.period, note.end.ticks, std::int64_t{note.end.timescale}}) {
    if (key.back() != '.') key += '-';
    key += std::to_string(number);
  }
  return key;
}

std::optional<std::pair<std::string, AnnouncedNote>> find_note(std::string_view stream, const StoredObjects& objects) {
  const std::string prefix = "live/" + std::string{stream} + "/" + std::string{kNotePrefix};
  std::optional<std::pair<std::string, AnnouncedNote>> newest;
  for (auto at = objects.lower_bound(prefix); at != objects.end() && at->first.starts_with(prefix); ++at) {
    const std::optional<AnnouncedNote> note = parse_note(std::string_view{at->first}.substr(prefix.size()));
    if (note && (!newest || note->msn > newest->second.msn)) newest = {at->first, *note};
  }
  return newest;
}

bool extend_to(StreamRecord& record, const AnnouncedNote& note) {
  if (note.msn <= record.announced) return false;
  // What was decided and not announced may have been announced since, or may not: the note knows only how far.
  while (!record.rows.empty() &&
         record.first_msn + static_cast<std::int64_t>(record.rows.size()) - 1 > record.announced) {
    record.rows.pop_back();
  }
  const std::uint32_t timescale = note.end.timescale;
  std::int64_t period = note.period;
  std::int64_t start = note.end.ticks;
  if (!record.rows.empty()) {
    const RecordRow& last = record.rows.back();
    period = std::max(period, last.period);
    start = rescale_floor({last.next_start, static_cast<std::uint32_t>(last.next_timescale)}, timescale).ticks;
  }
  const std::int64_t count = note.msn - record.announced;
  std::int64_t first = record.announced + 1;
  if (count > kGapsMax || record.rows.size() + static_cast<std::size_t>(count) > kLiveRecordRowsMax) {
    first = std::max(first, note.msn - kGapsMax + 1);
    record.rows.clear();
    record.first_msn = first;
  }
  if (record.rows.empty()) record.first_msn = first;
  const std::int64_t made = note.msn - first + 1;
  const std::int64_t target = record.plan.target_duration_s * std::int64_t{timescale};
  const std::int64_t span = std::max(note.end.ticks - start, made);  // a tick each, at least
  const std::size_t tracks = record.plan.video.size() + record.plan.audio.size();
  for (std::int64_t i = 0; i < made; ++i) {
    RecordRow row;
    row.period = std::min(period, first + i);  // it is never more than the number: none was further
    row.manifest_period = first;
    row.manifest_start = start;
    row.manifest_timescale = timescale;
    row.timescale = timescale;
    row.start = start + span / made * i;
    row.next_start = i + 1 == made ? start + span : start + span / made * (i + 1);
    row.next_timescale = timescale;
    row.end = std::min(row.next_start, row.start + target);
    row.keyed = true;
    row.pieces.assign(tracks, RecordPiece{.state = 2});
    record.rows.push_back(std::move(row));
  }
  record.rows.back().next_start = record.rows.back().end;
  record.announced = note.msn;
  return true;
}

}  // namespace ribalta::packager
