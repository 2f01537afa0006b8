// Tables of the ledger.
#pragma once

#include <span>

#include "core/sql/sql.h"

namespace ribalta::ledger {

/// The history of the schema: steps that were released never change.
std::span<const sql::Migration> schema(sql::Engine engine);

}  // namespace ribalta::ledger
