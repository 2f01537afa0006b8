#include "control-plane/ledger/store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <utility>

#include "control-plane/ledger/schema.h"

namespace ribalta::ledger {
namespace {

constexpr std::string_view kSqlite = "sqlite:";
constexpr std::string_view kRowColumns =
    "sequence, time_ms, line, hash, transfer, of_transfer, debit, credit, minor, debit_debits, debit_credits, "
    "debit_debits_pending, debit_credits_pending, credit_debits, credit_credits, credit_debits_pending, "
    "credit_credits_pending";
constexpr std::string_view kAccountColumns =
    "id, currency, normal, may_go_negative, closed, debits, credits, debits_pending, credits_pending, lines, recent";

constexpr std::size_t kLinesNamedAtOnce = 512;
constexpr sql::Kind kText = sql::Kind::text;
constexpr sql::Field kRowFields[] = {{"sequence"},
                                     {"time_ms"},
                                     {"line", kText},
                                     {"hash", kText},
                                     {"transfer", kText},
                                     {"of_transfer", kText},
                                     {"debit", kText},
                                     {"credit", kText},
                                     {"minor"},
                                     {"debit_debits"},
                                     {"debit_credits"},
                                     {"debit_debits_pending"},
                                     {"debit_credits_pending"},
                                     {"credit_debits"},
                                     {"credit_credits"},
                                     {"credit_debits_pending"},
                                     {"credit_credits_pending"}};
constexpr sql::Field kAccountFields[] = {
    {"id", kText}, {"currency", kText}, {"normal", kText},   {"may_go_negative"}, {"closed"},       {"debits"},
    {"credits"},   {"debits_pending"},  {"credits_pending"}, {"lines"},           {"recent", kText}};
constexpr sql::Field kTransferFields[] = {{"id", kText}, {"sequence"}, {"state", kText}, {"reversed"}};
constexpr sql::Field kPageFields[] = {{"account", kText}, {"first"}, {"lines", kText}};
constexpr sql::Field kWriterFields[] = {{"one"}, {"epoch"}, {"since_ms"}};
constexpr std::pair<std::string_view, std::span<const sql::Field>> kTables[] = {{"journal", kRowFields},
                                                                                {"transfers", kTransferFields},
                                                                                {"accounts", kAccountFields},
                                                                                {"pages", kPageFields},
                                                                                {"writer", kWriterFields}};

Error damaged(std::string_view what, std::string_view where) {
  return {Code::malformed, "the ledger's tables are damaged: " + std::string{what} + ' ' + std::string{where}};
}

template <class K>
std::string text_or_empty(const Key<K>& key) {
  return key == Key<K>{} ? std::string{} : to_text(key);
}
/// Zero for what is empty; what is no id makes `good` false.
template <class K>
Key<K> key_or_zero(const std::string& text, bool& good) {
  if (text.empty()) return {};
  const Result<Key<K>> key = key_of<K>(text);
  good = good && key.has_value();
  return key.value_or(Key<K>{});
}

std::string numbers_text(std::span<const std::int64_t> numbers) {
  std::string text;
  for (const std::int64_t number : numbers) {
    if (!text.empty()) text += ',';
    text += std::to_string(number);
  }
  return text;
}
std::vector<std::int64_t> numbers_of(std::string_view text, bool& good) {
  std::vector<std::int64_t> numbers;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    std::int64_t number = 0;
    const auto [next, error] = std::from_chars(at, end, number);
    const bool more = next != end;
    if (error != std::errc{} || (more && (*next != ',' || next + 1 == end)) || numbers.size() == kPageLines) {
      good = false;
      break;
    }
    numbers.push_back(number);
    at = more ? next + 1 : next;
  }
  return numbers;
}

template <class K>
sql::Value list_of(sql::Engine engine, std::span<const Key<K>> keys) {
  std::vector<std::string> texts;
  texts.reserve(keys.size());
  for (const Key<K>& key : keys) texts.push_back(to_text(key));
  std::ranges::sort(texts);  // neighbours in the list are neighbours in the table
  return sql::list(engine, texts);
}

void put(std::vector<sql::Value>& cells, const Balance& balance) {
  for (const std::int64_t side : {balance.debits, balance.credits, balance.debits_pending, balance.credits_pending})
    cells.emplace_back(side);
}

sql::Values cells_of(std::span<const Row> rows) {
  sql::Values cells;
  cells.reserve(rows.size() * std::size(kRowFields));
  for (const Row& row : rows) {
    cells.insert(cells.end(), {row.sequence, row.time_ms, row.line, row.hash, text_or_empty(row.transfer),
                               text_or_empty(row.of), text_or_empty(row.debit), text_or_empty(row.credit), row.minor});
    put(cells, row.debit_after);
    put(cells, row.credit_after);
  }
  return cells;
}

sql::Values cells_of(std::span<const AccountRow> accounts) {
  sql::Values cells;
  cells.reserve(accounts.size() * std::size(kAccountFields));
  for (const AccountRow& row : accounts) {
    const AccountTerms& terms = row.account.terms;
    cells.insert(cells.end(), {to_text(terms.id), terms.currency.text(), to_string(terms.normal), terms.may_go_negative,
                               row.account.closed});
    put(cells, row.account.balance);
    cells.insert(cells.end(), {row.lines, numbers_text(row.recent)});
  }
  return cells;
}

sql::Values cells_of(std::span<const TransferRow> transfers) {
  sql::Values cells;
  cells.reserve(transfers.size() * std::size(kTransferFields));
  for (const TransferRow& row : transfers)
    cells.insert(cells.end(), {to_text(row.id), row.sequence, to_string(row.state), row.reversed});
  return cells;
}

sql::Values cells_of(std::span<const Page> pages) {
  sql::Values cells;
  for (const Page& page : pages)
    cells.insert(cells.end(), {to_text(page.account), page.lines.front(), numbers_text(page.lines)});
  return cells;
}

}  // namespace

