#include "control-plane/ledger/writer.h"

#include <algorithm>
#include <atomic>
#include <boost/describe/enum_to_string.hpp>
#include <cassert>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "control-plane/ledger/fence.h"
#include "core/log.h"
#include "core/units.h"

namespace ribalta::ledger {
namespace {

using Steady = std::chrono::steady_clock;

struct Waiting {
  Request request;
  OnReply on_reply;
};

std::size_t weight(const Request& request) {
  const auto* const linked = std::get_if<Linked>(&request);
  return linked == nullptr ? 1 : linked->size();
}

/// What is no request at all is answered without asking anybody. Not so where another of its group is one: that may
/// have been answered before, and is told so.
std::optional<Reply> refused_at_once(const Request& request) {
  const auto* const linked = std::get_if<Linked>(&request);
  if (linked == nullptr) return std::nullopt;
  if (linked->empty() || linked->size() > kLinkedMax) return Reply{Outcome::not_a_group, {}};
  std::vector<TransferStatus> answers;
  for (const Transfer& transfer : *linked) {
    const std::optional<TransferStatus> status = malformed(transfer);
    if (!status) return std::nullopt;
    answers.push_back(*status);
  }
  return Reply{Outcome::answered, std::move(answers)};
}

/// The queue is bounded in transfers: of a reference that is too long it keeps no more than makes it so.
void shorten(Request& request) {
  auto* const linked = std::get_if<Linked>(&request);
  if (linked == nullptr) return;
  for (Transfer& transfer : *linked) {
    if (transfer.reference.size() > kReferenceBytesMax) transfer.reference = std::string(kReferenceBytesMax + 1, '.');
  }
}

/// Requests that are judged together, and what they will be answered once that is on disk.
struct Batch {
  std::vector<Waiting> asked;
  std::vector<Answers> answers;
  std::size_t transfers = 0;  ///< and expiries

  void answer() {
    for (std::size_t i = 0; i < asked.size(); ++i) asked[i].on_reply({Outcome::answered, std::move(answers[i])});
    *this = {};
  }
  void refuse(Outcome outcome) {
    for (const Waiting& waiting : asked) waiting.on_reply({outcome, {}});
    *this = {};
  }
};

/// The ledger as this process has it, on two connections: what is judged next is looked up while a batch is written.
struct Ledger {
  Store writes;  ///< has the fence
  Store reads;
  Desk desk;

  /// Of a store that is open and ours by this fence, and was renewed.
  static Result<Ledger> load(Store writes, Fence& fence, const std::string& address) {
    Result<Store> reads = Store::open(address, false);
    if (!reads) return pass(reads);
    if (auto beside = fence.is_beside(*reads); !beside) return pass(beside);
    Result<Desk> desk = Desk::load(*reads);
    if (!desk) return pass(desk);
    return Ledger{std::move(writes), std::move(*reads), std::move(*desk)};
  }
};

/// One thread judges, another writes. While a batch is being written the next is judged, and is handed over as soon as
/// the one before stands. Who asked hears of it when their batch and all before it are on disk.
class ThreadedWriter final : public Writer {
 public:
  ThreadedWriter(WriterOptions options, Ledger ledger, std::unique_ptr<Fence> fence, Epoch epoch)
      : options_(std::move(options)),
        fence_(std::move(fence)),
        epoch_(epoch),
        ledger_(std::move(ledger)),
        stands_(ledger_->desk.end()),
        writing_thread_([this] { write_all(); }),
        judging_thread_([this] { judge_all(); }) {}
  ~ThreadedWriter() override { ThreadedWriter::stop(); }

  void ask(Request request, OnReply on_reply) override {
    if (const std::optional<Reply> reply = refused_at_once(request)) return on_reply(*reply);
    shorten(request);
    Outcome outcome = Outcome::answered;
    {
      const std::lock_guard lock{mutex_};
      const std::size_t more = weight(request);
      if (is_over()) {
        outcome = refusal();
      } else if (stopping_) {
        outcome = Outcome::stopped;
      } else if (queued_ + more > options_.queue_max) {
        outcome = Outcome::queue_full;
      } else {
        queued_ += more;
        queue_.push_back({std::move(request), std::move(on_reply)});
        if (queue_.size() == 1 || (queued_ >= kJudgeAheadMin && queued_ - more < kJudgeAheadMin))
          wake_judge_.notify_one();
        return;
      }
    }
    on_reply({outcome, {}});
  }

  void stop() override {
    {
      const std::lock_guard lock{mutex_};
      stopping_ = true;
      wake_judge_.notify_one();
    }
    if (judging_thread_.joinable()) judging_thread_.join();
    if (writing_thread_.joinable()) writing_thread_.join();
  }

