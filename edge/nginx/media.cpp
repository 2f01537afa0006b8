#include "edge/nginx/media.h"

#include <optional>
#include <utility>

#include "edge/media_path.h"

namespace ribalta::edge {
namespace {

/// What the module knows of one media request. Lives until the request's pool is destroyed, so that the log phase
/// still finds it; stops waiting when the request is cleaned up.
class MediaRequest final : public Waiter {
 public:
  explicit MediaRequest(ngx_http_request_t* r) : r_(r) {
    wake_.data = this;
    wake_.log = r->connection->log;
    wake_.handler = [](ngx_event_t* event) { static_cast<MediaRequest*>(event->data)->resume(); };
  }
  ~MediaRequest() override { stop_waiting(); }

  void stop_waiting() {
    leave();
    if (wake_.posted) {
      ngx_delete_posted_event(&wake_);  // a macro of several statements
    }
    waiting = false;
    leave_cache();
  }
  void enter_cache() { cache_number_ = worker()->waiters.add(r_); }
  void leave_cache() {
    if (worker() != nullptr) worker()->waiters.remove(std::exchange(cache_number_, 0));
  }

  MediaTarget target;
  bool authorised = false;
  bool waiting = false;
  bool allowed = false;
  std::optional<Answer> answer;
  std::string origin;
  std::string key;

 private:
  /// The phases go on from the event loop, not from inside hiredis.
  void answered(Answer found) override {
    answer = std::move(found);
    ngx_post_event(&wake_, &ngx_posted_events);
  }
  void resume() {
    waiting = false;
    ngx_connection_t* c = r_->connection;
    ngx_http_set_log_request(c->log, r_);
    ngx_http_core_run_phases(r_);  // this request may be gone from here on
    ngx_http_run_posted_requests(c);
  }

