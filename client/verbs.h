// What may be typed: the verbs with their flags, and the text that --help shows (usage.txt, which scripts/ribalta shows
// too, without a build).
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <string_view>

#include "client/commands.h"

namespace ribalta::client {

struct Verbs {
  std::string data = "ribalta-data";
  UploadFlags upload;
  UserFlags user;
  std::string key_user = kDefaultUser;
  bool rotate = false;
  bool status_json = false;
  std::string node_name;
  bool node_json = false;
  CheckFlags check;
  std::function<int()> chosen;  ///< what was asked for, once it is parsed
};

/// Describes the whole command. `programs`: the folder that the daemons' programs are in.
void describe(CLI::App& app, Verbs& verbs, const std::filesystem::path& programs);

/// The file as it was when this program was built.
std::string_view usage_document();
/// Its section of a verb (`user add`); empty: the one of the whole. @return empty: there is none.
std::string usage_of(std::string_view verb);

}  // namespace ribalta::client
