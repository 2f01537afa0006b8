#include "control-plane/passwords.h"

#include <sodium.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <map>
#include <mutex>

namespace ribalta::control {

struct Passwords::State {
  explicit State(PasswordCost wanted) : cost(wanted) {
    const int ready = sodium_init();
    assert(ready >= 0);
    std::array<char, crypto_pwhash_STRBYTES> text{};
    const int made = crypto_pwhash_str(text.data(), "nobody", 6, cost.passes, cost.memory_bytes);
    assert(made == 0);
    nobody = text.data();
  }
  PasswordCost cost;
  std::string nobody;  ///< what a password is held against where there is no account
  asio::thread_pool pool{kHashesAtOnce};
  std::mutex mutex;
  std::size_t waiting = 0;
  std::map<std::string, std::size_t> clients;  ///< those that wait, and how many of each
};

namespace {

Task<Result<std::string>> hash_here(PasswordCost cost, std::string password) {
  std::array<char, crypto_pwhash_STRBYTES> text{};
  if (crypto_pwhash_str(text.data(), password.data(), password.size(), cost.passes, cost.memory_bytes) != 0) {
    co_return fail(Code::internal, "no memory for a password's hash");
  }
  co_return std::string{text.data()};
}

Task<bool> verify_here(std::string hashed, std::string password) {
  co_return crypto_pwhash_str_verify(hashed.c_str(), password.data(), password.size()) == 0;
}

}  // namespace

/// A place in line, while it lives.
class Passwords::Place {
 public:
  Place(State& state, std::string client) : state_(state), client_(std::move(client)) {
    const std::lock_guard lock{state_.mutex};
    const auto found = state_.clients.find(client_);
    if (found != state_.clients.end() && found->second >= kHashesWaitingClientMax) {
      got_ = fail(Code::limit, "too many passwords of one client at once");
    } else if (state_.waiting >= kHashesWaitingMax) {
      got_ = fail(Code::unavailable, "too many passwords at once");
    } else {
      ++state_.clients[client_];
      ++state_.waiting;
    }
  }
  ~Place() {
    if (!got_) return;
    const std::lock_guard lock{state_.mutex};
    --state_.waiting;
    const auto found = state_.clients.find(client_);
    if (--found->second == 0) state_.clients.erase(found);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  [[nodiscard]] const Result<void>& got() const { return got_; }

 private:
  State& state_;
  std::string client_;
  Result<void> got_;
};

Passwords::Passwords(PasswordCost cost) : state_(std::make_unique<State>(cost)) {}
Passwords::~Passwords() = default;

Task<Result<std::string>> Passwords::hash(std::string password, std::string client) {
  const Place place{*state_, std::move(client)};
  if (!place.got()) co_return pass(place.got());
  Task<Result<std::string>> work = hash_here(state_->cost, std::move(password));
  Result<std::string> hashed = co_await asio::co_spawn(state_->pool, std::move(work), asio::use_awaitable);
  co_return hashed;
}

Task<Result<bool>> Passwords::verify(std::string hashed, std::string password, std::string client) {
  const Place place{*state_, std::move(client)};
  if (!place.got()) co_return pass(place.got());
  const bool known = !hashed.empty();
  if (!known) hashed = state_->nobody;
  Task<bool> work = verify_here(std::move(hashed), std::move(password));
  const bool same = co_await asio::co_spawn(state_->pool, std::move(work), asio::use_awaitable);
  co_return known&& same;
}

std::size_t count_chars(std::string_view utf8) {
  std::size_t count = 0;
  for (const char c : utf8) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  return count;
}

}  // namespace ribalta::control
