// What `run/edge.sock` answers: health, Prometheus metrics, and which module is running.
#pragma once

#include "edge/nginx/nginx.h"

namespace ribalta::edge {

enum class StatusPage : std::uint8_t { none, health, metrics, json };

ngx_int_t answer_status(ngx_http_request_t* r, StatusPage page);

}  // namespace ribalta::edge
