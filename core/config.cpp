#include "core/config.h"

#include <toml++/toml.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <set>

#include "core/http/http.h"

namespace ribalta {
namespace {

/// A configuration is a page or two; a larger file is something else.
constexpr std::uintmax_t kConfigBytesMax = 1024 * 1024;
constexpr std::string_view kEnvironmentPrefix{"RIBALTA_"};
constexpr std::string_view kDefaultPrefix{"RIBALTA_DEFAULT_"};
/// Each daemon describes its own; a section beyond these is a slip of the pen.
constexpr std::array<std::string_view, 8> kSections{"node",    "log",      "redis",  "store",
                                                    "control", "packager", "ingest", "transcode"};
/// 32 random bytes as hexadecimal digits; a shorter secret can be guessed.
constexpr std::size_t kNodeSecretCharsMin = 32;
constexpr std::size_t kNodeSecretCharsMax = 1024;

std::string upper(std::string_view text) {
  std::string out;
  for (const char c : text) out.push_back(c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c);
  return out;
}

std::vector<std::string> process_environment() {
  std::vector<std::string> pairs;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) pairs.emplace_back(*entry);
  return pairs;
}

std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return number;
}

}  // namespace

struct ConfigReader::State {
  std::string name;
  toml::table table;
  std::map<std::string, std::string, std::less<>> environment;  ///< RIBALTA_… only
  std::map<std::string, std::set<std::string, std::less<>>, std::less<>> described;
  std::map<std::string, std::string, std::less<>> values;  ///< `section.key` → the value that holds, as text
  std::vector<std::string> complaints;

  /// Where a field's value comes from: the environment, then the file, then the environment's defaults.
  struct Found {
    std::string where;  ///< `ribalta.toml:12: ingest.rtmp_port` or the variable's name
    const std::string* variable = nullptr;
    const toml::node* node = nullptr;
  };

  void complain(const std::string& where, const std::string& what) { complaints.push_back(where + ": " + what); }

  std::string place(const toml::node& node) const { return name + ":" + std::to_string(node.source().begin.line); }

  std::optional<Found> variable(std::string_view prefix, std::string_view section, std::string_view key) const {
    const std::string variable = std::string{prefix} + upper(section) + "_" + upper(key);
    const auto set = environment.find(variable);
    if (set == environment.end()) return std::nullopt;
    return Found{variable, &set->second, nullptr};
  }

  std::optional<Found> origin(std::string_view section, std::string_view key) const {
    if (const auto said = variable(kEnvironmentPrefix, section, key)) return said;
    const toml::table* fields = table[section].as_table();
    const toml::node* node = fields == nullptr ? nullptr : fields->get(key);
    if (node == nullptr) return variable(kDefaultPrefix, section, key);
    return Found{place(*node) + ": " + std::string{section} + "." + std::string{key}, nullptr, node};
  }

  std::optional<Found> find(const std::string& section, std::string_view key) {
    described[section].emplace(key);
    return origin(section, key);
  }

  void keep(const std::string& section, std::string_view key, std::string value) {
    values.insert_or_assign(section + "." + std::string{key}, std::move(value));
  }

  void check_bounds(const Found& found, std::int64_t number, std::int64_t min, std::int64_t max) {
    if (number < min) complain(found.where, std::to_string(number) + " is under " + std::to_string(min));
    if (number > max) complain(found.where, std::to_string(number) + " is over " + std::to_string(max));
  }

  std::optional<std::int64_t> integer(const std::string& section, std::string_view key, std::int64_t min,
                                      std::int64_t max) {
    const std::optional<Found> found = find(section, key);
    if (!found) return std::nullopt;
    const std::optional<std::int64_t> number =
        found->variable != nullptr ? whole_number(*found->variable)
                                   : (found->node->is_integer() ? found->node->value<std::int64_t>() : std::nullopt);
    if (!number) {
      complain(found->where, "not a whole number");
      return std::nullopt;
    }
    check_bounds(*found, *number, min, max);
    return *number >= min && *number <= max ? number : std::nullopt;
  }