Result<Store> Store::connect(const std::string& address) {
  sql::Options options{
      .address = address, .connections = 1, .synchronous_full = true, .read_committed = true, .require_fsync = true};
  std::string file;
  if (address.starts_with(kSqlite)) {
    file = address.substr(kSqlite.size());
    // Nobody else's business: SQLite gives its other files the rights of this one. One that is there is not touched: to
    // close a descriptor of it would drop the locks that SQLite has in this process.
    const int made = ::open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (made < 0 && errno != EEXIST) return fail_errno("open the ledger", file);
    if (made >= 0) ::close(made);
  } else {
    // A connection may have nothing to do for hours: that it is lost is seen within a minute all the same.
    options.settings =
        "options='-c search_path=ledger' keepalives_idle=30 keepalives_interval=10 keepalives_count=3 "
        "tcp_user_timeout=60000";
  }
  Result<std::shared_ptr<sql::Database>> database = sql::Database::open(options);
  if (!database)
    return file.empty() ? database.error().in("open the ledger") : database.error().in("open the ledger", file);
  return Store{std::move(*database), std::move(file)};
}

Result<void> Store::make() {
  if (engine() == sql::Engine::postgresql) {
    const auto made = database_->read(
        [](sql::Session& session) { return session.run("ledger.schema", "CREATE SCHEMA IF NOT EXISTS ledger"); });
    if (!made) return made.error().in("open the ledger");
  }
  const Result<void> migrated = sql::migrate(*database_, schema(engine()));
  return migrated ? Result<void>{} : migrated.error().in("open the ledger");
}

