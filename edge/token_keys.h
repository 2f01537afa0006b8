// The file of playback token keys that the edge accepts, one a line: `ID ed25519 HEX`, a public key, or `ID HEX`, a
// secret shared with who signs (core/tokens.h). ID is 1..8 of a-z 0-9, HEX 32 bytes. `#` begins a comment. The file is
// read when nginx starts or reloads.
#pragma once

#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/tokens.h"

namespace ribalta::edge {

inline constexpr std::size_t kTokenKeyFileBytesMax = 4096;  ///< kTokenKeysMax lines of 82 characters, and comments

/// @error malformed: a line that is neither key nor comment, or an id twice; limit: more than kTokenKeysMax keys.
///        Errors name the line, never its text.
Result<std::vector<TokenKey>> parse_token_keys(std::string_view text);

}  // namespace ribalta::edge
