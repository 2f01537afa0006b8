// How the rules of the control plane answer: a value, a refusal that a caller can read (it has an HTTP status, a code
// for programs and a sentence for people), or an error of the database, which is ours.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>

#include "core/http/http.h"
#include "core/result.h"

namespace ribalta::control {

struct Refusal {
  unsigned status = 400;
  std::string code;
  std::string message;
  std::int64_t retry_after_s = 0;  ///< 0: no such field
};

template <class T>
using Outcome = std::expected<T, Refusal>;

/// `return refuse(404, "not_found", "There is no such video.");` in a function that returns Result<Outcome<T>> or
/// Outcome<T>.
class Refused {
 public:
  explicit Refused(Refusal refusal) : refusal_(std::move(refusal)) {}
  template <class T>
  operator Result<Outcome<T>>() const {  // NOLINT(google-explicit-constructor): reads as a return statement
    return Outcome<T>{std::unexpected<Refusal>{refusal_}};
  }
  template <class T>
  operator Outcome<T>() const {  // NOLINT(google-explicit-constructor)
    return std::unexpected<Refusal>{refusal_};
  }

 private:
  Refusal refusal_;
};

inline Refused refuse(unsigned status, std::string_view code, std::string message, std::int64_t retry_after_s = 0) {
  return Refused{{status, std::string{code}, std::move(message), retry_after_s}};
}
/// Passes a refusal on as that of another type.
template <class T>
Refused refuse(const Outcome<T>& outcome) {
  assert(!outcome.has_value());
  return Refused{outcome.error()};
}

/// `{"error":{"code","message"}}` with the status.
http::Response to_response(const Refusal& refusal);

}  // namespace ribalta::control