Result<Store> Store::open(const std::string& address, bool make) {
  std::error_code ignored;
  if (!make && address.starts_with(kSqlite) && !std::filesystem::exists(address.substr(kSqlite.size()), ignored))
    return fail(Code::not_found, "there is no ledger at", address.substr(kSqlite.size()));
  Result<Store> store = connect(address);
  if (!store) return store;
  if (make) {
    if (const Result<void> made = store->make(); !made) return pass(made);
  } else if (const Result<Epoch> epoch = store->epoch(); !epoch) {
    // A table that is not there is a wrong statement to both engines.
    if (epoch.error().code != Code::internal) return epoch.error().in("open the ledger");
    const Result<std::int64_t> there = store->number(
        "ledger.there", store->engine() == sql::Engine::sqlite
                            ? "SELECT COUNT(*) FROM sqlite_master WHERE name IN ('journal', 'transfers', 'accounts')"
                            : "SELECT COUNT(*) FROM pg_namespace WHERE nspname = 'ledger'");
    if (!there) return there.error().in("open the ledger");
    if (*there == 0) return fail(Code::not_found, "there is no ledger in this database");
    return fail(
        Code::forbidden,
        "there is a ledger in this database, and it can't be read: a table is gone, or whoever asks may not use "
        "it (PostgreSQL: GRANT USAGE ON SCHEMA ledger, and SELECT on its tables);",
        epoch.error().message);
  }
  return store;
}

Result<Epoch> Store::take_epoch(std::int64_t now_ms) {
  return database_->write("ledger.take", [now_ms](sql::Session& session) -> Result<Epoch> {
    const auto taken = session.run("ledger.take", "UPDATE writer SET epoch = epoch + 1, since_ms = :1", {now_ms});
    if (!taken) return pass(taken);
    const auto epoch = session.row<std::int64_t>("ledger.epoch", "SELECT epoch FROM writer");
    if (!epoch) return pass(epoch);
    if (!*epoch) return std::unexpected{damaged("no row in", "writer")};
    return Epoch{std::get<0>(**epoch)};
  });
}

Result<Epoch> Store::epoch() {
  return look([](sql::Session& session) -> Result<Epoch> {
    const auto epoch = session.row<std::int64_t>("ledger.epoch", "SELECT epoch FROM writer");
    if (!epoch) return pass(epoch);
    if (!*epoch) return std::unexpected{damaged("no row in", "writer")};
    return Epoch{std::get<0>(**epoch)};
  });
}

Result<void> Store::write(const Changes& changes, Epoch epoch) {
  const sql::Values rows = cells_of(changes.rows);
  const sql::Values accounts = cells_of(changes.accounts);
  const sql::Values transfers = cells_of(changes.added);
  const sql::Values changed = cells_of(changes.changed);
  const sql::Values pages = cells_of(changes.pages);
  const auto add = [&](sql::Session& session) -> Result<void> {
    if (auto added = session.insert("ledger.journal", "journal", kRowFields, rows); !added) return added;
    if (auto added = session.insert("ledger.transfers", "transfers", kTransferFields, transfers); !added) return added;
    if (auto added = session.insert("ledger.transfers", "transfers", kTransferFields, changed,
                                    "ON CONFLICT (id) DO UPDATE SET state = excluded.state, reversed = "
                                    "excluded.reversed");
        !added)
      return added;
    if (auto added = session.insert("ledger.accounts", "accounts", kAccountFields, accounts,
                                    "ON CONFLICT (id) DO UPDATE SET closed = excluded.closed, debits = "
                                    "excluded.debits, credits = excluded.credits, debits_pending = "
                                    "excluded.debits_pending, credits_pending = excluded.credits_pending, lines = "
                                    "excluded.lines, recent = excluded.recent");
        !added)
      return added;
    return session.insert("ledger.pages", "pages", kPageFields, pages);
  };
  return database_->write("ledger.write", [&](sql::Session& session) -> Result<void> {
    // Locked until the commit: who takes over waits for it, and then goes on from its end.
    const auto holder = session.row<std::int64_t>("ledger.epoch", session.engine() == sql::Engine::postgresql
                                                                      ? "SELECT epoch FROM writer FOR SHARE"
                                                                      : "SELECT epoch FROM writer");
    if (!holder) return pass(holder);
    if (!*holder || std::get<0>(**holder) != epoch.value)
      return fail(Code::conflict, "another writer has taken the ledger over");
    const auto last = session.row<std::int64_t, std::string>(
        "ledger.end", "SELECT sequence, hash FROM journal ORDER BY sequence DESC LIMIT 1");
    if (!last) return pass(last);
    const auto [sequence, hash] = last->value_or(std::tuple{std::int64_t{0}, std::string{kChainBegin}});
    if (sequence != changes.before.sequence || hash != changes.before.hash)
      return std::unexpected{
          damaged("the journal ends elsewhere than this writer left it, at line", std::to_string(sequence))};
    Result<void> added = add(session);
    // A key that is taken is no other writer's doing.
    if (!added && sql::is_taken(added.error()))
      return std::unexpected{damaged("what is new stands there:", added.error().message)};
    return added;
  });
}