  std::optional<std::string> text(const std::string& section, std::string_view key) {
    const std::optional<Found> found = find(section, key);
    if (!found) return std::nullopt;
    if (found->variable != nullptr) return *found->variable;
    std::optional<std::string> value = found->node->value_exact<std::string>();
    if (!value) complain(found->where, "not a text in quotes");
    return value;
  }
};

ConfigReader::ConfigReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
ConfigReader::ConfigReader(ConfigReader&&) noexcept = default;
ConfigReader& ConfigReader::operator=(ConfigReader&&) noexcept = default;
ConfigReader::~ConfigReader() = default;

Result<ConfigReader> ConfigReader::open(const std::filesystem::path& file) {
  std::error_code error;
  const std::uintmax_t bytes = std::filesystem::file_size(file, error);
  if (error == std::errc::no_such_file_or_directory) return fail(Code::not_found, "no such file:", file.string());
  if (error) return fail(Code::io, file.string() + ":", error.message());
  if (bytes > kConfigBytesMax)
    return fail(Code::limit, file.string() + ": bytes, too large for a configuration:", bytes);
  std::ifstream stream{file, std::ios::binary};
  const std::string text{std::istreambuf_iterator<char>{stream}, {}};
  if (!stream) return fail(Code::io, "can't be read:", file.string());
  return parse(text, file.string(), process_environment());
}

Result<ConfigReader> ConfigReader::parse(std::string_view text, std::string_view name,
                                         const std::vector<std::string>& environment) {
  auto state = std::make_unique<State>();
  state->name = name;
  try {
    state->table = toml::parse(text, name);
  } catch (const toml::parse_error& error) {
    const toml::source_position at = error.source().begin;
    return fail(Code::malformed,
                std::string{name} + ":" + std::to_string(at.line) + ":" + std::to_string(at.column) + ":",
                error.description());
  }
  for (const std::string& pair : environment) {
    const std::size_t equals = pair.find('=');
    if (pair.starts_with(kEnvironmentPrefix) && equals != std::string::npos) {
      state->environment.emplace(pair.substr(0, equals), pair.substr(equals + 1));
    }
  }
  return ConfigReader{std::move(state)};
}

ConfigSection ConfigReader::section(std::string_view name) {
  const bool again = state_->described.contains(name);
  state_->described[std::string{name}];
  const toml::node* node = state_->table.get(name);
  if (!again && node != nullptr && !node->is_table()) {
    state_->complain(state_->place(*node), std::string{name} + " is not a section");
  }
  return ConfigSection{*state_, name};
}

void ConfigReader::complain(std::string_view section, std::string_view key, std::string_view what) {
  const std::optional<State::Found> found = state_->origin(section, key);
  const std::string nowhere = state_->name + ": " + std::string{section} + "." + std::string{key};
  state_->complain(found ? found->where : nowhere, std::string{what});
}

std::optional<std::string> ConfigReader::value(std::string_view section, std::string_view key) const {
  const auto found = state_->values.find(std::string{section} + "." + std::string{key});
  if (found == state_->values.end()) return std::nullopt;
  return found->second;
}

Result<void> ConfigReader::finish() {
  std::vector<std::string> complaints = state_->complaints;
  for (const auto& [section, node] : state_->table) {
    if (state_->described.contains(section.str()) || std::ranges::find(kSections, section.str()) != kSections.end()) {
      continue;
    }
    const std::string what = node.is_table() ? ": there is no such section" : ": stands in no section";
    complaints.push_back(state_->place(node) + ": " + std::string{section.str()} + what);
  }
  for (const auto& [section, keys] : state_->described) {
    if (const toml::table* fields = state_->table[section].as_table()) {
      for (const auto& [key, node] : *fields) {
        if (keys.contains(key.str())) continue;
        complaints.push_back(state_->place(node) + ": " + section + "." + std::string{key.str()} + ": unknown");
      }
    }
    for (const std::string_view level : {kEnvironmentPrefix, kDefaultPrefix}) {
      const std::string prefix = std::string{level} + upper(section) + "_";
      for (const auto& [variable, value] : state_->environment) {
        if (!variable.starts_with(prefix)) continue;
        const bool known =
            std::ranges::any_of(keys, [&](const std::string& key) { return variable == prefix + upper(key); });
        if (!known) complaints.push_back(variable + ": unknown");
      }
    }
  }
  if (complaints.empty()) return {};
  std::string all;
  for (const std::string& complaint : complaints) all += (all.empty() ? "" : "\n") + complaint;
  return fail(Code::malformed, all);
}

