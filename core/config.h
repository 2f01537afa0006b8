// One file, `ribalta.toml`, a section for each role; `RIBALTA_SECTION_KEY=…` in the environment wins over the file, and
// the file over `RIBALTA_DEFAULT_SECTION_KEY=…` (what scripts/up guesses).
// A role describes its section once, as a list of fields with default, range and unit; reading checks the whole file
// before anything starts, and every complaint names file, line and field:
//   ribalta.toml:12: ingest.rtmp_port: 70000 is over 65535
//
//   struct IngestConfig { std::uint16_t rtmp_port = 1935; std::chrono::milliseconds publish_deadline{10'000}; … };
//   ConfigReader reader = …; reader.section("ingest")
//       .port("rtmp_port", config.rtmp_port, "TCP port for RTMP")
//       .duration("publish_deadline_ms", config.publish_deadline, 1s, 60s, "from accept to publish");
//   if (config.tls_cert.empty() != config.tls_key.empty()) reader.complain("ingest", "tls_key", "goes with tls_cert");
//   Result<void> checked = reader.finish();   // unknown sections, and unknown keys of described ones, are errors too
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
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
  /// What a field alone could not show (two that don't go together, a file that can't be read): said with where the
  /// value comes from, the line of the file or the variable; `FILE: section.key` when it is the default.
  void complain(std::string_view section, std::string_view key, std::string_view what);
  /// The value that holds for a described key, as text. @return nothing: no such key was described.
  [[nodiscard]] std::optional<std::string> value(std::string_view section, std::string_view key) const;
  /// All complaints so far, one a line, with unknown keys in described sections and sections that no role has. What is
  /// in the sections of other roles is left alone.
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
/// Describes, reads and checks those sections; complaints stay in the reader. Without `data` the rest is of no use.
NodeConfig read_node_config(ConfigReader& reader, std::string_view role);
/// What `node.secret_file` holds. @error not_found, malformed, limit: in words, without the key's name.
Result<std::string> read_node_secret(const NodeConfig& config);
/// The folder can be written, or made. @error io: in words.
Result<void> check_folder(const std::filesystem::path& folder);
/// `unix:PATH` or `HOST:PORT`, or empty (the default): else a complaint about the key.
void check_address(ConfigReader& reader, std::string_view section, std::string_view key, const std::string& address);

}  // namespace ribalta
