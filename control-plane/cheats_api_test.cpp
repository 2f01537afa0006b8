// Callers who try to get more than their share, over a socket: guesses sent at once, names that are taken, stream keys
// that are made up, tokens that would make tokens.
#include <algorithm>
#include <array>
#include <future>

#include "control-plane/testing.h"
#include "control-plane/testing_hashes.h"

namespace ribalta::control {
namespace {

using testing::Browser;
using testing::checked;
using testing::checked_at;
using testing::code_of;
using testing::has;
using testing::HashGate;
using testing::House;
using testing::kLogin;
using testing::publish_body;
using testing::text_at;

std::string login(std::string_view name, std::string_view password) {
  return R"({"name":")" + std::string{name} + R"(","password":")" + std::string{password} + R"("})";
}

/// Callers who call at the same time, and the codes of their answers.
class Crowd {
 public:
  template <class Call>
  void join(Call call) {
    callers_.push_back(std::async(std::launch::async, [this, call = std::move(call)]() mutable {
      const std::string code = code_of(call());
      const std::lock_guard lock{mutex_};
      codes_.push_back(code);
      answered_.notify_all();
    }));
  }
  /// Returns once so many have this answer (false: not within 20 s).
  bool wait_for(std::string_view code, std::ptrdiff_t count) {
    std::unique_lock lock{mutex_};
    return answered_.wait_for(lock, std::chrono::seconds{20},
                              [&] { return std::ranges::count(codes_, code) >= count; });
  }
  /// Waits for every answer. @return how many have this one.
  std::ptrdiff_t count(std::string_view code) {
    for (const std::future<void>& caller : callers_) caller.wait();
    const std::lock_guard lock{mutex_};
    return std::ranges::count(codes_, code);
  }

 private:
  std::mutex mutex_;
  std::condition_variable answered_;
  std::vector<std::string> codes_;
  std::vector<std::future<void>> callers_;  ///< last: they are waited for before the rest goes
};

/// Fewer than the queue for hashes holds: whoever is refused is refused by the limit, not by the queue.
constexpr int kGuessers = 31;
static_assert(kGuessers < static_cast<int>(kHashesWaitingMax) && kGuessers > kSignInTriesAddress);

http::Response guess(House& house, std::string_view name, std::string_view password, std::string_view address) {
  Browser guesser{house};
  guesser.address = address;
  return guesser.send("POST", "/session", login(name, password));
}

}  // namespace

TEST_CASE("cheats: guesses that are sent at once are refused before a hash is made for them") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  HashGate gate;
  gate.close();
  {
    Crowd crowd;
    for (int i = 0; i < kGuessers; ++i) {
      crowd.join([&house] { return guess(house, "lucia", "wrong one", "198.51.100.7"); });
    }
    // No hash ends before the gate opens: who has an answer by then cost none. Those that wait are the address's share
    // of the line for hashes, which is smaller than its share of tries.
    CHECK(crowd.wait_for("rate_limited", kGuessers - kSignInTriesPair));
    gate.open();
    const std::ptrdiff_t tried = crowd.count("wrong_password");
    CHECK(tried <= kSignInTriesPair);
    CHECK(crowd.count("rate_limited") == kGuessers - tried);
    CHECK(gate.begun() == tried);
    for (std::ptrdiff_t i = tried; i < kSignInTriesPair; ++i) {
      CHECK(code_of(guess(house, "lucia", "wrong one", "198.51.100.7")) == "wrong_password");
    }
  }
  CHECK(gate.begun() == kSignInTriesPair);
  CHECK(code_of(guess(house, "lucia", "correct horse", "198.51.100.7")) == "rate_limited");
  CHECK(gate.begun() == kSignInTriesPair);
  CHECK(guess(house, "lucia", "correct horse", "192.0.2.1").status == 200);
}

