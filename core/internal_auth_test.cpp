#include "core/internal_auth.h"

#include <doctest/doctest.h>

using namespace ribalta;

namespace {

const WallTime kNow = from_unix_ms(1'800'000'000'000);
const NodeId kNode = NodeId::parse("0123456789abcdef").value();

http::RequestHead request(std::string_view method, std::string_view target, std::string_view signature) {
  http::RequestHead head;
  head.method = method;
  head.target = target;
  if (!signature.empty()) head.fields.set(kNodeField, signature);
  return head;
}

}  // namespace

TEST_CASE("internal calls: a signed call is accepted and names its node") {
  const std::string field = sign_internal("secret", kNode, "PUT", "/tracks/a/b", kNow);
  CHECK(verify_internal("secret", request("PUT", "/tracks/a/b", field), kNow).value() == kNode);
}

TEST_CASE("internal calls: no signature, another secret, method, target or node are unauthorized") {
  const std::string field = sign_internal("secret", kNode, "PUT", "/tracks/a/b", kNow);
  const auto refused = [](const Result<NodeId>& result) { return result.error().code == Code::unauthorized; };
  CHECK(refused(verify_internal("secret", request("PUT", "/tracks/a/b", ""), kNow)));
  CHECK(refused(verify_internal("other", request("PUT", "/tracks/a/b", field), kNow)));
  CHECK(refused(verify_internal("secret", request("GET", "/tracks/a/b", field), kNow)));
  CHECK(refused(verify_internal("secret", request("PUT", "/tracks/a/c", field), kNow)));
  const std::string other_node = "f" + field.substr(1);
  CHECK(refused(verify_internal("secret", request("PUT", "/tracks/a/b", other_node), kNow)));
}

TEST_CASE("internal calls: a signature holds for kSignatureAge either way, and not a millisecond more") {
  const std::string field = sign_internal("secret", kNode, "GET", "/x", kNow);
  using std::chrono::milliseconds;
  CHECK(verify_internal("secret", request("GET", "/x", field), kNow + kSignatureAge).has_value());
  CHECK(verify_internal("secret", request("GET", "/x", field), kNow - kSignatureAge).has_value());
  CHECK_FALSE(
      verify_internal("secret", request("GET", "/x", field), kNow + kSignatureAge + milliseconds{1}).has_value());
  CHECK_FALSE(
      verify_internal("secret", request("GET", "/x", field), kNow - kSignatureAge - milliseconds{1}).has_value());
}

TEST_CASE("internal calls: a signature cut anywhere is unauthorized") {
  const std::string field = sign_internal("secret", kNode, "GET", "/x", kNow);
  for (std::size_t cut = 0; cut < field.size(); ++cut) {
    CHECK(verify_internal("secret", request("GET", "/x", field.substr(0, cut)), kNow).error().code ==
          Code::unauthorized);
  }
}
