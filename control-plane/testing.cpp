#include "control-plane/testing.h"

#include <boost/json/object.hpp>
#include <charconv>
#include <fstream>
#include <regex>

#include "control-plane/openapi.h"
#include "core/internal_auth.h"
#include "core/json.h"

namespace ribalta::control::testing {
namespace {

using boost::json::object;
using boost::json::value;

const value* step(const value& from, std::string_view name) {
  if (from.is_object()) return from.get_object().if_contains(name);
  if (!from.is_array()) return nullptr;
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
  if (error != std::errc{} || end != name.data() + name.size() || index >= from.get_array().size()) return nullptr;
  return &from.get_array()[index];
}

std::optional<value> at(const http::Response& response, std::string_view path) {
  const auto parsed = json_parse(response.body);
  if (!parsed) return std::nullopt;
  const value* found = &*parsed;
  for (std::string_view rest = path; found != nullptr && !rest.empty();) {
    const std::size_t dot = rest.find('.');
    found = step(*found, rest.substr(0, dot));
    rest = dot == std::string_view::npos ? std::string_view{} : rest.substr(dot + 1);
  }
  if (found == nullptr) return std::nullopt;
  return *found;
}

const object& document() {
  static const value parsed = json_parse(openapi_document()).value();
  return parsed.get_object();
}

/// The part of JSON Schema 2020-12 that the document uses.
class Validator {
 public:
  static std::string complain(const value& schema_value, const value& got, const std::string& path) {
    const object& schema = schema_value.get_object();
    if (const value* ref = schema.if_contains("$ref")) return complain(resolve(ref->get_string()), got, path);
    if (const value* choices = schema.if_contains("oneOf")) return one_of(choices->get_array(), got, path);
    if (const value* type = schema.if_contains("type"); type != nullptr && !fits_type(*type, got))
      return path + ": wrong type";
    if (const value* words = schema.if_contains("enum")) {
      const auto& list = words->get_array();
      if (std::find(list.begin(), list.end(), got) == list.end()) return path + ": not one of the words";
    }
    if (got.is_string()) return complain_text(schema, std::string{std::string_view{got.get_string()}}, path);
    if (got.is_number()) return complain_number(schema, got.to_number<double>(), path);
    if (got.is_array()) return complain_items(schema, got.get_array(), path);
    if (got.is_object()) return complain_fields(schema, got.get_object(), path);
    return {};
  }

  static const value& resolve(std::string_view ref) {
    const value* found = nullptr;
    const object* from = &document();
    for (std::string_view rest = ref.substr(2); !rest.empty();) {  // after "#/"
      const std::size_t slash = rest.find('/');
      found = from->if_contains(rest.substr(0, slash));
      REQUIRE_MESSAGE(found != nullptr, std::string{ref});
      from = &found->get_object();
      rest = slash == std::string_view::npos ? std::string_view{} : rest.substr(slash + 1);
    }
    return *found;
  }