ConfigSection& ConfigSection::text(std::string_view key, std::string& value, std::string_view) {
  if (std::optional<std::string> found = state_->text(name_, key)) value = std::move(*found);
  state_->keep(name_, key, value);
  return *this;
}

ConfigSection& ConfigSection::path(std::string_view key, std::filesystem::path& value, std::string_view) {
  if (const std::optional<std::string> found = state_->text(name_, key)) value = *found;
  state_->keep(name_, key, value.string());
  return *this;
}

ConfigSection& ConfigSection::boolean(std::string_view key, bool& value, std::string_view) {
  const auto found = state_->find(name_, key);
  state_->keep(name_, key, value ? "true" : "false");
  if (!found) return *this;
  std::optional<bool> flag;
  if (found->variable != nullptr) {
    if (*found->variable == "true" || *found->variable == "1") flag = true;
    if (*found->variable == "false" || *found->variable == "0") flag = false;
  } else {
    flag = found->node->value_exact<bool>();
  }
  if (!flag) {
    state_->complain(found->where, "not true or false");
  } else {
    value = *flag;
    state_->keep(name_, key, value ? "true" : "false");
  }
  return *this;
}

ConfigSection& ConfigSection::integer(std::string_view key, std::int64_t& value, std::int64_t min, std::int64_t max,
                                      std::string_view) {
  if (const std::optional<std::int64_t> found = state_->integer(name_, key, min, max)) value = *found;
  state_->keep(name_, key, std::to_string(value));
  return *this;
}

