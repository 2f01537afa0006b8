// `ribalta ledger`: what whoever does the accounts asks of the ledger. It only reads. The verbs' help is in
// client/usage.txt, where `ribalta` shows it.
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <optional>
#include <span>
#include <string>

#include "control-plane/ledger/report.h"

namespace ribalta::ledger {
namespace {

constexpr std::size_t kRowsAtOnce = 4'096;

struct Asked {
  std::string data;
  std::string database;
  std::string account;
  std::optional<std::string> until;
  std::optional<std::string> noted;
  std::int64_t limit = 50;
  std::int64_t after = 0;
  bool csv = false;
  bool json = false;
};

int complain(const Error& error) {
  std::fprintf(stderr, "%s\n", error.message.c_str());
  return 1;
}

bool put(const std::string& text) { return std::fwrite(text.data(), 1, text.size(), stdout) == text.size(); }
int written(bool good) {
  if (good && std::fflush(stdout) == 0) return 0;
  return complain(fail_errno("write to standard output").error());
}

/// SQLite writes where it only reads: it gives a database a write-ahead log, and makes files beside it for those who
/// read it now. What is no ledger stays as it is, and so does what these files would spoil.
Result<void> may_be_opened(const std::string& file) {
  constexpr std::string_view kMagic{"SQLite format 3\0", 16};
  constexpr std::size_t kVersionsAt = 18;  // for writing and reading; 2: with a write-ahead log (SQLite's §1.3.3)
  struct stat status{};
  std::ifstream stream{file, std::ios::binary};
  std::string header(kVersionsAt + 2, '\0');
  if (!stream.is_open() || stat(file.c_str(), &status) != 0) return fail_errno("open the ledger", file);
  stream.read(header.data(), static_cast<std::streamsize>(header.size()));
  if (!header.starts_with(kMagic) || header.substr(kVersionsAt) != "\2\2")
    return fail(Code::not_found,
                "There is no ledger in " + file + ": it is no SQLite database with a write-ahead log.");
  const bool owns = geteuid() == 0 || (geteuid() == status.st_uid && access(file.c_str(), W_OK) == 0);
  if (owns || access((file + "-wal").c_str(), F_OK) == 0) return {};
  return fail(Code::forbidden,
              "Nobody writes " + file +
                  " now, and it is another's or read-only: reading it would leave files beside it that "
                  "keep its owner from opening it. Ask as its owner or as root, or read a copy.");
}

Result<Store> open(const Asked& asked) {
  constexpr std::string_view kSqlite = "sqlite:";
  const std::string own = asked.data + "/ledger/ledger.sqlite";
  if (asked.database.empty() && access(own.c_str(), F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR))
    return fail(Code::not_found,
                "There is no ledger in this data folder yet: it is made when money first moves. Looked for " + own +
                    "; --data or --database names another.");
  const std::string address = asked.database.empty() ? std::string{kSqlite} + own : asked.database;
  if (address.starts_with(kSqlite)) {
    if (auto opened = may_be_opened(address.substr(kSqlite.size())); !opened) return pass(opened);
  }
  return Store::open(address, false);
}

Result<std::optional<Noted>> noted_of(const std::optional<std::string>& asked) {
  if (!asked) return std::optional<Noted>{};
  const std::string& text = *asked;
  Noted noted;
  const char* const end = text.data() + text.size();
  const auto [colon, error] = std::from_chars(text.data(), end, noted.sequence);
  if (error != std::errc{} || colon == end || *colon != ':' || noted.sequence < 1 || end - colon - 1 != 64)
    return fail(Code::malformed, "--noted is LINE:HASH, as an earlier check has said it");
  noted.hash.assign(colon + 1, end);
  for (char& digit : noted.hash) digit = digit >= 'A' && digit <= 'F' ? static_cast<char>(digit - 'A' + 'a') : digit;
  if (noted.hash.find_first_not_of("0123456789abcdef") != std::string::npos)
    return fail(Code::malformed, "--noted ends with a hash, and that is not one");
  return noted;
}

int run_verify(const Asked& asked) {
  const Result<std::optional<Noted>> noted = noted_of(asked.noted);
  if (!noted) return complain(noted.error()) + 1;
  Result<Store> store = open(asked);
  if (!store) return complain(store.error());
  const bool terminal = isatty(STDERR_FILENO) == 1;
  const auto progress = [terminal](std::int64_t done, std::int64_t all) {
    if (terminal && all > 0)
      std::fprintf(stderr, "\r  checked %lld of %lld lines\x1b[K", static_cast<long long>(done),
                   static_cast<long long>(std::max(done, all)));
  };
  const Result<Verified> verified = verify(*store, *noted, progress);
  if (terminal) std::fputs("\r\x1b[K", stderr);
  if (!verified) {
    const Code code = verified.error().code;
    const bool wrong = code == Code::conflict || code == Code::malformed || code == Code::limit;
    std::fputs(wrong ? "The ledger is NOT in order. " : "The ledger could not be checked to its end. ", stderr);
    return complain(verified.error());
  }
  return written(put(asked.json ? verified_json(*verified) + "\n" : verified_text(*verified, *noted)));
}

int run_statement(const Asked& asked) {
  const Result<AccountId> id = key_of<AccountKind>(asked.account);
  if (!id) return complain(id.error().in(asked.account).error()) + 1;
  std::optional<std::int64_t> until_ms;
  if (asked.until) {
    const Result<std::int64_t> time = time_of(*asked.until);
    if (!time) return complain(time.error()) + 1;
    until_ms = *time;
  }
  Result<Store> store = open(asked);
  if (!store) return complain(store.error());
  std::int64_t last = kNever;
  if (until_ms) {
    const Result<std::int64_t> sequence = sequence_at(*store, *until_ms);
    if (!sequence) return complain(sequence.error());
    last = *sequence;
  }
  const Result<std::vector<AccountRow>> rows = store->accounts({&*id, 1});
  if (!rows) return complain(rows.error());
  if (rows->empty()) return complain({Code::not_found, "There is no account " + asked.account + " in this ledger."});
  const auto limit = static_cast<std::size_t>(asked.limit);
  Result<std::vector<StatementLine>> lines = statement(*store, *id, last, limit + 1);
  if (!lines) return complain(lines.error());
  const bool more = lines->size() > limit;
  if (more) lines->pop_back();
  Account account = rows->front().account;
  account.balance = lines->empty() ? Balance{} : lines->front().after;  // of that line, whatever came meanwhile
  const int code = written(put(asked.csv    ? statement_csv(account, *lines)
                               : asked.json ? statement_json(account, *lines)
                                            : statement_text(account, *lines, until_ms)));
  if (more)
    std::fprintf(stderr,
                 "These are the latest %zu lines; the account has earlier ones: --limit N shows N, --until TIME "
                 "ends earlier.\n",
                 limit);
  return code;
}

std::string json_rows(std::span<const Row> rows) {
  std::string text;
  for (const Row& row : rows) (text += json_row(row)) += '\n';
  return text;
}

int run_export(const Asked& asked) {
  Result<Store> store = open(asked);
  if (!store) return complain(store.error());
  const Result<End> end = store->end();
  if (!end) return complain(end.error());
  if (asked.after > end->sequence)
    return complain({Code::not_found, "There is no line " + std::to_string(asked.after) +
                                          " yet: this ledger ends with " + std::to_string(end->sequence) + "."});
  if (asked.csv && !put(std::string{csv_header()} + "\r\n")) return written(false);
  for (std::int64_t next = asked.after + 1;;) {
    const Result<std::vector<Row>> rows = store->rows(next, kRowsAtOnce);
    if (!rows) return complain(rows.error());
    if (rows->empty()) return written(true);
    std::size_t whole = 0;
    for (; whole < rows->size() && (*rows)[whole].sequence == next; ++whole) ++next;
    const auto some = std::span{*rows}.first(whole);
    const Result<std::string> text = asked.csv ? csv_rows(*store, some) : json_rows(some);
    if (!text) return complain(text.error().in("a line behind", std::to_string(some.front().sequence - 1)).error());
    if (!put(*text)) return written(false);
    if (whole < rows->size())
      return complain({Code::conflict, "The ledger is NOT in order: there is no line " + std::to_string(next) +
                                           ", and there is one " + std::to_string((*rows)[whole].sequence) + "."});
  }
}

}  // namespace
}  // namespace ribalta::ledger

