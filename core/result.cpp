#include "core/result.h"

#include <cerrno>
#include <cstring>

namespace ribalta {

std::string_view to_string(Code code) {
  switch (code) {
    case Code::malformed:
      return "malformed";
    case Code::limit:
      return "limit";
    case Code::unsupported:
      return "unsupported";
    case Code::not_found:
      return "not_found";
    case Code::conflict:
      return "conflict";
    case Code::unauthorized:
      return "unauthorized";
    case Code::forbidden:
      return "forbidden";
    case Code::unavailable:
      return "unavailable";
    case Code::timeout:
      return "timeout";
    case Code::closed:
      return "closed";
    case Code::io:
      return "io";
    case Code::no_space:
      return "no_space";
    case Code::internal:
      return "internal";
  }
  return "internal";
}

std::unexpected<Error> Error::in(std::string_view doing) const {
  return std::unexpected<Error>{Error{code, std::string{doing} + ": " + message}};
}

std::unexpected<Error> Error::in(std::string_view doing, std::string_view what) const {
  return std::unexpected<Error>{Error{code, std::string{doing} + " " + std::string{what} + ": " + message}};
}

std::unexpected<Error> fail(Code code, std::string_view message) {
  return std::unexpected<Error>{Error{code, std::string{message}}};
}

std::unexpected<Error> fail(Code code, std::string_view message, std::string_view value) {
  return std::unexpected<Error>{Error{code, std::string{message} + " " + std::string{value}}};
}

std::unexpected<Error> fail_errno(std::string_view doing, std::string_view what) {
  const int number = errno;
  Code code = Code::io;
  if (number == ENOSPC || number == EDQUOT) code = Code::no_space;
  if (number == ENOENT) code = Code::not_found;
  std::string message{doing};
  if (!what.empty()) message += " " + std::string{what};
  message += ": ";
  message += std::strerror(number);  // NOLINT(concurrency-mt-unsafe): glibc's is, for known numbers
  return std::unexpected<Error>{Error{code, std::move(message)}};
}

}  // namespace ribalta
