// Secrets and rate limits.
#include "control-plane/secrets.h"
#include "control-plane/rate_limit.h"
#include "control-plane/testing.h"

#include <fstream>
#include <iterator>

namespace ribalta::control {

TEST_CASE("rate limit: a burst, then a share of the window each") {
  RateLimit limit{2, std::chrono::milliseconds{10'000}};
  limit.count("a", 0);
  CHECK(limit.wait_s("a", 0) == 0);
  limit.count("a", 0);
  CHECK(limit.wait_s("a", 0) == 5);
  CHECK(limit.wait_s("b", 0) == 0);
  CHECK(limit.wait_s("a", 4'999) == 1);
  CHECK(limit.wait_s("a", 5'000) == 0);
}

TEST_CASE("rate limit: a try is counted before it is made, and given back when it turned out well") {
  RateLimit limit{2, std::chrono::seconds{10}};
  CHECK(limit.take("a", 0) == 0);
  CHECK(limit.take("a", 0) == 0);
  CHECK(limit.take("a", 0) > 0);  // a third at the same moment finds no place, though no answer is known yet
  limit.give_back("a", 0);
  CHECK(limit.take("a", 0) == 0);
  limit.give_back("b", 0);  // nobody took it: nothing to give
  CHECK(limit.take("b", 0) == 0);
}

TEST_CASE("rate limit: more keys than it remembers cost no more memory") {
  RateLimit limit{1, std::chrono::milliseconds{1'000}};
  for (std::size_t i = 0; i < kRateKeysMax + 10; ++i) limit.count(std::to_string(i), 0);
  CHECK(limit.wait_s(std::to_string(kRateKeysMax + 9), 0) > 0);
}

TEST_CASE("secrets: what is sealed opens with the same key only, and a changed box never") {
  const Secrets one = Secrets::from("one", "ra_x", {});
  const Secrets other = Secrets::from("other", "ra_x", {});
  const std::string sealed = one.seal("rk_secret");
  CHECK(sealed.find("secret") == std::string::npos);
  CHECK(*one.unseal(sealed) == "rk_secret");
  CHECK(one.seal("rk_secret") != sealed);
  CHECK_FALSE(other.unseal(sealed));
  std::string changed = sealed;
  changed[8] = changed[8] == 'A' ? 'B' : 'A';
  CHECK_FALSE(one.unseal(changed));
  for (std::size_t size = 0; size < sealed.size(); ++size) CHECK_FALSE(one.unseal(sealed.substr(0, size)));
  CHECK(one.hash("token", "x") != one.hash("session", "x"));
}

TEST_CASE("secrets: edges are told the public half of what signs, beside what they accepted before; never the other") {
  testing::TemporaryFolder folder;
  const std::string before = "k1 " + std::string(64, 'a') + "\n";
  std::ofstream{folder.path() / "playback_keys"} << before;
  const Secrets secrets = testing::must(Secrets::open(folder.path()));
  const auto read = [&](const char* name) {
    std::ifstream file{folder.path() / name};
    return std::string{std::istreambuf_iterator<char>{file}, {}};
  };
  CHECK(read("playback_keys") == before + secrets.playback_public_line() + "\n");
  CHECK(read("playback_signing").starts_with("s1 "));
  CHECK(read("playback_keys").find(read("playback_signing").substr(3, 64)) == std::string::npos);
  const Secrets again = testing::must(Secrets::open(folder.path()));
  CHECK(again.playback_public_line() == secrets.playback_public_line());
  CHECK(read("playback_keys") == before + secrets.playback_public_line() + "\n");
}

}  // namespace ribalta::control
