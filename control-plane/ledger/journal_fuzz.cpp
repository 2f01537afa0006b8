// A journal from a disk that anybody may have written to: whatever its lines say, they are refused, or the book that
// they make keeps its rules.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "control-plane/ledger/journal.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ribalta::ledger;
  std::string_view text{reinterpret_cast<const char*>(data), size};
  Replay replay;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (!replay.take(line, chain(replay.hash(), line))) return 0;
    if (const auto entry = from_line(line); !entry || to_line(*entry) != line) std::abort();
  }
  if (!replay.finish()) return 0;
  for (const auto& [currency, totals] : replay.book().totals()) {
    if (totals.debits != totals.credits) std::abort();
  }
  for (const auto& [id, account] : replay.book().accounts()) {
    if (!account.terms.may_go_negative && available(account.balance, account.terms.normal) < 0) std::abort();
  }
  return 0;
}