  ngx_http_request_t* r_;
  ngx_event_t wake_{};
  std::uint64_t cache_number_ = 0;  ///< among the worker's CacheWaiters; 0: not there
};

MediaRequest* state_of(ngx_http_request_t* r) {
  // A subrequest (the cache's refresh in the background) asks for the same as its main request.
  return static_cast<MediaRequest*>(request_slot(r->main));
}

MediaRequest* begin(ngx_http_request_t* r) {
  ngx_pool_cleanup_t* at_end = ngx_pool_cleanup_add(r->pool, 0);
  ngx_http_cleanup_t* at_leave = ngx_http_cleanup_add(r, 0);
  if (at_end == nullptr || at_leave == nullptr) return nullptr;
  auto* state = new MediaRequest{r};
  at_end->handler = [](void* data) { delete static_cast<MediaRequest*>(data); };
  at_end->data = state;
  at_leave->handler = [](void* data) { static_cast<MediaRequest*>(data)->stop_waiting(); };
  at_leave->data = state;
  set_request_slot(r, state);
  return state;
}

constexpr ngx_uint_t kGone = 410;  // nginx has no name for it

// --- answers of our own ----------------------------------------------------------------------------------------------

bool add_field(ngx_http_request_t* r, const char* name, const char* value) {
  auto* field = static_cast<ngx_table_elt_t*>(ngx_list_push(&r->headers_out.headers));
  if (field == nullptr) return false;
  ngx_memzero(field, sizeof(*field));
  field->hash = 1;
  field->key = {ngx_strlen(name), const_cast<u_char*>(reinterpret_cast<const u_char*>(name))};
  field->value = {ngx_strlen(value), const_cast<u_char*>(reinterpret_cast<const u_char*>(value))};
  return true;
}

/// Sends a short answer and ends the request. @return what the access phase gets: the request is no longer its.
ngx_int_t answer_with(ngx_http_request_t* r, ngx_uint_t status, std::string_view body, const char* cache_control) {
  if (!add_field(r, "Cache-Control", cache_control)) return NGX_HTTP_INTERNAL_SERVER_ERROR;
  ngx_str_t type = ngx_string("application/json");
  ngx_http_complex_value_t text;
  ngx_memzero(&text, sizeof(text));
  text.value = copy_to_pool(r->pool, body);
  if (text.value.data == nullptr) return NGX_HTTP_INTERNAL_SERVER_ERROR;
  ngx_http_finalize_request(r, ngx_http_send_response(r, status, &type, &text));
  return NGX_DONE;
}

ngx_int_t refuse(ngx_http_request_t* r, ngx_uint_t status, std::string_view code, std::string_view sentence) {
  std::string body = "{\"error\":{\"code\":\"";
  body.append(code).append("\",\"message\":\"").append(sentence).append("\"}}\n");
  const bool lasting = status == NGX_HTTP_NOT_FOUND || status == kGone;
  return answer_with(r, status, body, lasting ? "max-age=1" : "no-store");
}

// --- the four questions ----------------------------------------------------------------------------------------------

/// Does it ask for media in a way that we answer? @return NGX_DECLINED: go on.
ngx_int_t read_request(ngx_http_request_t* r, MediaRequest& state, Counters& counters) {
  if (r->method == NGX_HTTP_OPTIONS) return answer_with(r, NGX_HTTP_NO_CONTENT, "", "max-age=86400");
  if ((r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD)) == 0) {
    count(counters.refused_path);
    if (!add_field(r, "Allow", "GET, HEAD, OPTIONS")) return NGX_HTTP_INTERNAL_SERVER_ERROR;
    return refuse(r, NGX_HTTP_NOT_ALLOWED, "unsupported", "Media can only be fetched.");
  }
  if (r->headers_in.content_length_n > 0 || r->headers_in.chunked != 0) {
    count(counters.refused_path);
    return refuse(r, NGX_HTTP_BAD_REQUEST, "malformed", "A request for media has no body.");
  }
  Result<MediaTarget> target = parse_media_target(view(r->unparsed_uri));
  if (target) {
    state.target = std::move(*target);
    return NGX_DECLINED;
  }
  count(counters.refused_path);
  if (target.error().code == Code::malformed) {
    return refuse(r, NGX_HTTP_BAD_REQUEST, "malformed", "The delivery directives are not valid.");
  }
  return refuse(r, NGX_HTTP_NOT_FOUND, "not_found", "There is nothing here.");
}

/// Does the token that it carries hold? @return NGX_DECLINED: go on.
ngx_int_t check_token(ngx_http_request_t* r, MediaRequest& state, Counters& counters) {
  if (state.target.token.empty()) return NGX_DECLINED;
  const Result<TokenClaims> claims = worker()->tokens.verify(main_conf(r).token_keys, state.target.token, ngx_time());
  if (claims && token_allows(*claims, state.target.path)) {
    state.authorised = true;
    return NGX_DECLINED;
  }
  count(counters.refused_token);
  return refuse(r, NGX_HTTP_FORBIDDEN, "forbidden", "This link has expired or does not open this.");
}

/// What is known of the stream or video? @return NGX_AGAIN: Redis is being asked; NGX_DECLINED: `state.answer` is
/// there.
ngx_int_t find_answer(MediaRequest& state, Lookups& lookups) {
  Zone& zone = lookups.zone();
  const MediaTarget& target = state.target;
  Answer known = zone.find(target.kind, target.id);
  if (known.fresh) {
    count(zone.counters().answers_shared);
  } else if (lookups.ask(target.kind, target.id, state)) {
    state.waiting = true;
    return NGX_AGAIN;
  } else {
    count(zone.counters().answers_failed);
  }
  state.answer = std::move(known);
  return NGX_DECLINED;
}

/// May it be had, and where? @return NGX_DECLINED: go on.
ngx_int_t decide_request(ngx_http_request_t* r, MediaRequest& state, Counters& counters) {
  const Answer& answer = *state.answer;
  if (state.target.kind == MediaKind::vod) {
    switch (decide(answer.value, state.authorised)) {
      case Verdict::gone:
        count(counters.refused_gone);
        return refuse(r, kGone, "gone", "This video has been removed.");
      case Verdict::forbidden:
        count(counters.refused_access);
        return refuse(r, NGX_HTTP_FORBIDDEN, "forbidden", "This video needs a link that opens it.");
      case Verdict::go:
        break;
    }
  }
  state.origin = main_conf(r).default_origin;
  if (state.target.kind == MediaKind::live && is_gone(answer.value)) {
    count(counters.refused_gone);
    return refuse(r, kGone, "gone", "This broadcast has been removed.");
  }
  if (state.target.kind == MediaKind::live && answer.value) {
    Result<std::string> origin = origin_authority(*answer.value);
    if (origin) {
      state.origin = std::move(*origin);
    } else {
      count(counters.origins_malformed);
    }
  }
  state.key = cache_key(state.target, state.authorised, answer.generation);
  state.allowed = true;
  state.enter_cache();
  return NGX_DECLINED;
}

ngx_int_t check(ngx_http_request_t* r) {
  if (worker() == nullptr) return NGX_HTTP_SERVICE_UNAVAILABLE;
  Lookups& lookups = worker()->lookups;
  Counters& counters = lookups.zone().counters();

  auto* state = state_of(r);
  if (state == nullptr) {
    state = begin(r);
    if (state == nullptr) return NGX_HTTP_INTERNAL_SERVER_ERROR;
    count(counters.requests);
    if (const ngx_int_t rc = read_request(r, *state, counters); rc != NGX_DECLINED) return rc;
    if (const ngx_int_t rc = check_token(r, *state, counters); rc != NGX_DECLINED) return rc;
    if (const ngx_int_t rc = find_answer(*state, lookups); rc != NGX_DECLINED) return rc;
  }
  if (state->waiting) return NGX_AGAIN;  // woken by the socket, not by Redis
  if (state->allowed || !state->answer) return NGX_DECLINED;
  return decide_request(r, *state, counters);
}

// --- what the cache did ----------------------------------------------------------------------------------------------

CacheUse cache_use(const ngx_http_upstream_t& upstream) {
  switch (upstream.cache_status) {
    case NGX_HTTP_CACHE_MISS:
    case NGX_HTTP_CACHE_SCARCE:
      return CacheUse::miss;
    case NGX_HTTP_CACHE_EXPIRED:
      return CacheUse::expired;
    case NGX_HTTP_CACHE_STALE:
      return CacheUse::stale;
    case NGX_HTTP_CACHE_UPDATING:
      return CacheUse::updating;
    case NGX_HTTP_CACHE_REVALIDATED:
      return CacheUse::revalidated;
    case NGX_HTTP_CACHE_HIT:
      return CacheUse::hit;
    default:
      return CacheUse::bypass;
  }
}

CacheFacts cache_facts(ngx_http_request_t* r) {
  CacheFacts facts;
  facts.status = static_cast<unsigned>(r->headers_out.status);
  if (r->upstream == nullptr) return facts;
  facts.use = cache_use(*r->upstream);
  facts.origin_asked = r->upstream_states != nullptr && r->upstream_states->nelts > 0;
  if (r->cache == nullptr) return facts;
  facts.collapsed = r->cache->wait_time != 0;
  if (r->cache->valid_sec != 0) facts.ttl_s = r->cache->valid_sec - ngx_time();
  // nginx looks at proxy_no_cache only after the head was sent.
  const bool room = worker() != nullptr && !worker()->cache_disk.is_low();
  facts.stored = r->upstream->cacheable != 0 && r->cache->valid_sec > ngx_time() && room;
  return facts;
}

// --- variables -------------------------------------------------------------------------------------------------------

using GetText = std::optional<std::string> (*)(ngx_http_request_t*);

template <GetText get>
ngx_int_t get_variable(ngx_http_request_t* r, ngx_http_variable_value_t* value, uintptr_t) {
  return guarded(r->connection->log, ngx_int_t{NGX_ERROR}, [&]() -> ngx_int_t {
    const std::optional<std::string> text = get(r);
    if (text) return set_value(r, value, *text);
    value->not_found = 1;
    return NGX_OK;
  });
}

std::optional<std::string> target_text(ngx_http_request_t* r) {
  const MediaRequest* state = state_of(r);
  if (state == nullptr || !state->allowed) return std::nullopt;
  const MediaTarget& target = state->target;
  std::string text;
  if (main_conf(r).forward_token && !target.token.empty()) text.append("/t/").append(target.token);
  return text.append(target.path).append(target.query);
}
std::optional<std::string> origin_text(ngx_http_request_t* r) {
  const MediaRequest* state = state_of(r);
  if (state == nullptr || !state->allowed) return std::nullopt;
  return state->origin;
}
std::optional<std::string> key_text(ngx_http_request_t* r) {
  const MediaRequest* state = state_of(r);
  if (state == nullptr || !state->allowed) return std::nullopt;
  return state->key;
}
std::optional<std::string> authorised_text(ngx_http_request_t* r) {
  const MediaRequest* state = state_of(r);
  if (state == nullptr || !state->authorised) return std::nullopt;
  return "1";
}
std::optional<std::string> cache_status_text(ngx_http_request_t* r) { return cache_status(cache_facts(r)); }

/// For proxy_no_cache: "0" stores.
std::optional<std::string> no_store_text(ngx_http_request_t*) {
  return worker() != nullptr && worker()->cache_disk.is_low() ? "1" : "0";
}

/// Seconds since the origin gave the answer: players that aim at the live edge subtract it.
std::optional<std::string> age_text(ngx_http_request_t* r) {
  if (r->upstream == nullptr || r->cache == nullptr || r->cache->date == 0) return std::nullopt;
  const CacheUse use = cache_use(*r->upstream);
  const bool from_cache = use == CacheUse::hit || use == CacheUse::stale || use == CacheUse::updating;
  if (!from_cache) return std::nullopt;
  return std::to_string(ngx_max(ngx_time() - r->cache->date, 0));
}

}  // namespace

