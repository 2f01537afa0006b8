// One active writer: whoever holds the fence. On SQLite a lock on a file beside the ledger's (the kernel lets go of it
// when the process ends, however it ends), on PostgreSQL an advisory lock of the writer's connection. It keeps a second
// writer from taking over a live one; what makes two at once harmless is the epoch, which every commit checks.
#pragma once

#include <memory>

#include "control-plane/ledger/store.h"
#include "core/result.h"

namespace ribalta::ledger {

class Fence {
 public:
  virtual ~Fence() = default;
  /// Takes the fence of this store's ledger; `wait`: until whoever has it is gone.
  /// @error conflict: another writer is active.
  static Result<std::unique_ptr<Fence>> take(Store& store, bool wait);
  /// Makes sure that it is still ours: a PostgreSQL connection that broke has let go of it. @error as `take`.
  virtual Result<void> hold(Store& store) = 0;
  /// Makes sure that another connection is to the very server that has the fence: an address may lead to several.
  /// @error unavailable: it is not.
  virtual Result<void> is_beside(Store& other) = 0;
};

}  // namespace ribalta::ledger
