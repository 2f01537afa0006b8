// `live/{stream}/stream.json`: what of a stream survives the packager. Rewritten before each announcement, so that
// media sequence and discontinuity sequence never go back, and no name is ever announced for two byte strings.
#pragma once

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/media/ladder.h"
#include "core/result.h"

namespace ribalta::packager {

inline constexpr std::size_t kLiveRecordBytesMax = 8 * 1024 * 1024;
inline constexpr std::size_t kLiveRecordRowsMax = 2'000;
inline constexpr std::int64_t kLiveRecordVersion = 1;

struct RecordPiece {
  std::int64_t state = 0;  ///< 0 undecided, 1 present (and stored), 2 gap; only a present piece has the fields below
  std::optional<std::int64_t> epoch;
  std::optional<std::int64_t> init;
  std::optional<std::int64_t> decode_time;
  std::optional<std::int64_t> decode_end;
  std::optional<std::int64_t> presentation_time;
  std::optional<std::int64_t> duration;
  std::optional<std::int64_t> bytes;
};
BOOST_DESCRIBE_STRUCT(RecordPiece, (),
                      (state, epoch, init, decode_time, decode_end, presentation_time, duration, bytes))

struct RecordRow {
  std::int64_t period = 0;
  std::int64_t manifest_period = 0;
  std::int64_t manifest_start = 0;
  std::int64_t manifest_timescale = 1;
  std::int64_t timescale = 0;  ///< of start and end
  std::int64_t start = 0;
  std::int64_t end = 0;
  std::int64_t next_start = 0;
  std::int64_t next_timescale = 0;
  bool keyed = true;
  bool ends_period = false;
  std::vector<RecordPiece> pieces;  ///< in the order of the plan: video, audio
};
BOOST_DESCRIBE_STRUCT(RecordRow, (),
                      (period, manifest_period, manifest_start, manifest_timescale, timescale, start, end, next_start,
                       next_timescale, keyed, ends_period, pieces))

struct RecordTrack {
  std::string track;
  bool source = false;
  std::int64_t epoch = 0;
  std::int64_t inits = 0;  ///< init-0.mp4 … are in the store
  std::int64_t decode_time_durable = 0;
};
BOOST_DESCRIBE_STRUCT(RecordTrack, (), (track, source, epoch, inits, decode_time_durable))

struct StreamRecord {
  std::int64_t version = kLiveRecordVersion;
  std::string stream;
  std::int64_t start_unix_ms = 0;  ///< the wall clock at time 0 of the stream
  bool ended = false;
  std::int64_t ended_unix_ms = 0;
  std::int64_t period_epoch = 0;
  std::int64_t announced = -1;      ///< newest announced msn
  std::int64_t media_sequence = 0;  ///< first listed msn
  std::int64_t first_msn = 0;       ///< of rows[0]; the others follow without holes
  bool plan_fallback = false;
  media::LadderPlan plan;
  std::vector<RecordTrack> tracks;
  std::vector<RecordRow> rows;
};
BOOST_DESCRIBE_STRUCT(StreamRecord, (),
                      (version, stream, start_unix_ms, ended, ended_unix_ms, period_epoch, announced, media_sequence,
                       first_msn, plan_fallback, plan, tracks, rows))

std::string write_record(const StreamRecord& record);
/// Checks everything that later code takes for granted: counts, orders, ranges, references.
/// @error malformed; limit.
Result<StreamRecord> parse_record(std::string_view json);

}  // namespace ribalta::packager