Worker*& worker() {
  static Worker* one = nullptr;
  return one;
}

void leave_cache(ngx_http_request_t* r) {
  if (MediaRequest* state = state_of(r); state != nullptr && r == r->main) state->leave_cache();
}

/// Tokens open media until they expire: they don't belong into logs. nginx's error log quotes the request line.
ngx_int_t mask_request_line(ngx_http_request_t* r) {
  if (!view(r->unparsed_uri).starts_with("/t/")) return NGX_DECLINED;
  return guarded(r->connection->log, ngx_int_t{NGX_HTTP_INTERNAL_SERVER_ERROR}, [r]() -> ngx_int_t {
    std::string line{view(r->method_name)};
    line.append(" ").append(mask_token(view(r->unparsed_uri))).append(" ").append(view(r->http_protocol));
    const ngx_str_t masked = copy_to_pool(r->pool, line);
    if (masked.data == nullptr) return NGX_HTTP_INTERNAL_SERVER_ERROR;
    r->request_line = masked;
    return NGX_DECLINED;
  });
}

ngx_int_t check_media_access(ngx_http_request_t* r) {
  if (!is_media_location(r)) return NGX_DECLINED;
  return guarded(r->connection->log, ngx_int_t{NGX_HTTP_INTERNAL_SERVER_ERROR}, [r] { return check(r); });
}

