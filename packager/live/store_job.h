// What one pass writes to the object store, put together on the stream's loop and carried out on the disk pool: init
// segments, segments, then the record that knows them (or, where that fails, a note), then removals. Init segments and
// the record are durable: without them nothing else is of use. Segments are not: what a power cut takes becomes a gap.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/store/object_store.h"
#include "packager/live/chunk.h"
#include "packager/live/record.h"
#include "packager/live/window.h"

namespace ribalta::packager {

struct StoreJob {
  struct Init {
    std::string track;
    std::int64_t number = 0;
    SharedBytes bytes;
  };
  struct Segment {
    std::int64_t msn = 0;
    std::size_t track = 0;  ///< index in the plan's order
    std::string key;
    std::vector<SharedBytes> chunks;
    bool stored = false;  ///< result
  };
  std::string stream;
  std::vector<Init> inits;
  std::vector<Segment> segments;
  StreamRecord record;
  bool with_record = true;  ///< without a plan there is nothing that a record could hold
  std::vector<std::string> removals;
  std::string note;  ///< in: key of the note in the store (recovery.h), or empty; out: of the one that is there now

  // Results:
  std::map<std::string, std::int64_t> inits_stored;  ///< in: how many each track has in the store; out: after this job
  bool record_stored = false;
  std::optional<Error> error;  ///< the first
};

std::string live_key(std::string_view stream, std::string_view track, std::string_view name);
std::string record_key(std::string_view stream);

/// Blocks. What could not be stored stands in the record as a gap: after a restart its bytes are gone.
void run_store_job(ObjectStore& store, StoreJob& job);

/// The rows of a window as the record has them; `stored` decides between present and gap later.
std::vector<RecordRow> record_rows(const Window& window);
/// The other way. `inits`: by track index, by number. @error malformed: times that no track of that clock can have.
Result<std::vector<Row>> window_rows(const StreamRecord& record, const std::vector<std::vector<SharedInit>>& inits);

}  // namespace ribalta::packager
