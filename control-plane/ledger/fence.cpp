#include "control-plane/ledger/fence.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace ribalta::ledger {
namespace {

std::unexpected<Error> taken() { return fail(Code::conflict, "another writer has this ledger"); }

class FileFence final : public Fence {
 public:
  explicit FileFence(int file) : file_(file) {}
  ~FileFence() override { close(file_); }

  Result<void> hold(Store&) override { return {}; }  // the kernel's, for as long as the descriptor is open

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

class AdvisoryFence final : public Fence {
 public:
  Result<void> take(Store& store, bool wait) {
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

  /// Taken once more where the connection still has it: such locks count.
  Result<void> hold(Store& store) override { return take(store, false); }
};

}  // namespace

Result<std::unique_ptr<Fence>> Fence::take(Store& store, bool wait) {
  if (store.engine() == sql::Engine::sqlite) return take_file(store.file(), wait);
  auto fence = std::make_unique<AdvisoryFence>();
  if (const Result<void> locked = fence->take(store, wait); !locked) return pass(locked);
  return fence;
}

}  // namespace ribalta::ledger
