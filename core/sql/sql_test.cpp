#include "core/sql/sql.h"

#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <limits>
#include <thread>

#include "core/testing/database.h"

namespace ribalta::sql {
namespace {

std::shared_ptr<Database> open_fresh(Engine engine) {
  auto database = Database::open({.address = testing::fresh_database(engine)});
  REQUIRE(database);
  return *database;
}

/// The same test on each engine that this machine has.
template <class Test>
void on_each_engine(Test test) {
  for (const Engine engine : testing::engines()) {
    CAPTURE(static_cast<int>(engine));
    test(open_fresh(engine));
  }
}

void must(const Result<std::int64_t>& done) { REQUIRE_MESSAGE(done, (done ? "" : done.error().message)); }

void make_table(Database& database) {
  must(database.read([](Session& session) {
    return session.run(
        "make", "CREATE TABLE things (id TEXT PRIMARY KEY, big BIGINT, share DOUBLE PRECISION, word TEXT UNIQUE)");
  }));
}

}  // namespace

TEST_CASE("integers keep all 64 bits, doubles their value and text its quotes, colons and accents") {
  on_each_engine([](const std::shared_ptr<Database>& database) {
    make_table(*database);
    const std::int64_t least = std::numeric_limits<std::int64_t>::min();
    const std::string word = "l'\"à\" ::int :1 \\n 漢";
    must(database->read([&](Session& session) {
      return session.run("put", "INSERT INTO things (id, big, share, word) VALUES (:1, :2, :3, :4)",
                         {"a", least, 0.1, word});
    }));
    const auto row = database->read([](Session& session) {
      return session.row<std::int64_t, double, std::string>("get", "SELECT big, share, word FROM things WHERE id = :1",
                                                            {"a"});
    });
    REQUIRE(row);
    REQUIRE(*row);
    CHECK(std::get<0>(**row) == least);
    CHECK(std::get<1>(**row) == 0.1);
    CHECK(std::get<2>(**row) == word);
  });
}

TEST_CASE("a NULL is read where the caller said it may be, and refused where not") {
  on_each_engine([](const std::shared_ptr<Database>& database) {
    make_table(*database);
    must(database->read([](Session& session) {
      return session.run("put", "INSERT INTO things (id, big, word) VALUES (:1, :2, :3)", {"a", Null{}, Null{}});
    }));
    const auto optional = database->read([](Session& session) {
      return session.row<std::optional<std::int64_t>, std::optional<std::string>>("get",
                                                                                  "SELECT big, word FROM things");
    });
    REQUIRE(optional);
    CHECK_FALSE(std::get<0>(**optional).has_value());
    CHECK_FALSE(std::get<1>(**optional).has_value());
    const auto refused =
        database->read([](Session& session) { return session.row<std::int64_t>("get", "SELECT big FROM things"); });
    CHECK_FALSE(refused);
  });
}

TEST_CASE("no row is none, an empty text is not NULL, and a value may stand twice in a statement") {
  on_each_engine([](const std::shared_ptr<Database>& database) {
    make_table(*database);
    const auto none =
        database->read([](Session& session) { return session.row<std::string>("get", "SELECT id FROM things"); });
    REQUIRE(none);
    CHECK_FALSE(none->has_value());
    must(database->read([](Session& session) {
      return session.run("put", "INSERT INTO things (id, word, big) VALUES (:1, :2, :3)", {"same", "", 7});
    }));
    const auto found = database->read([](Session& session) {
      return session.rows<std::string, std::int64_t>(
          "get", "SELECT word, big FROM things WHERE big = :1 OR big = :1 + 1", {7});
    });
    REQUIRE(found);
    REQUIRE(found->size() == 1);
    CHECK(std::get<0>(found->front()).empty());
  });
}

TEST_CASE("text with a NUL inside is refused, since the driver would cut it there") {
  on_each_engine([](const std::shared_ptr<Database>& database) {
    make_table(*database);
    const std::string cut{"a\0b", 3};
    const auto refused = database->read(
        [&](Session& session) { return session.run("put", "INSERT INTO things (id) VALUES (:1)", {cut}); });
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::malformed);
  });
}

