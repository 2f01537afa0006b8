#include "core/testing/database.h"

#include <cassert>
#include <cstdio>
#include <cstdlib>

#include "core/testing/postgres.h"

namespace ribalta::testing {
namespace {

/// Lives as long as the test program; started on first use.
PostgresCluster& cluster() {
  static PostgresCluster one{PostgresCluster::Commits::quick};
  return one;
}

}  // namespace

const std::vector<sql::Engine>& engines() {
  static const std::vector<sql::Engine> found = [] {
    std::vector<sql::Engine> list{sql::Engine::sqlite};
    if (!PostgresCluster::installed()) {
      std::fputs("PostgreSQL is left out: no initdb under /usr/lib/postgresql\n", stderr);
      return list;
    }
    if (!cluster().running()) {
      std::fputs("PostgreSQL is installed, and a private cluster did not start\n", stderr);
      std::abort();
    }
    list.push_back(sql::Engine::postgresql);
    return list;
  }();
  return found;
}

std::string fresh_database(sql::Engine engine) {
  static int count = 0;
  ++count;
  if (engine == sql::Engine::sqlite) {
    static const Folder folder;
    return "sqlite:" + (folder.path() / ("test" + std::to_string(count) + ".sqlite")).string();
  }
  const std::string name = "test" + std::to_string(count);
  auto server = sql::Database::open({.address = cluster().address("postgres"), .connections = 1});
  assert(server);
  const auto made =
      (*server)->read([&](sql::Session& session) { return session.run("create", "CREATE DATABASE " + name); });
  assert(made);
  return cluster().address(name);
}

}  // namespace ribalta::testing
