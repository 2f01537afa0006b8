#include "core/redis/reconnect.h"

#include <algorithm>

#include "core/log.h"

namespace ribalta::redis {
namespace {
constexpr std::chrono::milliseconds kForEver = std::chrono::hours{24};
}

Reconnecting::Reconnecting(asio::any_io_executor loop, std::string address)
    : loop_(std::move(loop)), address_(std::move(address)), changed_(std::make_shared<Event>(loop_)) {}

void Reconnecting::start() {
  // Begun again after an exception, also one of a callback: the next connection tells everybody anew.
  spawn_essential(loop_, "redis connection", [self = shared_from_this()] { return run(self); });
}

void Reconnecting::close() {
  closed_ = true;
  if (link_) link_->drop();
  changed_->notify_all();
}

void Reconnecting::drop(const std::shared_ptr<Link>& link) {
  link->drop();
  changed_->notify_all();
}

Task<void> Reconnecting::run(std::shared_ptr<Reconnecting> self) {
  if (self->link_) self->link_->drop();  // of a run that ended by an exception
  std::chrono::milliseconds pause = kReconnectFirst;
  while (!self->closed_) {
    const bool stood = co_await self->hold_one();
    if (self->closed_) break;
    pause = stood ? kReconnectFirst : std::min(pause * 2, kReconnectMax);
    const std::uint64_t seen = self->changed_->version();
    co_await self->changed_->wait(seen, pause);
  }
  self->link_.reset();
}

Task<bool> Reconnecting::hold_one() {
  const Result<http::Address> address = http::Address::parse(address_);
  if (!address) {
    log_error("redis address", {{"reason", address.error()}});
    closed_ = true;
    co_return false;
  }
  link_ = std::make_shared<Link>(loop_);
  const std::shared_ptr<Event> changed = changed_;
  const Result<void> begun = link_->connect(*address, [changed] { changed->notify_all(); });
  if (begun) {
    const auto deadline = std::chrono::steady_clock::now() + kConnectMax;
    while (!closed_ && !link_->connected() && !link_->ended() && std::chrono::steady_clock::now() < deadline) {
      const std::uint64_t seen = changed->version();
      co_await changed->wait(seen, kConnectMax);
    }
  }
  if (closed_) co_return false;
  if (!link_->connected()) {
    link_->drop();
    if (!std::exchange(told_, true)) {
      log_warning("redis can't be reached, trying again", {{"address", address_}});
    }
    co_return false;
  }
  log_info("redis connected", {{"address", address_}});
  told_ = false;
  connected(link_);
  while (!closed_ && !link_->ended()) {
    const std::uint64_t seen = changed->version();
    co_await changed->wait(seen, kForEver);
  }
  if (!closed_) log_warning("redis connection ended", {{"address", address_}});
  co_return true;
}

}  // namespace ribalta::redis
