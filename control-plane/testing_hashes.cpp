// The program's own definitions of libsodium's two functions come before the library's; they hand on to it.
#include "control-plane/testing_hashes.h"

#include <dlfcn.h>
#include <sodium.h>

#include <cassert>
#include <condition_variable>
#include <mutex>

namespace ribalta::control::testing {
namespace {

struct State {
  std::mutex mutex;
  std::condition_variable opened;
  bool closed = false;
  int begun = 0;
};
State& state() {
  static State the_one;
  return the_one;
}

void pass_gate() {
  State& gate = state();
  std::unique_lock lock{gate.mutex};
  ++gate.begun;
  gate.opened.wait(lock, [&gate] { return !gate.closed; });
}

template <class Function>
Function* library(const char* name) {
  auto* found = reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
  assert(found != nullptr);
  return found;
}

}  // namespace

HashGate::HashGate() {
  const std::lock_guard lock{state().mutex};
  state().begun = 0;
}
HashGate::~HashGate() { open(); }

void HashGate::close() {
  const std::lock_guard lock{state().mutex};
  state().closed = true;
}
void HashGate::open() {
  const std::lock_guard lock{state().mutex};
  state().closed = false;
  state().opened.notify_all();
}
int HashGate::begun() const {
  const std::lock_guard lock{state().mutex};
  return state().begun;
}

}  // namespace ribalta::control::testing

extern "C" int crypto_pwhash_str(char out[crypto_pwhash_STRBYTES], const char* const password,
                                 unsigned long long length, unsigned long long passes, size_t memory_bytes) {
  static auto* const real = ribalta::control::testing::library<decltype(crypto_pwhash_str)>("crypto_pwhash_str");
  ribalta::control::testing::pass_gate();
  return real(out, password, length, passes, memory_bytes);
}

extern "C" int crypto_pwhash_str_verify(const char* hashed, const char* const password, unsigned long long length) {
  static auto* const real =
      ribalta::control::testing::library<decltype(crypto_pwhash_str_verify)>("crypto_pwhash_str_verify");
  ribalta::control::testing::pass_gate();
  return real(hashed, password, length);
}
