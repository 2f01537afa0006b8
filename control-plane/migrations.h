// The schema's history: applied in order at start, on SQLite and PostgreSQL alike. Columns are BIGINT, DOUBLE PRECISION
// and TEXT; ids are our own TEXT; instants are milliseconds since 1970 and 0 where nothing happened yet; flags are 0
// or 1. A step that was released never changes: add another.
#pragma once

#include <span>

#include "core/sql/sql.h"

namespace ribalta::control {

std::span<const sql::Migration> migrations();

}  // namespace ribalta::control
