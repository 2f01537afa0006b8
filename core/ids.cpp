#include "core/ids.h"

#include <sys/random.h>

#include <algorithm>
#include <cassert>
#include <cerrno>

namespace ribalta {
namespace {
constexpr std::string_view kAlphabet{"0123456789abcdefghjkmnpqrstvwxyz"};
static_assert(kAlphabet.size() == 32);
}  // namespace

std::array<char, kIdChars> random_id() {
  std::array<unsigned char, kIdChars> random{};
  std::size_t have = 0;
  while (have < random.size()) {
    const ssize_t got = getrandom(random.data() + have, random.size() - have, 0);
    assert(got > 0 || errno == EINTR);  // 16 bytes from a seeded pool: only a signal can interrupt it
    if (got > 0) have += static_cast<std::size_t>(got);
  }
  std::array<char, kIdChars> id{};
  for (std::size_t i = 0; i < kIdChars; ++i) id[i] = kAlphabet[random[i] & 31];
  return id;
}

bool is_id(std::string_view text) {
  return text.size() == kIdChars &&
         std::ranges::all_of(text, [](char c) { return kAlphabet.find(c) != std::string_view::npos; });
}

bool is_track_name(std::string_view text) {
  if (text.empty() || text.size() > 32 || text[0] < 'a' || text[0] > 'z') return false;
  return std::ranges::all_of(
      text, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'; });
}

}  // namespace ribalta
