// The verbs of the command. Each returns the process's exit code: 0 done, 1 not (the reason is on standard error).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "client/tus.h"

namespace ribalta::client {

inline constexpr const char* kDefaultUser = "creator";  ///< the account that scripts/up makes

struct UploadFlags {
  std::vector<std::string> files;
  std::string user = kDefaultUser;
  std::string title;
  bool wait = false;
  bool json = false;
};
int upload(const std::filesystem::path& data, const UploadFlags& flags, const UploadSettings& settings = {});

struct UserFlags {
  std::string name;
  bool admin = false;
  bool password_stdin = false;
};
int user_add(const std::filesystem::path& data, const UserFlags& flags);
int user_password(const std::filesystem::path& data, const UserFlags& flags);

int stream_key(const std::filesystem::path& data, const std::string& user, bool rotate);
/// Prints the line that another machine joins with.
int node_add(const std::filesystem::path& data, const std::string& name, bool json);
int node_remove(const std::filesystem::path& data, const std::string& name);
int status(const std::filesystem::path& data, bool json);
struct CheckFlags {
  std::string location;
  std::int64_t follow_s = 0;
  bool json = false;
};
/// 0: in order; 1: findings, or nothing to look into.
int check_media(const CheckFlags& flags);

/// Asks each daemon's program what it thinks of the instance's configuration. `programs`: the folder that they are in.
int config_check(const std::filesystem::path& data, const std::filesystem::path& programs);

/// Becomes `ribalta-ledger`, the program beside this one, with these words. @return only where that can't be.
int ledger(const std::string& data, const std::filesystem::path& programs, std::vector<std::string> words);

}  // namespace ribalta::client
