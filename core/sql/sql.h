// SQL on SQLite (the embedded default) and PostgreSQL, one code path for both (SOCI behind this header). It holds the
// rules that both engines need:
//   - columns are BIGINT, DOUBLE PRECISION or TEXT and are read as int64, double or text, never by what the driver
//   guesses;
//   - writers begin with the write lock (SQLite: BEGIN IMMEDIATE; PostgreSQL: SERIALIZABLE, retried), so that a rule
//   that
//     was checked by a read still holds at the commit;
//   - an error carries the statement's name and the engine's code (SQLite's in words, too), never its text: both
//   engines put values into that. Only of a connection that fails PostgreSQL's reason is told.
//
//   auto rows = session.rows<std::string, std::int64_t>("videos.of_user",
//       "SELECT id, created FROM videos WHERE user_id = :1 ORDER BY created DESC LIMIT :2", {user.text(), limit});
//
// Calls block: they are made on the disk pool (`run_blocking`), never on an event loop.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "core/result.h"

namespace ribalta::sql {

enum class Engine : std::uint8_t { sqlite, postgresql };

struct Null {
  bool operator==(const Null&) const = default;
};

/// What goes in and comes out. Text holds no NUL (SOCI would cut it there): such a value is refused.
class Value {
 public:
  Value() = default;
  Value(Null) {}
  Value(std::int64_t number) : held_(number) {}
  Value(int number) : held_(std::int64_t{number}) {}
  Value(bool flag) : held_(std::int64_t{flag ? 1 : 0}) {}
  Value(double number) : held_(number) {}
  Value(std::string text) : held_(std::move(text)) {}
  Value(std::string_view text) : held_(std::string{text}) {}
  Value(const char* text) : held_(std::string{text}) {}

  using Held = std::variant<Null, std::int64_t, double, std::string>;
  [[nodiscard]] const Held& held() const { return held_; }

 private:
  Held held_;
};
using Values = std::vector<Value>;

/// Types a column can be read as: bool (0 or not), std::int64_t, double, std::string, and std::optional of them where
/// the column may be NULL (a NULL in any other is an error).
enum class Kind : std::uint8_t { integer, real, text };

struct Cell {
  std::int64_t integer = 0;
  double real = 0;
  std::string text;
  bool null = false;
};

template <class T>
struct Column {
  static constexpr bool nullable = false;
  static constexpr Kind kind = std::is_same_v<T, std::string> ? Kind::text
                               : std::is_same_v<T, double>    ? Kind::real
                                                              : Kind::integer;
  static_assert(std::is_same_v<T, std::string> || std::is_same_v<T, double> || std::is_same_v<T, std::int64_t> ||
                std::is_same_v<T, bool>);
  static T from(Cell& cell) {
    if constexpr (kind == Kind::text) return std::move(cell.text);
    if constexpr (kind == Kind::real) return cell.real;
    if constexpr (std::is_same_v<T, bool>) return cell.integer != 0;
    if constexpr (std::is_same_v<T, std::int64_t>) return cell.integer;
  }
};
template <class T>
struct Column<std::optional<T>> {
  static constexpr bool nullable = true;
  static constexpr Kind kind = Column<T>::kind;
  static std::optional<T> from(Cell& cell) {
    if (cell.null) return std::nullopt;
    return Column<T>::from(cell);
  }
};
struct ColumnShape {
  Kind kind = Kind::integer;
  bool nullable = false;
};
/// A column that rows are added with.
struct Field {
  std::string_view name;
  Kind kind = Kind::integer;
};

/// One connection, lent to one caller at a time by a Database.
class Session {
 public:
  virtual ~Session() = default;
  [[nodiscard]] virtual Engine engine() const = 0;

  /// Runs one statement; values stand in it as `:1`, `:2`, … (each as often as wanted).
  /// @return how many rows it changed.
  /// @error conflict: a unique or primary key is taken (`is_taken`); unavailable: the database is locked, gone, or
  /// wants
  ///        the transaction again; io, no_space; internal: anything else (a wrong statement, a CHECK).
  Result<std::int64_t> run(std::string_view name, std::string_view statement, const Values& values = {}) {
    return execute(name, statement, values, {}, {});
  }

  /// Adds many rows, row by row in `cells`: one statement on PostgreSQL (COPY; with a tail, a list for each column),
  /// one prepared statement on SQLite. Integers and texts only. `tail` follows the rows, as `ON CONFLICT (id) DO UPDATE
  /// SET …`.
  ///   session.insert("votes.add", "votes", {{"id", Kind::text}, {"count", Kind::integer}}, cells);
  /// @error as `run`.
  Result<void> insert(std::string_view name, std::string_view table, std::span<const Field> fields,
                      std::span<const Value> cells, std::string_view tail = {}) {
    if (cells.empty()) return {};
    return insert_rows(name, table, fields, cells, tail);
  }

