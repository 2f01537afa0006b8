#include "control-plane/ledger/report.h"

#include <algorithm>
#include <array>
#include <boost/describe/class.hpp>
#include <cstdio>
#include <ctime>
#include <map>
#include <unordered_map>
#include <utility>

#include "core/json.h"

namespace ribalta::ledger {
namespace {

constexpr std::int64_t kDayMs = 86'400'000;

template <class K>
std::string text_or_empty(const Key<K>& key) {
  return key == Key<K>{} ? std::string{} : to_text(key);
}

/// What a line says, in columns.
struct Told {
  std::string what;
  std::string status;
  std::string currency;
  std::string reference;
  std::string account;  ///< that it opens or closes
};
Told told(const Entry& entry) {
  if (const auto* const opened = std::get_if<AccountOpened>(&entry.what))
    return {"account_opened", "", std::string{opened->terms.currency.text()}, "", to_text(opened->terms.id)};
  if (const auto* const closed = std::get_if<AccountClosed>(&entry.what))
    return {"account_closed", "", "", "", to_text(closed->id)};
  if (std::holds_alternative<Expired>(entry.what)) return {"expired", "", "", "", ""};
  const auto& answered = std::get<Answered>(entry.what);
  return {std::string{to_string(answered.transfer.kind)}, std::string{to_string(answered.status)},
          std::string{answered.transfer.amount.currency.text()}, answered.transfer.reference, ""};
}

std::string joined(const std::vector<std::string>& cells) {
  std::string line;
  for (const std::string& cell : cells) {
    if (&cell != &cells.front()) line += ',';
    line += csv_cell(cell);
  }
  return line;
}

/// One line of an account as it is shown: amounts on the account's normal side.
struct StatementRow {
  std::int64_t line = 0;
  std::string time;
  std::string what;
  std::string transfer;
  std::string of;  ///< the transfer that it posts, voids or reverses
  std::string other_account;
  std::int64_t change_minor = 0;  ///< of what is posted
  std::int64_t posted_minor = 0;
  std::int64_t available_minor = 0;  ///< less what is kept aside to leave
  std::int64_t incoming_minor = 0;   ///< kept aside to come
  std::string reference;
};
BOOST_DESCRIBE_STRUCT(StatementRow, (),
                      (line, time, what, transfer, of, other_account, change_minor, posted_minor, available_minor,
                       incoming_minor, reference))

StatementRow shown(const Account& account, const StatementLine& line) {
  const Told said = told(line.entry);
  const Side normal = account.terms.normal;
  // What is kept aside or freed changes nothing that is posted.
  const auto* const answered = std::get_if<Answered>(&line.entry.what);
  const bool moves = answered != nullptr && answered->transfer.kind != Kind::pending;
  const std::int64_t change = moves ? line.row.minor : 0;
  return {.line = line.row.sequence,
          .time = time_text(line.row.time_ms),
          .what = said.what,
          .transfer = to_text(line.row.transfer),
          .of = text_or_empty(line.row.of),
          .other_account = to_text(line.side == Side::debit ? line.row.credit : line.row.debit),
          .change_minor = line.side == normal ? change : -change,
          .posted_minor = posted(line.after, normal),
          .available_minor = available(line.after, normal),
          .incoming_minor = normal == Side::debit ? line.after.debits_pending : line.after.credits_pending,
          .reference = said.reference};
}

/// UTF-8 with a space for each character that a terminal obeys: controls (U+0000 to U+001F, U+007F to U+009F), and what
/// turns the direction of what follows (U+202A to U+202E, U+2066 to U+2069).
std::string harmless(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto byte = [text](std::size_t at) { return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U; };
    const bool control = byte(0) < 0x20 || byte(0) == 0x7f;
    const bool late_control = byte(0) == 0xC2 && byte(1) <= 0x9F;
    const bool turns = byte(0) == 0xE2 && ((byte(1) == 0x80 && byte(2) >= 0xAA && byte(2) <= 0xAE) ||
                                           (byte(1) == 0x81 && byte(2) >= 0xA6 && byte(2) <= 0xA9));
    out += control || late_control || turns ? ' ' : text.front();
    text.remove_prefix(turns ? 3 : late_control ? std::min<std::size_t>(2, text.size()) : 1);
  }
  return out;
}

struct TotalBody {
  std::int64_t lines = 0;
  std::string hash;
  std::string time;
  std::int64_t accounts = 0;
  std::int64_t transfers = 0;
  std::int64_t pending = 0;
  std::map<std::string, std::string> moved_minor;  ///< both sides of each currency; may be more than a number holds
};
BOOST_DESCRIBE_STRUCT(TotalBody, (), (lines, hash, time, accounts, transfers, pending, moved_minor))

std::string to_text(Int128 number) {
  std::string digits;
  do {
    digits.insert(digits.begin(), static_cast<char>('0' + static_cast<int>(number % 10)));
    number /= 10;
  } while (number != 0);
  return digits;
}

}  // namespace