ConfigSection& ConfigSection::port(std::string_view key, std::uint16_t& value, std::string_view) {
  if (const std::optional<std::int64_t> found = state_->integer(name_, key, 0, 65'535)) {
    value = static_cast<std::uint16_t>(*found);
  }
  state_->keep(name_, key, std::to_string(value));
  return *this;
}

ConfigSection& ConfigSection::duration(std::string_view key, std::chrono::milliseconds& value,
                                       std::chrono::milliseconds min, std::chrono::milliseconds max, std::string_view) {
  assert(key.ends_with("_ms") || key.ends_with("_s"));
  const std::int64_t unit = key.ends_with("_ms") ? 1 : 1000;
  const std::int64_t least = (min.count() + unit - 1) / unit;
  if (const std::optional<std::int64_t> found = state_->integer(name_, key, least, max.count() / unit)) {
    value = std::chrono::milliseconds{*found * unit};
  }
  state_->keep(name_, key, std::to_string(value.count() / unit));
  return *this;
}

ConfigSection& ConfigSection::text_list(std::string_view key, std::vector<std::string>& value, std::string_view) {
  const auto found = state_->find(name_, key);
  if (!found) return *this;
  std::vector<std::string> list;
  if (found->variable != nullptr) {  // separated by commas
    std::string_view rest = *found->variable;
    while (!rest.empty()) {
      const std::string_view item = rest.substr(0, rest.find(','));
      rest.remove_prefix(std::min(rest.size(), item.size() + 1));
      list.emplace_back(item);
    }
    value = std::move(list);
    return *this;
  }
  const toml::array* array = found->node->as_array();
  bool good = array != nullptr;
  for (std::size_t i = 0; good && i < array->size(); ++i) {
    std::optional<std::string> item = (*array)[i].value_exact<std::string>();
    good = item.has_value();
    if (good) list.push_back(std::move(*item));
  }
  if (good) {
    value = std::move(list);
  } else {
    state_->complain(found->where, "not a list of texts");
  }
  return *this;
}

NodeConfig read_node_config(ConfigReader& reader, std::string_view role) {
  NodeConfig config;
  std::filesystem::path secret_file;
  std::string level = "info";
  std::string format = "text";
  reader.section("node")
      .path("data", config.data, "the one folder that holds all state")
      .path("run", config.run, "sockets; default DATA/run")
      .path("secret_file", secret_file, "signs calls between daemons; default DATA/secrets/node");
  reader.section("redis").text("address", config.redis, "unix:PATH (relative to DATA) or HOST:PORT");
  reader.section("store").path("folder", config.store, "the object store; default DATA/store");
  reader.section("log")
      .text("level", level, "debug, info, warning or error")
      .text("format", format, "text for people, json for machines");

  config.log.role = role;
  config.log.json = format == "json";
  if (format != "json" && format != "text") reader.complain("log", "format", "text or json, not " + format);
  if (level == "debug") {
    config.log.level = LogLevel::debug;
  } else if (level == "warning") {
    config.log.level = LogLevel::warning;
  } else if (level == "error") {
    config.log.level = LogLevel::error;
  } else if (level != "info") {
    reader.complain("log", "level", "debug, info, warning or error, not " + level);
  }

  if (config.data.empty()) {
    reader.complain("node", "data", "missing (the one folder that holds all state)");
    return config;
  }
  std::error_code error;
  config.data = std::filesystem::absolute(config.data, error).lexically_normal();
  if (error) reader.complain("node", "data", error.message());
  const auto under_data = [&config](const std::filesystem::path& path) {
    return (config.data / path).lexically_normal();
  };
  config.run = under_data(config.run.empty() ? "run" : config.run);
  config.store = under_data(config.store.empty() ? "store" : config.store);
  config.node_secret_file = under_data(secret_file.empty() ? "secrets/node" : secret_file).string();
  if (config.redis.starts_with("unix:")) config.redis = "unix:" + under_data(config.redis.substr(5)).string();
  if (const auto address = http::Address::parse(config.redis); !address) {
    reader.complain("redis", "address", address.error().message);
  }
  const std::string socket = config.run / (std::string{role} + ".sock");
  if (const auto address = http::Address::parse("unix:" + socket); !address) {
    reader.complain("node", "run", "too deep a folder: " + address.error().message);
  }
  return config;
}

Result<std::string> read_node_secret(const NodeConfig& config) {
  const std::string& file = config.node_secret_file;
  std::ifstream stream{file, std::ios::binary};
  if (!stream) return fail(Code::not_found, "can't be read (scripts/up makes it):", file);
  std::string secret(kNodeSecretCharsMax + 1, '\0');
  stream.read(secret.data(), static_cast<std::streamsize>(secret.size()));
  secret.resize(static_cast<std::size_t>(stream.gcount()));
  while (!secret.empty() && (secret.back() == '\n' || secret.back() == '\r' || secret.back() == ' ')) secret.pop_back();
  if (secret.size() < kNodeSecretCharsMin) return fail(Code::malformed, "under 32 characters:", file);
  if (secret.size() > kNodeSecretCharsMax) return fail(Code::limit, "over 1024 characters:", file);
  return secret;
}

Result<void> check_folder(const std::filesystem::path& folder) {
  std::filesystem::path there = folder;
  std::error_code error;
  while (!std::filesystem::exists(there, error) && there.has_parent_path() && there != there.parent_path()) {
    there = there.parent_path();
  }
  if (!std::filesystem::is_directory(there, error)) return fail(Code::io, "not a folder:", there.string());
  if (::access(there.c_str(), W_OK | X_OK) != 0) {
    return fail(Code::io, "no permission to write to the folder", there.string());
  }
  return {};
}

void check_address(ConfigReader& reader, std::string_view section, std::string_view key, const std::string& address) {
  if (address.empty()) return;
  if (const auto parsed = http::Address::parse(address); !parsed) {
    reader.complain(section, key, parsed.error().message);
  }
}

}  // namespace ribalta
