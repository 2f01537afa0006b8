// Who is asking: a browser's session cookie or a bearer token, and whether a call that changes something comes from our
// own pages (CSRF). Names and passwords are checked here too.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "control-plane/outcome.h"
#include "control-plane/secrets.h"
#include "control-plane/users_store.h"
#include "core/sql/sql.h"

namespace ribalta::control {

inline constexpr std::string_view kSessionCookie = "ribalta_session";
/// Since its last use.
inline constexpr std::int64_t kSessionMs = std::int64_t{30} * 24 * 3'600'000;

/// What came with a call.
struct Credentials {
  std::string session;        ///< value of the cookie, or empty
  std::string csrf;           ///< X-Csrf-Token
  std::string authorization;  ///< the whole field
};

struct Identity {
  std::optional<User> user;  ///< nobody, or the admin token: none
  bool admin_token = false;
  bool by_cookie = false;
  std::string session_hash;  ///< of the cookie's session
  std::string csrf;          ///< what a call by this cookie must carry

  [[nodiscard]] bool signed_in() const { return user.has_value() || admin_token; }
  [[nodiscard]] bool is_admin() const { return admin_token || (user && user->admin); }
};

/// @refusal 401 not_signed_in: a bearer token that opens nothing. No cookie, or one that ended, is nobody.
Result<Outcome<Identity>> identify(sql::Session& session, const Secrets& secrets, const Credentials& credentials,
                                   std::int64_t now);
/// @refusal 403 csrf: the call comes by cookie, and without the session's token.
Outcome<void> check_csrf(const Identity& identity, const Credentials& credentials);
/// @refusal 401 not_signed_in; 403 no_user: the admin token belongs to nobody.
Outcome<void> require_user(const Identity& identity);
/// @refusal 401 not_signed_in; 403 forbidden.
Outcome<void> require_admin(const Identity& identity);

/// A new session: what the cookie holds. Any session that the browser had before is ended (`replaced_hash`).
Result<std::string> begin_session(sql::Session& session, const Secrets& secrets, UserId user,
                                  std::string_view replaced_hash, std::int64_t now);

/// @refusal 400 bad_name: not 3 to 24 of a-z, 0-9 and _, or a word that pages of the site use.
Outcome<void> check_name(std::string_view name);
/// @refusal 400 bad_password.
Outcome<void> check_password(std::string_view password);
/// @refusal 400 bad_title.
Outcome<void> check_title(std::string_view title);
/// A title from what somebody called a file: control characters out, cut to what a title may be, never empty.
std::string title_from(std::string_view wanted, std::string_view filename);

inline constexpr std::size_t kTitleCharsMax = 200;

}  // namespace ribalta::control
