// The ledger's lines for people and for programs: text, CSV (RFC 4180) and JSON lines.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "control-plane/ledger/statement.h"
#include "control-plane/ledger/verify.h"

namespace ribalta::ledger {

/// Unix time in milliseconds as `2026-11-26T19:03:28.120Z`.
std::string time_text(std::int64_t time_ms);
/// The same read: a date (its end), or a date and a time in UTC, with or without milliseconds.
/// @error malformed: neither.
Result<std::int64_t> time_of(std::string_view text);

/// One cell: in quotes where it needs them. An apostrophe stands before what a spreadsheet would take for a formula, at
/// the beginning and behind each semicolon, tab or line break, where another cell begins for some.
std::string csv_cell(std::string_view text);

std::string_view csv_header();
/// Lines of the journal as rows of CSV. One that tells of an expiry says nothing of the currency: that is looked up.
/// @error malformed: not a line of ours; else what the store says.
Result<std::string> csv_rows(Store& store, std::span<const Row> rows);
/// One of them, without its end. `expired_in`: the currency of what it says has expired.
std::string csv_row(const Row& row, const Entry& entry, std::string_view expired_in = {});
/// A line of the journal as it was hashed, with its hash: `{"hash":"…","line":{…}}`.
std::string json_row(const Row& row);

/// A table; the latest first. `until_ms`: the instant that was asked for.
std::string statement_text(const Account& account, const std::vector<StatementLine>& lines,
                           std::optional<std::int64_t> until_ms = {});
std::string statement_csv(const Account& account, const std::vector<StatementLine>& lines);
std::string statement_json(const Account& account, const std::vector<StatementLine>& lines);

/// `noted`: what was asked to be there, and is.
std::string verified_text(const Verified& verified, const std::optional<Noted>& noted = {});
std::string verified_json(const Verified& verified);

}  // namespace ribalta::ledger