TEST_CASE("a taken key is a conflict, and the error holds no value") {
  on_each_engine([](const std::shared_ptr<Database>& database) {
    make_table(*database);
    const auto put = [&](std::string id, std::string word) {
      return database->write("put", [&](Session& session) {
        return session.run("put", "INSERT INTO things (id, word) VALUES (:1, :2)", {id, word});
      });
    };
    must(put("a", "first-secret"));
    const auto same_id = put("a", "second-secret");
    REQUIRE_FALSE(same_id);
    CHECK(is_taken(same_id.error()));
    const auto same_word = put("b", "first-secret");
    REQUIRE_FALSE(same_word);
    CHECK(is_taken(same_word.error()));
    CHECK(same_word.error().message.find("secret") == std::string::npos);
    const auto wrong = database->read([](Session& session) { return session.run("wrong", "SELEC 'secret'"); });
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error().code == Code::internal);
    CHECK(wrong.error().message.find("secret") == std::string::npos);
    must(put("c", "after an error the connection still works"));
  });
}

TEST_CASE("a transaction that returns an error leaves nothing behind") {
  on_each_engine([](const std::shared_ptr<Database>& database) {
    make_table(*database);
    const auto failed = database->write("half", [](Session& session) -> Result<std::int64_t> {
      auto put = session.run("put", "INSERT INTO things (id) VALUES ('a')");
      if (!put) return put;
      return fail(Code::forbidden, "changed our mind");
    });
    REQUIRE_FALSE(failed);
    CHECK(failed.error().code == Code::forbidden);
    const auto count = database->read(
        [](Session& session) { return session.row<std::int64_t>("count", "SELECT COUNT(*) FROM things"); });
    CHECK(std::get<0>(**count) == 0);
  });
}

