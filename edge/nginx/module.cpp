// ngx_http_ribalta_module: its directives, where it stands in nginx's phases, and the life of a worker.
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <iterator>
#include <utility>

#include "edge/nginx/media.h"
#include "edge/nginx/status.h"
#include "edge/token_keys.h"

// The one symbol of ours that nginx looks for by itself; the rest of the library is hidden.
extern "C" {
extern __attribute__((visibility("default"))) ngx_module_t ngx_http_ribalta_module;
}

namespace ribalta::edge {
namespace {

struct LocationConf {  // made by nginx's allocator: plain data
  ngx_flag_t media;
  StatusPage status;
};

MainConf& main_conf(ngx_conf_t* cf) {
  return *static_cast<MainConf*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_ribalta_module));
}

ngx_str_t argument(ngx_conf_t* cf, ngx_uint_t i) { return static_cast<ngx_str_t*>(cf->args->elts)[i]; }

char* complain(ngx_conf_t* cf, const std::string& what) {
  ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s", what.c_str());
  return static_cast<char*>(NGX_CONF_ERROR);
}

// --- directives ------------------------------------------------------------------------------------------------------

char* set_zone(ngx_conf_t* cf, MainConf& conf) {
  if (conf.zone != nullptr) return complain(cf, "ribalta_answers_zone: given twice");
  ngx_str_t size = argument(cf, 1);
  const ssize_t bytes = ngx_parse_size(&size);
  if (bytes == NGX_ERROR || bytes < static_cast<ssize_t>(kZoneBytesMin)) {
    return complain(cf, "ribalta_answers_zone: at least 64k wanted");
  }
  ngx_str_t name = ngx_string("ribalta_answers");
  conf.zone = ngx_shared_memory_add(cf, &name, static_cast<std::size_t>(bytes), &ngx_http_ribalta_module);
  if (conf.zone == nullptr) return static_cast<char*>(NGX_CONF_ERROR);
  conf.zone->init = init_zone;
  return NGX_CONF_OK;
}

char* set_redis(ngx_conf_t* cf, MainConf& conf) {
  const ngx_str_t text = argument(cf, 1);
  Result<RedisAddress> address = RedisAddress::parse(view(text));
  if (!address) return complain(cf, "ribalta_redis: " + address.error().message);
  conf.redis = std::make_unique<RedisAddress>(std::move(*address));
  return NGX_CONF_OK;
}

char* set_default_origin(ngx_conf_t* cf, MainConf& conf) {
  const ngx_str_t text = argument(cf, 1);
  Result<std::string> origin = origin_authority(view(text));
  if (!origin) return complain(cf, "ribalta_default_origin: " + origin.error().message);
  conf.default_origin = std::move(*origin);
  return NGX_CONF_OK;
}

char* set_token_keys(ngx_conf_t* cf, MainConf& conf) {
  ngx_str_t name = argument(cf, 1);
  if (ngx_conf_full_name(cf->cycle, &name, 0) != NGX_OK) return static_cast<char*>(NGX_CONF_ERROR);
  const std::string file_name{view(name)};
  std::ifstream file{file_name, std::ios::binary};
  if (!file) return complain(cf, "ribalta_token_keys: cannot read " + file_name);
  const std::string text{std::istreambuf_iterator<char>{file}, {}};
  Result<std::vector<TokenKey>> keys = parse_token_keys(text);
  if (!keys) return complain(cf, file_name + ": " + keys.error().message);
  conf.token_keys = std::move(*keys);
  return NGX_CONF_OK;
}

/// FOLDER BYTES: with less room than that on the folder's disk, $ribalta_no_store is 1.
char* set_cache_disk(ngx_conf_t* cf, MainConf& conf) {
  ngx_str_t folder = argument(cf, 1);
  ngx_str_t size = argument(cf, 2);
  const off_t bytes = ngx_parse_offset(&size);
  if (bytes == NGX_ERROR) return complain(cf, "ribalta_cache_disk: a size wanted");
  if (ngx_conf_full_name(cf->cycle, &folder, 0) != NGX_OK) return static_cast<char*>(NGX_CONF_ERROR);
  conf.cache_folder = view(folder);
  conf.cache_free_bytes_min = static_cast<std::uint64_t>(bytes);
  return NGX_CONF_OK;
}

char* set_nodes(ngx_conf_t* cf, MainConf& conf) {
  ngx_str_t name = argument(cf, 1);
  if (ngx_conf_full_name(cf->cycle, &name, 0) != NGX_OK) return static_cast<char*>(NGX_CONF_ERROR);
  conf.node_list = view(name);
  return NGX_CONF_OK;
}

