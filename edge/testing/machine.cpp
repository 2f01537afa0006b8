#include "edge/testing/machine.h"

#include <doctest/doctest.h>
#include <hiredis/hiredis.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <future>
#include <iterator>
#include <map>
#include <regex>
#include <sstream>
#include <thread>

#include "core/bytes.h"
#include "core/ids.h"

namespace ribalta::edge::testing {

using namespace std::chrono_literals;

namespace {

std::string read_file(const std::string& name) {
  std::ifstream file{name, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

void write_file(const std::string& name, const std::string& text) { std::ofstream{name, std::ios::binary} << text; }

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

std::string run_shell(const std::string& command) {
  std::FILE* pipe = ::popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string out;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) out += static_cast<char>(c);
  ::pclose(pipe);
  return out;
}

}  // namespace

std::string new_id() {
  const auto id = random_id();
  return {id.data(), id.size()};
}

std::string cache_status(const http::Response& response) { return std::string{response.fields.get("Cache-Status")}; }

bool is_hit(const http::Response& response) { return cache_status(response).starts_with("ribalta-edge; hit"); }

std::string altered(std::string token) {
  const std::size_t dot = token.find('.', token.find('.', token.find('.') + 1) + 1);
  token[dot - 1] = token[dot - 1] == 'z' ? 'y' : 'z';
  return token;
}

bool until(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + 20s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(10ms);
  }
  return true;
}

// --- Process ---------------------------------------------------------------------------------------------------------

Process::Process(std::vector<std::string> command) {
  std::vector<char*> words;
  words.reserve(command.size() + 1);
  for (std::string& word : command) words.push_back(word.data());
  words.push_back(nullptr);
  pid_ = ::fork();
  REQUIRE(pid_ >= 0);
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::execvp(words[0], words.data());
    ::_exit(127);
  }
}

void Process::signal(int number) const {
  if (pid_ > 0) ::kill(pid_, number);
}