int main(int argc, char** argv) {
  using namespace ribalta::ledger;
  Asked asked;
  int (*chosen)(const Asked&) = nullptr;
  CLI::App app{"What the ledger says: `ribalta ledger --help` tells more.", "ribalta-ledger"};
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("--data", asked.data, "the instance's data folder")->envname("RIBALTA_DATA")->take_last();
  app.add_option("--database", asked.database, "sqlite:FILE or postgresql:CONNECTION");
  CLI::App* const verifying = app.add_subcommand("verify", "checks all of it");
  verifying->add_option("--noted", asked.noted, "LINE:HASH");
  verifying->add_flag("--json", asked.json);
  verifying->callback([&chosen] { chosen = run_verify; });
  CLI::App* const stating = app.add_subcommand("statement", "an account's lines");
  stating->add_option("ACCOUNT", asked.account)->required();
  stating->add_option("--until", asked.until);
  stating->add_option("--limit", asked.limit)->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000'000}));
  stating->callback([&chosen] { chosen = run_statement; });
  CLI::App* const exporting = app.add_subcommand("export", "every line");
  exporting->add_option("--after", asked.after)->check(CLI::Range(std::int64_t{0}, kNever - 1));
  exporting->callback([&chosen] { chosen = run_export; });
  for (CLI::App* verb : {stating, exporting}) {
    CLI::Option* const csv = verb->add_flag("--csv", asked.csv);
    verb->add_flag("--json", asked.json)->excludes(csv);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return chosen(asked);
}