std::string time_text(std::int64_t time_ms) {
  const std::time_t seconds = time_ms / 1'000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 48> text{};
  const int size = std::snprintf(text.data(), text.size(), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", parts.tm_year + 1900,
                                 parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                                 static_cast<int>(time_ms % 1'000));
  return {text.data(), static_cast<std::size_t>(size)};
}

Result<std::int64_t> time_of(std::string_view text) {
  const std::string whole{text};
  std::tm parts{};
  // strptime takes a year of any length, and blanks before it.
  const bool four = text.find_first_not_of("0123456789") == 4;
  const char* rest = four ? strptime(whole.c_str(), "%Y-%m-%d", &parts) : nullptr;
  const auto seconds = [&]() -> Result<std::int64_t> {
    std::tm counted = parts;
    const std::int64_t since = timegm(&counted);  // counts on from the end of a month or a minute
    if (counted.tm_mday == parts.tm_mday && counted.tm_sec == parts.tm_sec) return since;
    return fail(Code::malformed, "no calendar has the time", text);
  };
  if (rest != nullptr && *rest == '\0') {
    const Result<std::int64_t> day = seconds();
    return day ? Result<std::int64_t>{*day * 1'000 + kDayMs - 1} : day;
  }
  if (rest != nullptr && *rest == 'T') rest = strptime(rest, "T%H:%M:%S", &parts);
  int ms = 999;  // a second, to its end
  if (rest != nullptr && *rest == '.') {
    int read = 0;
    rest = std::sscanf(rest, ".%3d%n", &ms, &read) == 1 && read == 4 && ms >= 0 ? rest + read : nullptr;
  }
  if (rest == nullptr || std::string_view{rest} != "Z")
    return fail(Code::malformed, "a time is 2026-11-26 or 2026-11-26T19:03:28Z, not", text);
  const Result<std::int64_t> second = seconds();
  return second ? Result<std::int64_t>{*second * 1'000 + ms} : second;
}

std::string csv_cell(std::string_view text) {
  // Where the list separator is a semicolon (as in Italy) or a tab, our commas and quotes are text to a spreadsheet,
  // and a cell may begin in the middle of ours: behind each of these.
  constexpr std::string_view kEnds = ";\t\r\n";
  std::string safe;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const bool begins = at == 0 || kEnds.contains(text[at - 1]);
    const std::size_t first = begins ? text.find_first_not_of(" \"\t\r\n", at) : std::string_view::npos;
    if (first != std::string_view::npos && std::string_view{"=+-@"}.contains(text[first])) safe += '\'';
    safe += text[at];
  }
  if (safe.size() == text.size() && safe.find_first_of(",;\"\t\r\n") == std::string::npos) return safe;
  std::string cell = "\"";
  for (const char c : safe) {
    if (c == '"') cell += '"';
    cell += c;
  }
  return cell += '"';
}

std::string_view csv_header() {
  return "line,time,what,status,account,transfer,of,debit,credit,currency,minor,debit_debits,debit_credits,"
         "debit_debits_pending,debit_credits_pending,credit_debits,credit_credits,credit_debits_pending,"
         "credit_credits_pending,reference,hash";
}

Result<std::string> csv_rows(Store& store, std::span<const Row> rows) {
  std::vector<Entry> entries;
  entries.reserve(rows.size());
  std::vector<TransferId> expired;
  for (const Row& row : rows) {
    Result<Entry> entry = from_line(row.line);
    if (!entry) return pass(entry);
    if (std::holds_alternative<Expired>(entry->what)) expired.push_back(row.transfer);
    entries.push_back(std::move(*entry));
  }
  const Result<std::vector<Recorded>> originals = store.transfers(expired);
  if (!originals) return pass(originals);
  std::unordered_map<TransferId, std::string_view> currencies;
  for (const Recorded& one : *originals) currencies.emplace(one.asked.id, one.asked.amount.currency.text());
  std::string text;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto currency = currencies.find(rows[i].transfer);
    const bool known = currency != currencies.end();
    (text += csv_row(rows[i], entries[i], known ? currency->second : std::string_view{})) += "\r\n";
  }
  return text;
}

std::string csv_row(const Row& row, const Entry& entry, std::string_view expired_in) {
  Told said = told(entry);
  if (std::holds_alternative<Expired>(entry.what)) said.currency = expired_in;
  const std::string line = joined({std::to_string(row.sequence), time_text(row.time_ms), said.what, said.status,
                                   said.account, text_or_empty(row.transfer), text_or_empty(row.of),
                                   text_or_empty(row.debit), text_or_empty(row.credit), said.currency});
  std::string numbers = ',' + std::to_string(row.minor);
  for (const Balance* balance : {&row.debit_after, &row.credit_after}) {
    for (const std::int64_t side :
         {balance->debits, balance->credits, balance->debits_pending, balance->credits_pending})
      numbers += ',' + std::to_string(side);
  }
  return line + numbers + ',' + csv_cell(said.reference) + ',' + row.hash;
}

std::string json_row(const Row& row) { return R"({"hash":")" + row.hash + R"(","line":)" + row.line + "}"; }

std::string statement_text(const Account& account, const std::vector<StatementLine>& lines,
                           std::optional<std::int64_t> until_ms) {
  const AccountTerms& terms = account.terms;
  std::string text = "account " + ledger::to_text(terms.id) + "  " + std::string{terms.currency.text()} +
                     ", grows on " + std::string{to_string(terms.normal)} + (account.closed ? ", closed" : "") +
                     "\nposted " + std::to_string(posted(account.balance, terms.normal)) + ", available " +
                     std::to_string(available(account.balance, terms.normal)) + " (minor units)" +
                     (until_ms ? " at " + time_text(*until_ms) : "") + "\n\n";
  std::array<char, 256> line{};
  const auto add = [&](const std::string& number, const char* time, const char* what,
                       const std::array<std::string, 4>& amounts, const std::string& other,
                       const std::string& reference) {
    const int size = std::snprintf(line.data(), line.size(), "%10s  %-24s  %-12s  %16s  %16s  %16s  %16s  %-32s  ",
                                   number.c_str(), time, what, amounts[0].c_str(), amounts[1].c_str(),
                                   amounts[2].c_str(), amounts[3].c_str(), other.c_str());
    text.append(line.data(), static_cast<std::size_t>(size));
    (text += reference) += '\n';
  };
  add("line", "time", "what", {"change", "posted", "available", "incoming"}, "other account", "reference");
  for (const StatementLine& one : lines) {
    const StatementRow row = shown(account, one);
    add(std::to_string(row.line), row.time.c_str(), row.what.c_str(),
        {std::to_string(row.change_minor), std::to_string(row.posted_minor), std::to_string(row.available_minor),
         std::to_string(row.incoming_minor)},
        row.other_account, harmless(row.reference));
  }
  return text;
}

std::string statement_csv(const Account& account, const std::vector<StatementLine>& lines) {
  std::string text =
      "line,time,what,transfer,of,other_account,change_minor,posted_minor,available_minor,incoming_minor,reference\r\n";
  for (const StatementLine& one : lines) {
    const StatementRow row = shown(account, one);
    text += joined({std::to_string(row.line), row.time, row.what, row.transfer, row.of, row.other_account});
    for (const std::int64_t amount : {row.change_minor, row.posted_minor, row.available_minor, row.incoming_minor})
      text += ',' + std::to_string(amount);
    text += ',' + csv_cell(row.reference) + "\r\n";
  }
  return text;
}

std::string statement_json(const Account& account, const std::vector<StatementLine>& lines) {
  std::string text;
  for (const StatementLine& one : lines) (text += json_write(shown(account, one))) += '\n';
  return text;
}

std::string verified_text(const Verified& verified, const std::optional<Noted>& noted) {
  std::string text = "The ledger is whole: " + std::to_string(verified.end.sequence) + " lines, " +
                     std::to_string(verified.accounts) + " accounts, " + std::to_string(verified.transfers) +
                     " transfers with those that were refused, " + std::to_string(verified.pending) + " pending.\n";
  for (const auto& [currency, totals] : verified.totals)
    text += "  " + currency + ": " + to_text(totals.debits) + " on either side (minor units)\n";
  if (noted) text += "Line " + std::to_string(noted->sequence) + " is as it was noted.\n";
  if (verified.end.sequence == 0) return text;
  return text + "Line " + std::to_string(verified.end.sequence) + " has the hash " + verified.end.hash +
         ".\nKeep these two elsewhere: with --noted " + std::to_string(verified.end.sequence) +
         ":HASH a later check also shows that nobody has written all of it anew.\n";
}

std::string verified_json(const Verified& verified) {
  TotalBody body{.lines = verified.end.sequence,
                 .hash = verified.end.hash,
                 .time = verified.end.sequence == 0 ? "" : time_text(verified.end.time_ms),
                 .accounts = verified.accounts,
                 .transfers = verified.transfers,
                 .pending = verified.pending};
  for (const auto& [currency, totals] : verified.totals) body.moved_minor[currency] = to_text(totals.debits);
  return json_write(body);
}

}  // namespace ribalta::ledger