 private:
  static bool fits_type(const value& type, const value& got) {
    if (type.is_array()) {
      return std::ranges::any_of(type.get_array(), [&](const value& one) { return fits_type(one, got); });
    }
    const std::string_view name{type.get_string()};
    if (name == "object") return got.is_object();
    if (name == "array") return got.is_array();
    if (name == "string") return got.is_string();
    if (name == "integer") return got.is_int64() || got.is_uint64();
    if (name == "number") return got.is_number();
    if (name == "boolean") return got.is_bool();
    if (name == "null") return got.is_null();
    return false;
  }
  static std::string one_of(const boost::json::array& choices, const value& got, const std::string& path) {
    std::string last;
    for (const value& choice : choices) {
      last = complain(choice, got, path);
      if (last.empty()) return {};
    }
    return last;
  }
  static std::string complain_text(const object& schema, const std::string& text, const std::string& path) {
    const std::size_t chars = count_chars(text);
    if (const value* most = schema.if_contains("maxLength"); most != nullptr && chars > most->to_number<std::size_t>())
      return path + ": too long";
    if (const value* least = schema.if_contains("minLength");
        least != nullptr && chars < least->to_number<std::size_t>())
      return path + ": too short";
    if (const value* pattern = schema.if_contains("pattern")) {
      if (!std::regex_search(text, std::regex{std::string{std::string_view{pattern->get_string()}}}))
        return path + ": not of its pattern";
    }
    const value* format = schema.if_contains("format");
    if (format != nullptr && format->get_string() == "date-time") {
      static const std::regex kInstant{"^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z$"};
      if (!std::regex_match(text, kInstant)) return path + ": not an instant";
    }
    return {};
  }
  static std::string complain_number(const object& schema, double number, const std::string& path) {
    if (const value* least = schema.if_contains("minimum"); least != nullptr && number < least->to_number<double>())
      return path + ": too small";
    if (const value* most = schema.if_contains("maximum"); most != nullptr && number > most->to_number<double>())
      return path + ": too large";
    return {};
  }
  static std::string complain_items(const object& schema, const boost::json::array& items, const std::string& path) {
    const value* shape = schema.if_contains("items");
    for (std::size_t i = 0; shape != nullptr && i < items.size(); ++i) {
      std::string complaint = complain(*shape, items[i], path + "[" + std::to_string(i) + "]");
      if (!complaint.empty()) return complaint;
    }
    return {};
  }
  static std::string complain_fields(const object& schema, const object& got, const std::string& path) {
    if (const value* required = schema.if_contains("required")) {
      for (const value& name : required->get_array()) {
        if (!got.contains(std::string_view{name.get_string()}))
          return path + "." + std::string{std::string_view{name.get_string()}} + ": missing";
      }
    }
    const value* properties = schema.if_contains("properties");
    const value* additional = schema.if_contains("additionalProperties");
    for (const auto& field : got) {
      const value* shape = properties != nullptr ? properties->get_object().if_contains(field.key()) : nullptr;
      const std::string inner = path + "." + std::string{field.key()};
      if (shape == nullptr && additional != nullptr && additional->is_bool() && !additional->get_bool())
        return inner + ": not in the document";
      if (shape == nullptr) continue;
      std::string complaint = complain(*shape, field.value(), inner);
      if (!complaint.empty()) return complaint;
    }
    return {};
  }
};

}  // namespace

FakePackager::FakePackager(LoopPool& loops, const http::Address& address) {
  http::Handler handler = [state = state_](http::Exchange& exchange) { return take_note(state, exchange); };
  server_ = must(http::Server::listen(loops, address, std::move(handler)));
}
Task<void> FakePackager::take_note(std::shared_ptr<State> state, http::Exchange& exchange) {
  Result<std::string> body = co_await exchange.read_all();
  std::string line = exchange.head().method + " " + exchange.head().target;
  if (body && !body->empty()) line += " " + *body;
  state->notes.add(std::move(line));
  http::Response response = http::Response::json(state->status, "{}");
  co_await exchange.respond(std::move(response));
}
FakePackager::~FakePackager() { server_->drain(); }

void Notes::add(std::string line) {
  const std::lock_guard lock{mutex_};
  lines_.push_back(std::move(line));
  added_.notify_all();
}
std::vector<std::string> Notes::take() {
  const std::lock_guard lock{mutex_};
  return std::exchange(lines_, {});
}
bool Notes::wait_for(std::string_view line) {
  std::unique_lock lock{mutex_};
  return added_.wait_for(lock, std::chrono::seconds{10},
                         [&] { return std::ranges::find(lines_, line) != lines_.end(); });
}

Task<Result<redis::Reply>> FakeRedis::command(std::vector<std::string> arguments) {
  if (throws > 0) {
    --throws;
    throw std::runtime_error("Redis, says the test");
  }
  if (down) co_return fail(Code::unavailable, "not connected");
  std::string line;
  for (const std::string& argument : arguments) line += (line.empty() ? "" : " ") + argument;
  for (bool first = true;; first = false) {
    {
      const std::scoped_lock lock{mutex_};
      if (first && !line.empty() && line == held_line_) {
        held_line_.clear();
        held_ = true;
        changed_.notify_all();
      } else if (first || !held_) {
        break;
      }
    }
    co_await sleep_for(std::chrono::milliseconds{5});
  }
  notes_.add(std::move(line));
  co_return redis::Reply{.kind = redis::Reply::Kind::text, .text = "OK"};
}

void FakeRedis::hold(std::string line) {
  const std::scoped_lock lock{mutex_};
  held_line_ = std::move(line);
}
bool FakeRedis::wait_held() {
  std::unique_lock lock{mutex_};
  return changed_.wait_for(lock, std::chrono::seconds{10}, [this] { return held_; });
}
void FakeRedis::release() {
  const std::scoped_lock lock{mutex_};
  held_ = false;
}

House::House(HouseOptions options) {
  node.redis = redis;
  node.config.data = folder.path();
  node.config.run = folder.path();
  node.role = "control";
  node.node_secret = "a node's secret for this test alone";
  node.loops = std::make_unique<LoopPool>(2);
  node.store = must(open_folder_store(folder.path() / "store"));
  Config config{.database = options.database, .registration = options.registration};
  config.user_mib_max = options.user_mib_max;
  config.upload_mib_max = std::min<std::int64_t>(config.upload_mib_max, options.user_mib_max);
  config.drafts_max = options.drafts_max;
  config.live_cores = 2;
  ControlOptions fast{.password_cost = {.passes = 1, .memory_bytes = 8192}, .now_ms = [this] {
                        if (clock_throws > 0) {
                          --clock_throws;
                          throw std::runtime_error("the clock, says the test");
                        }
                        return now_.load();
                      }};
  control = must(Control::open(node, std::move(config), std::move(fast)));
  background = std::make_shared<Background>(control);
  add_api_routes(control, router);
  add_internal_routes(control, router);
  add_node_port_routes(control, router);
  address_.unix_path = (folder.path() / "control.sock").string();
  server_ = must(http::Server::listen(*node.loops, address_, router.handler()));
  packager = std::make_unique<FakePackager>(*node.loops, control->packager);
  node.loops->start();
}

House::~House() {
  background->stop();
  server_->drain();
  packager.reset();
  node.loops->stop(std::chrono::seconds{5});
  server_.reset();
}

bool House::wait_clock_thrown() {
  for (int i = 0; i < 1000 && clock_throws > 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds{10});
  return clock_throws == 0;
}

http::Response House::call(http::Request request) {
  return must(run_on(*node.loops, http::call(address_, std::move(request)), 1));
}

http::Response House::internal(std::string_view method, std::string_view path, std::string body) {
  http::Request request{.method = std::string{method},
                        .target = "/internal/v1" + std::string{path},
                        .fields = {},
                        .body = std::move(body)};
  request.fields.set(kNodeField, sign_internal(node.node_secret, caller_, request.method, request.target, wall_now()));
  request.fields.set("Content-Type", "application/json");
  return call(std::move(request));
}

void House::run_background() {
  struct Done {};
  const auto started = [](std::shared_ptr<Background> self) -> Task<Done> {  // its coroutines belong to loop 0
    self->start();
    co_return Done{};
  };
  run_on(*node.loops, started(background), 0);
}

void House::sweep() {
  struct Done {};
  const auto swept = [](std::shared_ptr<Background> self) -> Task<Done> {
    co_await self->sweep();
    co_return Done{};
  };
  run_on(*node.loops, swept(background), 0);
}

void House::errands() {
  struct Done {};
  const auto ran = [](std::shared_ptr<Background> self) -> Task<Done> {
    co_await self->run_due();
    co_return Done{};
  };
  run_on(*node.loops, ran(background), 0);
}

std::string House::secret(std::string_view name) const {
  std::ifstream in{folder.path() / "secrets" / name};
  std::string text;
  std::getline(in, text);
  return text;
}

http::Response Browser::send(std::string_view method, std::string_view path, std::string body) {
  http::Request request{
      .method = std::string{method}, .target = "/api/v1" + std::string{path}, .fields = {}, .body = std::move(body)};
  request.fields.set("X-Real-IP", address);
  if (!request.body.empty()) request.fields.set("Content-Type", "application/json");
  if (!bearer.empty()) request.fields.set("Authorization", "Bearer " + bearer);
  if (!cookie.empty()) request.fields.set("Cookie", std::string{kSessionCookie} + "=" + cookie);
  if (!csrf.empty()) request.fields.set("X-Csrf-Token", csrf);
  http::Response response = house_->call(std::move(request));
  const std::string set{response.fields.get("Set-Cookie")};
  const std::string begin = std::string{kSessionCookie} + "=";
  if (set.starts_with(begin)) cookie = set.substr(begin.size(), set.find(';') - begin.size());
  if (response.status < 300 && has(response, "csrf"))
    csrf = at(response, "csrf")->is_string() ? text_at(response, "csrf") : "";
  return response;
}

Browser& Browser::sign_up(std::string_view name, std::string_view password) {
  const http::Response response = send(
      "POST", "/users", R"({"name":")" + std::string{name} + R"(","password":")" + std::string{password} + R"("})");
  REQUIRE_MESSAGE(response.status == 201, response.body);
  return *this;
}

std::string text_at(const http::Response& response, std::string_view path) {
  const auto found = at(response, path);
  const std::string where = std::string{path} + " in " + response.body;
  REQUIRE_MESSAGE((found && found->is_string()), where);
  return std::string{std::string_view{found->get_string()}};
}
std::int64_t number_at(const http::Response& response, std::string_view path) {
  const auto found = at(response, path);
  const std::string where = std::string{path} + " in " + response.body;
  REQUIRE_MESSAGE((found && found->is_number()), where);
  return found->to_number<std::int64_t>();
}
bool has(const http::Response& response, std::string_view path) { return at(response, path).has_value(); }

std::string code_of(const http::Response& response) {
  return has(response, "error.code") ? text_at(response, "error.code") : response.body;
}

std::string schema_complaint(std::string_view method, std::string_view path_pattern, const http::Response& response) {
  const value* path = document().at("paths").get_object().if_contains(path_pattern);
  if (path == nullptr) return std::string{path_pattern} + ": not in the document";
  std::string lower{method};
  std::ranges::transform(lower, lower.begin(),
                         [](char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c); });
  const value* operation = path->get_object().if_contains(lower);
  if (operation == nullptr) return lower + ": not in the document";
  const value* answer =
      operation->get_object().at("responses").get_object().if_contains(std::to_string(response.status));
  if (answer == nullptr) return "status " + std::to_string(response.status) + ": not in the document";
  const value* content = answer->get_object().if_contains("content");
  if (content == nullptr) return response.body.empty() ? "" : "a body where the document has none";
  const auto body = json_parse(response.body);
  if (!body) return "not JSON";
  if (const value* codes = answer->get_object().if_contains("x-codes")) {
    const std::string code = code_of(response);
    const auto& list = codes->get_array();
    if (std::ranges::none_of(list, [&](const value& one) { return one.get_string() == code; }))
      return "code " + code + ": not in the document";
  }
  return Validator::complain(content->get_object().at("application/json").get_object().at("schema"), *body, "$");
}