  [[nodiscard]] bool taken_over() const override { return over_ == Outcome::taken_over; }
  [[nodiscard]] WriterCounts counts() const override {
    const std::lock_guard lock{mutex_};
    return counts_;
  }

 private:
  struct Handed {
    Store* store = nullptr;
    Changes changes;
    Batch batch;
  };
  struct Written {
    Result<void> done;
    End end;      ///< of the journal, where it is done
    Batch batch;  ///< where it failed; else it is answered
  };

  // --- the judging thread

  void judge_all() {
    while (wait()) {
      end_write();
      if (!ledger_) {
        if (!reopen()) refuse_waiting();
        continue;
      }
      Result<void> done = judge();
      if (done && !writing_) done = hand_over();
      if (!done) give_up(done.error());
    }
    const std::lock_guard lock{mutex_};
    ended_ = true;
    wake_writer_.notify_one();
  }

  /// Until there is something to do. @return false: the end has come, and nothing waits any more.
  bool wait() {
    std::unique_lock lock{mutex_};
    while (true) {
      const bool judges = writing_ ? queued_ >= kJudgeAheadMin && has_room() : queued_ > 0;
      if (written_ || judges) return true;
      if (stopping_ && !writing_ && queued_ == 0) return false;
      if (!ledger_ && !is_over()) {  // something may expire meanwhile, of which nobody asks
        if (wake_judge_.wait_until(lock, reopen_after_) == std::cv_status::timeout) return true;
        continue;
      }
      const std::int64_t expiry_ms = ledger_ && !writing_ ? ledger_->desk.book().next_expiry_ms() : kNever;
      if (expiry_ms == kNever) {
        wake_judge_.wait(lock);
        continue;
      }
      const std::int64_t left_ms = expiry_ms - now();
      if (left_ms <= 0) return true;
      wake_judge_.wait_for(lock, std::chrono::milliseconds{std::min(left_ms, kLookAtMostMs)});
    }
  }

  /// Whatever is next fits into the batch.
  [[nodiscard]] bool has_room() const { return open_.transfers + kLinkedMax <= kBatchTransfersMax; }

  /// Never before the last line's time, whatever the clock does.
  [[nodiscard]] std::int64_t now() const {
    const std::int64_t clock = options_.now_ms ? options_.now_ms() : to_unix_ms(wall_now());
    return ledger_ ? std::max({clock, ledger_->desk.end().time_ms, time_ms_}) : clock;
  }

  /// What has expired and, when all of that is told, what waits: as far as the batch has room.
  Result<void> judge() {
    time_ms_ = now();
    auto& [writes, reads, desk] = *ledger_;
    const auto is_due = [&] { return desk.book().next_expiry_ms() <= time_ms_; };
    if (is_due()) {
      const Result<std::size_t> expired = desk.expire(reads, time_ms_, kBatchTransfersMax - open_.transfers);
      if (!expired) return pass(expired);
      open_.transfers += *expired;
      if (is_due()) return {};
    }
    const std::size_t first = open_.asked.size();
    take_from_queue();
    std::vector<const Request*> requests;
    for (const Waiting& waiting : std::span{open_.asked}.subspan(first)) requests.push_back(&waiting.request);
    if (requests.empty()) return {};
    if (auto prepared = desk.prepare(reads, requests); !prepared) return prepared;
    for (const Request* request : requests) open_.answers.push_back(desk.take(*request, time_ms_));
    if (!writing_) return {};
    const std::lock_guard lock{mutex_};
    counts_.ahead += static_cast<std::int64_t>(requests.size());
    return {};
  }

  void take_from_queue() {
    const std::lock_guard lock{mutex_};
    for (; !queue_.empty() && has_room(); queue_.pop_front()) {
      const std::size_t more = weight(queue_.front().request);
      queued_ -= more;
      open_.transfers += more;
      open_.asked.push_back(std::move(queue_.front()));
    }
    counts_.batch_largest = std::max(counts_.batch_largest, static_cast<std::int64_t>(open_.asked.size()));
  }

  /// The batch goes to the other thread. One that changes nothing is answered: what it says stands already.
  Result<void> hand_over() {
    Changes changes = ledger_->desk.hand_over();
    if (changes.rows.empty()) {
      if (open_.asked.empty()) return {};
      const Result<Epoch> epoch = ledger_->writes.epoch();
      if (!epoch) return pass(epoch);
      if (*epoch != epoch_) return taken_over_by_another();
      ledger_->desk.settle();
      open_.answer();
      return {};
    }
    writing_ = true;
    const std::lock_guard lock{mutex_};
    ++counts_.begun;
    handed_.emplace(&ledger_->writes, std::move(changes), std::exchange(open_, {}));
    wake_writer_.notify_one();
    return {};
  }

