#include "core/sql/sql.h"

#include <soci/postgresql/soci-postgresql.h>
#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>

namespace ribalta::sql {
namespace {

/// What the engine wants again from its start: not an error of the caller's.
struct Again {
  bool wanted = false;
};

/// SQLite's result codes (sqlite3.h), extended ones switched on when a connection is opened.
constexpr int kSqlitePrimary = 0xFF;

Error sqlite_error(std::string_view name, int code, Again& again) {
  std::string message =
      std::string{name} + ": SQLite: " + sqlite_api::sqlite3_errstr(code) + " (code " + std::to_string(code) + ')';
  if (code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY) return {Code::conflict, message};
  switch (code & kSqlitePrimary) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      again.wanted = code == SQLITE_BUSY_SNAPSHOT;
      return {Code::unavailable, message};
    case SQLITE_FULL:
      return {Code::no_space, message};
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_CORRUPT:
    case SQLITE_READONLY:
      return {Code::io, message};
    default:
      return {Code::internal, message};
  }
}

/// SQLSTATE classes (PostgreSQL 15, appendix A).
Error postgresql_error(std::string_view name, const std::string& state, Again& again, bool& broken) {
  std::string message = std::string{name} + ": SQLSTATE " + (state.empty() ? "none" : state);
  if (state == "23505") return {Code::conflict, message};
  if (state == "40001" || state == "40P01") {  // serialization failure, deadlock
    again.wanted = true;
    return {Code::unavailable, message};
  }
  const std::string family = state.substr(0, 2);
  if (family == "53") return {state == "53100" ? Code::no_space : Code::unavailable, message};
  if (state.empty() || family == "08" || family == "57") {  // the connection, or the server is going down
    broken = true;
    return {Code::unavailable, message};
  }
  return {Code::internal, message};
}

/// In double quotes, as PostgreSQL's arrays and JSON's have it alike.
void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
}

/// Rows for one COPY, which libpq takes as one piece.
constexpr std::size_t kCopyBytesMax = 1U << 30U;

/// A value and its indicator must stay where they are until the statement has run.
struct Bound {
  long long integer = 0;
  double real = 0;
  std::string text;
  soci::indicator indicator = soci::i_ok;
};

class SociSession final : public Session {
 public:
  SociSession(Engine engine, std::string connect) : engine_(engine), connect_(std::move(connect)) {}
  [[nodiscard]] Engine engine() const override { return engine_; }

