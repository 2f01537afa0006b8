// A database for a test, on each engine: SQLite in a folder of its own, PostgreSQL in a private cluster that lives as
// long as the test program (started on first use, as user postgres when we are root, reached through a Unix socket
// only).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/sql/sql.h"

namespace ribalta::testing {

/// The engines that this machine can test; says on standard error when PostgreSQL's programs are missing.
const std::vector<sql::Engine>& engines();

/// An empty database's address (sql::Options::address), another one at each call. Removed with the program's end.
std::string fresh_database(sql::Engine engine);

}  // namespace ribalta::testing