  static std::unexpected<Error> taken_over_by_another() {
    return fail(Code::conflict, "another writer has taken the ledger over");
  }

  /// Takes note of a batch that was written, if one was.
  void end_write() {
    std::optional<Written> written;
    {
      const std::lock_guard lock{mutex_};
      written.swap(written_);
    }
    if (!written) return;
    writing_ = false;
    if (!written->done) return give_up(written->done.error(), std::move(written->batch));
    stands_ = std::move(written->end);
    pause_ms_ = kReopenPauseMs;
    ledger_->desk.settle();
  }

  /// What is in memory may be what is not on disk: it goes, once the other thread has written what it has, and so does
  /// all that was judged by it.
  void give_up(Error error, std::optional<Batch> failed = {}) {
    if (writing_) {
      std::unique_lock lock{mutex_};
      wake_judge_.wait(lock, [this] { return written_.has_value(); });
      std::optional<Written> written = std::exchange(written_, {});
      lock.unlock();
      writing_ = false;
      if (written->done) {
        stands_ = std::move(written->end);
      } else {
        error = written->done.error();
        failed = std::move(written->batch);
      }
    }
    // Of a write it says that the journal is not as it was left; of a look, that one row is no row of ours.
    const bool damaged = failed && error.code == Code::malformed;
    const bool lost = error.code == Code::conflict && epoch_is_lost();
    ledger_.reset();
    {
      const std::lock_guard lock{mutex_};
      ++counts_.failures;
    }
    if (lost || damaged) {
      end_for_good(damaged ? Outcome::damaged : Outcome::taken_over, error);
    } else {
      log_warning("the ledger could not be written, and is read anew", {{"error", error}});
    }
    if (failed) failed->refuse(refusal());
    open_.refuse(refusal());
  }

  [[nodiscard]] bool is_over() const { return over_ != Outcome::answered; }
  [[nodiscard]] Outcome refusal() const { return is_over() ? over_.load() : Outcome::unavailable; }

  void refuse_waiting() {
    take_from_queue();
    open_.refuse(refusal());
  }

  void end_for_good(Outcome as, const Error& error) {
    {
      const std::lock_guard lock{mutex_};
      over_ = as;
    }
    log_error("this writer of the ledger stops", {{"error", error}});
  }

  /// Another epoch is the one proof that somebody has taken over: a conflict may be the database's own (it may not be
  /// used as it is set up just now), and pass.
  [[nodiscard]] bool epoch_is_lost() {
    const Result<Epoch> epoch = ledger_->writes.epoch();
    return epoch && *epoch != epoch_;
  }

  /// Reads the ledger anew from the disk, on new connections, if it is still ours. Whatever fails is tried again later.
  bool reopen() {
    if (is_over() || Steady::now() < reopen_after_) return false;
    Result<Ledger> ledger = read_anew();
    reopen_after_ = Steady::now() + std::chrono::milliseconds{pause_ms_};
    pause_ms_ = std::min(2 * pause_ms_, kReopenPauseMaxMs);
    if (ledger) {
      ledger_.emplace(std::move(*ledger));
      unavailable_because_.clear();
      stands_ = ledger_->desk.end();
      log_info("the ledger is written again", {{"sequence", ledger_->desk.end().sequence}});
      return true;
    }
    if (!is_over() && ledger.error().message != unavailable_because_) {
      log_warning("the ledger is not available", {{"error", ledger.error()}});
      unavailable_because_ = ledger.error().message;
    }
    return false;
  }

  Result<Ledger> read_anew() {
    Result<Store> store = Store::open(options_.address, false);
    if (!store) return pass(store);
    const Result<Epoch> epoch = store->epoch();
    if (!epoch) return pass(epoch);
    if (*epoch != epoch_) {
      std::unexpected<Error> lost = taken_over_by_another();
      end_for_good(Outcome::taken_over, lost.error());
      return lost;
    }
    // Who takes over has another epoch. With ours still there it is our old connection, which the server has not
    // ended yet, or somebody who has the lock and not the epoch yet: the next time shows which.
    if (auto held = fence_->hold(*store); !held) return pass(held);
    if (auto renewed = store->renew(); !renewed) return pass(renewed);
    if (auto kept = has_what_stands(*store); !kept) return pass(kept);
    return Ledger::load(std::move(*store), *fence_, options_.address);
  }

  /// A database may come back as it was earlier: restored, or failed over to a standby that was not synchronous. What
  /// was acknowledged is not forgotten silently.
  Result<void> has_what_stands(Store& store) {
    if (stands_.sequence == 0) return {};
    const Result<std::vector<Row>> row = store.rows(stands_.sequence, 1);
    if (!row) return pass(row);
    if (!row->empty() && row->front().sequence == stands_.sequence && row->front().hash == stands_.hash) return {};
    const Error lost{Code::malformed,
                     "line " + std::to_string(stands_.sequence) + " was acknowledged and is not there"};
    end_for_good(Outcome::damaged, lost);
    return std::unexpected{lost};
  }

