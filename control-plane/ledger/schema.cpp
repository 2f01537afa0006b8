#include "control-plane/ledger/schema.h"

#include <array>
#include <string>

namespace ribalta::ledger {
namespace {

/// Where the two engines differ: SQLite's key that is the row's place, and tables that are sorted by their key.
struct Words {
  std::string sequence_key;
  std::string sorted;
  std::string often_updated;  ///< PostgreSQL: room on each page for the next version of its rows
};

std::array<std::string, 8> statements(const Words& words) {
  return {
      R"(CREATE TABLE journal (
  sequence )" +
          words.sequence_key + R"(,   -- from 1, without holes
  time_ms BIGINT NOT NULL,
  line TEXT NOT NULL,                        -- what is hashed; the columns below are copies of what it says or leads to
  hash TEXT NOT NULL,                        -- SHA-256 over the hash before and the line
  transfer TEXT NOT NULL,                    -- empty where it opens or closes an account
  of_transfer TEXT NOT NULL,                 -- empty where it has no original
  debit TEXT NOT NULL,
  credit TEXT NOT NULL,
  minor BIGINT NOT NULL,                     -- moved, kept aside or freed
  debit_debits BIGINT NOT NULL,              -- balances right after the line
  debit_credits BIGINT NOT NULL,
  debit_debits_pending BIGINT NOT NULL,
  debit_credits_pending BIGINT NOT NULL,
  credit_debits BIGINT NOT NULL,
  credit_credits BIGINT NOT NULL,
  credit_debits_pending BIGINT NOT NULL,
  credit_credits_pending BIGINT NOT NULL
))",
      "CREATE INDEX journal_of ON journal (of_transfer, sequence) WHERE of_transfer <> ''",
      R"(CREATE TABLE transfers (
  id TEXT PRIMARY KEY,
  sequence BIGINT NOT NULL,                  -- of the line with its first answer
  state TEXT NOT NULL,
  reversed BIGINT NOT NULL
))" + words.sorted,
      "CREATE INDEX transfers_pending ON transfers (id) WHERE state = 'pending'",
      R"(CREATE TABLE accounts (
  id TEXT PRIMARY KEY,
  currency TEXT NOT NULL,
  normal TEXT NOT NULL,                      -- debit or credit
  may_go_negative BIGINT NOT NULL,
  closed BIGINT NOT NULL,
  debits BIGINT NOT NULL,
  credits BIGINT NOT NULL,
  debits_pending BIGINT NOT NULL,
  credits_pending BIGINT NOT NULL,
  lines BIGINT NOT NULL,                     -- of the journal that concern it
  recent TEXT NOT NULL                       -- the last of these that fill no page yet: numbers with commas
))" + words.sorted +
          words.often_updated,
      R"(CREATE TABLE pages (
  account TEXT NOT NULL,
  first BIGINT NOT NULL,
  lines TEXT NOT NULL,                       -- numbers with commas, ascending from `first`
  PRIMARY KEY (account, first)
))" + words.sorted,
      "CREATE TABLE writer (one BIGINT PRIMARY KEY CHECK (one = 1), epoch BIGINT NOT NULL, since_ms BIGINT NOT NULL)",
      "INSERT INTO writer (one, epoch, since_ms) VALUES (1, 0, 0)",
  };
}

struct Schema {
  explicit Schema(const Words& words) : text(statements(words)), steps{{{"ledger", {text.begin(), text.end()}}}} {}
  std::array<std::string, 8> text;
  std::array<sql::Migration, 1> steps;
};

}  // namespace

std::span<const sql::Migration> schema(sql::Engine engine) {
  static const Schema sqlite{{"INTEGER PRIMARY KEY", " WITHOUT ROWID", ""}};
  static const Schema postgresql{{"BIGINT PRIMARY KEY", "", " WITH (fillfactor = 50)"}};
  return engine == sql::Engine::sqlite ? sqlite.steps : postgresql.steps;
}

}  // namespace ribalta::ledger
