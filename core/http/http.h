// What HTTP messages are made of, for server and client. HTTP/1.1 inside the house; nginx does TLS and HTTP/2 in front.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"

namespace ribalta::http {

/// Field names compare without case; order and repeats are kept.
class Fields {
 public:
  Fields() = default;
  Fields(std::initializer_list<std::pair<std::string, std::string>> fields) : fields_(fields) {}
  void set(std::string_view name, std::string_view value);  ///< replaces all of that name
  void add(std::string_view name, std::string_view value);
  [[nodiscard]] std::string_view get(std::string_view name) const;  ///< the first, or empty
  [[nodiscard]] bool has(std::string_view name) const;
  [[nodiscard]] auto begin() const { return fields_.begin(); }
  [[nodiscard]] auto end() const { return fields_.end(); }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

struct RequestHead {
  std::string method;  ///< upper case as sent: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS
  std::string target;  ///< as sent: path and query
  std::string path;    ///< percent-decoded once; a path with NUL, "..", "//" or bad escapes was answered 400 before
  std::string query;   ///< after '?', as sent
  Fields fields;
  std::string peer;  ///< remote address, or "unix"

  /// Percent-decoded value of the first query parameter of that name; empty when absent.
  [[nodiscard]] std::string query_value(std::string_view name) const;
  [[nodiscard]] std::string cookie(std::string_view name) const;
};

struct ResponseHead {
  unsigned status = 200;
  Fields fields;
};

struct Response {
  unsigned status = 200;
  Fields fields;
  std::string body;

  static Response text(unsigned status, std::string_view body);
  static Response json(unsigned status, std::string body);
  /// The API's error body: {"error":{"code":CODE,"message":SENTENCE}}; `code` for programs, `message` for people.
  static Response error(unsigned status, std::string_view code, std::string_view message);
  /// The status that fits the error's code (malformed 400, limit 413, not_found 404, conflict 409, unauthorized 401,
  /// forbidden 403, unavailable and closed 503, timeout 504, no_space 507, unsupported 415, else 500).
  static Response of(const Error& error);
};

std::string percent_encode(std::string_view text);
Result<std::string> percent_decode(std::string_view text);

/// A request's target, taken apart: the path decoded once, the query as sent.
struct SplitTarget {
  std::string path;
  std::string query;
};
/// @error malformed: no leading '/', a bad escape, a NUL, an empty segment ("//") or a dot segment.
Result<SplitTarget> split_target(std::string_view target);

inline constexpr std::size_t kUnixPathBytesMax = 107;  ///< sockaddr_un has 108 with its NUL

/// Where a server listens or a client connects: `unix:/path/socket` or `HOST:PORT`.
struct Address {
  std::string unix_path;  ///< when not empty, the rest is unused
  std::string host;
  std::uint16_t port = 0;
  static Result<Address> parse(std::string_view text);
  [[nodiscard]] std::string text() const;
};

}  // namespace ribalta::http