http::Response checked_at(Browser& browser, std::string_view method, std::string_view pattern, const std::string& path,
                          std::string body) {
  http::Response response = browser.send(method, path, std::move(body));
  const std::string complaint = schema_complaint(method, pattern, response);
  const std::string where = std::string{method} + " " + path + ": " + complaint + ": " + response.body;
  CHECK_MESSAGE(complaint.empty(), where);
  return response;
}
http::Response checked(Browser& browser, std::string_view method, const std::string& path, std::string body) {
  return checked_at(browser, method, path.substr(0, path.find('?')), path, std::move(body));
}

std::string authorise_body(const Browser& browser, std::int64_t bytes, std::string_view replaces) {
  return R"({"cookie":"ribalta_session=)" + browser.cookie + R"(","csrf":")" + browser.csrf +
         R"(","authorization":"","bytes":)" + std::to_string(bytes) +
         R"(,"filename":"beach.mp4","title":"","replaces":")" + std::string{replaces} + R"("})";
}

Uploaded draft(House& house, const Browser& browser, std::string_view replaces) {
  const http::Response ticket = house.internal("POST", "/uploads/authorise", authorise_body(browser, 1000, replaces));
  REQUIRE_MESSAGE(ticket.status == 200, ticket.body);
  return {text_at(ticket, "video"), text_at(ticket, "upload")};
}
void store_upload(House& house, const Uploaded& uploaded) {
  const http::Response done =
      house.internal("POST", "/uploads/finished",
                     R"({"upload":")" + uploaded.upload + R"(","video":")" + uploaded.video + R"(","key":"uploads/)" +
                         uploaded.upload + R"(","bytes":1000,"filename":"beach.mp4"})");
  REQUIRE_MESSAGE(done.status == 200, done.body);
}
http::Response lease(House& house, std::string_view kinds) {
  return house.internal("POST", "/jobs/lease",
                        R"({"worker":"w1","kinds":)" + std::string{kinds} + R"(,"encoders":["x264"]})");
}
std::string result_body(const http::Response& job) {
  return R"({"epoch":)" + std::to_string(number_at(job, "epoch")) + R"(,"result":{"version":")" +
         text_at(job, "version") +
         R"(","duration_ms":5000,"width":720,"height":1280,"tracks":[{"track":"v720"}],"poster":true}})";
}
std::string ready(House& house, const Browser& browser) {
  const Uploaded uploaded = draft(house, browser);
  store_upload(house, uploaded);
  const http::Response job = lease(house);
  REQUIRE(job.status == 200);
  const http::Response done = house.internal("POST", "/jobs/" + text_at(job, "job") + "/complete", result_body(job));
  REQUIRE_MESSAGE(done.status == 200, done.body);
  return uploaded.video;
}

std::string publish_body(const std::string& key) {
  return R"({"key":")" + key + R"(","proposed_stream":"","address":"192.0.2.9"})";
}

}  // namespace ribalta::control::testing
