#include "packager/live/record.h"

#include "core/ids.h"
#include "core/json.h"
#include "core/media/track.h"
#include "packager/live/plan.h"
#include "packager/live/track_buffer.h"

namespace ribalta::packager {
namespace {

/// Times from a record are held to what is accepted from the wire, so that rescaling them can't overflow.
bool is_time(std::int64_t ticks, std::int64_t timescale) {
  return timescale > 0 && timescale <= media::kTimescaleMax && ticks >= -(timescale * 3'600) &&
         ticks / timescale < (std::int64_t{1} << 32);
}

Result<void> check_piece(const RecordPiece& piece, const RecordTrack* track) {
  if (piece.state < 0 || piece.state > 2) return fail(Code::malformed, "state of a piece", piece.state);
  if (piece.state != 1) return {};
  if (!piece.epoch || !piece.init || !piece.decode_time || !piece.decode_end || !piece.presentation_time ||
      !piece.duration || !piece.bytes) {
    return fail(Code::malformed, "present piece lacks a field");
  }
  if (track == nullptr) return fail(Code::malformed, "piece of a track without media");
  if (*piece.init < 0 || *piece.init >= track->inits) return fail(Code::malformed, "init number", *piece.init);
  if (*piece.epoch < 0 || *piece.bytes < 0 || *piece.duration < 0)
    return fail(Code::malformed, "negative value in a piece");
  for (const std::int64_t ticks : {*piece.decode_time, *piece.decode_end, *piece.presentation_time, *piece.duration}) {
    // The clock is its init segment's, at least 1 tick a second: seconds bound ticks below the finest clock.
    if (ticks < -(std::int64_t{1} << 42) || ticks >= (std::int64_t{1} << 32) * media::kTimescaleMax) {
      return fail(Code::limit, "time of a piece", ticks);
    }
  }
  return {};
}

Result<void> check_rows(const StreamRecord& record) {
  const std::size_t planned = record.plan.video.size() + record.plan.audio.size();
  std::vector<const RecordTrack*> tracks;
  const auto find = [&record](const std::string& name) -> const RecordTrack* {
    for (const RecordTrack& track : record.tracks) {
      if (track.track == name) return &track;
    }
    return nullptr;
  };
  for (const auto& video : record.plan.video) tracks.push_back(find(video.track));
  for (const auto& audio : record.plan.audio) tracks.push_back(find(audio.track));
  std::int64_t period = 0;
  for (std::size_t i = 0; i < record.rows.size(); ++i) {
    const RecordRow& row = record.rows[i];
    const std::int64_t msn = record.first_msn + static_cast<std::int64_t>(i);
    if (row.pieces.size() != planned) return fail(Code::malformed, "pieces of segment", msn);
    const bool times = is_time(row.start, row.timescale) && is_time(row.end, row.timescale) &&
                       is_time(row.next_start, row.next_timescale) &&
                       is_time(row.manifest_start, row.manifest_timescale) && row.end >= row.start;
    if (!times) return fail(Code::malformed, "times of segment", msn);
    if (row.period < period || row.period > msn) return fail(Code::malformed, "period of segment", msn);
    period = row.period;
    if (row.manifest_period < 0 || row.manifest_period > msn)
      return fail(Code::malformed, "manifest period of segment", msn);
    for (std::size_t t = 0; t < planned; ++t) {
      if (auto ok = check_piece(row.pieces[t], tracks[t]); !ok) return ok;
      if (msn <= record.announced && row.pieces[t].state == 0) return fail(Code::malformed, "undecided segment", msn);
    }
  }
  return {};
}

}  // namespace

std::string write_record(const StreamRecord& record) { return json_write(record); }

Result<StreamRecord> parse_record(std::string_view json) {
  if (json.size() > kLiveRecordBytesMax) return fail(Code::limit, "record: bytes", json.size());
  Result<StreamRecord> record = json_read<StreamRecord>(json);
  if (!record) return record.error().in("record");
  if (record->version != kLiveRecordVersion) return fail(Code::unsupported, "record: version", record->version);
  if (!is_id(record->stream)) return fail(Code::malformed, "record: not a stream's id");
  if (auto ok = check_plan(record->plan); !ok) return ok.error().in("record");
  if (record->rows.size() > kLiveRecordRowsMax) return fail(Code::limit, "record: segments", record->rows.size());
  if (record->tracks.size() > kLiveTracksMax) return fail(Code::limit, "record: tracks", record->tracks.size());
  for (const RecordTrack& track : record->tracks) {
    if (!is_track_name(track.track)) return fail(Code::malformed, "record: not a track's name");
    if (track.epoch < 0 || track.inits < 0 || track.inits > static_cast<std::int64_t>(kInitsMax)) {
      return fail(Code::malformed, "record: track", track.track);
    }
  }
  constexpr std::int64_t kMsnMax = std::int64_t{1} << 40;
  const std::int64_t last = record->first_msn + static_cast<std::int64_t>(record->rows.size()) - 1;
  if (record->first_msn < 0 || record->first_msn > kMsnMax || record->announced < -1 || record->media_sequence < 0) {
    return fail(Code::malformed, "record: sequence numbers");
  }
  const bool announced_is_there = record->rows.empty()
                                      ? record->announced == -1
                                      : record->announced <= last && record->announced >= record->first_msn - 1;
  if (!announced_is_there) return fail(Code::malformed, "record: announced", record->announced);
  if (auto ok = check_rows(*record); !ok) return ok.error().in("record");
  return record;
}

}  // namespace ribalta::packager
