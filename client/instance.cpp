#include "client/instance.h"

#include <fcntl.h>
#include <pwd.h>
#include <unistd.h>

#include <boost/describe/class.hpp>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>

#include "core/tokens.h"
#include "core/units.h"

namespace ribalta::client {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kSmallFileMax = 64 * 1024;
/// A kept token lives for a month, and is not used in its last hour.
constexpr std::chrono::seconds kTokenLifetime = std::chrono::hours{24 * 30};
constexpr std::chrono::seconds kTokenRest = std::chrono::hours{1};

struct NodePort {
  std::string address;
  std::string fingerprint;
};
BOOST_DESCRIBE_STRUCT(NodePort, (), (address, fingerprint))

struct Endpoints {
  std::string site;
  std::optional<std::string> rtmp;
  std::optional<std::string> admin_token;
  std::optional<std::string> socket;
  std::optional<NodePort> nodes;
  std::optional<std::string> role;
  std::optional<std::string> name;
  std::optional<std::string> first;
};
BOOST_DESCRIBE_STRUCT(Endpoints, (), (site, rtmp, admin_token, socket, nodes, role, name, first))

struct ApiErrorBody {
  std::string code;
  std::string message;
};
BOOST_DESCRIBE_STRUCT(ApiErrorBody, (), (code, message))
struct ApiError {
  ApiErrorBody error;
};
BOOST_DESCRIBE_STRUCT(ApiError, (), (error))

struct TokenNew {
  std::string label;
  std::int64_t lifetime_s = 0;
};
BOOST_DESCRIBE_STRUCT(TokenNew, (), (label, lifetime_s))
struct TokenMade {
  std::string token;
};
BOOST_DESCRIBE_STRUCT(TokenMade, (), (token))

struct KeptToken {
  std::string token;
  std::int64_t expires_unix_ms = 0;
};
BOOST_DESCRIBE_STRUCT(KeptToken, (), (token, expires_unix_ms))

std::string environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): one thread
  return value == nullptr ? "" : value;
}

/// HOME, else what the system's list of users says: root must not fall back on a folder that another user owns.
std::string home_folder() {
  if (std::string home = environment("HOME"); !home.empty()) return home;
  const passwd* user = ::getpwuid(::getuid());  // NOLINT(concurrency-mt-unsafe): one thread
  return user == nullptr || user->pw_dir == nullptr ? "" : user->pw_dir;
}

Result<fs::path> token_file(const Instance& instance, const std::string& user) {
  const Result<fs::path> folder = state_folder(instance);
  if (!folder) return pass(folder);
  // The admin token is part of the name: another instance in the same place has other accounts.
  return *folder / ("token-" + hmac_sha256_hex(instance.admin_token(), instance.site() + "\n" + user).substr(0, 24));
}

}  // namespace

Refusal refusal_of(const http::Response& response) {
  const Result<ApiError> error = json_read<ApiError>(response.body, JsonUnknown::ignore);
  if (error) return {error->error.code, error->error.message};
  const std::string status = std::to_string(response.status);
  if (response.status == 502 || response.status == 503 || response.status == 504) {
    return {"unavailable", "The instance is starting, or a part of it is down (" + status + ")."};
  }
  return {"status_" + status, "The instance answered " + status + "."};
}

Result<Instance> Instance::open(const fs::path& data) {
  const fs::path file = data / "endpoints.json";
  const Result<std::string> text = read_small(file);
  if (!text && text.error().code == Code::not_found) {
    return fail(Code::not_found, "No instance has run in " + data.string() + ". Start one with scripts/up --data " +
                                     data.string() + ", or name another with --data DIR.");
  }
  if (!text && ::access(file.c_str(), R_OK) != 0) {
    return fail(Code::forbidden, file.string() + " can't be read: it holds the administrator's token, and is for the " +
                                     "user who runs the instance, and root.");
  }
  if (!text) return pass(text);
  const Result<Endpoints> endpoints = json_read<Endpoints>(*text, JsonUnknown::ignore);
  if (!endpoints) return endpoints.error().in(file.string());
  Instance instance;
  instance.data_ = data;
  instance.site_ = endpoints->site;
  while (instance.site_.ends_with('/')) instance.site_.pop_back();
  instance.is_edge_ = endpoints->role == "edge";
  if (!instance.is_edge_ && (!endpoints->rtmp || !endpoints->admin_token)) {
    return fail(Code::malformed, file.string() + ": rtmp and admin_token are missing");
  }
  instance.rtmp_ = endpoints->rtmp.value_or("");
  instance.admin_token_ = endpoints->admin_token.value_or("");
  instance.node_name_ = endpoints->name.value_or("");
  instance.node_address_ = endpoints->nodes ? endpoints->nodes->address : endpoints->first.value_or("");
  instance.node_fingerprint_ = endpoints->nodes ? endpoints->nodes->fingerprint : "";
  instance.socket_ = endpoints->socket.value_or("");
  return instance;
}

