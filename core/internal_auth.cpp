#include "core/internal_auth.h"

#include <charconv>

#include "core/tokens.h"

namespace ribalta {
namespace {

std::string mac_of(std::string_view secret, std::string_view node, std::string_view unix_ms, std::string_view method,
                   std::string_view target) {
  std::string message;
  for (const std::string_view part : {method, target, node}) {
    message += part;
    message += '\n';
  }
  message += unix_ms;
  return hmac_sha256_hex(secret, message);
}

}  // namespace

std::string sign_internal(std::string_view node_secret, NodeId node, std::string_view method, std::string_view target,
                          WallTime now) {
  const std::string unix_ms = std::to_string(to_unix_ms(now));
  return node.text() + ";" + unix_ms + ";" + mac_of(node_secret, node.view(), unix_ms, method, target);
}

Result<NodeId> verify_internal(std::string_view node_secret, const http::RequestHead& request, WallTime now) {
  const std::string_view field = request.fields.get(kNodeField);
  if (field.empty()) return fail(Code::unauthorized, "this call needs a node's signature");
  const std::size_t first = field.find(';');
  const std::size_t second = field.find(';', first == std::string_view::npos ? first : first + 1);
  if (second == std::string_view::npos) return fail(Code::unauthorized, "node signature: not three parts");
  const Result<NodeId> node = NodeId::parse(field.substr(0, first));
  if (!node) return fail(Code::unauthorized, "node signature: no node");
  const std::string_view unix_ms = field.substr(first + 1, second - first - 1);
  const std::string expected = mac_of(node_secret, node->view(), unix_ms, request.method, request.target);
  if (!equal_constant_time(expected, field.substr(second + 1)))
    return fail(Code::unauthorized, "node signature: wrong");

  std::int64_t signed_ms = 0;
  const auto [end, error] = std::from_chars(unix_ms.data(), unix_ms.data() + unix_ms.size(), signed_ms);
  if (error != std::errc{} || end != unix_ms.data() + unix_ms.size()) {
    return fail(Code::unauthorized, "node signature: no time");
  }
  const auto age = now - from_unix_ms(signed_ms);
  if (age > kSignatureAge || age < -kSignatureAge)
    return fail(Code::unauthorized, "node signature: too old or too new");
  return *node;
}

}  // namespace ribalta
