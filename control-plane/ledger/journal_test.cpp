// The journal: what is written is read back, and whoever changes a line is found out.
#include "control-plane/ledger/journal.h"

#include <doctest/doctest.h>

#include <functional>

using namespace ribalta;
using namespace ribalta::ledger;

namespace {

constexpr Currency kEuro{};
constexpr AccountId kBank{0, 1};
constexpr AccountId kAnna{0, 2};
constexpr AccountId kBruno{0, 3};
constexpr std::int64_t kNow = 1'800'000'000'000;

Transfer transfer(std::uint64_t id, Kind kind, AccountId debit, AccountId credit, std::int64_t minor,
                  std::uint64_t of = 0, std::int64_t expires_ms = 0) {
  return {.id = {1, id},
          .kind = kind,
          .debit = debit,
          .credit = credit,
          .amount = {minor, kEuro},
          .of = of == 0 ? TransferId{} : TransferId{1, of},
          .expires_ms = expires_ms,
          .reference = "order \"7\" ü"};
}

/// A small journal with everything in it.
std::vector<Entry> sample() {
  std::vector<Entry> entries;
  const auto add = [&entries](std::int64_t time_ms, auto what) {
    const auto sequence = static_cast<std::int64_t>(entries.size()) + 1;
    entries.push_back({sequence, time_ms, std::move(what)});
  };
  const auto answer = [&](std::int64_t time_ms, Transfer asked, TransferStatus status, std::int64_t group = 0) {
    const auto sequence = static_cast<std::int64_t>(entries.size()) + 1;
    add(time_ms, Answered{std::move(asked), status, group == 0 ? sequence : group});
  };
  add(kNow, AccountOpened{{kBank, kEuro, Side::debit, true}});
  add(kNow, AccountOpened{{kAnna, kEuro, Side::credit, false}});
  add(kNow, AccountOpened{{kBruno, kEuro, Side::credit, false}});
  answer(kNow, transfer(1, Kind::direct, kBank, kAnna, 500), TransferStatus::created);
  answer(kNow + 1, transfer(2, Kind::direct, kBruno, kAnna, 1), TransferStatus::insufficient_funds);
  answer(kNow + 2, transfer(3, Kind::pending, kAnna, kBruno, 100, 0, kNow + 10), TransferStatus::created);
  answer(kNow + 2, transfer(4, Kind::pending, kAnna, kBruno, 50, 0, kNow + 5), TransferStatus::created, 6);
  answer(kNow + 3, transfer(5, Kind::post_pending, {}, {}, 60, 3), TransferStatus::created);
  add(kNow + 5, Expired{{1, 4}});
  answer(kNow + 6, transfer(6, Kind::reversal, {}, {}, 10, 5), TransferStatus::created);
  add(kNow + 7, AccountClosed{kBruno});
  return entries;
}

/// The lines with their hashes, through a replay. `change` may alter a line before it is chained (a forger who makes
/// the chain anew), `after` one that is chained already.
using Change = std::function<void(std::size_t index, std::string& line)>;
Result<void> replayed(const std::vector<Entry>& entries, const Change& change = {}, const Change& after = {}) {
  Replay replay;
  std::string hash{kChainBegin};
  for (std::size_t i = 0; i < entries.size(); ++i) {
    std::string line = to_line(entries[i]);
    if (change) change(i, line);
    hash = chain(hash, line);
    if (after) after(i, line);
    if (const Result<void> taken = replay.take(line, hash); !taken) return taken;
  }
  return replay.finish();
}

void replace(std::string& line, std::string_view from, std::string_view to) {
  const std::size_t at = line.find(from);
  if (at != std::string::npos) line.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("journal: every entry is read back as it was written") {
  for (const Entry& entry : sample()) {
    const std::string line = to_line(entry);
    CHECK(line.size() < kLineBytesMax);
    const Result<Entry> read = from_line(line);
    REQUIRE_MESSAGE(read, line);
    CHECK(*read == entry);
  }
}

TEST_CASE("journal: the longest line that there can be is within its bound") {
  Transfer longest =
      transfer(UINT64_MAX, Kind::void_pending, {UINT64_MAX, 1}, {UINT64_MAX, 2}, INT64_MIN, 1, INT64_MIN);
  longest.reference = std::string(kReferenceBytesMax, '\x01');  // six characters each in JSON
  const Entry entry{INT64_MAX, INT64_MAX, Answered{longest, TransferStatus::exists_with_different_terms, INT64_MAX}};
  CHECK(to_line(entry).size() <= kLineBytesMax);
}

TEST_CASE("journal: what is no line of ours is refused") {
  for (
      const char* line :
      {"", "{}", "[]", R"({"sequence":1,"time_ms":1})", R"({"sequence":1,"time_ms":1,"closed":"x"})",
       R"({"sequence": 1,"time_ms":1,"closed":"00000000000000000000000000000001"})",
       R"({"time_ms":1,"sequence":1,"closed":"00000000000000000000000000000001"})",
       R"({"sequence":1,"time_ms":1,"closed":"00000000000000000000000000000001","expired":"00000000000000000000000000000001"})",
       R"({"sequence":1,"time_ms":1,"account":{"id":"00000000000000000000000000000001","currency":"eur","normal":"debit","may_go_negative":true}})"})
    CHECK_MESSAGE(from_line(line).error().code == Code::malformed, line);
  CHECK(from_line(std::string(kLineBytesMax + 1, ' ')).error().code == Code::limit);
}

TEST_CASE("journal: a whole one is found right, and its end is the book") {
  const std::vector<Entry> entries = sample();
  CHECK(replayed(entries));
  Replay replay;
  std::string hash{kChainBegin};
  for (const Entry& entry : entries) {
    hash = chain(hash, to_line(entry));
    REQUIRE(replay.take(to_line(entry), hash));
  }
  REQUIRE(replay.finish());
  CHECK(replay.sequence() == static_cast<std::int64_t>(entries.size()));
  CHECK(replay.hash() == hash);
  CHECK(posted(replay.book().account(kAnna)->balance, Side::credit) == 450);
  CHECK(posted(replay.book().account(kBruno)->balance, Side::credit) == 50);
  CHECK(replay.book().account(kBruno)->closed);
}

TEST_CASE("journal: a byte that was changed breaks the chain, wherever") {
  const std::vector<Entry> entries = sample();
  for (std::size_t changed = 0; changed < entries.size(); ++changed) {
    const Result<void> found = replayed(entries, {}, [changed](std::size_t i, std::string& line) {
      if (i == changed) replace(line, "\"time_ms\":1800", "\"time_ms\":1801");
    });
    CHECK(found.error().code == Code::conflict);
  }
}

TEST_CASE("journal: a line that is left out, added or moved is found, also when the chain was made anew") {
  const std::vector<Entry> whole = sample();
  for (std::size_t i = 0; i + 1 < whole.size(); ++i) {
    std::vector<Entry> changed = whole;
    changed.erase(changed.begin() + static_cast<std::ptrdiff_t>(i));
    CHECK_FALSE(replayed(changed));
    for (std::size_t later = i; later < changed.size(); ++later) --changed[later].sequence;
    // Who writes everything anew can leave out what nobody after it stands on (a refusal, the last reversal): against
    // that helps a hash of the end that is kept elsewhere. All others are missed.
    const bool harmless = i == 4 || i == 9;
    for (Entry& entry : changed) {
      if (auto* answered = std::get_if<Answered>(&entry.what);
          answered != nullptr && answered->group > static_cast<std::int64_t>(i) + 1)
        --answered->group;
    }
    CHECK_MESSAGE(replayed(changed).has_value() == harmless, "without line " << i + 1);
    changed = whole;
    changed.insert(changed.begin() + static_cast<std::ptrdiff_t>(i), whole[i]);
    CHECK_FALSE(replayed(changed));
  }
}

TEST_CASE("journal: an answer that the rules do not give is found, whoever chained it") {
  const std::vector<Entry> whole = sample();
  const auto with = [&whole](std::size_t index, std::string_view from, std::string_view to) {
    return replayed(whole, [=](std::size_t i, std::string& line) {
      if (i == index) replace(line, from, to);
    });
  };
  CHECK_FALSE(with(3, "\"minor\":500", "\"minor\":49"));
  CHECK_FALSE(with(4, "insufficient_funds", "created"));
  CHECK_FALSE(with(5, "created", "insufficient_funds"));
  CHECK_FALSE(with(7, "\"minor\":60", "\"minor\":101"));
  CHECK_FALSE(with(8, "1800000000005", "1800000000004"));
  CHECK_FALSE(with(9, "1800000000006", "1800000000001"));
  CHECK_FALSE(with(9, "\"minor\":10", "\"minor\":61"));
  CHECK_FALSE(with(6, "\"group\":6", "\"group\":5"));
  // A retry is answered, and is no line.
  std::vector<Entry> retried = whole;
  retried.erase(retried.end() - 1);
  retried.push_back({11, kNow + 7, Answered{std::get<Answered>(whole[3].what).transfer, TransferStatus::exists, 11}});
  CHECK_FALSE(replayed(retried));
}