HttpRequest Instance::request(std::string_view method, std::string_view url) const {
  HttpRequest request;
  request.method = method;
  request.url = url;
  if (!socket_.empty() && url.starts_with(site_ + "/")) {
    request.socket = socket_;
    request.url = "http://localhost" + request.url.substr(site_.size());
  }
  return request;
}

Result<std::string> Instance::url(std::string_view location) const {
  if (location.starts_with('/') && !location.starts_with("//")) return site_ + std::string{location};
  if (location.starts_with(site_ + "/")) return std::string{location};
  return fail(Code::malformed, "the server pointed elsewhere, to", location);
}

Result<http::Response> Instance::call(std::string_view method, std::string_view path, std::string_view token,
                                      std::string body) const {
  HttpRequest request = this->request(method, site_ + "/api/v1" + std::string{path});
  request.fields.set("Authorization", "Bearer " + std::string{token});
  if (!body.empty()) request.fields.set("Content-Type", "application/json");
  request.body = std::move(body);
  return perform(request);
}

Result<std::string> Instance::admin_call(std::string_view method, std::string_view path, std::string body) const {
  if (is_edge_) {
    return fail(Code::unsupported,
                "This is an edge of the node at " + node_address_ + ", without accounts of its own. Do it there.");
  }
  Result<http::Response> response = call(method, path, admin_token_, std::move(body));
  if (!response) {
    return fail(response.error().code, "The instance in " + data_.string() + " does not answer (" +
                                           response.error().message + "). Start it with: scripts/up --data " +
                                           data_.string());
  }
  if (response->status / 100 == 2) return std::move(response->body);
  const Code code = response->status == 404 ? Code::not_found : Code::conflict;
  return fail(code, refusal_of(*response).message);
}

Result<std::string> user_token(const Instance& instance, const std::string& user) {
  if (std::string given = environment("RIBALTA_TOKEN"); !given.empty()) return given;
  const Result<fs::path> file = token_file(instance, user);
  if (!file) return pass(file);
  if (const Result<std::string> text = read_small(*file)) {
    const Result<KeptToken> kept = json_read<KeptToken>(*text);
    const WallTime needed = wall_now() + kTokenRest;
    if (kept && kept->expires_unix_ms > to_unix_ms(needed)) return kept->token;
  }
  std::string body = json_write(TokenNew{"ribalta command", kTokenLifetime.count()});
  const Result<std::string> answer = instance.admin_call("POST", "/admin/users/" + user + "/tokens", std::move(body));
  if (!answer && answer.error().code == Code::not_found) {
    return fail(Code::not_found, "There is no account " + user + ". Make it with: ribalta user add " + user);
  }
  if (!answer) return pass(answer);
  const Result<TokenMade> made = json_read<TokenMade>(*answer, JsonUnknown::ignore);
  if (!made) return made.error().in("the answer of the instance");
  const WallTime expires = wall_now() + kTokenLifetime;
  const Result<void> written = write_private(*file, json_write(KeptToken{made->token, to_unix_ms(expires)}));
  if (!written) return pass(written);
  return made->token;
}

void forget_user_token(const Instance& instance, const std::string& user) {
  std::error_code ignored;
  if (const Result<fs::path> file = token_file(instance, user)) fs::remove(*file, ignored);
}

Result<fs::path> state_folder(const Instance& instance) {
  fs::path folder = instance.data() / "client";
  if (const std::string home = home_folder(); !home.empty()) folder = fs::path{home} / ".local/state/ribalta";
  if (const std::string state = environment("XDG_STATE_HOME"); !state.empty()) folder = fs::path{state} / "ribalta";
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    fs::create_directories(folder, error);
    if (!error) fs::permissions(folder, fs::perms::owner_all, error);
  }
  if (error) return fail(Code::io, "can't make " + folder.string() + ":", error.message());
  return folder;
}

Result<void> write_private(const fs::path& file, std::string_view text) {
  const std::string fresh = file.string() + ".new";
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return fail_errno("write", fresh);
  const ssize_t written = ::write(fd, text.data(), text.size());
  const bool whole = written == static_cast<ssize_t>(text.size());
  ::close(fd);
  if (!whole) return fail(Code::io, "can't write", fresh);
  if (::rename(fresh.c_str(), file.c_str()) != 0) return fail_errno("write", file.string());
  return {};
}

Result<std::string> read_small(const fs::path& file) {
  std::error_code error;
  const std::uintmax_t bytes = fs::file_size(file, error);
  if (error == std::errc::no_such_file_or_directory) return fail(Code::not_found, "no such file:", file.string());
  if (error) return fail(Code::io, file.string() + ":", error.message());
  if (bytes > kSmallFileMax) return fail(Code::limit, "unexpectedly large:", file.string());
  std::ifstream stream{file, std::ios::binary};
  std::string text{std::istreambuf_iterator<char>{stream}, {}};
  if (!stream) return fail(Code::io, "can't be read:", file.string());
  return text;
}

}  // namespace ribalta::client
