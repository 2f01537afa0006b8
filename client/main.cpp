// `ribalta`: for people who live in a terminal. scripts/ribalta hands its arguments to this program.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>

#include "client/commands.h"

using namespace ribalta::client;

namespace {

/// The folder that this program is in; the daemons' programs are beside it.
std::filesystem::path own_folder() {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
}

struct Verbs {
  std::string data = "ribalta-data";
  UploadFlags upload;
  UserFlags user;
  std::string key_user = kDefaultUser;
  bool rotate = false;
  bool status_json = false;
  std::function<int()> chosen;
};

void describe(CLI::App& app, Verbs& verbs) {
  app.require_subcommand(1);
  app.fallthrough();  // --data may stand behind the verb, too
  app.option_defaults()->always_capture_default();
  app.add_option("--data", verbs.data, "the instance's data folder")->envname("RIBALTA_DATA");

  CLI::App* upload_verb = app.add_subcommand("upload", "upload videos; an interrupted upload goes on where it stopped");
  upload_verb->add_option("files", verbs.upload.files, "files")->required()->option_text("FILE...");
  upload_verb->add_option("--title", verbs.upload.title, "title (for one file); else the file's name");
  upload_verb->add_option("--user", verbs.upload.user,
                          "whose videos they become (RIBALTA_TOKEN, where set, says it itself)");
  upload_verb->add_flag("--wait", verbs.upload.wait, "until each is ready, or has failed with its reason");
  upload_verb->add_flag("--json", verbs.upload.json,
                        "one object a file: file, video, state, kind, reason, seconds, hls, dash");
  upload_verb->callback([&verbs] {
    if (!verbs.upload.title.empty() && verbs.upload.files.size() > 1) {
      throw CLI::ValidationError("--title", "fits one file; upload them one by one");
    }
    verbs.chosen = [&verbs] { return upload(verbs.data, verbs.upload); };
  });

  CLI::App* user = app.add_subcommand("user", "accounts");
  user->require_subcommand(1);
  CLI::App* add = user->add_subcommand("add", "make an account");
  add->add_flag("--admin", verbs.user.admin, "may administer the instance");
  add->callback([&verbs] { verbs.chosen = [&verbs] { return user_add(verbs.data, verbs.user); }; });
  CLI::App* password = user->add_subcommand("password", "set an account's password");
  password->callback([&verbs] { verbs.chosen = [&verbs] { return user_password(verbs.data, verbs.user); }; });
  for (CLI::App* verb : {add, password}) {
    verb->add_option("name", verbs.user.name, "name")->required()->option_text("NAME")->capture_default_str();
    verb->add_flag("--password-stdin", verbs.user.password_stdin, "the password is the first line of standard input");
  }

  CLI::App* key = app.add_subcommand("stream-key", "show an account's stream key (secret: who has it can go live)");
  key->add_option("name", verbs.key_user, "account")->option_text("NAME [creator]");
  key->add_flag("--rotate", verbs.rotate, "replace it by a new one; the old one is refused from then on");
  key->callback([&verbs] { verbs.chosen = [&verbs] { return stream_key(verbs.data, verbs.key_user, verbs.rotate); }; });

  CLI::App* status_verb =
      app.add_subcommand("status", "services, what is on air, jobs; exit code 1 when a service is not well");
  status_verb->add_flag("--json", verbs.status_json, "as the API says it");
  status_verb->callback([&verbs] { verbs.chosen = [&verbs] { return status(verbs.data, verbs.status_json); }; });

  CLI::App* config = app.add_subcommand("config", "configuration");
  config->require_subcommand(1);
  config->add_subcommand("check", "what each daemon thinks of ribalta.toml, without starting anything")
      ->callback([&verbs] { verbs.chosen = [&verbs] { return config_check(verbs.data, own_folder()); }; });
}

}  // namespace

int main(int argc, char** argv) {
  Verbs verbs;
  CLI::App app{"Ribalta from the terminal", "ribalta"};
  try {
    describe(app, verbs);
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return verbs.chosen();
}
