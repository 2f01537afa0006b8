#include "edge/nginx/status.h"

#include <string>

#include "edge/nginx/media.h"

namespace ribalta::edge {
namespace {

constexpr std::string_view kCacheUseNames[] = {"none",        "miss",  "bypass",   "expired",
                                               "revalidated", "stale", "updating", "hit"};
static_assert(std::size(kCacheUseNames) == kCacheUses);

/// `# TYPE name counter` once, then a line for each value.
class Exposition {
 public:
  void begin(std::string_view name, std::string_view type, std::string_view help) {
    name_ = "ribalta_edge_";
    name_ += name;
    text_.append("# HELP ").append(name_).append(" ").append(help).append("\n");
    text_.append("# TYPE ").append(name_).append(" ").append(type).append("\n");
  }
  void value(std::uint64_t value, std::string_view label = {}, std::string_view label_value = {}) {
    text_ += name_;
    if (!label.empty()) text_.append("{").append(label).append("=\"").append(label_value).append("\"}");
    text_.append(" ").append(std::to_string(value)).append("\n");
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string name_;
  std::string text_;
};

std::string metrics_text(Zone& zone) {
  const Counters& c = zone.counters();
  Exposition out;
  out.begin("info", "gauge", "The module that is running.");
  out.value(1, "version", RIBALTA_VERSION);
  out.begin("requests_total", "counter", "Requests for media.");
  out.value(c.requests);
  out.begin("refused_total", "counter", "Requests for media that the edge refused itself.");
  out.value(c.refused_path, "reason", "path");
  out.value(c.refused_token, "reason", "token");
  out.value(c.refused_access, "reason", "access");
  out.value(c.refused_gone, "reason", "gone");
  out.begin("lookups_total", "counter",
            "Where the answer about a stream or video came from; none: Redis did not answer.");
  out.value(c.answers_shared, "from", "shared");
  out.value(c.answers_redis, "from", "redis");
  out.value(c.answers_failed, "from", "none");
  out.begin("lookups_kept", "gauge", "Answers in shared memory.");
  out.value(zone.answers_used());
  out.begin("lookups_capacity", "gauge", "Answers that fit into shared memory.");
  out.value(zone.answers_capacity());
  out.begin("redis_connected", "gauge", "Workers with a connection to Redis.");
  out.value(zone.redis_connected());
  out.begin("purges_total", "counter", "Tags purged.");
  out.value(c.purges);
  out.begin("purged_files_total", "counter", "Files of the cache that were removed because their tag was purged.");
  out.value(c.purged_files);
  out.begin("origins_malformed_total", "counter", "Requests whose stream had an address in Redis that is none.");
  out.value(c.origins_malformed);
  out.begin("cache_total", "counter", "Answers by what the cache did.");
  for (std::size_t i = 0; i < kCacheUses; ++i) out.value(c.cache[i], "use", kCacheUseNames[i]);
  out.begin("cache_disk_low", "gauge", "1: the cache's disk is nearly full, media pass through unstored.");
  out.value(worker()->cache_disk.is_low() ? 1 : 0);
  out.begin("responses_total", "counter", "Answers by status; 0xx: the client left before.");
  for (std::size_t i = 0; i < c.status.size(); ++i) out.value(c.status[i], "status", std::to_string(i) + "xx");
  out.begin("sent_bytes_total", "counter", "Bytes sent for media.");
  out.value(c.bytes_sent);
  return out.text();
}

std::string json_text(Zone& zone) {
  const Counters& c = zone.counters();
  std::string out = "{\"version\":\"" RIBALTA_VERSION "\",\"nginx\":\"" NGINX_VERSION "\"";
  const auto add = [&out](std::string_view name, std::uint64_t value) {
    out.append(",\"").append(name).append("\":").append(std::to_string(value));
  };
  add("pid", static_cast<std::uint64_t>(ngx_pid));
  add("redis_connected_workers", zone.redis_connected());
  add("requests", c.requests);
  add("refused", c.refused_path + c.refused_token + c.refused_access + c.refused_gone);
  add("answers_kept", zone.answers_used());
  add("answers_capacity", zone.answers_capacity());
  add("purges", c.purges);
  return out + "}\n";
}

ngx_int_t send(ngx_http_request_t* r, const char* type, std::string_view body) {
  ngx_str_t content_type{ngx_strlen(type), const_cast<u_char*>(reinterpret_cast<const u_char*>(type))};
  ngx_http_complex_value_t text;
  ngx_memzero(&text, sizeof(text));
  text.value = copy_to_pool(r->pool, body);
  if (text.value.data == nullptr) return NGX_HTTP_INTERNAL_SERVER_ERROR;
  return ngx_http_send_response(r, NGX_HTTP_OK, &content_type, &text);
}

}  // namespace

ngx_int_t answer_status(ngx_http_request_t* r, StatusPage page) {
  if ((r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD)) == 0) return NGX_HTTP_NOT_ALLOWED;
  if (worker() == nullptr) return NGX_HTTP_SERVICE_UNAVAILABLE;
  Zone& zone = worker()->lookups.zone();
  switch (page) {
    case StatusPage::none:
      return NGX_DECLINED;
    case StatusPage::health:
      return send(r, "text/plain", "ok\n");
    case StatusPage::metrics:
      return send(r, "text/plain; version=0.0.4", metrics_text(zone));
    case StatusPage::json:
      return send(r, "application/json", json_text(zone));
  }
  return NGX_DECLINED;
}

}  // namespace ribalta::edge
