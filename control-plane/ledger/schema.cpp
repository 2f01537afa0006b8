#include "control-plane/ledger/schema.h"

#include <array>
#include <boost/algorithm/string/replace.hpp>
#include <deque>
#include <string>
#include <string_view>
#include <utility>

namespace ribalta::ledger {
namespace {

/// Where the two engines differ: what stands for the names in braces.
using Words = std::array<std::pair<std::string_view, std::string_view>, 4>;
constexpr Words kSqlite{{{"{key}", "INTEGER PRIMARY KEY"},  // the row's place
                         {"{id}", "TEXT"},
                         {"{sorted}", " WITHOUT ROWID"},
                         {"{often updated}", ""}}};
constexpr Words kPostgresql{
    {{"{key}", "BIGINT PRIMARY KEY"},
     {"{id}", "TEXT COLLATE \"C\""},  // byte by byte, whatever language the database is made for
     {"{sorted}", ""},
     {"{often updated}", " WITH (fillfactor = 50)"}}};  // room for a row's next version

constexpr std::array<std::string_view, 8> kStatements{
    R"(CREATE TABLE journal (
  sequence {key},                            -- from 1, without holes
  time_ms BIGINT NOT NULL,
  line TEXT NOT NULL,                        -- what is hashed; the columns below are copies of what it says or leads to
  hash TEXT NOT NULL,                        -- SHA-256 over the hash before and the line
  transfer {id} NOT NULL,                    -- empty where it opens or closes an account
  of_transfer {id} NOT NULL,                 -- empty where it has no original
  debit {id} NOT NULL,
  credit {id} NOT NULL,
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
  id {id} PRIMARY KEY,
  sequence BIGINT NOT NULL,                  -- of the line with its first answer
  state TEXT NOT NULL,
  reversed BIGINT NOT NULL
){sorted})",
    "CREATE INDEX transfers_pending ON transfers (id) WHERE state = 'pending'",
    R"(CREATE TABLE accounts (
  id {id} PRIMARY KEY,
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
){sorted}{often updated})",
    R"(CREATE TABLE pages (
  account {id} NOT NULL,
  first BIGINT NOT NULL,
  lines TEXT NOT NULL,                       -- numbers with commas, ascending from `first`
  PRIMARY KEY (account, first)
){sorted})",
    "CREATE TABLE writer (one BIGINT PRIMARY KEY CHECK (one = 1), epoch BIGINT NOT NULL, since_ms BIGINT NOT NULL)",
    "INSERT INTO writer (one, epoch, since_ms) VALUES (1, 0, 0)",
};

struct Schema {
  explicit Schema(const Words& words) {
    for (const std::string_view statement : kStatements) {
      std::string& text = texts.emplace_back(statement);
      for (const auto& [name, word] : words) boost::replace_all(text, name, word);
    }
    steps.front() = {"ledger", {texts.begin(), texts.end()}};
  }
  std::deque<std::string> texts;
  std::array<sql::Migration, 1> steps;
};

}  // namespace

std::span<const sql::Migration> schema(sql::Engine engine) {
  static const Schema sqlite{kSqlite};
  static const Schema postgresql{kPostgresql};
  return engine == sql::Engine::sqlite ? sqlite.steps : postgresql.steps;
}

}  // namespace ribalta::ledger