ngx_int_t count_media_answer(ngx_http_request_t* r) {
  if (worker() == nullptr || r != r->main || state_of(r) == nullptr) return NGX_OK;
  Counters& counters = worker()->lookups.zone().counters();
  const CacheUse use = r->upstream != nullptr ? cache_use(*r->upstream) : CacheUse::none;
  const ngx_uint_t hundreds = r->headers_out.status / 100;
  count(counters.cache[static_cast<std::size_t>(use)]);
  count(counters.status[hundreds < counters.status.size() ? hundreds : 0]);
  count(counters.bytes_sent, static_cast<std::uint64_t>(ngx_max(r->connection->sent, 0)));
  return NGX_OK;
}

ngx_int_t add_media_variables(ngx_conf_t* cf) {
  struct Named {
    ngx_str_t name;
    ngx_http_get_variable_pt get;
    ngx_uint_t flags;
  };
  const Named variables[] = {
      {ngx_string("ribalta_target"), get_variable<target_text>, 0},
      {ngx_string("ribalta_origin"), get_variable<origin_text>, 0},
      {ngx_string("ribalta_cache_key"), get_variable<key_text>, 0},
      {ngx_string("ribalta_authorised"), get_variable<authorised_text>, 0},
      {ngx_string("ribalta_cache_status"), get_variable<cache_status_text>, NGX_HTTP_VAR_NOCACHEABLE},
      {ngx_string("ribalta_no_store"), get_variable<no_store_text>, NGX_HTTP_VAR_NOCACHEABLE},
      {ngx_string("ribalta_age"), get_variable<age_text>, NGX_HTTP_VAR_NOCACHEABLE},
  };
  for (const Named& named : variables) {
    ngx_str_t name = named.name;
    ngx_http_variable_t* variable = ngx_http_add_variable(cf, &name, named.flags);
    if (variable == nullptr) return NGX_ERROR;
    variable->get_handler = named.get;
  }
  return NGX_OK;
}

}  // namespace ribalta::edge
