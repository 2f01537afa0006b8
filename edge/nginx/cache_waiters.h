// Wakes requests that wait in nginx's cache for another request's answer. nginx 1.22 lets them look again every 500 ms;
// a live segment that everybody wants at once would come half a second late for all but one.
//
// While requests are between their check and their answer's head, this looks at those that wait each kLookMs, and has
// nginx look again at once where the answer is there. nginx's own timer stays, for the case that the other one failed.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "edge/nginx/nginx.h"

namespace ribalta::edge {

/// Longest wait beyond the other request's answer. A look costs a few nanoseconds a request, and none when nobody is
/// there.
inline constexpr ngx_msec_t kLookMs = 10;

class CacheWaiters {
 public:
  explicit CacheWaiters(ngx_log_t* log);
  ~CacheWaiters();
  CacheWaiters(const CacheWaiters&) = delete;
  CacheWaiters& operator=(const CacheWaiters&) = delete;

  /// From here on it may wait. @return what to give to `remove`, never 0.
  std::uint64_t add(ngx_http_request_t* r);
  /// Its head is being sent, or it ended. 0 and what was removed before are ignored.
  void remove(std::uint64_t number) { requests_.erase(number); }

 private:
  void look();

  std::unordered_map<std::uint64_t, ngx_http_request_t*> requests_;
  std::uint64_t last_number_ = 0;
  ngx_log_t* log_;
  ngx_event_t timer_{};
  ngx_connection_t timer_ident_{};  ///< nginx's debug log takes an event's data for a connection
};

}  // namespace ribalta::edge
