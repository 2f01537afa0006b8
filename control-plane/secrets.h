// What the control plane keeps secret, in files of DATA/secrets (mode 0600), and what it makes of them.
//   control        32 bytes as hex: hashes of tokens and stream keys, the box around stream keys
//   admin_token    opens /api/v1/admin for scripts on this machine
//   setup_token    makes the first administrator, once; there until then
//   playback_signing  `ID HEX`: signs playback tokens; nobody else has it
//   playback_keys  what edges accept (edge/token_keys.h): the public half of it, and what the operator added
// Files that are missing are made at start.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"
#include "core/tokens.h"

namespace ribalta::control {

class Secrets {
 public:
  /// Reads the files, makes those that are missing. @error io; malformed: a file that holds something else.
  static Result<Secrets> open(const std::filesystem::path& folder);
  /// The same from values, for tests.
  static Secrets from(std::string control_key, std::string admin_token, SigningKey playback);

  /// What SQL keeps of a bearer's secret: without the key in our file nobody can tell which secret it was. `use` keeps
  /// a session from passing for a token.
  [[nodiscard]] std::string hash(std::string_view use, std::string_view secret) const;
  /// Goes with the session of that cookie: a page of another site can't read it.
  [[nodiscard]] std::string csrf(std::string_view session) const { return hash("csrf", session); }
  [[nodiscard]] bool is_admin_token(std::string_view text) const;
  [[nodiscard]] const std::string& admin_token() const { return admin_token_; }
  [[nodiscard]] const SigningKey& playback() const { return playback_; }

  /// The line of playback_keys that checks what `playback` signs: all that an edge on another machine gets.
  [[nodiscard]] std::string playback_public_line() const;

  /// Secret box (XSalsa20-Poly1305, random nonce) as base64.
  [[nodiscard]] std::string seal(std::string_view plain) const;
  /// @error unauthorized: another key, or not what was sealed.
  [[nodiscard]] Result<std::string> unseal(std::string_view sealed) const;

 private:
  Secrets() = default;
  std::string control_key_;
  std::string box_key_;  ///< 32 bytes
  std::string admin_token_;
  SigningKey playback_;
};

/// 160 random bits behind a prefix that says what it is: `rk_` stream key, `rt_` token, `rs_` session, `ra_` admin
/// token.
std::string random_secret(std::string_view prefix);

/// The one-time token for the first administrator, in its file.
Result<std::string> ensure_setup_token(const std::filesystem::path& folder);
void remove_setup_token(const std::filesystem::path& folder);

}  // namespace ribalta::control
