// A media request on its way through nginx: read, allowed or refused, sent to its origin.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/tokens.h"
#include "edge/nginx/cache_disk.h"
#include "edge/nginx/cache_purge.h"
#include "edge/nginx/cache_waiters.h"
#include "edge/nginx/lookups.h"
#include "edge/nginx/nginx.h"
#include "edge/nginx/node_port.h"
#include "edge/nginx/shared.h"
#include "edge/verified_tokens.h"

namespace ribalta::edge {

/// The `ribalta_…` directives of http { }.
struct MainConf {
  ngx_shm_zone_t* zone = nullptr;
  std::unique_ptr<RedisAddress> redis;
  std::string default_origin;  ///< as origin_authority gives it
  std::vector<TokenKey> token_keys;
  std::string cache_folder;
  std::uint64_t cache_free_bytes_min = 0;
  std::string node_list;       ///< the file of nodes that may use the node port; empty: none
  bool forward_token = false;  ///< the origin is another node's edge, which checks tokens itself
};

/// What one worker holds.
struct Worker {
  std::unique_ptr<CachePurge> cache_purge;  ///< only in the worker that listens to purges for all
  Lookups lookups;
  CacheWaiters waiters;
  CacheDisk cache_disk;
  VerifiedTokens tokens;
  NodePort node_port;
};
/// Null before the worker runs, and when it ends. Set by module.cpp.
Worker*& worker();

/// Finds the module's configuration of a request. Defined in module.cpp, which knows the module's slot.
const MainConf& main_conf(ngx_http_request_t* r);
bool is_media_location(ngx_http_request_t* r);
void* request_slot(ngx_http_request_t* r);
void set_request_slot(ngx_http_request_t* r, void* state);

/// Phase handlers.
ngx_int_t mask_request_line(ngx_http_request_t* r);
ngx_int_t check_media_access(ngx_http_request_t* r);
ngx_int_t count_media_answer(ngx_http_request_t* r);
/// The answer's head is about to be sent: the request no longer waits for the cache.
void leave_cache(ngx_http_request_t* r);

/// Adds $ribalta_target, $ribalta_origin, $ribalta_cache_key, $ribalta_authorised, $ribalta_cache_status, $ribalta_age,
/// $ribalta_no_store.
ngx_int_t add_media_variables(ngx_conf_t* cf);

}  // namespace ribalta::edge
