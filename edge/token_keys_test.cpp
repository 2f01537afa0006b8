#include "edge/token_keys.h"

#include <doctest/doctest.h>

namespace ribalta::edge {
namespace {

const std::string kHex(64, 'a');

TEST_CASE("token keys: ids, secrets, comments and blank lines") {
  const auto keys =
      parse_token_keys("# ours\n\nk1 " + kHex + "\r\n  new \t" + std::string(62, '0') + "7F  # since today");
  REQUIRE(keys.has_value());
  REQUIRE(keys->size() == 2);
  CHECK((*keys)[0].id == "k1");
  CHECK((*keys)[0].secret == std::string(32, '\xAA'));
  CHECK((*keys)[1].id == "new");
  CHECK((*keys)[1].secret == std::string(31, '\0') + "\x7F");
}

TEST_CASE("token keys: public ones beside shared ones") {
  const auto keys = parse_token_keys("s1 ed25519  " + kHex + "\nk1 " + kHex + "\n");
  REQUIRE(keys.has_value());
  REQUIRE(keys->size() == 2);
  CHECK((*keys)[0].kind == TokenKeyKind::ed25519);
  CHECK((*keys)[0].secret == std::string(32, '\xAA'));
  CHECK((*keys)[1].kind == TokenKeyKind::hmac);
  CHECK(!parse_token_keys("s1 ed25519"));
  CHECK(!parse_token_keys("s1 ed448 " + kHex));
}

TEST_CASE("token keys: an empty file holds none") {
  CHECK(parse_token_keys("")->empty());
  CHECK(parse_token_keys("# none\n")->empty());
}

TEST_CASE("token keys: what is no key is refused by its line, without its text") {
  for (const std::string& line : {std::string{"k1"}, "K1 " + kHex, "toolongid " + kHex, "k1 " + kHex + "a",
                                  "k1 " + kHex.substr(1), "k1 g" + kHex.substr(1), kHex, "k1 " + kHex + " more"}) {
    const auto keys = parse_token_keys("# first\n" + line + "\n");
    REQUIRE_MESSAGE(!keys, line);
    CHECK(keys.error().code == Code::malformed);
    CHECK(keys.error().message.ends_with("line 2"));
    CHECK(keys.error().message.find("aaa") == std::string::npos);
  }
  CHECK(!parse_token_keys("k1 " + kHex + "\nk1 " + kHex));
}

TEST_CASE("token keys: as many as are accepted at once, and not one more") {
  std::string text;
  for (std::size_t i = 0; i < kTokenKeysMax; ++i) text += "k" + std::to_string(i) + " " + kHex + "\n";
  CHECK(parse_token_keys(text)->size() == kTokenKeysMax);
  text += "more " + kHex + "\n";
  CHECK(parse_token_keys(text).error().code == Code::limit);
  CHECK(parse_token_keys(std::string(kTokenKeyFileBytesMax, '#')));
  CHECK(!parse_token_keys(std::string(kTokenKeyFileBytesMax + 1, '#')));
}

}  // namespace
}  // namespace ribalta::edge
