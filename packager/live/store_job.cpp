#include "packager/live/store_job.h"

#include <cassert>
#include <utility>

#include "core/media/cmaf_reader.h"
#include "packager/live/manifests.h"
#include "packager/live/recovery.h"

namespace ribalta::packager {
namespace {

void note(StoreJob& job, const Error& error) {
  if (!job.error) job.error = error;
}

/// A piece whose bytes or init segment the store lacks can't be played after a restart.
void demote_unstored(StoreJob& job) {
  for (const StoreJob::Segment& segment : job.segments) {
    if (segment.stored) continue;
    const std::int64_t row = segment.msn - job.record.first_msn;
    if (row < 0 || row >= static_cast<std::int64_t>(job.record.rows.size())) continue;
    job.record.rows[static_cast<std::size_t>(row)].pieces[segment.track] = RecordPiece{.state = 2};
  }
  std::vector<std::int64_t> inits;
  for (const auto& video : job.record.plan.video) inits.push_back(job.inits_stored[video.track]);
  for (const auto& audio : job.record.plan.audio) inits.push_back(job.inits_stored[audio.track]);
  for (RecordRow& row : job.record.rows) {
    for (std::size_t track = 0; track < row.pieces.size(); ++track) {
      RecordPiece& piece = row.pieces[track];
      if (piece.state == 1 && *piece.init >= inits[track]) piece = RecordPiece{.state = 2};
    }
  }
  for (RecordTrack& track : job.record.tracks) track.inits = job.inits_stored[track.track];
}

/// Where the record could not be written, how far it is announced stands in a name; once it is written, no more.
void keep_note(ObjectStore& store, StoreJob& job) {
  std::string now;
  if (!job.record_stored) {
    const std::optional<AnnouncedNote> far = note_of(job.record);
    if (!far) return;
    now = note_key(job.stream, *far);
    if (now == job.note) return;
    if (const Result<void> put = store.put(now, {}); !put) return note(job, put.error());
  }
  const std::string before = std::exchange(job.note, now);
  if (before.empty()) return;
  if (const Result<void> removed = store.remove(before); !removed) note(job, removed.error());
}

std::optional<Piece> restore_piece(const RecordPiece& recorded, const std::vector<SharedInit>& inits) {
  Piece piece;
  if (recorded.state == 2) piece.state = Piece::State::gap;
  if (recorded.state != 1) return piece;
  piece.state = Piece::State::present;
  piece.epoch = Epoch{*recorded.epoch};
  piece.init = inits[static_cast<std::size_t>(*recorded.init)];
  const std::int64_t timescale = piece.init->config.timescale;
  for (const std::int64_t ticks :
       {*recorded.decode_time, *recorded.decode_end, *recorded.presentation_time, *recorded.duration}) {
    if (ticks / timescale >= (std::int64_t{1} << 32)) return std::nullopt;
  }
  piece.decode_time = *recorded.decode_time;
  piece.decode_end = *recorded.decode_end;
  piece.presentation_time = *recorded.presentation_time;
  piece.duration = *recorded.duration;
  piece.bytes = static_cast<std::size_t>(*recorded.bytes);
  piece.stored = true;
  return piece;
}

}  // namespace

std::string live_key(std::string_view stream, std::string_view track, std::string_view name) {
  std::string key = "live/";
  key += stream;
  key += '/';
  key += track;
  key += '/';
  key += name;
  return key;
}

std::string record_key(std::string_view stream) { return "live/" + std::string{stream} + "/stream.json"; }

void run_store_job(ObjectStore& store, StoreJob& job) {
  for (const StoreJob::Init& init : job.inits) {
    if (job.inits_stored[init.track] != init.number) continue;  // the one before failed: they are counted without holes
    const std::string key = live_key(job.stream, init.track, init_name(init.number));
    const Result<void> put = store.put_durable(key, *init.bytes);
    if (put)
      job.inits_stored[init.track] = init.number + 1;
    else
      note(job, put.error());
  }
  for (StoreJob::Segment& segment : job.segments) {
    Bytes whole;
    for (const SharedBytes& chunk : segment.chunks) whole.insert(whole.end(), chunk->begin(), chunk->end());
    const Result<void> put = store.put(segment.key, whole);
    segment.stored = put.has_value();
    if (!put) note(job, put.error());
  }
  if (job.with_record) {
    demote_unstored(job);
    const std::string text = write_record(job.record);
    const Result<void> put = store.put_durable(record_key(job.stream), as_bytes(text));
    job.record_stored = put.has_value();
    if (!put) note(job, put.error());
    keep_note(store, job);
  }
  for (const std::string& key : job.removals) {
    if (const Result<void> removed = store.remove(key); !removed) note(job, removed.error());
  }
}

std::vector<RecordRow> record_rows(const Window& window) {
  std::vector<RecordRow> rows;
  for (const Row& row : window.rows()) {
    RecordRow out;
    out.period = row.span.period;
    out.manifest_period = row.manifest_period;
    out.manifest_start = row.manifest_start.ticks;
    out.manifest_timescale = row.manifest_start.timescale;
    out.timescale = row.span.start.timescale;
    out.start = row.span.start.ticks;
    out.end = row.span.end.ticks;
    out.next_start = row.span.next_start.ticks;
    out.next_timescale = row.span.next_start.timescale;
    out.keyed = row.span.keyed;
    out.ends_period = row.span.ends_period;
    for (const Piece& piece : row.pieces) {
      RecordPiece recorded;
      if (piece.state == Piece::State::gap) recorded.state = 2;
      if (piece.state == Piece::State::present) {
        recorded = {.state = 1,
                    .epoch = piece.epoch.value,
                    .init = piece.init->number,
                    .decode_time = piece.decode_time,
                    .decode_end = piece.decode_end,
                    .presentation_time = piece.presentation_time,
                    .duration = piece.duration,
                    .bytes = static_cast<std::int64_t>(piece.bytes)};
      }
      out.pieces.push_back(recorded);
    }
    rows.push_back(std::move(out));
  }
  return rows;
}

Result<std::vector<Row>> window_rows(const StreamRecord& record, const std::vector<std::vector<SharedInit>>& inits) {
  std::vector<Row> rows;
  for (std::size_t i = 0; i < record.rows.size(); ++i) {
    const RecordRow& recorded = record.rows[i];
    const auto timescale = static_cast<std::uint32_t>(recorded.timescale);
    Row row;
    row.span.msn = record.first_msn + static_cast<std::int64_t>(i);
    row.span.period = recorded.period;
    row.span.start = {recorded.start, timescale};
    row.span.end = {recorded.end, timescale};
    row.span.next_start = {recorded.next_start, static_cast<std::uint32_t>(recorded.next_timescale)};
    row.span.keyed = recorded.keyed;
    row.span.ends_period = recorded.ends_period;
    row.manifest_period = recorded.manifest_period;
    row.manifest_start = {recorded.manifest_start, static_cast<std::uint32_t>(recorded.manifest_timescale)};
    assert(recorded.pieces.size() == inits.size());
    for (std::size_t track = 0; track < inits.size(); ++track) {
      std::optional<Piece> piece = restore_piece(recorded.pieces[track], inits[track]);
      if (!piece) return fail(Code::limit, "record: time of segment", row.span.msn);
      row.pieces.push_back(std::move(*piece));
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace ribalta::packager
