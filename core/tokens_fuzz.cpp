// A token from a stranger: never a crash, and what is accepted was minted by us, in that very spelling.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/tokens.h"

using namespace ribalta;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const TokenKey key{"k1", std::string(32, 's')};
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  const Result<TokenClaims> plain = verify_token({key}, text, 1'800'000'000);
  if (plain && mint_token(key, *plain) != text) std::abort();
  if (plain && !token_allows(*plain, plain->path_prefix + "x")) std::abort();
  static const SigningKey signing{"k1", std::string(32, 's')};
  static const TokenKey half = public_half(signing);
  const Result<TokenClaims> open = verify_token({half}, text, 1'800'000'000);
  if (open && mint_token(signing, *open) != text) std::abort();
  const TokenClaims claims{"any", "/v/a/", 1'900'000'000};
  // A token of ours with the input somewhere in it: nobody can guess a MAC, but they can keep one and change the rest.
  // (An input that is a genuine token is accepted where it takes the whole place.)
  const std::string minted = mint_token(key, claims);
  for (std::size_t at = 0; at < minted.size(); at += 1 + minted.size() / 16) {
    std::string changed = minted;
    changed.replace(at, std::min(text.size(), minted.size() - at), text);
    const Result<TokenClaims> accepted = verify_token({key}, changed, 1'800'000'000);
    if (accepted && mint_token(key, *accepted) != changed) std::abort();
  }
  if (token_allows(claims, text)) {
    if (text.find("/../") != std::string_view::npos || text.ends_with("/..") || !text.starts_with("/v/a/"))
      std::abort();
  }
  return 0;
}
