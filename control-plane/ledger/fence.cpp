#include "control-plane/ledger/fence.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

namespace ribalta::ledger {
namespace {

std::unexpected<Error> taken() { return fail(Code::conflict, "another writer has this ledger"); }

class FileFence final : public Fence {
 public:
  explicit FileFence(int file) : file_(file) {}
  ~FileFence() override { close(file_); }

  Result<void> hold(Store&) override { return {}; }  // the kernel's, for as long as the descriptor is open
  Result<void> is_beside(Store&) override { return {}; }

 private:
  int file_;
};

Result<std::unique_ptr<Fence>> take_file(const std::string& ledger, bool wait) {
  const std::string name = ledger + ".lock";
  const int file = open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return fail_errno("lock the ledger", name);
  auto fence = std::make_unique<FileFence>(file);
  int locked = 0;
  do {
    locked = flock(file, LOCK_EX | (wait ? 0 : LOCK_NB));
  } while (locked != 0 && errno == EINTR);
  if (locked == 0) return fence;
  if (errno == EWOULDBLOCK) return taken();
  return fail_errno("lock the ledger", name);
}

/// "ribalta ledger": a number of our own among the database's advisory locks.
constexpr std::string_view kLock = "8245913047710442355";
/// As pg_locks shows it (PostgreSQL 15, §54.12).
constexpr std::string_view kHeldBy =
    "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND database = (SELECT oid "
    "FROM pg_database WHERE datname = current_database()) AND ((CAST(classid AS BIGINT) << 32) | CAST(objid AS "
    "BIGINT)) = CAST(:1 AS BIGINT) AND pid = :2";

/// A connection that was closed has its lock for a moment longer: a writer that begins as another ends tries so often.
constexpr int kTriesMax = 40;
constexpr std::chrono::milliseconds kTriesApart{25};

class AdvisoryFence final : public Fence {
 public:
  Result<void> take(Store& store, bool wait) {
    Result<void> locked = lock(store, wait);
    for (int tries = 1; !locked && locked.error().code == Code::conflict && tries < kTriesMax; ++tries) {
      std::this_thread::sleep_for(kTriesApart);
      locked = lock(store, wait);
    }
    return locked ? note_backend(store) : locked;
  }

  /// Taken once more where the connection still has it: such locks count.
  Result<void> hold(Store& store) override {
    Result<void> locked = lock(store, false);
    return locked ? note_backend(store) : locked;
  }

  Result<void> is_beside(Store& other) override {
    const auto held = other.database().read([this](sql::Session& session) {
      return session.row<std::int64_t>("ledger.fence", kHeldBy, {kLock, backend_});
    });
    if (!held) return pass(held);
    if (std::get<0>(**held) == 1) return {};
    return fail(Code::unavailable, "the address leads to two servers; on one of them nobody has the ledger");
  }

 private:
  Result<void> note_backend(Store& store) {
    const auto backend = store.database().read([](sql::Session& session) {
      return session.row<std::int64_t>("ledger.fence", "SELECT CAST(pg_backend_pid() AS BIGINT)");
    });
    if (!backend) return pass(backend);
    backend_ = std::get<0>(**backend);
    return {};
  }

  static Result<void> lock(Store& store, bool wait) {
    return store.database().read([wait](sql::Session& session) -> Result<void> {
      if (wait) {
        const auto locked = session.row<std::string>(
            "ledger.fence", "SELECT CAST(pg_advisory_lock(" + std::string{kLock} + ") AS TEXT)");
        return locked ? Result<void>{} : pass(locked);
      }
      const auto locked = session.row<std::int64_t>(
          "ledger.fence", "SELECT CAST(CAST(pg_try_advisory_lock(" + std::string{kLock} + ") AS INTEGER) AS BIGINT)");
      if (!locked) return pass(locked);
      return *locked && std::get<0>(**locked) == 1 ? Result<void>{} : taken();
    });
  }

  std::int64_t backend_ = 0;  ///< the server's process of the connection that has the lock
};

}  // namespace

Result<std::unique_ptr<Fence>> Fence::take(Store& store, bool wait) {
  if (store.engine() == sql::Engine::sqlite) return take_file(store.file(), wait);
  auto fence = std::make_unique<AdvisoryFence>();
  if (const Result<void> locked = fence->take(store, wait); !locked) return pass(locked);
  return fence;
}

}  // namespace ribalta::ledger