  // --- the writing thread

  void write_all() {
    std::unique_lock lock{mutex_};
    while (true) {
      wake_writer_.wait(lock, [this] { return handed_.has_value() || ended_; });
      if (!handed_) return;
      Handed handed = std::move(*std::exchange(handed_, {}));
      lock.unlock();
      Result<void> done = handed.store->write(handed.changes, epoch_);
      End end;
      if (done) {
        end = end_of(handed.changes);
        count(handed.changes);
        handed.batch.answer();  // before the other thread goes on: answers come in the order of what was asked
      }
      handed.changes = {};
      lock.lock();
      written_.emplace(std::move(done), std::move(end), std::move(handed.batch));
      wake_judge_.notify_one();
    }
  }

  static End end_of(const Changes& changes) {
    const Row& last = changes.rows.back();
    return {.sequence = last.sequence, .time_ms = last.time_ms, .hash = last.hash};
  }

  void count(const Changes& changes) {
    const std::lock_guard lock{mutex_};
    ++counts_.commits;
    counts_.lines += static_cast<std::int64_t>(changes.rows.size());
  }

  static constexpr std::int64_t kLookAtMostMs = 60'000;  ///< the wall clock may be set meanwhile

  WriterOptions options_;
  std::unique_ptr<Fence> fence_;
  Epoch epoch_;

  // The judging thread's.
  std::optional<Ledger> ledger_;  ///< empty after a failure
  Batch open_;                    ///< what is handed over next
  bool writing_ = false;          ///< a batch was handed over, and its end not seen yet
  std::int64_t time_ms_ = 0;
  End stands_;  ///< of what was acknowledged
  Steady::time_point reopen_after_;
  std::int64_t pause_ms_ = kReopenPauseMs;
  std::string unavailable_because_;  ///< as it was logged

  // Both threads', and theirs who ask.
  mutable std::mutex mutex_;
  std::condition_variable wake_judge_;
  std::condition_variable wake_writer_;
  std::deque<Waiting> queue_;
  std::size_t queued_ = 0;  ///< transfers
  std::optional<Handed> handed_;
  std::optional<Written> written_;
  bool ended_ = false;
  std::atomic<bool> stopping_{false};
  std::atomic<Outcome> over_{Outcome::answered};  ///< how it ended for good, once it has
  WriterCounts counts_;

  std::thread writing_thread_;
  std::thread judging_thread_;
};

constexpr std::int64_t kAheadMs = 60'000;

/// Lines keep the time of the last one until the clock has passed it: somebody should know.
void tell_if_ahead(const End& end, std::int64_t now_ms) {
  if (end.time_ms <= now_ms + kAheadMs) return;
  log_warning("the ledger's last line is later than this machine's clock: one of them was or is wrong",
              {{"seconds", (end.time_ms - now_ms) / 1'000}});
}

/// `wait`: however long somebody reads an SQLite ledger in one go.
Result<void> renew(Store& store, bool wait) {
  while (true) {
    Result<void> renewed = store.renew();
    if (renewed || !wait || renewed.error().code != Code::unavailable) return renewed;
    log_info("the ledger waits for a reader", {{"reason", renewed.error()}});
    std::this_thread::sleep_for(std::chrono::milliseconds{kReopenPauseMs});  // nobody tells when a reader ends
  }
}

}  // namespace

std::string_view to_string(Outcome outcome) { return boost::describe::enum_to_string(outcome, ""); }

Reply Writer::ask(Request request) {
  std::promise<Reply> promise;
  ask(std::move(request), [&promise](const Reply& reply) { promise.set_value(reply); });
  return promise.get_future().get();
}

Result<std::unique_ptr<Writer>> Writer::start(const WriterOptions& options) {
  Result<Store> store = Store::connect(options.address);
  if (!store) return pass(store);
  Result<std::unique_ptr<Fence>> fence = Fence::take(*store, options.wait);
  if (!fence) return pass(fence);
  if (auto made = store->make(); !made) return pass(made);
  if (auto renewed = renew(*store, options.wait); !renewed) return pass(renewed);
  const Result<Epoch> epoch = store->take_epoch(to_unix_ms(wall_now()));
  if (!epoch) return pass(epoch);
  Result<Ledger> ledger = Ledger::load(std::move(*store), **fence, options.address);
  if (!ledger) return pass(ledger);
  tell_if_ahead(ledger->desk.end(), to_unix_ms(wall_now()));
  return std::make_unique<ThreadedWriter>(options, std::move(*ledger), std::move(*fence), *epoch);
}

}  // namespace ribalta::ledger
