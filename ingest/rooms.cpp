#include "ingest/rooms.h"

#include <boost/describe/class.hpp>

#include "core/internal_auth.h"
#include "core/json.h"
#include "core/units.h"

namespace ribalta::ingest {
namespace {

struct ErrorInside {
  std::string code;
  std::string message;
};
BOOST_DESCRIBE_STRUCT(ErrorInside, (), (code, message))
struct ErrorOutside {
  ErrorInside error;
};
BOOST_DESCRIBE_STRUCT(ErrorOutside, (), (error))

}  // namespace

http::Request Rooms::request(std::string_view method, std::string_view target) const {
  http::Request request{.method = std::string{method}, .target = std::string{target}};
  request.fields.set(kNodeField, sign_internal(secret_, node_, method, target, wall_now()));
  return request;
}

Task<Result<http::Response>> Rooms::control(std::string method, std::string target, std::string body) const {
  http::Request signed_request = request(method, target);
  signed_request.fields.set("Content-Type", "application/json");
  signed_request.body = std::move(body);
  const http::ClientLimits limits{.connect = kAnswerMax, .answer = kAnswerMax};
  co_return co_await http::call(control_, std::move(signed_request), limits);
}

Task<Result<http::Response>> Rooms::packager(std::string method, std::string target) const {
  http::Request signed_request = request(method, target);
  const http::ClientLimits limits{.connect = kAnswerMax, .answer = kAnswerMax};
  co_return co_await http::call(packager_, std::move(signed_request), limits);
}

Task<Result<std::unique_ptr<http::Upload>>> Rooms::put(std::string target, http::Fields fields) const {
  http::Request head = request("PUT", target);
  for (const auto& [name, value] : fields) head.fields.set(name, value);
  http::ClientLimits limits;
  co_return co_await http::Upload::open(packager_, std::move(head), limits);
}

ErrorBody read_error_body(std::string_view body) {
  Result<ErrorOutside> outside = json_read<ErrorOutside>(body, JsonUnknown::ignore);
  if (!outside) return {};
  return {std::move(outside->error.code), std::move(outside->error.message)};
}

}  // namespace ribalta::ingest
