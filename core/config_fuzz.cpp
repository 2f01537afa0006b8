// A configuration file and an environment, whatever is in them: refused in words, or values within what the fields
// allow, that say the same again when they are written as the environment has them. Input: TOML, NUL, NAME=VALUE a
// line.
#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "core/config.h"

using namespace ribalta;

namespace {

void must(bool holds) {
  if (!holds) std::abort();
}

/// One field of every kind.
struct Fields {
  std::string text = "t";
  std::filesystem::path path = "p";
  bool flag = true;
  std::int64_t number = 5;
  std::uint16_t port = 80;
  std::chrono::milliseconds short_time{20};
  std::chrono::milliseconds long_time{2'000};
  std::vector<std::string> list{"a", "b"};
  bool operator==(const Fields&) const = default;
};

void describe(ConfigReader& reader, Fields& fields) {
  reader.section("ingest")
      .text("text", fields.text, "")
      .path("path", fields.path, "")
      .boolean("flag", fields.flag, "")
      .integer("number", fields.number, -7, 1'000, "")
      .port("port", fields.port, "")
      .duration("short_ms", fields.short_time, std::chrono::milliseconds{10}, std::chrono::milliseconds{1'000}, "")
      .duration("long_s", fields.long_time, std::chrono::seconds{1}, std::chrono::hours{24}, "")
      .text_list("list", fields.list, "");
}

bool starts_as_complaint(std::string_view text) {
  return text.starts_with("file") || text.starts_with("RIBALTA_") || text.starts_with("RIBALTA_DEFAULT_");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input{reinterpret_cast<const char*>(data), size};
  const std::size_t nul = input.find('\0');
  std::vector<std::string> environment;
  std::string_view rest = nul == std::string_view::npos ? std::string_view{} : input.substr(nul + 1);
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    environment.emplace_back(line);
  }
  Result<ConfigReader> reader = ConfigReader::parse(input.substr(0, nul), "file", environment);
  if (!reader) {
    must(reader.error().message.starts_with("file:"));
    return 0;
  }
  const NodeConfig node = read_node_config(*reader, "ingest");
  Fields fields;
  describe(*reader, fields);
  check_address(*reader, "ingest", "text", fields.text);
  // Bounds hold whether or not there are complaints.
  must(fields.number >= -7 && fields.number <= 1'000);
  must(fields.short_time.count() >= 10 && fields.short_time.count() <= 1'000);
  must(fields.long_time.count() >= 1'000 && fields.long_time.count() <= 86'400'000);
  must(fields.long_time.count() % 1'000 == 0);
  const Result<void> finished = reader->finish();
  if (!finished) {
    must(starts_as_complaint(finished.error().message));
    return 0;
  }
  must(node.data.is_absolute() && node.run.is_absolute() && node.store.is_absolute());

  // The values that hold, said as the environment says them, win over any file, and hold again.
  std::vector<std::string> said;
  for (const char* key : {"text", "path", "flag", "number", "port", "short_ms", "long_s"}) {
    const std::optional<std::string> value = reader->value("ingest", key);
    must(value.has_value());
    std::string name = "RIBALTA_INGEST_" + std::string{key};
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    said.push_back(name + "=" + *value);
  }
  Fields again;
  again.list = fields.list;
  Result<ConfigReader> second = ConfigReader::parse("[ingest]\nnumber = 99999\nflag = 'no'\n", "file", said);
  must(second.has_value());
  describe(*second, again);
  must(second->finish().has_value());
  must(again == fields);
  return 0;
}
