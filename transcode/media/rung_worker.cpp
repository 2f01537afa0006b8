#include "transcode/media/rung_worker.h"

#include <utility>

namespace ribalta::transcode {

RungWorker::RungWorker(std::unique_ptr<PictureTarget> target)
    : target_(std::move(target)), thread_([this] { run(); }) {}

RungWorker::~RungWorker() {
  {
    const std::lock_guard lock{mutex_};
    ended_ = true;
    dropped_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Result<void> RungWorker::push(Frame picture, const Showing& showing) {
  std::unique_lock lock{mutex_};
  changed_.wait(lock, [&] { return error_ || waiting_.size() < kPicturesWaitingMax; });
  if (error_) return std::unexpected{*error_};
  waiting_.push_back({std::move(picture), showing});
  lock.unlock();
  changed_.notify_all();
  return {};
}

Result<void> RungWorker::idle() { return push(nullptr, {}); }

Result<void> RungWorker::finish() {
  {
    const std::lock_guard lock{mutex_};
    ended_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  if (error_) return std::unexpected{*error_};
  return {};
}

void RungWorker::run() {
  Result<void> done;
  while (done) {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [&] { return ended_ || !waiting_.empty(); });
    if (dropped_) return;
    if (waiting_.empty()) {
      lock.unlock();
      done = target_->finish();
      break;
    }
    const Item item = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    changed_.notify_all();
    done = item.picture ? target_->push(*item.picture, item.showing) : target_->idle();
  }
  if (done) return;
  {
    const std::lock_guard lock{mutex_};
    error_ = done.error();
  }
  changed_.notify_all();
}

}  // namespace ribalta::transcode