TEST_CASE("cheats: one address that tries many names at once is stopped as early") {
  House house;
  HashGate gate;
  gate.close();
  Crowd crowd;
  for (int i = 0; i < kGuessers; ++i) {
    crowd.join([&house, i] { return guess(house, "name" + std::to_string(i), "password", "198.51.100.7"); });
  }
  CHECK(crowd.wait_for("rate_limited", kGuessers - kSignInTriesAddress));
  gate.open();
  const std::ptrdiff_t tried = crowd.count("wrong_password");
  CHECK(tried <= kSignInTriesAddress);
  CHECK(crowd.count("rate_limited") == kGuessers - tried);
  for (std::ptrdiff_t i = tried; i < kSignInTriesAddress; ++i) {
    CHECK(code_of(guess(house, "other" + std::to_string(i), "password", "198.51.100.7")) == "wrong_password");
  }
  CHECK(gate.begun() == kSignInTriesAddress);
  CHECK(code_of(guess(house, "onemore", "password", "198.51.100.7")) == "rate_limited");
  CHECK(gate.begun() == kSignInTriesAddress);
}

TEST_CASE("cheats: a stolen session can't guess the password by changing it, however many try at once") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  HashGate gate;
  gate.close();
  Crowd crowd;
  for (int i = 0; i < kGuessers; ++i) {
    crowd.join([thief = lucia]() mutable {
      return thief.send("PUT", "/me/password", R"({"old":"wrong one","new":"battery staple"})");
    });
  }
  CHECK(crowd.wait_for("rate_limited", kGuessers - kSignInTriesPair));
  gate.open();
  const std::ptrdiff_t tried = crowd.count("wrong_password");
  CHECK(tried <= kSignInTriesPair);
  CHECK(crowd.count("rate_limited") == kGuessers - tried);
  CHECK(gate.begun() == tried);
}

TEST_CASE("cheats: signing up under a name that is taken costs no hash") {
  House house;
  Browser lucia{house};
  HashGate gate;
  lucia.sign_up("lucia");
  CHECK(gate.begun() == 1);
  gate.close();  // a hash would never come
  Browser other{house};
  other.address = "198.51.100.7";
  for (int i = 0; i < 20; ++i) {
    REQUIRE(code_of(checked(other, "POST", "/users", login("lucia", "password " + std::to_string(i)))) == "name_taken");
  }
  CHECK(gate.begun() == 1);
  gate.open();
  CHECK(checked(other, "POST", "/users", login("marco", "correct horse")).status == 201);
  CHECK(gate.begun() == 2);
}

TEST_CASE("cheats: neither does one that does not fit, nor a set-up link that was guessed") {
  House house;
  HashGate gate;
  gate.close();
  Browser other{house};
  CHECK(code_of(checked(other, "POST", "/users", login("Lucia!", "correct horse"))) == "bad_name");
  CHECK(code_of(checked(other, "POST", "/users", login("lucia", "short"))) == "bad_password");
  CHECK(code_of(checked(other, "POST", "/setup", R"({"token":"guess","name":"eve","password":"correct horse"})")) ==
        "setup_token");
  CHECK(gate.begun() == 0);
}

TEST_CASE("cheats: wrong stream keys limit wrong keys, and nobody who has a right one") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  Browser marco{house};
  marco.sign_up("marco");
  const std::string key = text_at(checked(lucia, "GET", "/me/stream-key"), "key");
  const std::string other_key = text_at(checked(marco, "GET", "/me/stream-key"), "key");
  const auto wrong = [&](int i) {
    const std::string made_up = key.substr(0, key.size() - 3) + std::to_string(100 + i);
    return house.internal("POST", "/publish", publish_body(made_up == key ? "x" : made_up));
  };
  for (int i = 0; i < kWrongKeysAddress; ++i) {
    const http::Response refused = wrong(i);
    CHECK(code_of(refused) == "wrong_key");
    CHECK(refused.fields.get("Retry-After").empty());
  }
  const http::Response limited = wrong(kWrongKeysAddress);
  CHECK(limited.status >= 400);
  CHECK_FALSE(limited.fields.get("Retry-After").empty());
  // The same address, and no place left: the right key publishes, and a right key opens nothing for wrong ones.
  CHECK(house.internal("POST", "/publish", publish_body(key)).status == 200);
  CHECK_FALSE(wrong(kWrongKeysAddress + 1).fields.get("Retry-After").empty());
  CHECK(house.internal("POST", "/publish", publish_body(other_key)).status == 200);
  house.pass_ms(std::chrono::milliseconds{kSignInWindow}.count());
  CHECK(wrong(0).fields.get("Retry-After").empty());
}

