#include "edge/verified_tokens.h"

#include <doctest/doctest.h>

namespace ribalta::edge {
namespace {

constexpr std::int64_t kNow = 1'800'000'000;
const SigningKey kKey{"s1", std::string(32, 'e')};

std::string token_for(const std::string& path) { return mint_token(kKey, {"any", path, kNow + 60}); }

TEST_CASE("verified tokens: the second look needs no key, and ends with the token's own time") {
  VerifiedTokens verified;
  const std::string token = token_for("/v/a/");
  CHECK(verified.verify({public_half(kKey)}, token, kNow)->path_prefix == "/v/a/");
  CHECK(verified.found() == 0);
  CHECK(verified.verify({}, token, kNow + 59)->path_prefix == "/v/a/");
  CHECK(verified.found() == 1);
  CHECK(verified.verify({}, token, kNow + 60).error().code == Code::unauthorized);
}

TEST_CASE("verified tokens: what does not hold is never kept, and one place serves one text alone") {
  VerifiedTokens verified{1};  // all tokens meet on one place
  const std::string mine = token_for("/v/a/");
  const std::string theirs = token_for("/v/b/");
  const std::string forged = theirs.substr(0, theirs.rfind('.')) + mine.substr(mine.rfind('.'));
  const std::vector<TokenKey> keys{public_half(kKey)};
  CHECK(verified.verify(keys, mine, kNow));
  CHECK_FALSE(verified.verify(keys, forged, kNow));
  CHECK_FALSE(verified.verify(keys, forged, kNow));
  CHECK_FALSE(verified.verify(keys, "", kNow));
  CHECK(verified.verify({}, mine, kNow));
  CHECK(verified.verify(keys, theirs, kNow)->path_prefix == "/v/b/");
  CHECK_FALSE(verified.verify({}, mine, kNow));  // its place was taken
}

}  // namespace
}  // namespace ribalta::edge
