#include "client/verbs.h"

namespace ribalta::client {
namespace {

/// `user add` for the subcommand add of user; empty for the whole.
std::string verb_of(const CLI::App& app) {
  if (app.get_parent() == nullptr) return {};
  const std::string before = verb_of(*app.get_parent());
  return before.empty() ? app.get_name() : before + " " + app.get_name();
}

void describe_upload(CLI::App& app, Verbs& verbs) {
  CLI::App* verb = app.add_subcommand("upload");
  verb->add_option("FILE", verbs.upload.files)->required();
  verb->add_option("--title", verbs.upload.title);
  verb->add_option("--user", verbs.upload.user);
  verb->add_flag("--wait", verbs.upload.wait);
  verb->add_flag("--json", verbs.upload.json);
  verb->callback([&verbs] {
    if (!verbs.upload.title.empty() && verbs.upload.files.size() > 1) {
      throw CLI::ValidationError("--title", "fits one file; upload them one by one");
    }
    verbs.chosen = [&verbs] { return upload(verbs.data, verbs.upload); };
  });
}

void describe_user(CLI::App& app, Verbs& verbs) {
  CLI::App* user = app.add_subcommand("user");
  user->require_subcommand(1);
  CLI::App* add = user->add_subcommand("add");
  add->add_flag("--admin", verbs.user.admin);
  add->callback([&verbs] { verbs.chosen = [&verbs] { return user_add(verbs.data, verbs.user); }; });
  CLI::App* password = user->add_subcommand("password");
  password->callback([&verbs] { verbs.chosen = [&verbs] { return user_password(verbs.data, verbs.user); }; });
  for (CLI::App* verb : {add, password}) {
    verb->add_option("NAME", verbs.user.name)->required();
    verb->add_flag("--password-stdin", verbs.user.password_stdin);
  }
}

void describe_node(CLI::App& app, Verbs& verbs) {
  CLI::App* node = app.add_subcommand("node");
  node->require_subcommand(1);
  CLI::App* add = node->add_subcommand("add");
  add->add_flag("--json", verbs.node_json);
  add->callback(
      [&verbs] { verbs.chosen = [&verbs] { return node_add(verbs.data, verbs.node_name, verbs.node_json); }; });
  CLI::App* remove = node->add_subcommand("remove");
  remove->callback([&verbs] { verbs.chosen = [&verbs] { return node_remove(verbs.data, verbs.node_name); }; });
  for (CLI::App* verb : {add, remove}) verb->add_option("NAME", verbs.node_name)->required();
}

/// Its flags are known to ribalta-ledger, which gets all that stands behind the verb.
void describe_ledger(CLI::App& app, Verbs& verbs, const std::filesystem::path& programs) {
  CLI::App* ledger_verb = app.add_subcommand("ledger");
  ledger_verb->require_subcommand(1);
  for (const char* name : {"verify", "statement", "export"}) {
    CLI::App* verb = ledger_verb->add_subcommand(name);
    verb->allow_extras()->fallthrough(false);  // else the words would be taken for ours
    verb->callback([&verbs, programs, verb] {
      verbs.chosen = [&verbs, programs, verb] {
        std::vector<std::string> words = verb->remaining();
        words.insert(words.begin(), verb->get_name());
        return ledger(verbs.data, programs, std::move(words));
      };
    });
  }
}

}  // namespace

void describe(CLI::App& app, Verbs& verbs, const std::filesystem::path& programs) {
  app.require_subcommand(1);
  app.fallthrough();  // --data may stand behind the verb, too
  app.formatter_fn([](const CLI::App* of, const std::string&, CLI::AppFormatMode) { return usage_of(verb_of(*of)); });
  app.add_option("--data", verbs.data)->envname("RIBALTA_DATA");

  describe_upload(app, verbs);
  describe_user(app, verbs);
  describe_node(app, verbs);
  describe_ledger(app, verbs, programs);

  CLI::App* key = app.add_subcommand("stream-key");
  key->add_option("NAME", verbs.key_user);
  key->add_flag("--rotate", verbs.rotate);
  key->callback([&verbs] { verbs.chosen = [&verbs] { return stream_key(verbs.data, verbs.key_user, verbs.rotate); }; });

  CLI::App* status_verb = app.add_subcommand("status");
  status_verb->add_flag("--json", verbs.status_json);
  status_verb->callback([&verbs] { verbs.chosen = [&verbs] { return status(verbs.data, verbs.status_json); }; });

  CLI::App* check = app.add_subcommand("check");
  check->add_option("LOCATION", verbs.check.location)->required();
  check->add_option("--follow", verbs.check.follow_s)->check(CLI::Range(std::int64_t{0}, std::int64_t{86'400}));
  check->add_flag("--json", verbs.check.json);
  check->callback([&verbs] { verbs.chosen = [&verbs] { return check_media(verbs.check); }; });

  CLI::App* config = app.add_subcommand("config");
  config->require_subcommand(1);
  config->add_subcommand("check")->callback(
      [&verbs, programs] { verbs.chosen = [&verbs, programs] { return config_check(verbs.data, programs); }; });
}

std::string usage_of(std::string_view verb) {
  const std::string heading = verb.empty() ? std::string{"==\n"} : "== " + std::string{verb} + "\n";
  std::string_view rest = usage_document();
  while (!rest.empty()) {
    const std::size_t next = rest.find("\n==", 1);
    const std::string_view section = rest.substr(0, next == std::string_view::npos ? next : next + 1);
    if (section.starts_with(heading)) return std::string{section.substr(heading.size())};
    rest.remove_prefix(section.size());
  }
  return {};
}

}  // namespace ribalta::client