void Process::kill_and_wait(int number) {
  if (pid_ <= 0) return;
  ::kill(pid_, number);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

std::vector<pid_t> Process::children() const {
  std::istringstream text{read_file("/proc/" + std::to_string(pid_) + "/task/" + std::to_string(pid_) + "/children")};
  return {std::istream_iterator<pid_t>{text}, {}};
}

// --- Origin ----------------------------------------------------------------------------------------------------------

Origin::Origin(LoopPool& loops, std::string socket, std::string name)
    : socket_(std::move(socket)), name_(std::move(name)) {
  http::Address address{.unix_path = socket_, .host = {}};
  server_ = http::Server::listen(loops, address, [this](http::Exchange& exchange) { return answer(exchange); }).value();
}

Origin::~Origin() {
  server_->drain();
  until([this] { return server_->connections() == 0; });
  server_.reset();
  ::unlink(socket_.c_str());
}

Task<void> Origin::answer(http::Exchange& exchange) {
  const std::string target = exchange.head().target;
  {
    const std::scoped_lock lock{mutex_};
    requests_.push_back(exchange.head());
  }
  if (target.find("slow") != std::string::npos) co_await sleep_for(300ms);
  http::Response response = http::Response::text(200, name_ + " " + target);
  if (target.find("missing") != std::string::npos) response.status = 404;
  if (target.find("none") == std::string::npos) {
    const bool is_short = target.find("short.m3u8") != std::string::npos || response.status == 404;
    response.fields.set("Cache-Control", is_short ? "max-age=1" : "public, max-age=31536000, immutable");
  }
  response.fields.set("Ribalta-Tag", "stream:x");
  co_await exchange.respond(std::move(response));
}

std::vector<http::RequestHead> Origin::requests() const {
  const std::scoped_lock lock{mutex_};
  return requests_;
}

std::size_t Origin::count(std::string_view in_target) const {
  const std::scoped_lock lock{mutex_};
  return static_cast<std::size_t>(std::ranges::count_if(requests_, [in_target](const http::RequestHead& head) {
    return head.target.find(in_target) != std::string::npos;
  }));
}

http::RequestHead Origin::last() const {
  const std::scoped_lock lock{mutex_};
  REQUIRE(!requests_.empty());
  return requests_.back();
}

// --- Machine ---------------------------------------------------------------------------------------------------------

Machine::Machine(const Machine* first) {
  for (const char* name : {"run", "logs", "web", "web/assets", "cache", "cache/edge", "redis", "secrets"}) {
    std::filesystem::create_directory(path(name));
  }
  write_file(path("web/index.html"), "<!doctype html><title>Ribalta</title>");
  write_file(path("web/assets/app-0123.js"), "export {};");
  write_file(path("keys"), "s1 ed25519 " + to_hex(as_bytes(public_half(key_).secret)) + "\n");  // all that an edge has
  write_configuration();
  if (first == nullptr) {
    std::ofstream{path("keys"), std::ios::app} << "k1 " << to_hex(as_bytes(shared_key_.secret)) << "\n";
    packager = std::make_unique<Origin>(loops, path("run/packager.sock"), "packager");
    other = std::make_unique<Origin>(loops, path("run/other.sock"), "other");
    api = std::make_unique<Origin>(loops, path("run/control.sock"), "api");
  } else {
    make_certificate(path("secrets"), "node");
    std::filesystem::copy_file(first->path("secrets/node_port_cert.pem"), path("secrets/first_cert.pem"));
    write_from_template(RIBALTA_EDGE_SOURCE "/first_node.conf.in", "run/first_node.conf",
                        {{"@FIRST@", "unix:" + first->path("run/node.sock")}});
  }
  loops.start();
  start_redis();
  start_nginx();
  wait_for_redis();
}

Machine::~Machine() {
  if (nginx) nginx->kill_and_wait(SIGTERM);
  redis.reset();
  packager.reset();
  other.reset();
  api.reset();
  loops.stop(5s);
}

void Machine::write_from_template(const std::string& source, const std::string& name,
                                  const std::map<std::string, std::string>& more) const {
  std::string text = read_file(source);
  const std::map<std::string, std::string> values{
      {"@MODULE@", RIBALTA_EDGE_MODULE},
      {"@USER@", ::getuid() == 0 ? "user root;" : ""},
      {"@DATA@", path("")},
      {"@RUN@", path("run")},
      {"@LOGS@", path("logs")},
      {"@WEB@", path("web")},
      {"@LISTEN@", "listen unix:" + path("run/site.sock") + ";"},
      {"@TLS@", ""},
      {"@TOKEN_KEYS@", path("keys")},
      {"@WORKERS@", "2"},
      {"@NOFILE@", "4096"},
      {"@CACHE_MAX@", "100m"},
  };
  for (const auto& [word, value] : values) replace_all(text, word, value);
  for (const auto& [word, value] : more) replace_all(text, word, value);
  replace_all(text, "worker_connections 8000;", "worker_connections 1000;");
  REQUIRE(!std::regex_search(text, std::regex{"@[A-Z_]+@"}));  // every word was filled in
  write_file(path(name), text);
}

void Machine::write_configuration() const {
  write_from_template(RIBALTA_EDGE_SOURCE "/nginx.conf.in", "nginx.conf", {});
}

// --- the node port ---------------------------------------------------------------------------------------------------

void Machine::open_node_port() const {
  make_certificate(path("secrets"), "node_port");
  write_from_template(RIBALTA_EDGE_SOURCE "/node_port.conf.in", "run/node_port.conf",
                      {{"@NODE_LISTEN@", "unix:" + path("run/node.sock")}});
}

void Machine::make_certificate(const std::string& folder, const std::string& name) {
  const std::string file = folder + "/" + name;
  const std::string command =
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "
      "/CN=" +
      name + " -addext subjectAltName=DNS:ribalta-node -keyout " + file + "_key.pem -out " + file +
      "_cert.pem 2>/dev/null";
  REQUIRE(std::system(command.c_str()) == 0);  // NOLINT(concurrency-mt-unsafe): one thread
}

void Machine::list_node(const std::string& name, const std::string& certificate_file) const {
  std::string line;
  if (!name.empty()) {
    line = run_shell("openssl x509 -in " + certificate_file + " -outform DER | sha256sum | cut -c1-64 | tr -d '\\n'");
    line += " " + name + "\n";
  }
  write_file(path("run/nodes.new"), line);
  std::filesystem::rename(path("run/nodes.new"), path("run/nodes"));
}

std::string Machine::ask_node_port(const std::string& target, const std::string& certificate,
                                   const std::string& more) const {
  std::string command = "curl -sk --max-time 20 --path-as-is --unix-socket " + path("run/node.sock") + " " + more;
  if (!certificate.empty()) command += " --cert " + certificate + "_cert.pem --key " + certificate + "_key.pem";
  const std::string body = path("answer");
  write_file(body, "");
  const std::string status =
      run_shell(command + " -o " + body + " -w '%{http_code}' 'https://ribalta-node" + target + "'");
  return status + " " + read_file(body);
}

void Machine::configure(const std::string& from, const std::string& to) const {
  std::string text = read_file(path("nginx.conf"));
  REQUIRE(text.find(from) != std::string::npos);
  replace_all(text, from, to);
  write_file(path("nginx.conf"), text);
}

void Machine::start_redis() {
  redis = std::make_unique<Process>(std::vector<std::string>{"redis-server", "--port", "0", "--unixsocket",
                                                             path("run/redis.sock"), "--save", "", "--dir",
                                                             path("redis"), "--logfile", path("logs/redis.log")});
  REQUIRE(until([this] { return redis_command({"PING"}) == "PONG"; }));
}

void Machine::start_nginx() {
  ::unlink(path("run/edge.sock").c_str());
  ::unlink(path("run/site.sock").c_str());
  ::unlink(path("run/node.sock").c_str());
  if (!packager && !api) {
    for (const char* name : {"run/packager.sock", "run/control.sock", "run/ingest.sock", "run/first.sock"}) {
      ::unlink(path(name).c_str());
    }
  }
  nginx = std::make_unique<Process>(std::vector<std::string>{"/usr/sbin/nginx", "-e", path("logs/edge-error.log"), "-p",
                                                             path(""), "-c", path("nginx.conf")});
  REQUIRE_MESSAGE(until([this] { return status("healthz") == "ok\n"; }), log("edge-error.log"));
}

std::string Machine::redis_command(const std::vector<std::string>& words) {
  redisContext* context = redisConnectUnix(path("run/redis.sock").c_str());
  std::vector<const char*> texts;
  std::vector<std::size_t> sizes;
  for (const std::string& word : words) {
    texts.push_back(word.data());
    sizes.push_back(word.size());
  }
  std::string out;
  if (context != nullptr && context->err == 0) {
    auto* reply =
        static_cast<redisReply*>(redisCommandArgv(context, static_cast<int>(words.size()), texts.data(), sizes.data()));
    if (reply != nullptr && reply->str != nullptr) out.assign(reply->str, static_cast<std::size_t>(reply->len));
    if (reply != nullptr && reply->type == REDIS_REPLY_INTEGER) out = std::to_string(reply->integer);
    if (reply != nullptr && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2) {
      out = std::to_string(reply->element[1]->integer);  // PUBSUB NUMSUB one-channel
    }
    if (reply != nullptr) freeReplyObject(reply);
  }
  if (context != nullptr) redisFree(context);
  return out;
}

void Machine::set(const std::string& key, const std::string& value) {
  REQUIRE(redis_command({"SET", key, value}) == "OK");
}

void Machine::publish(const std::string& tag) { REQUIRE(redis_command({"PUBLISH", "purge", tag}) == "1"); }

/// Returns when the edge has dropped what it knew, so that the next request sees the new state.
void Machine::publish_purge(const std::string& tag) {
  const std::uint64_t before = metric("ribalta_edge_purges_total ");
  publish(tag);
  REQUIRE(until([&] { return metric("ribalta_edge_purges_total ") > before; }));
}

void Machine::insist_on_purge(const std::string& tag) {
  const std::uint64_t before = metric("ribalta_edge_purges_total ");
  REQUIRE(until([&] {
    redis_command({"PUBLISH", "purge", tag});
    return metric("ribalta_edge_purges_total ") > before;
  }));
}

void Machine::wait_for_redis() {
  REQUIRE(until([this] {
    return metric("ribalta_edge_redis_connected ") == 2 && redis_command({"PUBSUB", "NUMSUB", "purge"}) == "1";
  }));
}

http::Response Machine::ask(std::string method, std::string target, http::Fields fields, std::string body) {
  http::Request request{
      .method = std::move(method), .target = std::move(target), .fields = std::move(fields), .body = std::move(body)};
  http::Address address{.unix_path = path("run/site.sock"), .host = {}};
  Result<http::Response> response =
      ribalta::testing::run_on(loops, http::call(std::move(address), std::move(request)), 1);
  if (!response) return {.status = 0, .fields = {}, .body = response.error().message};
  return std::move(*response);
}

std::vector<http::Response> Machine::get_many(const std::vector<std::string>& targets) {
  std::vector<std::future<http::Response>> waiting;
  waiting.reserve(targets.size());
  for (const std::string& target : targets) {
    waiting.push_back(std::async(std::launch::async, [this, target] { return get(target); }));
  }
  std::vector<http::Response> responses;
  responses.reserve(targets.size());
  for (auto& future : waiting) responses.push_back(future.get());
  return responses;
}

std::string Machine::status(const std::string& page) {
  http::Address address{.unix_path = path("run/edge.sock"), .host = {}};
  http::Request request{.target = "/" + page, .fields = {}, .body = {}};
  const auto response = ribalta::testing::run_on(loops, http::call(std::move(address), std::move(request)), 1);
  return response && response->status == 200 ? response->body : std::string{};
}

std::uint64_t Machine::metric(const std::string& line_start) {
  const std::string text = "\n" + status("metrics");
  const std::size_t at = text.find("\n" + line_start);
  if (at == std::string::npos) return 0;
  return std::strtoull(text.c_str() + at + 1 + line_start.size(), nullptr, 10);
}

std::string Machine::token(std::string_view prefix, std::int64_t expires_in_s) const {
  const std::int64_t now =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  return mint_token(key_,
                    {.audience = "any", .path_prefix = std::string{prefix}, .expires_unix_s = now + expires_in_s});
}

std::string Machine::shared_token(std::string_view prefix) const {
  return mint_token(shared_key_, {.audience = "any", .path_prefix = std::string{prefix}, .expires_unix_s = 1LL << 33});
}

std::string Machine::log(const std::string& name) const { return read_file(path("logs/" + name)); }

}  // namespace ribalta::edge::testing
