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

/// What is no request at all is answered without asking anybody.
std::optional<Reply> refused_at_once(const Request& request) {
  const auto* const linked = std::get_if<Linked>(&request);
  if (linked == nullptr) return std::nullopt;
  if (linked->empty() || linked->size() > kLinkedMax) return Reply{Outcome::not_a_group, {}};
  std::vector<TransferStatus> answers(linked->size(), TransferStatus::linked_transfer_failed);
  for (std::size_t i = 0; i < linked->size(); ++i) {
    const std::optional<TransferStatus> status = malformed((*linked)[i]);
    if (!status) continue;
    answers[i] = *status;
    return Reply{Outcome::answered, std::move(answers)};
  }
  return std::nullopt;
}

class Thread final : public Writer {
 public:
  Thread(WriterOptions options, Store store, std::unique_ptr<Fence> fence, Epoch epoch, Desk desk)
      : options_(std::move(options)),
        store_(std::move(store)),
        fence_(std::move(fence)),
        epoch_(epoch),
        desk_(std::move(desk)),
        thread_([this] { run(); }) {}
  ~Thread() override { Thread::stop(); }

  void ask(Request request, OnReply on_reply) override {
    if (const std::optional<Reply> reply = refused_at_once(request)) return on_reply(*reply);
    Outcome outcome = Outcome::answered;
    {
      const std::lock_guard lock{mutex_};
      const std::size_t more = weight(request);
      if (taken_over_) {
        outcome = Outcome::taken_over;
      } else if (stopping_) {
        outcome = Outcome::stopped;
      } else if (queued_ + more > options_.queue_max) {
        outcome = Outcome::queue_full;
      } else {
        queued_ += more;
        queue_.push_back({std::move(request), std::move(on_reply)});
        if (queue_.size() == 1) wake_.notify_one();
        return;
      }
    }
    on_reply({outcome, {}});
  }

  void stop() override {
    {
      const std::lock_guard lock{mutex_};
      stopping_ = true;
      wake_.notify_one();
    }
    if (thread_.joinable()) thread_.join();
  }

  [[nodiscard]] bool taken_over() const override { return taken_over_; }
  [[nodiscard]] WriterCounts counts() const override {
    const std::lock_guard lock{mutex_};
    return counts_;
  }

 private:
  void run() {
    while (true) {
      const std::vector<Waiting> batch = wait();
      if (batch.empty() && stopping_ && nothing_waits()) return;
      if (!batch.empty() || desk_) commit(batch);
    }
  }

  /// What waits, up to a batch; nothing, when something expires or the end has come.
  std::vector<Waiting> wait() {
    std::unique_lock lock{mutex_};
    const auto ready = [this] { return !queue_.empty() || stopping_; };
    const std::int64_t expiry_ms = desk_ ? desk_->book().next_expiry_ms() : kNever;
    if (expiry_ms == kNever) {
      wake_.wait(lock, ready);
    } else {
      wake_.wait_for(lock, std::chrono::milliseconds{std::clamp<std::int64_t>(expiry_ms - now(), 0, kLookAtMostMs)},
                     ready);
    }
    std::vector<Waiting> batch;
    for (std::size_t transfers = 0; !queue_.empty(); queue_.pop_front()) {
      const std::size_t more = weight(queue_.front().request);
      if (transfers + more > kBatchTransfersMax) break;
      transfers += more;
      queued_ -= more;
      batch.push_back(std::move(queue_.front()));
    }
    counts_.batch_largest = std::max(counts_.batch_largest, static_cast<std::int64_t>(batch.size()));
    return batch;
  }

  bool nothing_waits() const {
    const std::lock_guard lock{mutex_};
    return queue_.empty();
  }

  /// Never before the last line's time, whatever the clock does.
  std::int64_t now() const {
    const std::int64_t clock = options_.now_ms ? options_.now_ms() : to_unix_ms(wall_now());
    return desk_ ? std::max({clock, desk_->end().time_ms, time_ms_}) : clock;
  }

  void commit(const std::vector<Waiting>& batch) {
    if (taken_over_) return answer_all(batch, Outcome::taken_over);
    if (!desk_ && !reopen()) return answer_all(batch, taken_over_ ? Outcome::taken_over : Outcome::unavailable);
    time_ms_ = now();
    std::vector<const Request*> requests;
    for (const Waiting& waiting : batch) requests.push_back(&waiting.request);
    Result<void> done = desk_->prepare(*store_, requests, time_ms_);
    std::vector<Reply> replies;
    if (done) {
      for (const Request* request : requests) replies.push_back({Outcome::answered, desk_->take(*request, time_ms_)});
      if (batch.empty()) desk_->expire(time_ms_);
      const Changes& changes = desk_->changes();
      if (!changes.rows.empty()) done = store_->write(changes, epoch_, desk_->end());
      if (done) count(changes);
    }
    if (!done) {
      give_up(done.error());
      return answer_all(batch, taken_over_ ? Outcome::taken_over : Outcome::unavailable);
    }
    desk_->settle();
    for (std::size_t i = 0; i < batch.size(); ++i) batch[i].on_reply(replies[i]);
  }

