#include "edge/nginx/cache_waiters.h"

#include <vector>

namespace ribalta::edge {
namespace {

/// Read without the cache's lock: nginx looks again under it. The node stays while this request holds it.
bool answer_is_there(ngx_http_request_t* r) {
  return r->cache != nullptr && r->cache->waiting != 0 && r->cache->node != nullptr && r->cache->node->updating == 0;
}

}  // namespace

CacheWaiters::CacheWaiters(ngx_log_t* log) : log_(log) {
  timer_ident_.fd = static_cast<ngx_socket_t>(-1);
  timer_ident_.data = this;
  timer_.data = &timer_ident_;
  timer_.log = log;
  timer_.cancelable = 1;  // never delays the end of a worker
  timer_.handler = [](ngx_event_t* event) {
    auto* self = static_cast<CacheWaiters*>(static_cast<ngx_connection_t*>(event->data)->data);
    guarded(self->log_, [self] { self->look(); });
  };
}

CacheWaiters::~CacheWaiters() {
  if (timer_.timer_set) ngx_del_timer(&timer_);
}

std::uint64_t CacheWaiters::add(ngx_http_request_t* r) {
  requests_.emplace(++last_number_, r);
  if (!timer_.timer_set) ngx_add_timer(&timer_, kLookMs);
  return last_number_;
}

void CacheWaiters::look() {
  // Numbers first: a request that goes on may end, and take others of its connection along.
  std::vector<std::uint64_t> ready;
  for (const auto& [number, r] : requests_) {
    if (answer_is_there(r)) ready.push_back(number);
  }
  for (const std::uint64_t number : ready) {
    const auto found = requests_.find(number);
    if (found == requests_.end() || !answer_is_there(found->second)) continue;
    ngx_event_t* event = &found->second->cache->wait_event;
    if (event->timer_set) ngx_del_timer(event);
    event->handler(event);
  }
  if (!requests_.empty() && !timer_.timer_set) ngx_add_timer(&timer_, kLookMs);
}

}  // namespace ribalta::edge
