// `ribalta`: for people who live in a terminal. scripts/ribalta hands its arguments to this program.
#include <filesystem>
#include <iostream>

#include "client/verbs.h"

namespace {

/// The folder that this program is in; the daemons' programs are beside it.
std::filesystem::path own_folder() {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
}

}  // namespace

int main(int argc, char** argv) {
  using namespace ribalta::client;
  Verbs verbs;
  CLI::App app{"Ribalta from the terminal", "ribalta"};
  try {
    describe(app, verbs, own_folder());
    app.parse(argc, argv);
  } catch (const CLI::RequiredError& error) {
    // What is missing may be there, misspelt.
    const std::vector<std::string> unknown = app.remaining(true);
    if (unknown.empty()) return app.exit(error) == 0 ? 0 : 2;
    std::cerr << "ribalta does not know " << unknown.front() << " here.\nRun with --help for more information.\n";
    return 2;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return verbs.chosen();
}