Result<void> Store::renew() {
  if (engine() == sql::Engine::postgresql) {
    return database_->write("ledger.renew", [](sql::Session& session) -> Result<void> {
      const auto done = session.run("ledger.renew", "UPDATE writer SET since_ms = since_ms");
      return done ? Result<void>{} : pass(done);
    });
  }
  const auto done = look([](sql::Session& session) {
    return session.row<std::int64_t>("ledger.renew", "PRAGMA wal_checkpoint(TRUNCATE)");
  });
  if (!done) return pass(done);
  if (!*done || std::get<0>(**done) != 0)
    return fail(Code::unavailable, "the write-ahead log can't begin anew while somebody reads");
  return {};
}

Result<void> Store::snapshot(const std::function<Result<void>()>& work) {
  return database_->snapshot([&](sql::Session& session) -> Result<void> {
    session_ = &session;
    Result<void> done = work();
    session_ = nullptr;
    return done;
  });
}

Result<End> Store::end() {
  const auto last = look([](sql::Session& session) {
    return session.row<std::int64_t, std::int64_t, std::string>(
        "ledger.end", "SELECT sequence, time_ms, hash FROM journal ORDER BY sequence DESC LIMIT 1");
  });
  if (!last) return pass(last);
  if (!*last) return End{};
  const auto& [sequence, time_ms, hash] = **last;
  return End{sequence, time_ms, hash};
}

Result<Book::TotalsByCurrency> Store::totals() {
  constexpr std::size_t kAtOnce = 10'000;
  Book::TotalsByCurrency totals;
  for (AccountId after;;) {
    const Result<std::vector<AccountRow>> some = accounts_after(after, kAtOnce);
    if (!some) return pass(some);
    for (const AccountRow& row : *some) {
      Book::Totals& sum = totals[std::string{row.account.terms.currency.text()}];
      sum.debits += row.account.balance.debits;
      sum.credits += row.account.balance.credits;
    }
    if (some->size() < kAtOnce) break;
    after = some->back().account.terms.id;
  }
  for (const auto& [currency, sum] : totals) {
    if (sum.debits != sum.credits) return std::unexpected{damaged("the two sides differ in", currency)};
  }
  return totals;
}

