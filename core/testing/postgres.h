// A private PostgreSQL for tests: a cluster in a temporary folder, reached through a Unix socket only, gone with the
// object. It runs as user postgres when we are root, since PostgreSQL refuses to be that.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace ribalta::testing {

/// A folder of its own under the system's for temporary files; goes with everything in it.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

class PostgresCluster {
 public:
  /// True where PostgreSQL's programs are installed.
  static bool installed();
  /// What a commit that was answered is worth: nothing after a power cut (quick), or as in earnest.
  enum class Commits { quick, durable };
  /// Made and started; `running` says whether that went well.
  /// @param environment  `NAME=value` for the server and all that it starts.
  explicit PostgresCluster(Commits commits, std::vector<std::string> environment = {});
  /// A hot standby that has what `primary` has, and waits for it: once this is there, `primary` answers a commit when
  /// both have it.
  static std::unique_ptr<PostgresCluster> standby_of(PostgresCluster& primary);
  ~PostgresCluster();
  PostgresCluster(const PostgresCluster&) = delete;
  PostgresCluster& operator=(const PostgresCluster&) = delete;

  [[nodiscard]] bool running() const { return running_; }
  /// As sql::Options has it.
  [[nodiscard]] std::string address(const std::string& database) const;
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_.path(); }
  /// SIGKILL to the server. What it has started ends as soon as it notices, a busy session a little later.
  void kill();
  /// As an administrator restarts it: clients are cut off, what they have not committed is gone.
  void stop();
  bool start();
  /// Makes a standby the primary.
  bool promote();

 private:
  PostgresCluster() = default;
  bool make_folder();
  [[nodiscard]] pid_t spawn_server() const;
  [[nodiscard]] std::string log_end() const;
  bool run(std::vector<std::string> command) const;
  [[nodiscard]] pid_t spawn(std::vector<std::string> command, const std::vector<std::string>& environment = {}) const;
  [[nodiscard]] std::string data() const { return (folder_.path() / "data").string(); }

  Folder folder_;
  Commits commits_ = Commits::quick;
  std::vector<std::string> environment_;
  pid_t server_ = -1;
  bool running_ = false;
};

}  // namespace ribalta::testing
