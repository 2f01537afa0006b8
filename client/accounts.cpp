#include <termios.h>
#include <unistd.h>

#include <boost/describe/class.hpp>
#include <cstdio>
#include <iostream>
#include <optional>

#include "client/commands.h"

namespace ribalta::client {
namespace {

struct UserNew {
  std::string name;
  std::optional<std::string> password;
  bool admin = false;
};
BOOST_DESCRIBE_STRUCT(UserNew, (), (name, password, admin))
struct PasswordOnly {
  std::string password;
};
BOOST_DESCRIBE_STRUCT(PasswordOnly, (), (password))
struct AdminUser {
  std::optional<std::string> stream_key;
};
BOOST_DESCRIBE_STRUCT(AdminUser, (), (stream_key))

int refuse(const Error& error) {
  std::fprintf(stderr, "%s\n", error.message.c_str());
  return 1;
}

/// A line typed without being shown.
std::string read_hidden(const char* prompt) {
  termios shown{};
  ::tcgetattr(STDIN_FILENO, &shown);
  termios hidden = shown;
  hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
  std::fputs(prompt, stderr);
  std::string line;
  std::getline(std::cin, line);
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
  std::fputs("\n", stderr);
  return line;
}

/// From standard input where asked, typed twice on a terminal, else none.
Result<std::string> ask_password(bool from_stdin) {
  std::string line;
  if (from_stdin) {
    if (!std::getline(std::cin, line) || line.empty())
      return fail(Code::malformed, "No password came on standard input.");
    return line;
  }
  if (::isatty(STDIN_FILENO) != 1) return std::string{};
  line = read_hidden("Password (empty: nobody can sign in): ");
  if (!line.empty() && read_hidden("Again: ") != line) return fail(Code::malformed, "The two passwords differ.");
  return line;
}

Result<AdminUser> admin_user(const Result<std::string>& answer) {
  if (!answer) return pass(answer);
  return json_read<AdminUser>(*answer, JsonUnknown::ignore);
}

}  // namespace

int user_add(const std::filesystem::path& data, const UserFlags& flags) {
  const Result<Instance> instance = Instance::open(data);
  if (!instance) return refuse(instance.error());
  const Result<std::string> password = ask_password(flags.password_stdin);
  if (!password) return refuse(password.error());
  UserNew user{.name = flags.name, .admin = flags.admin};
  if (!password->empty()) user.password = *password;
  const Result<AdminUser> made = admin_user(instance->admin_call("POST", "/admin/users", json_write(user)));
  if (!made) return refuse(made.error());
  std::printf("%s is there%s.\n", flags.name.c_str(), flags.admin ? ", as an administrator" : "");
  if (password->empty()) {
    std::printf("It has no password; set one with: ribalta user password %s\n", flags.name.c_str());
  }
  std::printf("Its stream key: ribalta stream-key %s\n", flags.name.c_str());
  return 0;
}

int user_password(const std::filesystem::path& data, const UserFlags& flags) {
  const Result<Instance> instance = Instance::open(data);
  if (!instance) return refuse(instance.error());
  const Result<std::string> password = ask_password(flags.password_stdin);
  if (!password) return refuse(password.error());
  if (password->empty()) return refuse({Code::malformed, "No password was given; see --password-stdin."});
  const std::string path = "/admin/users/" + http::percent_encode(flags.name);
  const Result<std::string> answer = instance->admin_call("PATCH", path, json_write(PasswordOnly{*password}));
  if (!answer) return refuse(answer.error());
  std::printf("The password of %s is set.\n", flags.name.c_str());
  return 0;
}

int stream_key(const std::filesystem::path& data, const std::string& user, bool rotate) {
  const Result<Instance> instance = Instance::open(data);
  if (!instance) return refuse(instance.error());
  const std::string path = "/admin/users/" + http::percent_encode(user);
  const Result<AdminUser> found = admin_user(rotate ? instance->admin_call("POST", path + "/stream-key/rotate")
                                                    : instance->admin_call("GET", path));
  if (!found && found.error().code == Code::not_found) {
    return refuse({Code::not_found, "There is no account " + user + ". Make it with: ribalta user add " + user});
  }
  if (!found) return refuse(found.error());
  if (!found->stream_key) return refuse({Code::forbidden, "The account " + user + " may not go live."});
  // The key alone on standard output, for scripts; the server beside it for people.
  if (::isatty(STDERR_FILENO) == 1) std::fprintf(stderr, "Server  %s\nKey     ", instance->rtmp().c_str());
  std::printf("%s\n", found->stream_key->c_str());
  return 0;
}

}  // namespace ribalta::client
