// Calls to the other rooms: the control plane and the packager, signed as this node.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "core/async.h"
#include "core/http/client.h"
#include "core/ids.h"
#include "core/result.h"

namespace ribalta::ingest {

/// A publisher waits for this answer, and its own deadline is 10 s.
inline constexpr std::chrono::milliseconds kAnswerMax{3'000};

class Rooms {
 public:
  Rooms(http::Address control, http::Address packager, std::string secret, NodeId node)
      : control_(std::move(control)), packager_(std::move(packager)), secret_(std::move(secret)), node_(node) {}

  /// One whole signed call. Any status is an answer. @error unavailable, timeout: nobody answered; malformed, limit.
  Task<Result<http::Response>> control(std::string method, std::string target, std::string body) const;
  Task<Result<http::Response>> packager(std::string method, std::string target) const;
  /// A signed PUT whose body is written as it comes into being.
  Task<Result<std::unique_ptr<http::Upload>>> put(std::string target, http::Fields fields) const;

 private:
  http::Request request(std::string_view method, std::string_view target) const;
  http::Address control_;
  http::Address packager_;
  std::string secret_;
  NodeId node_;
};

/// The code and the sentence of an error body ({"error":{"code","message"}}); both empty when it is none.
struct ErrorBody {
  std::string code;
  std::string message;
};
ErrorBody read_error_body(std::string_view body);

/// Waiting times between tries: doubled from `first` up to `most`.
class BackOff {
 public:
  BackOff(std::chrono::milliseconds first, std::chrono::milliseconds most) : first_(first), most_(most), next_(first) {}
  std::chrono::milliseconds next() { return std::exchange(next_, std::min(most_, next_ * 2)); }
  void reset() { next_ = first_; }

 private:
  std::chrono::milliseconds first_;
  std::chrono::milliseconds most_;
  std::chrono::milliseconds next_;
};

}  // namespace ribalta::ingest
