// Errors as values. What the world can get wrong (bytes, requests, disks, peers) returns an Error; what only we can
// get wrong is an assert. Each layer adds what it was doing, so that a chain reads from outside to inside:
//   resume rendition 720p: segment index: truncated at byte 4096
#pragma once

#include <cassert>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace ribalta {

/// Why something failed, coarse enough that a caller can decide by it; the sentence beside it is for people.
enum class Code : std::uint8_t {
  malformed,     ///< the bytes break their format
  limit,         ///< well formed, but beyond a named limit
  unsupported,   ///< well formed, and nothing here understands it
  not_found,     ///< it does not exist (known, not guessed)
  conflict,      ///< refused because of what is there already (an epoch, a version, a busy key)
  unauthorized,  ///< nobody is signed in, or the token is wrong
  forbidden,     ///< signed in, and not allowed
  unavailable,   ///< the peer did not answer: unknown, not absent; trying again may help
  timeout,       ///< a deadline passed
  closed,        ///< the other side went away, or we are stopping
  io,            ///< the disk or the operating system said no
  no_space,      ///< the disk is full
  internal,      ///< a bug that was caught
};

std::string_view to_string(Code code);

struct Error {
  Code code = Code::internal;
  std::string message;

  /// The same error with what was being done put before it: `error.in("read playlist", name)`.
  [[nodiscard]] std::unexpected<Error> in(std::string_view doing) const;
  [[nodiscard]] std::unexpected<Error> in(std::string_view doing, std::string_view what) const;
};

template <class T = void>
using Result = std::expected<T, Error>;

/// `return fail(Code::malformed, "set chunk size: bytes", payload.size());`
std::unexpected<Error> fail(Code code, std::string_view message);
std::unexpected<Error> fail(Code code, std::string_view message, std::string_view value);
template <class N>
  requires std::is_arithmetic_v<N>
std::unexpected<Error> fail(Code code, std::string_view message, N value) {
  return fail(code, message, std::string_view{std::to_string(value)});
}

/// The error of errno after a failed system call: no_space for ENOSPC and EDQUOT, not_found for ENOENT, else io.
std::unexpected<Error> fail_errno(std::string_view doing, std::string_view what = {});

/// Passes on an error of any Result as the error of another: `if (!x) return pass(x);`
template <class T>
std::unexpected<Error> pass(const std::expected<T, Error>& result) {
  assert(!result.has_value());
  return std::unexpected<Error>{result.error()};
}

}  // namespace ribalta
