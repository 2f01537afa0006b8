// One file, `ribalta.toml`, a section for each role; `RIBALTA_SECTION_KEY=…` in the environment wins over the file.
// A role describes its section once, as a list of fields with default, range and unit; reading checks the whole file
// before anything starts, and every complaint names file, line and field:
//   ribalta.toml:12: ingest.rtmp_port: 70000 is over 65535
//
//   struct IngestConfig { std::uint16_t rtmp_port = 1935; std::chrono::milliseconds publish_deadline{10'000}; … };
//   ConfigReader reader = …; reader.section("ingest")
//       .port("rtmp_port", config.rtmp_port, "TCP port for RTMP")
//       .duration("publish_deadline_ms", config.publish_deadline, 1s, 60s, "from accept to publish");
//   Result<void> checked = reader.finish();   // unknown keys of the sections that were described are errors too
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/log.h"
#include "core/result.h"

namespace ribalta {

class ConfigSection;

class ConfigReader {
 public:
  /// Reads and parses the file. @error not_found; malformed with file, line and column.
  static Result<ConfigReader> open(const std::filesystem::path& file);
  /// The same from text, for tests; `name` stands in complaints. `environment`: pairs NAME=VALUE.
  static Result<ConfigReader> parse(std::string_view text, std::string_view name,
                                    const std::vector<std::string>& environment = {});

  ConfigReader(ConfigReader&&) noexcept;
  ConfigReader& operator=(ConfigReader&&) noexcept;
  ~ConfigReader();

  /// The named section; fields that are not in the file keep the value that they have.
  ConfigSection section(std::string_view name);
  /// All complaints so far, one a line, and unknown keys in described sections. Sections of other roles are left alone.
  Result<void> finish();

 private:
  friend class ConfigSection;
  struct State;
  explicit ConfigReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

class ConfigSection {
 public:
  ConfigSection& text(std::string_view key, std::string& value, std::string_view meaning);
  ConfigSection& path(std::string_view key, std::filesystem::path& value, std::string_view meaning);
  ConfigSection& boolean(std::string_view key, bool& value, std::string_view meaning);
  ConfigSection& integer(std::string_view key, std::int64_t& value, std::int64_t min, std::int64_t max,
                         std::string_view meaning);
  ConfigSection& port(std::string_view key, std::uint16_t& value, std::string_view meaning);
  /// The key ends in `_ms` or `_s`, which is the unit in the file.
  ConfigSection& duration(std::string_view key, std::chrono::milliseconds& value, std::chrono::milliseconds min,
                          std::chrono::milliseconds max, std::string_view meaning);
  ConfigSection& text_list(std::string_view key, std::vector<std::string>& value, std::string_view meaning);

 private:
  friend class ConfigReader;
  ConfigSection(ConfigReader::State& state, std::string_view name) : state_(&state), name_(name) {}
  ConfigReader::State* state_;
  std::string name_;
};

/// What every daemon reads: sections [node], [log], [redis] and [store].
struct NodeConfig {
  std::filesystem::path data;    ///< [node] data: the one folder that holds all state
  std::filesystem::path run;     ///< [node] run: sockets; default data/run
  std::string node_secret_file;  ///< [node] secret_file: signs calls between daemons; default data/secrets/node
  std::string redis = "unix:run/redis.sock";  ///< [redis] address: unix:PATH (relative to data) or HOST:PORT
  std::filesystem::path store;                ///< [store] folder: the object store; default data/store
  LogOptions log;                             ///< [log] level, format
};
Result<NodeConfig> read_node_config(ConfigReader& reader, std::string_view role);

}  // namespace ribalta