Result<std::vector<Recorded>> Store::recorded_where(std::string_view name, const std::string& rest,
                                                    const sql::Values& values) {
  const auto found = look([&](sql::Session& session) {
    return session.rows<std::string, std::string, std::int64_t, std::string, std::string, std::string, std::int64_t>(
        name,
        "SELECT t.id, t.state, t.reversed, j.line, j.debit, j.credit, j.minor FROM transfers t JOIN journal j ON "
        "j.sequence = t.sequence WHERE " +
            rest,
        values);
  });
  if (!found) return pass(found);
  std::vector<Recorded> transfers;
  for (const auto& [id, state, reversed, line, debit, credit, minor] : *found) {
    const Result<Entry> entry = from_line(line);
    const auto* const answered = entry ? std::get_if<Answered>(&entry->what) : nullptr;
    const std::optional<State> known = state_of(state);
    bool good = answered != nullptr && known && to_text(answered->transfer.id) == id;
    const auto debit_id = key_or_zero<AccountKind>(debit, good);
    const auto credit_id = key_or_zero<AccountKind>(credit, good);
    if (!good) return std::unexpected{damaged("transfer", id)};
    transfers.push_back({.asked = answered->transfer,
                         .status = answered->status,
                         .state = *known,
                         .debit = debit_id,
                         .credit = credit_id,
                         .minor = minor,
                         .reversed = reversed});
  }
  return transfers;
}

Result<TransferId> Store::newest_transfer() {
  const auto found = look([](sql::Session& session) {
    return session.row<std::string>("ledger.newest", "SELECT id FROM transfers ORDER BY id DESC LIMIT 1");
  });
  if (!found) return pass(found);
  if (!*found) return TransferId{};
  bool good = true;
  const auto id = key_or_zero<TransferKind>(std::get<0>(**found), good);
  if (!good) return std::unexpected{damaged("transfer", std::get<0>(**found))};
  return id;
}

Result<std::vector<Recorded>> Store::pending() {
  return recorded_where("ledger.pending", "t.state = 'pending' LIMIT :1", {static_cast<std::int64_t>(kPendingMax) + 1});
}

Result<std::vector<Recorded>> Store::transfers(std::span<const TransferId> ids) {
  if (ids.empty()) return std::vector<Recorded>{};
  return recorded_where("ledger.transfers", sql::one_of(engine(), "t.id", 1), {list_of(engine(), ids)});
}

Result<std::vector<AccountRow>> Store::accounts_where(std::string_view name, const std::string& rest,
                                                      const sql::Values& values) {
  const auto found = look([&](sql::Session& session) {
    return session.rows<std::string, std::string, std::string, bool, bool, std::int64_t, std::int64_t, std::int64_t,
                        std::int64_t, std::int64_t, std::string>(
        name, "SELECT " + std::string{kAccountColumns} + " FROM accounts WHERE " + rest, values);
  });
  if (!found) return pass(found);
  std::vector<AccountRow> accounts;
  for (const auto& [id, currency, normal, negative, closed, debits, credits, debits_pending, credits_pending, lines,
                    recent] : *found) {
    bool good = true;
    const auto key = key_or_zero<AccountKind>(id, good);
    const Result<Currency> money = currency_of(currency);
    const std::optional<Side> side = side_of(normal);
    std::vector<std::int64_t> numbers = numbers_of(recent, good);
    if (!good || !money || !side) return std::unexpected{damaged("account", id)};
    accounts.push_back({.account = {.terms = {key, *money, *side, negative},
                                    .balance = {debits, credits, debits_pending, credits_pending},
                                    .closed = closed},
                        .lines = lines,
                        .recent = std::move(numbers)});
  }
  return accounts;
}

Result<std::vector<AccountRow>> Store::accounts(std::span<const AccountId> ids) {
  if (ids.empty()) return std::vector<AccountRow>{};
  return accounts_where("ledger.accounts", sql::one_of(engine(), "id", 1), {list_of(engine(), ids)});
}

Result<std::vector<AccountRow>> Store::accounts_after(AccountId after, std::size_t limit) {
  return accounts_where("ledger.accounts", "id > :1 ORDER BY id LIMIT :2",
                        {text_or_empty(after), static_cast<std::int64_t>(limit)});
}