char* set_forward_token(ngx_conf_t* cf, MainConf& conf) {
  const ngx_str_t text = argument(cf, 1);
  if (view(text) != "on" && view(text) != "off") return complain(cf, "ribalta_forward_token: on or off wanted");
  conf.forward_token = view(text) == "on";
  return NGX_CONF_OK;
}

template <char* (*set)(ngx_conf_t*, MainConf&)>
char* set_in_main(ngx_conf_t* cf, ngx_command_t*, void* conf) {
  return guarded(cf->log, static_cast<char*>(NGX_CONF_ERROR), [&] { return set(cf, *static_cast<MainConf*>(conf)); });
}

ngx_int_t handle_status(ngx_http_request_t* r) {
  const auto* conf = static_cast<LocationConf*>(ngx_http_get_module_loc_conf(r, ngx_http_ribalta_module));
  return guarded(r->connection->log, ngx_int_t{NGX_HTTP_INTERNAL_SERVER_ERROR},
                 [&] { return answer_status(r, conf->status); });
}

char* set_status(ngx_conf_t* cf, ngx_command_t*, void* conf) {
  const ngx_str_t text = argument(cf, 1);
  const std::string_view page = view(text);
  StatusPage& status = static_cast<LocationConf*>(conf)->status;
  if (page == "health") status = StatusPage::health;
  if (page == "metrics") status = StatusPage::metrics;
  if (page == "json") status = StatusPage::json;
  if (status == StatusPage::none) {
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "ribalta_status: health, metrics or json wanted");
    return static_cast<char*>(NGX_CONF_ERROR);
  }
  auto* core = static_cast<ngx_http_core_loc_conf_t*>(ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));
  core->handler = handle_status;
  return NGX_CONF_OK;
}

