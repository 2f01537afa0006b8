#include "control-plane/identity.h"

#include <algorithm>

#include "control-plane/passwords.h"
#include "control-plane/sessions_store.h"
#include "control-plane/store.h"

namespace ribalta::control {
namespace {

constexpr std::string_view kBearer = "Bearer ";
/// Longer than any secret of ours: not looked up.
constexpr std::size_t kSecretCharsMax = 128;
constexpr std::size_t kNameCharsMin = 3;
constexpr std::size_t kNameCharsMax = 24;

/// Names that would pass for the house itself.
constexpr std::string_view kReserved[] = {"admin", "administrator", "api",    "assets",    "files",   "internal",
                                          "live",  "login",         "me",     "moderator", "ribalta", "root",
                                          "setup", "signup",        "static", "support",   "system",  "upload"};

Result<Outcome<Identity>> with_user(sql::Session& session, UserId id, Identity identity) {
  auto user = UsersStore{session}.by_id(id);
  if (!user) return pass(user);
  if (!*user || (*user)->suspended) return refuse(401, "not_signed_in", "This account is not open.");
  identity.user = std::move(**user);
  return Outcome<Identity>{std::move(identity)};
}

Result<Outcome<Identity>> by_bearer(sql::Session& session, const Secrets& secrets, std::string_view field,
                                    std::int64_t now) {
  constexpr std::string_view kWrong = "The token in Authorization opens nothing here.";
  if (!field.starts_with(kBearer) || field.size() > kBearer.size() + kSecretCharsMax) {
    return refuse(401, "not_signed_in", std::string{kWrong});
  }
  const std::string_view token = field.substr(kBearer.size());
  if (secrets.is_admin_token(token)) {
    Identity admin;
    admin.admin_token = true;
    return Outcome<Identity>{std::move(admin)};
  }
  SessionsStore sessions{session};
  const std::string hash = secrets.hash("token", token);
  auto found = sessions.find_token(hash, now);
  if (!found) return pass(found);
  if (!*found) return refuse(401, "not_signed_in", std::string{kWrong});
  if (now - (*found)->used >= kUsedEveryMs) {
    if (auto touched = sessions.touch_token(hash, now); !touched) return pass(touched);
  }
  return with_user(session, (*found)->user, {});
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }

}  // namespace

Result<Outcome<Identity>> identify(sql::Session& session, const Secrets& secrets, const Credentials& credentials,
                                   std::int64_t now) {
  if (!credentials.authorization.empty()) return by_bearer(session, secrets, credentials.authorization, now);
  if (credentials.session.empty() || credentials.session.size() > kSecretCharsMax) return Outcome<Identity>{};
  SessionsStore sessions{session};
  Identity identity;
  identity.session_hash = secrets.hash("session", credentials.session);
  auto found = sessions.find(identity.session_hash, now);
  if (!found) return pass(found);
  if (!*found) return Outcome<Identity>{};
  if (now - (*found)->used >= kUsedEveryMs) {
    if (auto touched = sessions.touch(identity.session_hash, now, now + kSessionMs); !touched) return pass(touched);
  }
  identity.by_cookie = true;
  identity.csrf = secrets.csrf(credentials.session);
  auto known = with_user(session, (*found)->user, std::move(identity));
  if (known && !*known) return Outcome<Identity>{};  // suspended: nobody, so that signing in can say why
  return known;
}

Outcome<void> check_csrf(const Identity& identity, const Credentials& credentials) {
  if (!identity.by_cookie) return {};
  if (!credentials.csrf.empty() && equal_constant_time(credentials.csrf, identity.csrf)) return {};
  return refuse(403, "csrf", "The call does not come from this site's own pages. Reload the page and try again.");
}

Outcome<void> require_user(const Identity& identity) {
  if (identity.user) return {};
  if (identity.admin_token)
    return refuse(403, "no_user", "The admin token belongs to nobody: make a token for an account.");
  return refuse(401, "not_signed_in", "Sign in first.");
}

Outcome<void> require_admin(const Identity& identity) {
  if (identity.is_admin()) return {};
  if (identity.user) return refuse(403, "forbidden", "Only administrators may do this.");
  return refuse(401, "not_signed_in", "Sign in first.");
}

Result<std::string> begin_session(sql::Session& session, const Secrets& secrets, UserId user,
                                  std::string_view replaced_hash, std::int64_t now) {
  SessionsStore sessions{session};
  if (!replaced_hash.empty()) {
    if (auto ended = sessions.remove(replaced_hash); !ended) return pass(ended);
  }
  const std::string secret = random_secret("rs_");
  if (auto begun = sessions.insert(secrets.hash("session", secret), user, now, now + kSessionMs); !begun)
    return pass(begun);
  return secret;
}

Outcome<void> check_name(std::string_view name) {
  const bool shaped =
      name.size() >= kNameCharsMin && name.size() <= kNameCharsMax &&
      std::ranges::all_of(name, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
  if (!shaped) return refuse(400, "bad_name", "A name has 3 to 24 characters: a to z, 0 to 9 and _.");
  if (std::ranges::find(kReserved, name) != std::end(kReserved))
    return refuse(400, "bad_name", "This name belongs to the site.");
  return {};
}

Outcome<void> check_password(std::string_view password) {
  const std::size_t chars = count_chars(password);
  if (chars < kPasswordCharsMin) return refuse(400, "bad_password", "A password has at least 8 characters.");
  if (chars > kPasswordCharsMax) return refuse(400, "bad_password", "A password has at most 256 characters.");
  return {};
}

Outcome<void> check_title(std::string_view title) {
  const std::size_t chars = count_chars(title);
  if (chars == 0 || std::ranges::all_of(title, [](char c) { return c == ' '; })) {
    return refuse(400, "bad_title", "A title has at least one character.");
  }
  if (chars > kTitleCharsMax)
    return refuse(400, "bad_title", "A title has at most 200 characters; this one has " + std::to_string(chars) + ".");
  if (std::ranges::any_of(title, is_control))
    return refuse(400, "bad_title", "A title is one line without control characters.");
  return {};
}

std::string title_from(std::string_view wanted, std::string_view filename) {
  std::string_view source = wanted;
  if (source.empty()) {
    source =
        filename.substr(filename.find_last_of("/\\") == std::string_view::npos ? 0 : filename.find_last_of("/\\") + 1);
    const std::size_t dot = source.find_last_of('.');
    if (dot != std::string_view::npos && dot > 0) source = source.substr(0, dot);
  }
  std::string title;
  std::size_t chars = 0;
  for (const char c : source) {
    const bool starts = (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    if (starts && ++chars > kTitleCharsMax) break;
    title += is_control(c) ? ' ' : c;
  }
  const std::size_t first = title.find_first_not_of(' ');
  if (first == std::string::npos) return "Untitled";
  return title.substr(first, title.find_last_not_of(' ') - first + 1);
}

}  // namespace ribalta::control
