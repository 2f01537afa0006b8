// HTTP through libcurl, blocking: the command runs in a terminal and waits for one thing at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/http/http.h"
#include "core/result.h"

namespace ribalta::client {

/// Answers of the API are small; who wants more says so.
inline constexpr std::size_t kAnswerBytesMax = 4 * 1024 * 1024;

/// A body that is read as it is sent, and who is told how far it has come.
struct FileBody {
  int descriptor = -1;
  std::int64_t offset = 0;
  std::int64_t bytes = 0;  ///< from offset on
  std::function<void(std::int64_t sent)> on_progress;
};

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  std::string socket;  ///< path of a Unix socket to connect to, whatever the URL's host; empty: the host
  http::Fields fields;
  std::string body;
  const FileBody* file = nullptr;  ///< instead of `body`
  std::size_t answer_bytes_max = kAnswerBytesMax;
};

/// One request. Redirects are not followed: the token would go with them.
/// @error unavailable: no answer, or cut before its end; io: the file could not be read; limit: an answer over
/// `answer_bytes_max`.
Result<http::Response> perform(const HttpRequest& request);

}  // namespace ribalta::client
