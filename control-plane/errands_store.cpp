#include "control-plane/errands_store.h"

#include "control-plane/store.h"

namespace ribalta::control {
namespace {

constexpr ErrandKind kKinds[] = {ErrandKind::video_access, ErrandKind::video_tidy, ErrandKind::upload_remove,
                                 ErrandKind::stream_plan,  ErrandKind::stream_end, ErrandKind::stream_remove};

Result<std::vector<Errand>> many(sql::Session& session, std::string_view name, const std::string& rest,
                                 const sql::Values& values) {
  auto rows = session.rows<std::string, std::string, std::int64_t, std::int64_t, std::int64_t, std::string>(
      name, "SELECT kind, subject, wish, attempts, run_after, reason FROM errands " + rest, values);
  if (!rows) return pass(rows);
  std::vector<Errand> errands;
  for (auto& [kind, subject, wish, attempts, run_after, reason] : *rows) {
    for (const ErrandKind known : kKinds) {
      if (to_string(known) != kind) continue;
      errands.push_back({known, std::move(subject), wish, attempts, run_after, std::move(reason)});
    }
  }
  return errands;
}

}  // namespace

std::string_view to_string(ErrandKind kind) {
  switch (kind) {
    case ErrandKind::video_access:
      return "video_access";
    case ErrandKind::video_tidy:
      return "video_tidy";
    case ErrandKind::upload_remove:
      return "upload_remove";
    case ErrandKind::stream_plan:
      return "stream_plan";
    case ErrandKind::stream_end:
      return "stream_end";
    case ErrandKind::stream_remove:
      return "stream_remove";
  }
  return "";
}

Result<void> ErrandsStore::want(ErrandKind kind, std::string_view subject, std::int64_t run_after) {
  // A wish for later does not put off what is due now.
  return done(sql_.run(
      "errands.want",
      "INSERT INTO errands (kind, subject, wish, attempts, run_after, reason) VALUES (:1, :2, 1, 0, :3, '') "
      "ON CONFLICT (kind, subject) DO UPDATE SET wish = errands.wish + 1, "
      "run_after = CASE WHEN errands.run_after < excluded.run_after THEN errands.run_after ELSE excluded.run_after END",
      {to_string(kind), subject, run_after}));
}

Result<std::vector<Errand>> ErrandsStore::due(std::int64_t now, std::int64_t limit) {
  return many(sql_, "errands.due", "WHERE run_after <= :1 ORDER BY run_after LIMIT :2", {now, limit});
}

Result<void> ErrandsStore::succeeded(const Errand& errand) {
  return done(sql_.run("errands.succeeded", "DELETE FROM errands WHERE kind = :1 AND subject = :2 AND wish = :3",
                       {to_string(errand.kind), errand.subject, errand.wish}));
}

Result<void> ErrandsStore::failed(const Errand& errand, std::string_view reason, std::int64_t run_after) {
  return done(sql_.run(
      "errands.failed",
      "UPDATE errands SET attempts = attempts + 1, run_after = :3, reason = :4 WHERE kind = :1 AND subject = :2",
      {to_string(errand.kind), errand.subject, run_after, reason}));
}

Result<std::int64_t> ErrandsStore::hurry(std::int64_t now) {
  return sql_.run("errands.hurry", "UPDATE errands SET run_after = :1 WHERE attempts > 0 AND run_after > :1", {now});
}

Result<std::vector<Errand>> ErrandsStore::failing(std::int64_t limit) {
  return many(sql_, "errands.failing", "WHERE attempts > 0 ORDER BY attempts DESC, kind, subject LIMIT :1", {limit});
}

}  // namespace ribalta::control
