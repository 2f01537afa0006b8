#include "control-plane/outcome.h"

namespace ribalta::control {

http::Response to_response(const Refusal& refusal) {
  http::Response response = http::Response::error(refusal.status, refusal.code, refusal.message);
  if (refusal.retry_after_s > 0) response.fields.set("Retry-After", std::to_string(refusal.retry_after_s));
  return response;
}

}  // namespace ribalta::control
