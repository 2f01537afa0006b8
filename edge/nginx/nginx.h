// nginx's and hiredis' C headers, and the few helpers that every file here needs.
//
// Rules of this folder: nothing thrown crosses into nginx (every function that nginx or hiredis calls is a `guarded`
// one); memory of a request's pool dies with the request, so that what a Redis reply may touch later is on the heap;
// each worker is one thread, but for the one that takes purged files off the disk (cache_purge.h).
#pragma once

#include <exception>
#include <string_view>

extern "C" {
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>
}

namespace ribalta::edge {

inline std::string_view view(const ngx_str_t& text) { return {reinterpret_cast<const char*>(text.data), text.len}; }

/// A copy in the pool; `data` is null when there is no memory.
inline ngx_str_t copy_to_pool(ngx_pool_t* pool, std::string_view text) {
  auto* data = static_cast<u_char*>(ngx_pnalloc(pool, text.empty() ? 1 : text.size()));
  if (data != nullptr) ngx_memcpy(data, text.data(), text.size());
  return {data != nullptr ? text.size() : 0, data};
}

/// What an nginx variable says.
inline ngx_int_t set_value(ngx_http_request_t* r, ngx_http_variable_value_t* value, std::string_view text) {
  const ngx_str_t copy = copy_to_pool(r->pool, text);
  if (copy.data == nullptr) return NGX_ERROR;
  value->len = static_cast<unsigned>(copy.len) & 0x0FFFFFFF;
  value->valid = 1;
  value->no_cacheable = 0;
  value->not_found = 0;
  value->data = copy.data;
  return NGX_OK;
}

/// Milliseconds since the machine started: one clock for all workers, cached by nginx once a loop.
inline std::uint64_t now_ms() { return ngx_current_msec; }

/// Runs `work`; an exception ends here, with a line in the log, and becomes `failed`.
template <class Work, class T>
T guarded(ngx_log_t* log, T failed, Work&& work) noexcept {
  try {
    return work();
  } catch (const std::exception& error) {
    ngx_log_error(NGX_LOG_ERR, log, 0, "ribalta: caught: %s", error.what());
  } catch (...) {
    ngx_log_error(NGX_LOG_ERR, log, 0, "ribalta: caught an exception of no known type");
  }
  return failed;
}
template <class Work>
void guarded(ngx_log_t* log, Work&& work) noexcept {
  guarded(log, 0, [&work] { return work(), 0; });
}

}  // namespace ribalta::edge
