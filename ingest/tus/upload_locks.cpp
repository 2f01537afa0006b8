#include "ingest/tus/upload_locks.h"

#include <atomic>
#include <boost/asio/post.hpp>
#include <optional>

namespace ribalta::ingest::tus {
namespace {

constexpr std::chrono::milliseconds kLookEvery{50};

std::int64_t now_ms() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

}  // namespace

/// Seen by the writers that wait for it too; `exchange` is touched on its own loop only, where it ends with the lock.
struct UploadLock::State {
  explicit State(http::Exchange* held) : exchange(held) {
    if (held != nullptr) loop = held->loop();
  }
  http::Exchange* exchange;
  std::optional<asio::any_io_executor> loop;  ///< never changes; nothing: no client to cut
  std::atomic<std::int64_t> heard_ms = now_ms();
  std::atomic<bool> taken_over = false;
};

UploadLock::UploadLock(UploadLocks& locks, std::string upload, http::Exchange* exchange)
    : locks_(locks), upload_(std::move(upload)), state_(std::make_shared<State>(exchange)) {}

UploadLock::~UploadLock() {
  state_->exchange = nullptr;
  const std::scoped_lock guard{locks_.mutex_};
  const auto found = locks_.locks_.find(upload_);
  if (found != locks_.locks_.end() && found->second == state_) locks_.locks_.erase(found);
}

void UploadLock::heard() { state_->heard_ms = now_ms(); }
bool UploadLock::taken_over() const { return state_->taken_over; }

Task<std::unique_ptr<UploadLock>> UploadLocks::lock(UploadId upload, http::Exchange& exchange) {
  const auto until = std::chrono::steady_clock::now() + kWriterGone;
  auto fresh = std::make_unique<UploadLock>(*this, upload.text(), &exchange);
  while (true) {
    std::shared_ptr<UploadLock::State> other;
    {
      const std::scoped_lock guard{mutex_};
      const auto [entry, entered] = locks_.try_emplace(upload.text(), fresh->state_);
      if (entered) co_return fresh;
      other = entry->second;
    }
    const bool silent = now_ms() - other->heard_ms >= kWriterSilence.count();
    if (!silent && !other->taken_over) co_return nullptr;
    if (std::chrono::steady_clock::now() > until) co_return nullptr;
    if (other->loop && !other->taken_over.exchange(true)) {
      asio::post(*other->loop, [other] {
        if (other->exchange != nullptr) other->exchange->cut();
      });
    }
    co_await sleep_for(kLookEvery);
  }
}

std::unique_ptr<UploadLock> UploadLocks::try_lock(UploadId upload) {
  auto fresh = std::make_unique<UploadLock>(*this, upload.text(), nullptr);
  const std::scoped_lock guard{mutex_};
  const auto [entry, entered] = locks_.try_emplace(upload.text(), fresh->state_);
  return entered ? std::move(fresh) : nullptr;
}

}  // namespace ribalta::ingest::tus
