// An HTTP/1.1 client for calls between daemons: whole requests, a body that is written as it comes into being (chunked
// PUT), and an answer that is read as it comes.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/async.h"
#include "core/bytes.h"
#include "core/http/http.h"

namespace ribalta::http {

struct Request {
  std::string method = "GET";
  std::string target = "/";
  Fields fields;
  std::string body;
};

struct ClientLimits {
  std::chrono::milliseconds connect{3'000};
  std::chrono::milliseconds answer{10'000};      ///< from the request's last byte to the answer's last (whole requests)
  std::chrono::milliseconds read_idle{30'000};   ///< between two pieces of a streamed answer
  std::chrono::milliseconds write_idle{10'000};  ///< a peer that takes nothing this long
  std::uint64_t body_bytes_max = 4 * 1024 * 1024;
};

/// One whole request on a connection of its own. @error unavailable: no connection; timeout; malformed; limit.
/// Any status is an answer, not an error.
Task<Result<Response>> call(Address address, Request request, ClientLimits limits = {});

/// A request whose body is written piece by piece, each piece one chunk, flushed.
class Upload {
 public:
  static Task<Result<std::unique_ptr<Upload>>> open(Address address, Request head, ClientLimits limits = {});
  virtual ~Upload() = default;
  /// @error closed: the peer closed or answered early (its answer is then in `early_answer`).
  virtual Task<Result<void>> write(ByteSpan bytes) = 0;
  [[nodiscard]] virtual const std::optional<Response>& early_answer() const = 0;
  virtual Task<Result<Response>> finish() = 0;
  virtual void cut() = 0;
};

/// An answer that is read piece by piece.
class Download {
 public:
  static Task<Result<std::unique_ptr<Download>>> open(Address address, Request request, ClientLimits limits = {});
  virtual ~Download() = default;
  [[nodiscard]] virtual const ResponseHead& head() const = 0;
  /// The next piece; empty at the end. The span lives until the next call. @error closed: cut before its end; timeout.
  virtual Task<Result<ByteSpan>> read_some() = 0;
  virtual void cut() = 0;
};

}  // namespace ribalta::http