  /// All rows of a query. Queries bound themselves with LIMIT.
  template <class... Columns>
  Result<std::vector<std::tuple<Columns...>>> rows(std::string_view name, std::string_view query,
                                                   const Values& values = {}) {
    std::vector<std::tuple<Columns...>> found;
    static constexpr ColumnShape kShapes[] = {{Column<Columns>::kind, Column<Columns>::nullable}...};
    const auto done = execute(name, query, values, kShapes, [&found](std::span<Cell> cells) {
      std::size_t at = 0;
      found.push_back(std::tuple<Columns...>{Column<Columns>::from(cells[at++])...});
    });
    if (!done) return pass(done);
    return found;
  }

  /// The first row, or none.
  template <class... Columns>
  Result<std::optional<std::tuple<Columns...>>> row(std::string_view name, std::string_view query,
                                                    const Values& values = {}) {
    auto found = rows<Columns...>(name, query, values);
    if (!found) return pass(found);
    if (found->empty()) return std::optional<std::tuple<Columns...>>{};
    return std::optional<std::tuple<Columns...>>{std::move(found->front())};
  }

 protected:
  virtual Result<std::int64_t> execute(std::string_view name, std::string_view statement, const Values& values,
                                       std::span<const ColumnShape> columns,
                                       const std::function<void(std::span<Cell>)>& on_row) = 0;
  virtual Result<void> insert_rows(std::string_view name, std::string_view table, std::span<const Field> fields,
                                   std::span<const Value> cells, std::string_view tail) = 0;
};

/// `column` is one of the texts in the value `:NUMBER`, which `list` has made.
std::string one_of(Engine engine, std::string_view column, int number);
Value list(Engine engine, std::span<const std::string> texts);

struct Options {
  /// `sqlite:/path/file`, `postgresql:host=/run dbname=ribalta user=ribalta` or `postgresql://ribalta@host/ribalta`
  /// (what libpq takes).
  std::string address;
  std::string settings;                   ///< PostgreSQL: more of them, key=value
  std::size_t connections = 4;            ///< 1..32; a caller waits at most `wait` for one
  std::chrono::milliseconds wait{5'000};  ///< for a connection, and for SQLite's write lock
  /// A commit that was answered is on disk. SQLite: fsync at each commit, not only at checkpoints. PostgreSQL:
  /// `synchronous_commit` is `on` or what is above, whatever the server's files say later; where somebody cancels the
  /// wait for a standby, the commit is `unavailable`, though it may stand.
  bool synchronous_full = false;
  /// PostgreSQL: write transactions are READ COMMITTED instead of SERIALIZABLE, which notes each row that is read. For
  /// one writer, who locks what it checks (`FOR SHARE`).
  bool read_committed = false;
  bool require_fsync = false;  ///< a PostgreSQL with fsync or full_page_writes off is refused (conflict)
};

/// Times a write transaction that the engine wants again (serialization failure, deadlock) is begun, in all.
inline constexpr int kWriteAttemptsMax = 8;

class Database {
 public:
  static Result<std::shared_ptr<Database>> open(const Options& options);
  virtual ~Database() = default;
  [[nodiscard]] virtual Engine engine() const = 0;

  /// Lends a connection to `work`, `Result<T>(Session&)`: single statements, each on its own.
  template <class Work>
  auto read(Work work) -> std::invoke_result_t<Work, Session&> {
    std::optional<std::invoke_result_t<Work, Session&>> out;
    const Result<void> lent = lend([&](Session& session) { out.emplace(work(session)); });
    if (!lent) return pass(lent);
    return std::move(*out);
  }

  /// The same, and all of them see the database as it was at the first of them. Changes nothing. A snapshot that is
  /// held for long keeps SQLite's write-ahead log from being used anew.
  template <class Work>
  auto snapshot(Work work) -> std::invoke_result_t<Work, Session&> {
    std::optional<std::invoke_result_t<Work, Session&>> out;
    const Result<void> done = look([&](Session& session) { out.emplace(work(session)); });
    if (!done) return pass(done);
    return std::move(*out);
  }

  /// One transaction around `work`: committed when it returns a value, rolled back when it returns an error. It may be
  /// begun several times, so it changes nothing but the database and what it returns.
  template <class Work>
  auto write(std::string_view name, Work work) -> std::invoke_result_t<Work, Session&> {
    std::optional<std::invoke_result_t<Work, Session&>> out;
    const Result<void> done = transact(name, [&](Session& session) -> Result<void> {
      out.emplace(work(session));
      if (!*out) return pass(*out);
      return {};
    });
    if (!done) return pass(done);
    return std::move(*out);
  }

 protected:
  virtual Result<void> lend(const std::function<void(Session&)>& work) = 0;
  virtual Result<void> look(const std::function<void(Session&)>& work) = 0;
  virtual Result<void> transact(std::string_view name, const std::function<Result<void>(Session&)>& work) = 0;
};

/// True for the error of a unique or primary key that is taken.
inline bool is_taken(const Error& error) { return error.code == Code::conflict; }

/// One step of a schema's history. Steps are applied in order, each in a transaction, and remembered by number in
/// `schema_steps`; a step that was released never changes.
struct Migration {
  std::string_view name;
  std::vector<std::string_view> statements;
};
/// @error conflict: the database was made by a newer program (it has more steps than we know), or a step of another
/// name.
Result<void> migrate(Database& database, std::span<const Migration> steps);

}  // namespace ribalta::sql