Result<std::vector<Row>> Store::rows_where(std::string_view name, const std::string& rest, const sql::Values& values) {
  using std::int64_t;
  using std::string;
  const auto found = look([&](sql::Session& session) {
    return session.rows<int64_t, int64_t, string, string, string, string, string, string, int64_t, int64_t, int64_t,
                        int64_t, int64_t, int64_t, int64_t, int64_t, int64_t>(
        name, "SELECT " + string{kRowColumns} + " FROM journal WHERE " + rest, values);
  });
  if (!found) return pass(found);
  std::vector<Row> rows;
  rows.reserve(found->size());
  for (const auto& [sequence, time_ms, line, hash, transfer, of, debit, credit, minor, a, b, c, d, e, f, g, h] :
       *found) {
    bool good = true;
    rows.push_back({.sequence = sequence,
                    .time_ms = time_ms,
                    .line = line,
                    .hash = hash,
                    .transfer = key_or_zero<TransferKind>(transfer, good),
                    .of = key_or_zero<TransferKind>(of, good),
                    .debit = key_or_zero<AccountKind>(debit, good),
                    .credit = key_or_zero<AccountKind>(credit, good),
                    .minor = minor,
                    .debit_after = {a, b, c, d},
                    .credit_after = {e, f, g, h}});
    if (!good) return std::unexpected{damaged("line", std::to_string(sequence))};
  }
  return rows;
}

Result<std::vector<Row>> Store::rows(std::int64_t first, std::size_t limit) {
  return rows_where("ledger.rows", "sequence >= :1 ORDER BY sequence LIMIT :2",
                    {first, static_cast<std::int64_t>(limit)});
}

Result<std::vector<Row>> Store::rows(std::span<const std::int64_t> sequences) {
  std::vector<Row> rows;
  rows.reserve(sequences.size());
  while (!sequences.empty()) {
    const auto some = sequences.first(std::min(sequences.size(), kLinesNamedAtOnce));
    sequences = sequences.subspan(some.size());
    std::string numbers;
    for (const std::int64_t sequence : some) numbers += (numbers.empty() ? "" : ",") + std::to_string(sequence);
    Result<std::vector<Row>> found = rows_where("ledger.rows", "sequence IN (" + numbers + ") ORDER BY sequence", {});
    if (!found) return found;
    for (const std::int64_t sequence : some) {
      const auto row = std::ranges::lower_bound(*found, sequence, {}, &Row::sequence);
      if (row == found->end() || row->sequence != sequence)
        return std::unexpected{damaged("no line", std::to_string(sequence))};
      rows.push_back(*row);
    }
  }
  return rows;
}

Result<std::vector<TransferRow>> Store::transfer_rows(std::span<const TransferId> ids) {
  if (ids.empty()) return std::vector<TransferRow>{};
  const auto found = look([&](sql::Session& session) {
    return session.rows<std::string, std::int64_t, std::string, std::int64_t>(
        "ledger.transfer_rows",
        "SELECT id, sequence, state, reversed FROM transfers WHERE " + sql::one_of(engine(), "id", 1),
        {list_of(engine(), ids)});
  });
  if (!found) return pass(found);
  std::vector<TransferRow> rows;
  for (const auto& [id, sequence, state, reversed] : *found) {
    bool good = true;
    const auto key = key_or_zero<TransferKind>(id, good);
    const std::optional<State> known = state_of(state);
    if (!good || !known) return std::unexpected{damaged("transfer", id)};
    rows.push_back({key, sequence, *known, reversed});
  }
  return rows;
}

Result<std::int64_t> Store::number(std::string_view name, std::string_view query, const sql::Values& values) {
  const auto found = look([&](sql::Session& session) { return session.row<std::int64_t>(name, query, values); });
  if (!found) return pass(found);
  return *found ? std::get<0>(**found) : 0;
}

Result<std::int64_t> Store::count_lines() { return number("ledger.count", "SELECT COUNT(*) FROM journal"); }

Result<std::int64_t> Store::count_transfers() { return number("ledger.count", "SELECT COUNT(*) FROM transfers"); }

