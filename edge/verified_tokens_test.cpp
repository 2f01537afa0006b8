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

TEST_CASE("verified tokens: what does not hold is never kept, and takes nobody's place") {
  VerifiedTokens verified{1};  // all tokens meet
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
  CHECK(verified.verify({}, mine, kNow)->path_prefix == "/v/a/");
  for (int i = 0; i < 100; ++i) CHECK_FALSE(verified.verify(keys, forged + std::to_string(i), kNow));
  CHECK(verified.verify({}, mine, kNow));
  CHECK(verified.verify({}, theirs, kNow));
}

TEST_CASE("verified tokens: a full set forgets who was not asked for the longest") {
  VerifiedTokens verified{1};
  const std::vector<TokenKey> keys{public_half(kKey)};
  std::vector<std::string> tokens;
  tokens.reserve(kTokenPlaces + 1);
  for (std::size_t i = 0; i <= kTokenPlaces; ++i) tokens.push_back(token_for("/v/" + std::to_string(i) + "/"));
  for (std::size_t i = 0; i < kTokenPlaces; ++i) CHECK(verified.verify(keys, tokens[i], kNow));
  CHECK(verified.verify({}, tokens[0], kNow));  // asked again
  CHECK(verified.verify(keys, tokens[kTokenPlaces], kNow));
  CHECK(verified.verify({}, tokens[0], kNow)->path_prefix == "/v/0/");
  CHECK_FALSE(verified.verify({}, tokens[1], kNow));
  for (std::size_t i = 2; i <= kTokenPlaces; ++i) CHECK(verified.verify({}, tokens[i], kNow));
}

TEST_CASE("verified tokens: hundreds at once are all found") {
  VerifiedTokens verified;
  const std::vector<TokenKey> keys{public_half(kKey)};
  std::vector<std::string> tokens;
  tokens.reserve(1'000);
  for (int i = 0; i < 1'000; ++i) tokens.push_back(token_for("/v/" + std::to_string(i) + "/"));
  for (const std::string& token : tokens) CHECK(verified.verify(keys, token, kNow));
  for (const std::string& token : tokens) CHECK(verified.verify({}, token, kNow));
  CHECK(verified.found() == 1'000);
}

}  // namespace
}  // namespace ribalta::edge
