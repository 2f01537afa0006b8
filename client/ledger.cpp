// `ribalta ledger`: hands its words to the program that knows the ledger, in our place.
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "client/commands.h"

namespace ribalta::client {

int ledger(const std::string& data, const std::filesystem::path& programs, std::vector<std::string> words) {
  const std::string program = (programs / "ribalta-ledger").string();
  words.insert(words.begin(), {program, "--data", data});
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  execv(program.c_str(), arguments.data());
  std::fprintf(stderr, "%s can't be started: %s\n", program.c_str(), std::strerror(errno));
  return 1;
}

}  // namespace ribalta::client