  Result<void> open(const Options& options) {
    return guarded("connect", [&]() -> Result<void> {
      broken_ = false;
      read_committed_ = options.read_committed;
      synchronous_full_ = options.synchronous_full;
      if (engine_ == Engine::postgresql) {
        if (auto connected = connect_to_server(); !connected) return connected;
        PQsetNoticeReceiver(connection(), &SociSession::take_warning, this);
        session_ << "SET client_min_messages = warning";
        return make_durable(options);
      }
      session_.open(soci::sqlite3, "dbname=\"" + connect_ + "\"");
      auto* backend =
          static_cast<soci::sqlite3_session_backend*>(session_.get_backend());  // its typeinfo is not exported
      sqlite_api::sqlite3_extended_result_codes(backend->conn_, 1);
      session_ << "PRAGMA busy_timeout = " + std::to_string(options.wait.count());
      std::string mode;
      session_ << "PRAGMA journal_mode = WAL", soci::into(mode);
      if (mode != "wal") return fail(Code::io, "SQLite: no write-ahead log here, but", mode);
      session_ << (options.synchronous_full ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
      session_ << "PRAGMA foreign_keys = ON";
      return {};
    });
  }

  /// A connection that broke is opened again before it is lent.
  Result<void> ready(const Options& options) {
    if (!broken_) return {};
    return guarded("reconnect", [&]() -> Result<void> {
      session_.close();
      return open(options);
    });
  }

  Result<void> begin() {
    if (engine_ == Engine::sqlite) return plain("begin", "BEGIN IMMEDIATE");
    return plain("begin",
                 read_committed_ ? "BEGIN ISOLATION LEVEL READ COMMITTED" : "BEGIN ISOLATION LEVEL SERIALIZABLE");
  }
  Result<void> begin_reading() {
    return plain("begin", engine_ == Engine::sqlite ? "BEGIN" : "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  }
  /// Where somebody cancels a commit that waits for a standby, the server says so in a warning, and that the commit is
  /// done: it is, there alone (PostgreSQL 15, syncrep.c). Whoever is to be answered for what is durable isn't yet.
  Result<void> commit() {
    warned_ = false;
    Result<void> done = plain("commit", "COMMIT");
    if (!done || !warned_ || !synchronous_full_) return done;
    broken_ = true;
    return fail(Code::unavailable, "commit: the server has warned of it, and a standby may not have it");
  }
  void rollback() {
    const Again before = again_;
    if (!plain("rollback", "ROLLBACK")) broken_ = true;
    again_ = before;
  }
  [[nodiscard]] bool wanted_again() const { return again_.wanted; }

 private:
  Result<std::int64_t> execute(std::string_view name, std::string_view statement, const Values& values,
                               std::span<const ColumnShape> columns,
                               const std::function<void(std::span<Cell>)>& on_row) override {
    for (const Value& value : values) {
      const auto* text = std::get_if<std::string>(&value.held());
      if (text && text->find('\0') != std::string::npos) return fail(Code::malformed, name, "a text with NUL");
    }
    return guarded(name, [&]() -> Result<std::int64_t> { return exchange(name, statement, values, columns, on_row); });
  }

  Result<std::int64_t> exchange(std::string_view name, std::string_view text, const Values& values,
                                std::span<const ColumnShape> columns,
                                const std::function<void(std::span<Cell>)>& on_row) {
    std::deque<Bound> in = bound(values);
    std::deque<Bound> out(columns.size());
    soci::statement statement{session_};
    for (std::size_t i = 0; i < in.size(); ++i) use(statement, in[i], kind_of(values[i]), std::to_string(i + 1));
    for (std::size_t i = 0; i < columns.size(); ++i) into(statement, out[i], columns[i].kind);
    statement.alloc();
    statement.prepare(std::string{text});
    statement.define_and_bind();
    if (columns.empty()) {
      statement.execute(true);
      return static_cast<std::int64_t>(statement.get_affected_rows());
    }
    std::int64_t rows = 0;
    std::vector<Cell> cells(columns.size());
    statement.execute(false);
    while (statement.fetch()) {
      for (std::size_t i = 0; i < columns.size(); ++i) {
        cells[i] = {out[i].integer, out[i].real, out[i].text, out[i].indicator == soci::i_null};
        if (cells[i].null && !columns[i].nullable) return fail(Code::internal, name, "a NULL where none may be");
      }
      on_row(cells);
      ++rows;
    }
    return rows;
  }

  Result<void> insert_rows(std::string_view name, std::string_view table, std::span<const Field> fields,
                           std::span<const Value> cells, std::string_view tail) override {
    assert(!fields.empty() && cells.size() % fields.size() == 0);
    for (const Value& cell : cells) {
      const auto* string = std::get_if<std::string>(&cell.held());
      if (string && string->find('\0') != std::string::npos) return fail(Code::malformed, name, "a text with NUL");
    }
    std::string statement = "INSERT INTO " + std::string{table} + " (";
    for (const Field& field : fields) (statement += field.name) += &field == &fields.back() ? ") " : ", ";
    if (engine_ == Engine::sqlite) return insert_prepared(name, statement, fields, cells, tail);
    if (tail.empty()) return copy_in(name, table, fields, cells);
    statement += "SELECT * FROM unnest(";
    Values columns;
    for (std::size_t i = 0; i < fields.size(); ++i) {
      statement += (i == 0 ? "CAST(:" : ", CAST(:") + std::to_string(i + 1) +
                   (fields[i].kind == Kind::text ? " AS text[])" : " AS bigint[])");
      columns.emplace_back(array_literal(cells, i, fields.size()));
    }
    ((statement += ") ") += tail);
    const Result<std::int64_t> added = execute(name, statement, columns, {}, {});
    return added ? Result<void>{} : pass(added);
  }

  Result<void> insert_prepared(std::string_view name, std::string text, std::span<const Field> fields,
                               std::span<const Value> cells, std::string_view tail) {
    text += "VALUES (";
    for (std::size_t i = 0; i < fields.size(); ++i)
      text += ":" + std::to_string(i + 1) + (i + 1 == fields.size() ? ") " : ", ");
    text += tail;
    return guarded(name, [&]() -> Result<void> {
      std::deque<Bound> row(fields.size());
      soci::statement statement{session_};
      for (std::size_t i = 0; i < row.size(); ++i) use(statement, row[i], fields[i].kind, std::to_string(i + 1));
      statement.alloc();
      statement.prepare(text);
      statement.define_and_bind();
      for (std::size_t at = 0; at < cells.size(); at += row.size()) {
        for (std::size_t i = 0; i < row.size(); ++i) set(row[i], cells[at + i]);
        statement.execute(true);
      }
      return {};
    });
  }

  /// COPY, which SOCI does not have: half the server's work of a list for each column (PostgreSQL 15, §34.10).
  Result<void> copy_in(std::string_view name, std::string_view table, std::span<const Field> fields,
                       std::span<const Value> cells) {
    PGconn* const to = connection();
    again_ = {};
    std::string statement = "COPY " + std::string{table} + " (";
    for (const Field& field : fields) (statement += field.name) += &field == &fields.back() ? ')' : ',';
    statement += " FROM STDIN (FORMAT binary)";
    const std::string rows = binary_rows(fields.size(), cells);
    if (rows.size() > kCopyBytesMax) return fail(Code::limit, name, "too many bytes for one insert");
    if (auto begun = ended_with(name, PGRES_COPY_IN, PQexec(to, statement.c_str())); !begun) return begun;
    if (PQputCopyData(to, rows.data(), static_cast<int>(rows.size())) != 1 || PQputCopyEnd(to, nullptr) != 1) {
      broken_ = true;
      return fail(Code::unavailable, name, "the rows do not get to the server");
    }
    Result<void> done = ended_with(name, PGRES_COMMAND_OK, PQgetResult(to));
    while (PGresult* const more = PQgetResult(to)) PQclear(more);
    return done;
  }

  Result<void> ended_with(std::string_view name, ExecStatusType wanted, PGresult* result) {
    const std::unique_ptr<PGresult, decltype(&PQclear)> owned{result, &PQclear};
    if (PQresultStatus(result) == wanted) return {};
    const char* const state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    return std::unexpected<Error>{postgresql_error(name, state == nullptr ? "" : state, again_, broken_)};
  }

  /// As COPY's binary format has it (PostgreSQL 15, COPY, "Binary Format").
  static std::string binary_rows(std::size_t columns, std::span<const Value> cells) {
    std::string out{"PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19};
    const auto put = [&out]<class T>(T number) {
      if constexpr (std::endian::native == std::endian::little) number = std::byteswap(number);
      out.append(reinterpret_cast<const char*>(&number), sizeof number);
    };
    for (std::size_t at = 0; at < cells.size(); ++at) {
      if (at % columns == 0) put(static_cast<std::int16_t>(columns));
      const Value::Held& held = cells[at].held();
      if (const auto* integer = std::get_if<std::int64_t>(&held)) {
        put(std::int32_t{sizeof *integer});
        put(*integer);
      } else if (const auto* text = std::get_if<std::string>(&held)) {
        put(static_cast<std::int32_t>(text->size()));
        out += *text;
      } else {
        assert(std::holds_alternative<Null>(held));
        put(std::int32_t{-1});
      }
    }
    put(std::int16_t{-1});
    return out;
  }

  /// Column `column` of the rows, as PostgreSQL writes an array (§8.15.2).
  static std::string array_literal(std::span<const Value> cells, std::size_t column, std::size_t columns) {
    std::string out = "{";
    for (std::size_t at = column; at < cells.size(); at += columns) {
      const Value::Held& held = cells[at].held();
      if (out.size() > 1) out += ',';
      if (const auto* integer = std::get_if<std::int64_t>(&held)) {
        out += std::to_string(*integer);
      } else if (const auto* text = std::get_if<std::string>(&held)) {
        append_quoted(out, *text);
      } else {
        assert(std::holds_alternative<Null>(held));
        out += "NULL";
      }
    }
    return out += '}';
  }

  static std::deque<Bound> bound(const Values& values) {
    std::deque<Bound> in(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) set(in[i], values[i]);
    return in;
  }

  static void set(Bound& in, const Value& value) {
    const Value::Held& held = value.held();
    in.indicator = std::holds_alternative<Null>(held) ? soci::i_null : soci::i_ok;
    if (const auto* integer = std::get_if<std::int64_t>(&held)) in.integer = *integer;
    if (const auto* real = std::get_if<double>(&held)) in.real = *real;
    if (const auto* string = std::get_if<std::string>(&held)) in.text = *string;
  }

  static void use(soci::statement& statement, Bound& in, Kind kind, const std::string& name) {
    switch (kind) {
      case Kind::integer:
        return statement.exchange(soci::use(in.integer, in.indicator, name));
      case Kind::real:
        return statement.exchange(soci::use(in.real, in.indicator, name));
      case Kind::text:
        return statement.exchange(soci::use(in.text, in.indicator, name));
    }
  }

  static Kind kind_of(const Value& value) {
    if (std::holds_alternative<std::int64_t>(value.held())) return Kind::integer;
    return std::holds_alternative<double>(value.held()) ? Kind::real : Kind::text;
  }

  static void into(soci::statement& statement, Bound& out, Kind kind) {
    switch (kind) {
      case Kind::integer:
        return statement.exchange(soci::into(out.integer, out.indicator));
      case Kind::real:
        return statement.exchange(soci::into(out.real, out.indicator));
      case Kind::text:
        return statement.exchange(soci::into(out.text, out.indicator));
    }
  }

  /// Why a server can't be reached is not a value of anybody's, and the operator needs it.
  Result<void> connect_to_server() {
    try {
      session_.open(soci::postgresql, connect_);
      return {};
    } catch (const soci::soci_error& error) {
      broken_ = true;
      std::string reason = error.what();
      if (const std::size_t own = reason.find('\n'); own != std::string::npos) reason.erase(0, own + 1);  // SOCI's line
      while (!reason.empty() && reason.back() == '\n') reason.pop_back();
      return fail(Code::unavailable, "PostgreSQL:", reason);
    }
  }

  /// The setting is always the session's own: one that comes from the server's files would follow them when they are
  /// read anew.
  Result<void> make_durable(const Options& options) {
    if (options.synchronous_full) {
      session_ << "SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN "
                  "'remote_apply' THEN 'remote_apply' ELSE 'on' END, false)";
    }
    if (!options.require_fsync) return {};
    std::string off;
    session_ << "SELECT coalesce(string_agg(name, ', '), '') FROM pg_settings WHERE name IN ('fsync', "
                "'full_page_writes') AND setting = 'off'",
        soci::into(off);
    if (!off.empty())
      return fail(Code::conflict, "PostgreSQL may lose what it has committed, since it is off there", off);
    return {};
  }

  [[nodiscard]] PGconn* connection() {
    return static_cast<soci::postgresql_session_backend*>(session_.get_backend())->conn_;
  }

  /// What the server says beside its results goes to standard error, as libpq would have it, and is noted.
  static void take_warning(void* session, const PGresult* notice) {
    static_cast<SociSession*>(session)->warned_ = true;
    std::fputs(PQresultErrorMessage(notice), stderr);
  }

  Result<void> plain(std::string_view name, const std::string& statement) {
    return guarded(name, [&]() -> Result<void> {
      session_ << statement;
      return {};
    });
  }

  /// The driver's exceptions end here. Their text holds values and is dropped.
  template <class Work>
  auto guarded(std::string_view name, Work work) -> std::invoke_result_t<Work> {
    again_ = {};
    try {
      return work();
    } catch (const soci::sqlite3_soci_error& error) {
      return std::unexpected<Error>{sqlite_error(name, error.result(), again_)};
    } catch (const soci::postgresql_soci_error& error) {
      return std::unexpected<Error>{postgresql_error(name, error.sqlstate(), again_, broken_)};
    } catch (const soci::soci_error&) {
      // The SQLite driver throws the base class where it has no code of its own, PostgreSQL's when it can't connect.
      if (engine_ == Engine::postgresql) broken_ = true;
      return fail(engine_ == Engine::postgresql ? Code::unavailable : Code::internal, name, "refused by the driver");
    } catch (const std::exception&) {
      return fail(Code::internal, name, "refused by the driver");
    }
  }

  Engine engine_;
  std::string connect_;
  soci::session session_;
  Again again_;
  bool broken_ = true;
  bool read_committed_ = false;
  bool synchronous_full_ = false;
  bool warned_ = false;  ///< by the server, since it was looked at
};

class SociDatabase final : public Database {
 public:
  SociDatabase(Engine engine, const std::string& connect, const Options& options) : engine_(engine), options_(options) {
    for (std::size_t i = 0; i < options.connections; ++i) {
      idle_.push_back(std::make_unique<SociSession>(engine, connect));
    }
  }
  [[nodiscard]] Engine engine() const override { return engine_; }

  Result<void> open_all() {
    for (auto& session : idle_) {
      if (auto opened = session->open(options_); !opened) return opened.error().in("open the database");
    }
    return {};
  }

 private:
  class Lease {
   public:
    Lease(SociDatabase& owner, std::unique_ptr<SociSession> session) : owner_(&owner), session_(std::move(session)) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() {
      if (!session_) return;
      const std::lock_guard lock{owner_->mutex_};
      owner_->idle_.push_back(std::move(session_));
      owner_->returned_.notify_one();
    }
    SociSession* operator->() const { return session_.get(); }
    SociSession& operator*() const { return *session_; }
    explicit operator bool() const { return session_ != nullptr; }

   private:
    SociDatabase* owner_;
    std::unique_ptr<SociSession> session_;
  };

  Lease lease() {
    std::unique_lock lock{mutex_};
    if (!returned_.wait_for(lock, options_.wait, [this] { return !idle_.empty(); })) return Lease{*this, nullptr};
    std::unique_ptr<SociSession> session = std::move(idle_.back());
    idle_.pop_back();
    return Lease{*this, std::move(session)};
  }

  Result<void> lend(const std::function<void(Session&)>& work) override {
    const Lease session = lease();
    if (!session) return fail(Code::unavailable, "every connection to the database is busy");
    if (auto ready = session->ready(options_); !ready) return pass(ready);
    work(*session);
    return {};
  }

  Result<void> look(const std::function<void(Session&)>& work) override {
    const Lease session = lease();
    if (!session) return fail(Code::unavailable, "every connection to the database is busy");
    if (auto ready = session->ready(options_); !ready) return pass(ready);
    if (auto begun = session->begin_reading(); !begun) return begun;
    work(*session);
    session->rollback();
    return {};
  }

  Result<void> transact(std::string_view name, const std::function<Result<void>(Session&)>& work) override {
    // SQLite has one writer: waiting here is fair and wakes at once, its own busy wait sleeps and guesses.
    std::unique_lock<std::timed_mutex> writer{writer_, std::defer_lock};
    if (engine_ == Engine::sqlite && !writer.try_lock_for(options_.wait)) {
      return fail(Code::unavailable, name, "waited too long for the write lock");
    }
    const Lease session = lease();
    if (!session) return fail(Code::unavailable, "every connection to the database is busy");
    for (int attempt = 1;; ++attempt) {
      bool again = false;
      Result<void> done = attempt_once(*session, work, again);
      if (done || !again || attempt == kWriteAttemptsMax) {
        if (!done && attempt > 1) return done.error().in(name, "after " + std::to_string(attempt) + " attempts");
        return done;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds{1 << attempt});  // on the disk pool: lets the other one end
    }
  }

  Result<void> attempt_once(SociSession& session, const std::function<Result<void>(Session&)>& work, bool& again) {
    if (auto ready = session.ready(options_); !ready) return ready;
    if (auto begun = session.begin(); !begun) {
      again = session.wanted_again();
      return begun;
    }
    Result<void> worked = work(session);
    if (worked) {
      worked = session.commit();
      if (worked) return {};
      again = session.wanted_again();
      if (engine_ == Engine::postgresql) return worked;  // a COMMIT that failed has ended the transaction
    } else {
      again = session.wanted_again();
    }
    session.rollback();
    return worked;
  }

  Engine engine_;
  Options options_;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<std::unique_ptr<SociSession>> idle_;
  std::timed_mutex writer_;
};

constexpr std::string_view kSqlitePrefix = "sqlite:";
constexpr std::string_view kPostgresqlPrefix = "postgresql:";

/// libpq's two ways to name a database (PostgreSQL 15, §34.1.1) as the first of them, key=value. SOCI reads
/// them once more: a blank at the end is an option without a name to it, and a blank behind a backslash is lost.
Result<std::string> postgresql_settings(const Options& options) {
  const std::string& address = options.address;
  const bool url = address.starts_with("postgresql://");
  const std::string text = url ? address : address.substr(kPostgresqlPrefix.size());
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> all{PQconninfoParse(text.c_str(), nullptr),
                                                                         &PQconninfoFree};
  // What it says is wrong is a piece of the text, which may be a password's.
  if (!all)
    return fail(Code::malformed,
                "the database's address: behind postgresql: stand key=value pairs, or a URL as libpq "
                "reads it");
  std::string settings;
  for (const PQconninfoOption* one = all.get(); one->keyword != nullptr; ++one) {
    if (one->val == nullptr) continue;
    if (!settings.empty()) settings += ' ';
    (settings += one->keyword) += "='";
    for (const char c : std::string_view{one->val}) {
      if (c == '\'' || c == '\\') settings += '\\';
      settings += c;
    }
    settings += '\'';
  }
  if (!options.settings.empty()) (settings += ' ') += options.settings;
  return settings;
}

}  // namespace

std::string one_of(Engine engine, std::string_view column, int number) {
  const std::string value = ":" + std::to_string(number);
  if (engine == Engine::sqlite) return std::string{column} + " IN (SELECT value FROM json_each(" + value + "))";
  return std::string{column} + " = ANY(CAST(" + value + " AS text[]))";
}

Value list(Engine engine, std::span<const std::string> texts) {
  std::string out{engine == Engine::sqlite ? '[' : '{'};
  for (const std::string& text : texts) {
    const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20; };
    assert(std::ranges::none_of(text, control));  // JSON has them escaped
    if (out.size() > 1) out += ',';
    append_quoted(out, text);
  }
  return Value{out += engine == Engine::sqlite ? ']' : '}'};
}

Result<std::shared_ptr<Database>> Database::open(const Options& options) {
  if (options.connections < 1 || options.connections > 32) return fail(Code::malformed, "connections: 1 to 32");
  std::shared_ptr<SociDatabase> database;
  if (options.address.starts_with(kSqlitePrefix)) {
    const std::string file = options.address.substr(kSqlitePrefix.size());
    if (file.empty() || file.find('"') != std::string::npos) return fail(Code::malformed, "not a file name");
    database = std::make_shared<SociDatabase>(Engine::sqlite, file, options);
  } else if (options.address.starts_with(kPostgresqlPrefix)) {
    const Result<std::string> connect = postgresql_settings(options);
    if (!connect) return pass(connect);
    database = std::make_shared<SociDatabase>(Engine::postgresql, *connect, options);
  } else {
    return fail(Code::malformed, "the database's address begins with sqlite: or postgresql:");
  }
  if (auto opened = database->open_all(); !opened) return pass(opened);
  return std::static_pointer_cast<Database>(database);
}

Result<void> migrate(Database& database, std::span<const Migration> steps) {
  constexpr std::string_view kTable =
      "CREATE TABLE IF NOT EXISTS schema_steps (number BIGINT PRIMARY KEY, name TEXT NOT NULL, applied BIGINT NOT "
      "NULL)";
  auto made = database.write("migrate", [&](Session& session) { return session.run("migrate.table", kTable); });
  if (!made) return pass(made);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    auto applied = database.write("migrate", [&](Session& session) -> Result<void> {
      const auto number = static_cast<std::int64_t>(i + 1);
      auto known =
          session.row<std::string>("migrate.known", "SELECT name FROM schema_steps WHERE number = :1", {number});
      if (!known) return pass(known);
      if (*known) {
        if (std::get<0>(**known) == steps[i].name) return {};
        return fail(Code::conflict, "the database has another history at step", number);
      }
      for (const std::string_view statement : steps[i].statements) {
        auto run = session.run(steps[i].name, statement);
        if (!run) return pass(run);
      }
      const auto now =
          std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
              .count();
      auto noted = session.run("migrate.note", "INSERT INTO schema_steps (number, name, applied) VALUES (:1, :2, :3)",
                               {number, steps[i].name, std::int64_t{now}});
      if (!noted) return pass(noted);
      return {};
    });
    if (!applied) return applied.error().in("migrate", steps[i].name);
  }
  auto newest = database.read([](Session& session) {
    return session.row<std::int64_t>("migrate.newest", "SELECT COALESCE(MAX(number), 0) FROM schema_steps");
  });
  if (!newest) return pass(newest);
  if (std::get<0>(**newest) > static_cast<std::int64_t>(steps.size())) {
    return fail(Code::conflict, "the database was written by a newer version of this program: step",
                std::get<0>(**newest));
  }
  return {};
}

}  // namespace ribalta::sql
