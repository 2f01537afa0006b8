// The journal: one line for each thing that happened, in order, each with a hash over all before it. What a line says
// is enough to make the book again, and to find out whether anybody has changed one.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "control-plane/ledger/book.h"
#include "core/result.h"

namespace ribalta::ledger {

struct AccountOpened {
  AccountTerms terms;
  bool operator==(const AccountOpened&) const = default;
};
struct AccountClosed {
  AccountId id;
  bool operator==(const AccountClosed&) const = default;
};
/// A transfer and its first answer. Those that were linked stand one behind the other, with the same `group`.
struct Answered {
  Transfer transfer;
  TransferStatus status = TransferStatus::created;
  std::int64_t group = 0;  ///< sequence of the first of them
  bool operator==(const Answered&) const = default;
};
struct Expired {
  TransferId id;
  bool operator==(const Expired&) const = default;
};

struct Entry {
  std::int64_t sequence = 0;  ///< from 1, without holes
  std::int64_t time_ms = 0;   ///< never before that of the entry before
  std::variant<AccountOpened, AccountClosed, Answered, Expired> what;
  bool operator==(const Entry&) const = default;
};

inline constexpr std::size_t kLineBytesMax = 1024;

/// One line of JSON, the same for the same entry.
std::string to_line(const Entry& entry);
/// @error malformed: not what to_line writes; limit: longer than any line.
Result<Entry> from_line(std::string_view line);

/// Before the first line.
inline constexpr std::string_view kChainBegin{"0000000000000000000000000000000000000000000000000000000000000000"};
/// SHA-256 over the hash before and the line, as 64 hex digits.
std::string chain(std::string_view before, std::string_view line);

/// An earlier transfer as it stood before the line `before`; none: there is none.
using Recall = std::function<Result<std::optional<Recorded>>(TransferId id, std::int64_t before)>;
/// What the rules make of the line `sequence`.
using OnStep = std::function<Result<void>(std::int64_t sequence, const Step& step)>;

/// Goes through a journal from its first line, and finds out whether it is one: nothing left out, changed or added,
/// each answer the one that the rules give. With `recall` it keeps accounts and what is pending, and nothing else: then
/// whoever calls it sees to it that no id comes twice.
class Replay {
 public:
  Replay() = default;
  Replay(Recall recall, OnStep on_step) : recall_(std::move(recall)), on_step_(std::move(on_step)) {}

  /// @error malformed, conflict: what is wrong with this line, or with the group before it.
  Result<void> take(std::string_view line, std::string_view hash);
  /// After the last line. @error conflict: the last group is not what the rules give.
  Result<void> finish();

  [[nodiscard]] const Book& book() const { return book_; }
  [[nodiscard]] std::int64_t sequence() const { return sequence_; }
  [[nodiscard]] std::int64_t time_ms() const { return time_ms_; }
  [[nodiscard]] const std::string& hash() const { return hash_; }

 private:
  Result<void> take(const Entry& entry);
  [[nodiscard]] bool is_due(const Entry& entry) const;
  Result<void> end_group();
  Result<void> recall_originals();
  Result<void> tell_steps(std::int64_t first);

  Book book_;
  Recall recall_;
  OnStep on_step_;
  std::string hash_{kChainBegin};
  std::int64_t sequence_ = 0;
  std::int64_t time_ms_ = 0;
  std::vector<Answered> group_;  ///< whose end is still to come
};

}  // namespace ribalta::ledger
