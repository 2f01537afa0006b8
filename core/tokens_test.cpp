#include "core/tokens.h"

#include <doctest/doctest.h>

#include "core/bytes.h"

using namespace ribalta;

namespace {

const TokenKey kKey{"k1", std::string(32, 's')};
const TokenKey kOther{"k2", std::string(32, 't')};
constexpr std::int64_t kNow = 1'800'000'000;

TokenClaims claims() { return {"any", "/v/0123456789abcdef/", kNow + 60}; }

}  // namespace

TEST_CASE("token: what was minted is verified, with its claims") {
  const std::string token = mint_token(kKey, claims());
  CHECK(token.starts_with("v1.k1."));
  CHECK(verify_token({kOther, kKey}, token, kNow).value() == claims());
}

const SigningKey kSigning{"s1", std::string(32, 'e')};

TEST_CASE("token: what is signed is verified by the public half, which is RFC 8032's and can sign nothing") {
  // RFC 8032 §7.1, test 1.
  const SigningKey of_rfc{"s1", std::string{as_text(*from_hex("9d61b19deffd5a60ba844af492ec2cc4"
                                                              "4449c5697b326919703bac031cae7f60"))}};
  const TokenKey half = public_half(of_rfc);
  CHECK(to_hex(as_bytes(half.secret)) == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  const std::string token = mint_token(of_rfc, claims());
  CHECK(token.starts_with("v2.s1."));
  CHECK(token.size() <= kTokenCharsMax);
  CHECK(verify_token({kKey, half}, token, kNow).value() == claims());
  CHECK(verify_token({public_half(kSigning)}, token, kNow).error().code == Code::unauthorized);
  CHECK(verify_token({half}, token, kNow + 60).error().code == Code::unauthorized);
}

TEST_CASE("token: the public half used as a shared secret signs nothing that is accepted") {
  TokenKey half = public_half(kSigning);
  const TokenKey as_secret{half.id, half.secret, TokenKeyKind::hmac};
  const std::string forged = mint_token(as_secret, claims());
  CHECK(verify_token({half}, forged, kNow).error().code == Code::unauthorized);
  std::string renamed = forged;
  renamed[1] = '2';
  CHECK_FALSE(verify_token({half}, renamed, kNow).has_value());
}

TEST_CASE("token: signed, cut anywhere or altered in any character, it is refused") {
  const std::string token = mint_token(kSigning, claims());
  const TokenKey half = public_half(kSigning);
  for (std::size_t i = 0; i < token.size(); ++i) {
    CHECK_FALSE(verify_token({half, kKey}, token.substr(0, i), kNow).has_value());
    std::string altered = token;
    altered[i] = altered[i] == 'A' ? 'B' : 'A';
    CAPTURE(altered);
    CHECK_FALSE(verify_token({half, kKey}, altered, kNow).has_value());
  }
}

TEST_CASE("token: valid until the second before its expiry, refused from that second on") {
  const std::string token = mint_token(kKey, claims());
  CHECK(verify_token({kKey}, token, kNow + 59).has_value());
  CHECK(verify_token({kKey}, token, kNow + 60).error().code == Code::unauthorized);
}

TEST_CASE("token: another key, or the same id with another secret, is refused") {
  const std::string token = mint_token(kKey, claims());
  CHECK(verify_token({kOther}, token, kNow).error().code == Code::unauthorized);
  CHECK(verify_token({{"k1", std::string(32, 'x')}}, token, kNow).error().code == Code::unauthorized);
  CHECK(verify_token({}, token, kNow).error().code == Code::unauthorized);
}

TEST_CASE("token: cut anywhere, or altered in any character, it is refused") {
  const std::string token = mint_token(kKey, claims());
  for (std::size_t i = 0; i < token.size(); ++i) {
    CHECK_FALSE(verify_token({kKey, kOther}, token.substr(0, i), kNow).has_value());
    for (const char other : {'0', 'a', 'A', '.', '=', '\0', static_cast<char>(token[i] + 1)}) {
      if (other == token[i]) continue;
      std::string altered = token;
      altered[i] = other;
      CAPTURE(altered);
      CHECK_FALSE(verify_token({kKey, kOther}, altered, kNow).has_value());
    }
  }
  CHECK_FALSE(verify_token({kKey}, token + "A", kNow).has_value());
  CHECK_FALSE(verify_token({kKey}, token + ".", kNow).has_value());
  CHECK_FALSE(verify_token({kKey}, token + "=", kNow).has_value());
}

TEST_CASE("token: fields can't be moved from one token to another") {
  const std::string mine = mint_token(kKey, {"any", "/v/mine/", kNow + 60});
  const std::string theirs = mint_token(kKey, {"any", "/v/theirs/", kNow + 60});
  const std::string forged = theirs.substr(0, theirs.rfind('.')) + mine.substr(mine.rfind('.'));
  CHECK(verify_token({kKey}, forged, kNow).error().code == Code::unauthorized);
}

TEST_CASE("token: longer than the limit is refused before it is looked at") {
  CHECK(verify_token({kKey}, std::string(kTokenCharsMax + 1, 'a'), kNow).error().message == "token: too long");
}

TEST_CASE("token_allows: under the prefix, and nothing that only begins like it or climbs out") {
  const TokenClaims own{"any", "/v/abc/", kNow};
  CHECK(token_allows(own, "/v/abc/1/index.m3u8"));
  CHECK(token_allows(own, "/v/abc/"));
  CHECK_FALSE(token_allows(own, "/v/abcd/1/index.m3u8"));
  CHECK_FALSE(token_allows(own, "/v/abc"));
  CHECK_FALSE(token_allows(own, "/v/abc/../abd/x"));
  CHECK_FALSE(token_allows(own, "/v/abc/.."));
  CHECK_FALSE(token_allows(own, "/v/abc/./x"));
  CHECK_FALSE(token_allows(own, "/v/abc//x"));
  CHECK_FALSE(token_allows(own, std::string_view{"/v/abc/a\0b", 10}));
  CHECK_FALSE(token_allows(own, "v/abc/x"));
  CHECK_FALSE(token_allows(own, ""));
  CHECK_FALSE(token_allows({"any", "", kNow}, "/v/abc/x"));
}

TEST_CASE("rounded_expiry: a full hour, at least the lifetime away, the same for a whole hour of viewers") {
  CHECK(rounded_expiry(7200, std::chrono::seconds{3600}) == 10'800);
  CHECK(rounded_expiry(7201, std::chrono::seconds{3600}) == 14'400);
  CHECK(rounded_expiry(10'800, std::chrono::seconds{3600}) == 14'400);
}

TEST_CASE("hmac_sha256_hex gives RFC 4231's answer for its second case") {
  CHECK(hmac_sha256_hex("Jefe", "what do ya want for nothing?") ==
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST_CASE("equal_constant_time tells equal from unequal, of any length") {
  CHECK(equal_constant_time("", ""));
  CHECK(equal_constant_time("abc", "abc"));
  CHECK_FALSE(equal_constant_time("abc", "abd"));
  CHECK_FALSE(equal_constant_time("abc", "ab"));
}