TEST_CASE("of a log that a power cut left torn, what was committed before the tear is there, whole, and it goes on") {
  const std::string address = testing::fresh_database(Engine::sqlite);
  const std::string file = address.substr(std::string_view{"sqlite:"}.size());
  const auto database = Database::open({.address = address, .connections = 1, .synchronous_full = true});
  REQUIRE(database);
  make_table(**database);
  constexpr std::int64_t kCommits = 12;
  for (std::int64_t i = 0; i < kCommits; ++i) {
    const auto done = (*database)->write("pair", [i](Session& session) -> Result<std::int64_t> {
      const std::string word(700, static_cast<char>('a' + i));
      auto one = session.run("put", "INSERT INTO things (id, big, word) VALUES (:1, :2, :3)",
                             {std::to_string(i) + "a", i, word});
      if (!one) return one;
      return session.run("put", "INSERT INTO things (id, big) VALUES (:1, :2)", {std::to_string(i) + "b", i});
    });
    REQUIRE(done);
  }
  const auto bytes_of = [](const std::string& name) {
    std::ifstream in{name, std::ios::binary};
    return std::string{std::istreambuf_iterator<char>{in}, {}};
  };
  const std::string pages = bytes_of(file);
  const std::string log = bytes_of(file + "-wal");
  REQUIRE(log.size() > 30'000);

  enum class Tail : std::uint8_t { cut, zeros, garbage };
  for (const Tail tail : {Tail::cut, Tail::zeros, Tail::garbage}) {
    std::int64_t most = -1;
    for (std::size_t size = 0; size <= log.size();
         size = size == log.size() ? size + 1 : std::min(size + 1'777, log.size())) {
      CAPTURE(size);
      std::string torn = log.substr(0, size);
      if (tail != Tail::cut) torn.resize(log.size(), tail == Tail::zeros ? '\0' : 'x');
      const std::string copy = testing::fresh_database(Engine::sqlite);
      const std::string at = copy.substr(std::string_view{"sqlite:"}.size());
      std::ofstream{at, std::ios::binary} << pages;
      std::ofstream{at + "-wal", std::ios::binary} << torn;
      const auto again = Database::open({.address = copy, .connections = 1, .synchronous_full = true});
      REQUIRE(again);
      const auto table = (*again)->read([](Session& session) {
        return session.row<std::int64_t>("has", "SELECT COUNT(*) FROM sqlite_master WHERE name = 'things'");
      });
      REQUIRE(table);
      if (std::get<0>(**table) == 0) {  // torn before the table was made
        CHECK(most == -1);
        continue;
      }
      const auto found = (*again)->read([](Session& session) {
        return session.row<std::int64_t, std::int64_t>("count", "SELECT COUNT(*), COUNT(DISTINCT big) FROM things");
      });
      REQUIRE(found);
      const auto [rows, commits] = **found;
      CHECK(rows == 2 * commits);  // no half of a transaction
      CHECK(commits >= most);
      most = commits;
      must((*again)->read(
          [](Session& session) { return session.run("put", "INSERT INTO things (id) VALUES ('new')"); }));
    }
    CHECK(most == kCommits);  // untorn, all of it
  }
}

TEST_CASE("a rule checked by a read in a write transaction holds when many try at once") {
  on_each_engine([](const std::shared_ptr<Database>& database) {
    make_table(*database);
    constexpr int kRoom = 5;
    std::vector<std::thread> crowd;
    std::atomic<int> entered{0};
    std::atomic<int> refused{0};
    for (int i = 0; i < 12; ++i) {
      crowd.emplace_back([&, i] {
        const auto done = database->write("enter", [&](Session& session) -> Result<std::int64_t> {
          auto count = session.row<std::int64_t>("count", "SELECT COUNT(*) FROM things");
          if (!count) return pass(count);
          if (std::get<0>(**count) >= kRoom) return fail(Code::limit, "full");
          return session.run("put", "INSERT INTO things (id) VALUES (:1)", {std::to_string(i)});
        });
        ++(done ? entered : refused);
      });
    }
    for (std::thread& one : crowd) one.join();
    const auto count = database->read(
        [](Session& session) { return session.row<std::int64_t>("count", "SELECT COUNT(*) FROM things"); });
    CHECK(std::get<0>(**count) == kRoom);
    CHECK(entered == kRoom);
    CHECK(refused == 12 - kRoom);
  });
}

TEST_CASE("migrations run once, in order, go on where they stopped, and a newer database is refused") {
  on_each_engine([](const std::shared_ptr<Database>& database) {
    const std::vector<Migration> first{{"one", {"CREATE TABLE a (x BIGINT NOT NULL)", "INSERT INTO a (x) VALUES (1)"}}};
    std::vector<Migration> second = first;
    second.push_back({"two", {"UPDATE a SET x = x + 1"}});
    REQUIRE(migrate(*database, first));
    REQUIRE(migrate(*database, first));
    REQUIRE(migrate(*database, second));
    REQUIRE(migrate(*database, second));
    const auto x = database->read([](Session& session) { return session.rows<std::int64_t>("x", "SELECT x FROM a"); });
    REQUIRE(x);
    REQUIRE(x->size() == 1);
    CHECK(std::get<0>(x->front()) == 2);
    CHECK(migrate(*database, first).error().code == Code::conflict);
    second.back().name = "another";
    CHECK(migrate(*database, second).error().code == Code::conflict);
  });
}

TEST_CASE("a step that fails in its middle leaves nothing of itself") {
  on_each_engine([](const std::shared_ptr<Database>& database) {
    const std::vector<Migration> broken{
        {"broken", {"CREATE TABLE a (x BIGINT)", "INSERT INTO nowhere (x) VALUES (1)"}}};
    CHECK_FALSE(migrate(*database, broken));
    const std::vector<Migration> mended{{"mended", {"CREATE TABLE a (x BIGINT)"}}};
    CHECK(migrate(*database, mended));
  });
}

TEST_CASE("addresses that name no engine, no file or nobody are refused") {
  CHECK_FALSE(Database::open({.address = "mysql:host=x"}));
  CHECK_FALSE(Database::open({.address = "sqlite:"}));
  CHECK_FALSE(Database::open({.address = "sqlite:/nonexistent/folder/file"}));
  CHECK_FALSE(Database::open({.address = "sqlite:/tmp/x", .connections = 0}));
  CHECK(Database::open({.address = "postgresql:host=/nonexistent user=x dbname=x"}).error().code == Code::unavailable);
}

TEST_CASE(
    "PostgreSQL: a URL leads where key=value does, settings come after it, and a failure says why, never a password") {
  for (const Engine engine : testing::engines()) {
    if (engine != Engine::postgresql) continue;
    const std::string address = testing::fresh_database(engine);  // postgresql:host=… user=… dbname=…
    const auto value = [&address](const std::string& key) {
      const std::size_t begin = address.find(key + '=') + key.size() + 1;
      return address.substr(begin, address.find(' ', begin) - begin);
    };
    const std::string url = "postgresql://" + value("user") + "@/" + value("dbname") + "?host=" + value("host") +
                            "&application_name=it%27s%20a%5Cb";
    auto opened = Database::open({.address = url, .settings = "options='-c search_path=elsewhere'"});
    REQUIRE_MESSAGE(opened, opened.error().message);
    const auto seen = (*opened)->read([](Session& session) {
      return session.row<std::string, std::string, std::string>(
          "seen", "SELECT current_database(), current_setting('application_name'), current_setting('search_path')");
    });
    REQUIRE(seen);
    CHECK(std::get<0>(**seen) == value("dbname"));
    CHECK(std::get<1>(**seen) == "it's a\\b");
    CHECK(std::get<2>(**seen) == "elsewhere");
  }
  const auto away = Database::open({.address = "postgresql:host=/nonexistent user=x dbname=x password=hush"});
  REQUIRE_FALSE(away);
  CHECK(away.error().message.find("/nonexistent") != std::string::npos);
  CHECK(away.error().message.find("hush") == std::string::npos);
  const auto none = Database::open({.address = "postgresql:user=x hush"});
  REQUIRE_FALSE(none);
  CHECK(none.error().code == Code::malformed);
  CHECK(none.error().message.find("hush") == std::string::npos);
}

TEST_CASE("many rows go in at once, with quotes, NULL and 64 bits; a taken key takes none, or is told what to do") {
  on_each_engine([](const std::shared_ptr<Database>& database) {
    make_table(*database);
    const std::vector<Field> fields{{"id", Kind::text}, {"big", Kind::integer}, {"word", Kind::text}};
    const std::string odd = "l'\"à\" {,} \\ NULL :1 漢";
    const std::int64_t least = std::numeric_limits<std::int64_t>::min();
    const Values rows{"a", least, odd, "b", 2, "", "c", Null{}, Null{}};
    const auto put = [&](const Values& cells, std::string_view tail = {}) {
      return database->write("put", [&](Session& session) -> Result<std::int64_t> {
        if (auto added = session.insert("put", "things", fields, cells, tail); !added) return pass(added);
        return 0;
      });
    };
    must(put(rows));
    must(put({}));
    CHECK(is_taken(put({"d", 1, "new", "a", 1, "other"}).error()));
    must(put({"b", 5, "kept", "e", 1, "e"}, "ON CONFLICT (id) DO UPDATE SET big = excluded.big"));
    CHECK(put({"f", 1, std::string_view{"a\0b", 3}}).error().code == Code::malformed);
    const auto all = database->read([](Session& session) {
      return session.rows<std::string, std::optional<std::int64_t>, std::optional<std::string>>(
          "all", "SELECT id, big, word FROM things ORDER BY id");
    });
    using Row = std::tuple<std::string, std::optional<std::int64_t>, std::optional<std::string>>;
    REQUIRE(all);
    CHECK(*all == std::vector<Row>{{"a", least, odd}, {"b", 5, ""}, {"c", {}, {}}, {"e", 1, "e"}});
  });
}

TEST_CASE("a row that is refused takes all that go in with it, and the connection is as good as before") {
  for (const Engine engine : testing::engines()) {
    const auto database = Database::open({.address = testing::fresh_database(engine), .connections = 1}).value();
    const bool is_postgresql = engine == Engine::postgresql;
    const auto done = database->read([&](Session& session) -> Result<void> {
      constexpr Field kFields[] = {{"id"}, {"name", Kind::text}};
      REQUIRE(session.run("make", "CREATE TABLE people (id BIGINT PRIMARY KEY CHECK (id < 9), name TEXT NOT NULL)"));
      const auto add = [&](const Values& cells) { return session.insert("add", "people", kFields, cells); };
      const auto count = [&] { return std::get<0>(**session.row<std::int64_t>("n", "SELECT COUNT(*) FROM people")); };
      REQUIRE(add({1, "Anna"}));
      if (is_postgresql) CHECK(add({2, "Bruno", 3, "\xff"}).error().code == Code::internal);
      CHECK(add({2, std::string("a\0b", 3)}).error().code == Code::malformed);
      CHECK(count() == 1);
      REQUIRE(session.run("begin", "BEGIN"));
      CHECK(add({2, "Bruno", 9, "Carla"}).error().code == Code::internal);
      REQUIRE(session.run("rollback", "ROLLBACK"));
      CHECK(count() == 1);
      CHECK(add({1, "Bruno"}).error().code == Code::conflict);
      REQUIRE(add({2, "Bruno"}));
      CHECK(count() == 2);
      return {};
    });
    REQUIRE(done);
  }
}

TEST_CASE("one of a list: those that are there, each once") {
  on_each_engine([](const std::shared_ptr<Database>& database) {
    make_table(*database);
    must(database->read(
        [](Session& session) { return session.run("put", "INSERT INTO things (id) VALUES ('a'), ('b\"\\'), ('c')"); }));
    const auto found = [&](const std::vector<std::string>& wanted) {
      const auto rows = database->read([&](Session& session) {
        return session.rows<std::string>(
            "get", "SELECT id FROM things WHERE " + one_of(database->engine(), "id", 1) + " ORDER BY id",
            {list(database->engine(), wanted)});
      });
      REQUIRE(rows);
      std::string all;
      for (const auto& [id] : *rows) all += id + ' ';
      return all;
    };
    CHECK(found({"c", "b\"\\", "zz", "c"}) == "b\"\\ c ");
    CHECK(found({}).empty());
  });
}

TEST_CASE("a snapshot sees the database as it was, whatever is written meanwhile, and changes nothing") {
  on_each_engine([](const std::shared_ptr<Database>& database) {
    make_table(*database);
    const auto add = [&](const char* id) {
      return database->read(
          [&](Session& session) { return session.run("put", "INSERT INTO things (id) VALUES (:1)", {id}); });
    };
    const auto count = [](Session& session) {
      return session.row<std::int64_t>("count", "SELECT COUNT(*) FROM things").value().value();
    };
    must(add("a"));
    const auto seen = database->snapshot([&](Session& session) -> Result<std::int64_t> {
      const auto before = std::get<0>(count(session));
      must(add("b"));
      CHECK(std::get<0>(count(session)) == before);
      return before;
    });
    REQUIRE(seen);
    CHECK(*seen == 1);
    CHECK(database->read([&](Session& session) -> Result<std::int64_t> { return std::get<0>(count(session)); }) == 2);
  });
}

TEST_CASE("a server that may lose what it has committed is refused where that must not be") {
  for (const Engine engine : testing::engines()) {
    if (engine != Engine::postgresql) continue;
    const auto opened = Database::open({.address = testing::fresh_database(engine), .require_fsync = true});
    REQUIRE_FALSE(opened);
    CHECK(opened.error().code == Code::conflict);
    CHECK(opened.error().message.find("fsync") != std::string::npos);
  }
}

TEST_CASE("a commit that is to be durable is so whatever the database's own setting says, and waits for no less") {
  for (const Engine engine : testing::engines()) {
    if (engine != Engine::postgresql) continue;
    const std::string address = testing::fresh_database(engine);
    for (const std::string setting : {"off", "local", "remote_write", "on", "remote_apply"}) {
      const auto plain = Database::open({.address = address, .connections = 1}).value();
      REQUIRE(plain->read([&](Session& session) {
        return session.run("set", "ALTER ROLE CURRENT_USER SET synchronous_commit = " + setting);
      }));
      const auto durable = Database::open({.address = address, .connections = 1, .synchronous_full = true}).value();
      const auto shown = durable->read([](Session& session) {
        return session.row<std::string>("show", "SELECT current_setting('synchronous_commit')");
      });
      CHECK(std::get<0>(**shown) == (setting == "remote_apply" ? setting : "on"));
    }
    const auto plain = Database::open({.address = address, .connections = 1}).value();
    REQUIRE(plain->read(
        [](Session& session) { return session.run("reset", "ALTER ROLE CURRENT_USER RESET synchronous_commit"); }));
  }
}

TEST_CASE("a connection whose commits are durable stays so when the server reads its settings anew") {
  for (const Engine engine : testing::engines()) {
    if (engine != Engine::postgresql) continue;
    const std::string address = testing::fresh_database(engine);
    const auto durable = Database::open({.address = address, .connections = 1, .synchronous_full = true}).value();
    const auto shown = [&durable](std::string_view name) {
      const auto row = durable->read(
          [name](Session& session) { return session.row<std::string>("show", "SELECT current_setting(:1)", {name}); });
      return std::get<0>(row.value().value());
    };
    REQUIRE(shown("synchronous_commit") == "on");
    const auto plain = Database::open({.address = address, .connections = 1}).value();
    const auto tell = [&plain](const std::string& statement) {
      REQUIRE(plain->read([&](Session& session) { return session.run("tell", statement); }));
    };
    tell("ALTER SYSTEM SET synchronous_commit = off");
    tell("ALTER SYSTEM SET work_mem = '5MB'");  // shows when the connection has them
    tell("SELECT pg_reload_conf()");
    for (int i = 0; i < 3'000 && shown("work_mem") != "5MB"; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds{10});  // nobody tells
    CHECK(shown("work_mem") == "5MB");
    CHECK(shown("synchronous_commit") == "on");
    tell("ALTER SYSTEM RESET ALL");
    tell("SELECT pg_reload_conf()");
  }
}

}  // namespace ribalta::sql
