// Errands: what the control plane owes others (the packager, the object store, the edges) after a change was committed.
// They are written in the transaction of the change and run until they succeed, so that nothing is owed without a row,
// a reason and a next time. What is to be said is read when the errand runs: asking twice for the same is one errand,
// and a wish that came while it ran keeps it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/sql/sql.h"

namespace ribalta::control {

enum class ErrandKind : std::uint8_t {
  video_access,   ///< tell packager, Redis and edges who may play a video; a deleted one's objects go
  video_tidy,     ///< remove versions of a video that nothing plays or writes; of a deleted one, all
  upload_remove,  ///< remove an uploaded file
  stream_plan,    ///< hand the ladder plan to the packager
  stream_end,     ///< end a stream at the packager
  stream_remove,  ///< remove a stream's media
};
std::string_view to_string(ErrandKind kind);

struct Errand {
  ErrandKind kind = ErrandKind::video_access;
  std::string subject;
  std::int64_t wish = 0;
  std::int64_t attempts = 0;
  std::int64_t run_after = 0;
  std::string reason;
};

class ErrandsStore {
 public:
  explicit ErrandsStore(sql::Session& session) : sql_(session) {}

  Result<void> want(ErrandKind kind, std::string_view subject, std::int64_t run_after);
  Result<std::vector<Errand>> due(std::int64_t now, std::int64_t limit);
  /// Unless it was wanted again meanwhile.
  Result<void> succeeded(const Errand& errand);
  Result<void> failed(const Errand& errand, std::string_view reason, std::int64_t run_after);
  /// What failed is tried again now: whom it waited for is back.
  Result<std::int64_t> hurry(std::int64_t now);
  /// What failed at least once and is still owed, the longest first.
  Result<std::vector<Errand>> failing(std::int64_t limit);

 private:
  sql::Session& sql_;
};

}  // namespace ribalta::control