  void count(const Changes& changes) {
    const std::lock_guard lock{mutex_};
    if (changes.rows.empty()) return;
    ++counts_.commits;
    counts_.lines += static_cast<std::int64_t>(changes.rows.size());
  }

  static void answer_all(const std::vector<Waiting>& batch, Outcome outcome) {
    for (const Waiting& waiting : batch) waiting.on_reply({outcome, {}});
  }

  /// What is in memory may be what is not on disk: it goes.
  void give_up(const Error& error) {
    desk_.reset();
    {
      const std::lock_guard lock{mutex_};
      ++counts_.failures;
    }
    if (error.code == Code::conflict) return lose(error);
    log_warning("the ledger could not be written, and is read anew", {{"error", error}});
  }

  void lose(const Error& error) {
    const std::lock_guard lock{mutex_};
    taken_over_ = true;
    log_error("this writer of the ledger stops", {{"error", error}});
  }

  /// Reads the ledger anew from the disk, on a new connection, if it is still ours.
  bool reopen() {
    if (Steady::now() < reopen_after_) return false;
    reopen_after_ = Steady::now() + std::chrono::milliseconds{kReopenPauseMs};
    const Result<void> done = [this]() -> Result<void> {
      store_.reset();  // with its connection goes its hold on the fence
      Result<Store> store = Store::open(options_.address, false);
      if (!store) return pass(store);
      store_.emplace(std::move(*store));
      const Result<Epoch> epoch = store_->epoch();
      if (!epoch) return pass(epoch);
      if (*epoch != epoch_) return fail(Code::conflict, "another writer has taken the ledger over");
      // Who takes over has another epoch. With ours still there it is our old connection, which the server has not
      // ended yet, or somebody who has the lock and not the epoch yet: the next time shows which.
      if (auto held = fence_->hold(*store_); !held) return fail(Code::unavailable, held.error().message);
      if (auto renewed = store_->renew(); !renewed) return renewed;
      Result<Desk> desk = Desk::load(*store_);
      if (!desk) return pass(desk);
      desk_.emplace(std::move(*desk));
      return {};
    }();
    if (done) {
      log_info("the ledger is written again", {{"sequence", desk_->end().sequence}});
      return true;
    }
    if (done.error().code == Code::conflict) {
      lose(done.error());
    } else {
      log_warning("the ledger is not available", {{"error", done.error()}});
    }
    return false;
  }

  static constexpr std::int64_t kLookAtMostMs = 60'000;  ///< the wall clock may be set meanwhile

  WriterOptions options_;
  std::optional<Store> store_;
  std::unique_ptr<Fence> fence_;
  Epoch epoch_;
  std::optional<Desk> desk_;  ///< empty after a failure
  std::int64_t time_ms_ = 0;
  Steady::time_point reopen_after_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Waiting> queue_;
  std::size_t queued_ = 0;  ///< transfers
  std::atomic<bool> stopping_{false};
  std::atomic<bool> taken_over_{false};
  WriterCounts counts_;
  std::thread thread_;
};

}  // namespace

std::string_view to_string(Outcome outcome) { return boost::describe::enum_to_string(outcome, ""); }

Reply Writer::ask(Request request) {
  std::promise<Reply> promise;
  ask(std::move(request), [&promise](const Reply& reply) { promise.set_value(reply); });
  return promise.get_future().get();
}

Result<std::unique_ptr<Writer>> Writer::start(const WriterOptions& options) {
  Result<Store> store = Store::open(options.address, true);
  if (!store) return pass(store);
  Result<std::unique_ptr<Fence>> fence = Fence::take(*store, options.wait_for_fence);
  if (!fence) return pass(fence);
  if (auto renewed = store->renew(); !renewed) return pass(renewed);
  const Result<Epoch> epoch = store->take_epoch(to_unix_ms(wall_now()));
  if (!epoch) return pass(epoch);
  Result<Desk> desk = Desk::load(*store);
  if (!desk) return pass(desk);
  return std::make_unique<Thread>(options, std::move(*store), std::move(*fence), *epoch, std::move(*desk));
}

}  // namespace ribalta::ledger