Result<std::int64_t> Store::count_accounts() { return number("ledger.count", "SELECT COUNT(*) FROM accounts"); }

Result<std::int64_t> Store::count_pages() { return number("ledger.count", "SELECT COUNT(*) FROM pages"); }

Result<void> Store::check_types() {
  if (engine() == sql::Engine::postgresql) return {};
  for (const auto& [table, fields] : kTables) {
    std::string good;
    for (const auto& [name, kind] : fields) {
      if (!good.empty()) good += " AND ";
      ((good += "typeof(") += name) += kind == kText ? ") = 'text'" : ") = 'integer'";
      if (kind == kText) ((good += " AND instr(") += name) += ", char(0)) = 0";
    }
    const auto wrong = look([&](sql::Session& session) {
      return session.row<std::string>("ledger.types", "SELECT CAST(" + std::string{fields.front().name} +
                                                          " AS TEXT) FROM " + std::string{table} + " WHERE NOT (" +
                                                          good + ") LIMIT 1");
    });
    if (!wrong) return pass(wrong);
    if (*wrong)
      return fail(Code::conflict, "table " + std::string{table} + ": a value of another type than its column's, at",
                  std::get<0>(**wrong));
  }
  return {};
}

Result<std::int64_t> Store::count_pending() {
  return number("ledger.count", "SELECT COUNT(*) FROM transfers WHERE state = 'pending'");
}

Result<std::int64_t> Store::reversed_before(TransferId of, std::int64_t before) {
  return number("ledger.reversed",
                "SELECT CAST(COALESCE(SUM(minor), 0) AS BIGINT) FROM journal WHERE of_transfer = :1 AND of_transfer <> "
                "'' AND sequence < :2",
                {to_text(of), before});
}

Result<std::int64_t> Store::count_wrongly_reversed() {
  return number(
      "ledger.reversed",
      "SELECT (SELECT COUNT(*) FROM (SELECT of_transfer, SUM(minor) AS back FROM journal WHERE of_transfer <> "
      "'' GROUP BY of_transfer) r JOIN transfers t ON t.id = r.of_transfer WHERE t.state = 'moved' AND "
      "t.reversed <> r.back) + (SELECT COUNT(*) FROM transfers t WHERE t.reversed <> 0 AND (t.state <> "
      "'moved' OR NOT EXISTS (SELECT 1 FROM journal j WHERE j.of_transfer = t.id AND j.of_transfer <> '')))");
}

Result<std::vector<Page>> Store::pages_where(std::string_view name, const std::string& rest,
                                             const sql::Values& values) {
  const auto found = look([&](sql::Session& session) {
    return session.rows<std::string, std::int64_t, std::string>(
        name, "SELECT account, first, lines FROM pages WHERE " + rest, values);
  });
  if (!found) return pass(found);
  std::vector<Page> pages;
  for (const auto& [account, first, lines] : *found) {
    bool good = true;
    const auto id = key_or_zero<AccountKind>(account, good);
    std::vector<std::int64_t> numbers = numbers_of(lines, good);
    if (!good || numbers.size() != kPageLines || numbers.front() != first || !std::ranges::is_sorted(numbers))
      return std::unexpected{damaged("a page of account", account)};
    pages.push_back({id, std::move(numbers)});
  }
  return pages;
}

Result<std::vector<Page>> Store::pages(AccountId account, std::int64_t before, std::size_t limit) {
  return pages_where("ledger.pages", "account = :1 AND first <= :2 ORDER BY first DESC LIMIT :3",
                     {to_text(account), before, static_cast<std::int64_t>(limit)});
}

Result<std::vector<Page>> Store::pages_after(AccountId account, std::int64_t first, std::size_t limit) {
  return pages_where("ledger.pages", "(account, first) > (:1, :2) ORDER BY account, first LIMIT :3",
                     {text_or_empty(account), first, static_cast<std::int64_t>(limit)});
}

}  // namespace ribalta::ledger