TEST_CASE("cheats: a token makes no token, whatever else is sent with it") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  const http::Response made = checked(lucia, "POST", "/me/tokens", R"({"label":"lent","lifetime_s":60})");
  const std::string forever = R"({"label":"for ever"})";
  Browser thief{house};
  thief.bearer = text_at(made, "token");
  CHECK(code_of(checked(thief, "POST", "/me/tokens", forever)) == "forbidden");
  CHECK(code_of(checked(thief, "POST", "/me/tokens", R"({"label":"short","lifetime_s":60})")) == "forbidden");
  CHECK(code_of(checked_at(thief, "POST", "/admin/users/{name}/tokens", "/admin/users/lucia/tokens", forever)) ==
        "forbidden");
  // A session of the thief's own beside it: the token is who asks.
  Browser eve{house};
  eve.sign_up("eve");
  eve.bearer = thief.bearer;
  CHECK(code_of(checked(eve, "POST", "/me/tokens", forever)) == "forbidden");
  CHECK_FALSE(has(checked(lucia, "GET", "/me/tokens"), "items.1"));
  // Nor does it become a session, which could.
  CHECK(code_of(checked(thief, "PUT", "/me/password", R"({"old":"guess","new":"battery staple"})")) ==
        "wrong_password");
  CHECK(thief.cookie.empty());
  house.pass_ms(60'000);
  CHECK(code_of(checked(thief, "GET", "/me/videos")) == "not_signed_in");
}

TEST_CASE("cheats: a new password ends every token and every other session") {
  House house;
  Browser lucia{house};
  lucia.sign_up("lucia");
  std::array<Browser, 2> tokens{Browser{house}, Browser{house}};
  for (Browser& token : tokens) {
    token.bearer = text_at(checked(lucia, "POST", "/me/tokens", R"({"label":"laptop"})"), "token");
    CHECK(checked(token, "GET", "/me/videos").status == 200);
  }
  Browser phone{house};
  CHECK(checked(phone, "POST", "/session", std::string{kLogin}).status == 200);
  Browser copied{house};  // the cookie of the session that changes the password, in other hands
  copied.cookie = lucia.cookie;
  copied.csrf = lucia.csrf;
  Browser marco{house};
  marco.sign_up("marco");

  CHECK(checked(lucia, "PUT", "/me/password", R"({"old":"correct horse","new":"battery staple"})").status == 200);
  for (Browser& token : tokens) CHECK(code_of(checked(token, "GET", "/me/videos")) == "not_signed_in");
  for (Browser* other : {&phone, &copied}) {
    CHECK(code_of(checked(*other, "GET", "/me/videos")) == "not_signed_in");
    CHECK(code_of(checked(*other, "POST", "/me/tokens", R"({"label":"back door"})")) == "not_signed_in");
  }
  CHECK(checked(lucia, "GET", "/me/videos").status == 200);
  CHECK_FALSE(has(checked(lucia, "GET", "/me/tokens"), "items.0"));
  CHECK(checked(marco, "GET", "/me/videos").status == 200);
  CHECK(code_of(guess(house, "lucia", "correct horse", "192.0.2.1")) == "wrong_password");
  CHECK(guess(house, "lucia", "battery staple", "192.0.2.1").status == 200);
}

}  // namespace ribalta::control