ngx_command_t commands[] = {
    {ngx_string("ribalta_answers_zone"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, set_in_main<set_zone>,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, nullptr},
    {ngx_string("ribalta_redis"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, set_in_main<set_redis>,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, nullptr},
    {ngx_string("ribalta_default_origin"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, set_in_main<set_default_origin>,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, nullptr},
    {ngx_string("ribalta_token_keys"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, set_in_main<set_token_keys>,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, nullptr},
    {ngx_string("ribalta_cache_disk"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE2, set_in_main<set_cache_disk>,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, nullptr},
    {ngx_string("ribalta_nodes"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, set_in_main<set_nodes>,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, nullptr},
    {ngx_string("ribalta_forward_token"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, set_in_main<set_forward_token>,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, nullptr},
    {ngx_string("ribalta_media"), NGX_HTTP_LOC_CONF | NGX_CONF_FLAG, ngx_conf_set_flag_slot, NGX_HTTP_LOC_CONF_OFFSET,
     offsetof(LocationConf, media), nullptr},
    {ngx_string("ribalta_status"), NGX_HTTP_LOC_CONF | NGX_CONF_TAKE1, set_status, NGX_HTTP_LOC_CONF_OFFSET, 0,
     nullptr},
    {{0, nullptr}, 0, nullptr, 0, 0, nullptr},
};

ngx_http_output_header_filter_pt next_header_filter = nullptr;

ngx_int_t filter_head(ngx_http_request_t* r) {
  leave_cache(r);
  return next_header_filter(r);
}

// --- configuration ---------------------------------------------------------------------------------------------------

void* create_main_conf(ngx_conf_t* cf) {
  ngx_pool_cleanup_t* at_end = ngx_pool_cleanup_add(cf->pool, 0);
  if (at_end == nullptr) return nullptr;
  auto* conf = new (std::nothrow) MainConf{};
  if (conf == nullptr) return nullptr;
  at_end->handler = [](void* data) { delete static_cast<MainConf*>(data); };
  at_end->data = conf;
  return conf;
}

void* create_location_conf(ngx_conf_t* cf) {
  auto* conf = static_cast<LocationConf*>(ngx_pcalloc(cf->pool, sizeof(LocationConf)));
  if (conf != nullptr) conf->media = NGX_CONF_UNSET;
  return conf;
}

char* merge_location_conf(ngx_conf_t*, void* parent, void* child) {
  auto* outer = static_cast<LocationConf*>(parent);
  auto* inner = static_cast<LocationConf*>(child);
  ngx_conf_merge_value(inner->media, outer->media, 0);
  return NGX_CONF_OK;
}

bool add_phase(ngx_conf_t* cf, ngx_uint_t phase, ngx_http_handler_pt handler) {
  auto* core = static_cast<ngx_http_core_main_conf_t*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module));
  auto* slot = static_cast<ngx_http_handler_pt*>(ngx_array_push(&core->phases[phase].handlers));
  if (slot != nullptr) *slot = handler;
  return slot != nullptr;
}

ngx_int_t finish_configuration(ngx_conf_t* cf) {
  const MainConf& conf = main_conf(cf);
  if (conf.zone == nullptr || conf.redis == nullptr || conf.default_origin.empty()) {
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "ribalta_answers_zone, ribalta_redis and ribalta_default_origin must all be given");
    return NGX_ERROR;
  }
  const bool added = add_phase(cf, NGX_HTTP_POST_READ_PHASE, mask_request_line) &&
                     add_phase(cf, NGX_HTTP_ACCESS_PHASE, check_media_access) &&
                     add_phase(cf, NGX_HTTP_LOG_PHASE, count_media_answer);
  next_header_filter = std::exchange(ngx_http_top_header_filter, filter_head);
  return added ? NGX_OK : NGX_ERROR;
}

// --- the life of a worker --------------------------------------------------------------------------------------------

/// A master that is killed leaves workers that keep the port: they must end, or no new nginx can start.
void end_with_master() {
  prctl(PR_SET_PDEATHSIG, SIGQUIT);
  if (getppid() != ngx_parent) raise(SIGQUIT);  // it was killed before the line above
}

ngx_int_t init_process(ngx_cycle_t* cycle) {
  if (ngx_process == NGX_PROCESS_WORKER || ngx_process == NGX_PROCESS_HELPER) end_with_master();
  if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE) return NGX_OK;
  const auto* conf = static_cast<MainConf*>(ngx_http_cycle_get_module_main_conf(cycle, ngx_http_ribalta_module));
  if (conf == nullptr) return NGX_OK;  // no http { }
  return guarded(cycle->log, ngx_int_t{NGX_ERROR}, [&]() -> ngx_int_t {
    Zone zone{conf->zone};
    std::unique_ptr<CachePurge> cache_purge;
    std::function<void(const Tag&)> listens;
    if (ngx_worker == 0) {
      cache_purge = std::make_unique<CachePurge>(proxy_caches(cycle), zone.counters().purged_files);
      listens = [purge = cache_purge.get()](const Tag& tag) { purge->want(tag); };
    }
    worker() = new Worker{.cache_purge = std::move(cache_purge),
                          .lookups{*conf->redis, zone, std::move(listens), cycle->log},
                          .waiters{cycle->log},
                          .cache_disk{conf->cache_folder, conf->cache_free_bytes_min},
                          .tokens{},
                          .node_port{conf->node_list, cycle->log}};
    worker()->lookups.start();
    return NGX_OK;
  });
}

void exit_process(ngx_cycle_t*) { delete std::exchange(worker(), nullptr); }

ngx_int_t add_variables(ngx_conf_t* cf) {
  const bool added = add_media_variables(cf) == NGX_OK && add_node_variables(cf) == NGX_OK;
  return added ? NGX_OK : NGX_ERROR;
}

ngx_http_module_t module_context = {
    add_variables,         // preconfiguration
    finish_configuration,  // postconfiguration
    create_main_conf,     nullptr, nullptr, nullptr, create_location_conf, merge_location_conf,
};

}  // namespace

const MainConf& main_conf(ngx_http_request_t* r) {
  return *static_cast<MainConf*>(ngx_http_get_module_main_conf(r, ngx_http_ribalta_module));
}
bool is_media_location(ngx_http_request_t* r) {
  return static_cast<LocationConf*>(ngx_http_get_module_loc_conf(r, ngx_http_ribalta_module))->media == 1;
}
void* request_slot(ngx_http_request_t* r) { return ngx_http_get_module_ctx(r, ngx_http_ribalta_module); }
void set_request_slot(ngx_http_request_t* r, void* state) { ngx_http_set_ctx(r, state, ngx_http_ribalta_module); }

}  // namespace ribalta::edge

extern "C" {
ngx_module_t ngx_http_ribalta_module = {
    NGX_MODULE_V1,
    &ribalta::edge::module_context,
    ribalta::edge::commands,
    NGX_HTTP_MODULE,
    nullptr,  // init_master
    nullptr,  // init_module
    ribalta::edge::init_process,
    nullptr,  // init_thread
    nullptr,  // exit_thread
    ribalta::edge::exit_process,
    nullptr,  // exit_master
    NGX_MODULE_V1_PADDING,
};
}
