// The ledger's one active writer: it takes all requests that wait (up to kBatchTransfersMax transfers), judges them in
// memory, commits them as one durable transaction, answers, and takes what waits by then. There is no timer: alone, a
// request is committed at once; under load, a commit carries what came during the one before, and is judged meanwhile.
//
//   auto writer = Writer::start({.address = "sqlite:/srv/ribalta/ledger/ledger.sqlite"});
//   (*writer)->ask(Linked{gift}, [](const Reply& reply) { … });   // once it is on disk
//
// When a commit fails, nobody knows whether it stands. All in it and all that was judged behind it are told
// `unavailable` (and the latter, when something can't be looked up), memory is dropped, and the ledger is read anew
// from the disk: who asks again with the same ids gets the one true answer.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "control-plane/ledger/desk.h"
#include "core/result.h"

namespace ribalta::ledger {

/// Transfers in one commit: beyond a few thousand the sync costs nothing any more, and everybody waits longer.
inline constexpr std::size_t kBatchTransfersMax = 4'096;
/// Transfers that may wait; a request beyond is refused with `queue_full`. Four commits: well under a second.
inline constexpr std::size_t kQueueTransfersMax = 4 * kBatchTransfersMax;
/// While a batch is written, the next is judged when so many transfers wait: each time costs a look into the database.
inline constexpr std::size_t kJudgeAheadMin = 512;
/// After a failure the ledger is read anew at once, whether somebody asks or not (what is pending expires by itself),
/// and again after this pause. Until a commit stands each pause is twice the one before, up to the longest.
inline constexpr std::int64_t kReopenPauseMs = 500;
inline constexpr std::int64_t kReopenPauseMaxMs = 8'000;

enum class Outcome : std::uint8_t {
  answered,
  not_a_group,  ///< no transfer, or more than kLinkedMax
  queue_full,   ///< nothing of it was taken
  unavailable,  ///< the store fails: unknown whether it was taken; ask again with the same ids
  taken_over,   ///< another writer has the ledger; this one answers nothing more
  damaged,      ///< the disk has not what this writer left there; it answers nothing more. `ledger verify` says what
  stopped,
};
BOOST_DESCRIBE_ENUM(Outcome, answered, not_a_group, queue_full, unavailable, taken_over, damaged, stopped)
std::string_view to_string(Outcome outcome);

struct Reply {
  Outcome outcome = Outcome::answered;
  Answers answers;  ///< of the request's kind, where it was answered
};
/// Called once, on a thread of the writer's or on that of `ask`: it only hands on.
using OnReply = std::function<void(const Reply&)>;

struct WriterOptions {
  std::string address;                   ///< as sql::Options has it
  bool wait = false;                     ///< until an active writer is gone, and who reads for long; else: an error
  std::function<std::int64_t()> now_ms;  ///< Unix time; empty: the system's clock
  std::size_t queue_max = kQueueTransfersMax;
};

struct WriterCounts {
  std::int64_t begun = 0;    ///< commits, also those that fail or have not ended
  std::int64_t commits = 0;  ///< that stand
  std::int64_t lines = 0;    ///< written
  std::int64_t failures = 0;
  std::int64_t batch_largest = 0;  ///< requests
  std::int64_t ahead = 0;          ///< requests that were judged while a batch was being written
};

class Writer {
 public:
  /// Makes the ledger where there is none, and takes it over.
  /// @error conflict: another writer is active, or the ledger is of a newer program; else what the store says.
  static Result<std::unique_ptr<Writer>> start(const WriterOptions& options);
  virtual ~Writer() = default;

  /// From any thread.
  virtual void ask(Request request, OnReply on_reply) = 0;
  /// The same, and waits.
  Reply ask(Request request);
  /// Answers what waits, and takes nothing more.
  virtual void stop() = 0;
  /// Another writer has taken over: this one is of no use any more.
  [[nodiscard]] virtual bool taken_over() const = 0;
  [[nodiscard]] virtual WriterCounts counts() const = 0;
};

}  // namespace ribalta::ledger
