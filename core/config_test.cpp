#include "core/config.h"

#include <doctest/doctest.h>

#include <fstream>

#include "core/testing/run.h"

using namespace ribalta;
using namespace std::chrono_literals;

namespace {

struct Values {
  std::string name = "default";
  std::filesystem::path folder = "/default";
  bool open = false;
  std::int64_t count = 5;
  std::uint16_t port = 1935;
  std::chrono::milliseconds wait = 10s;
  std::chrono::milliseconds grace = 30s;
  std::vector<std::string> hosts;
};

Result<Values> read(std::string_view text, const std::vector<std::string>& environment = {}) {
  Result<ConfigReader> reader = ConfigReader::parse(text, "ribalta.toml", environment);
  if (!reader) return pass(reader);
  Values values;
  reader->section("ingest")
      .text("name", values.name, "")
      .path("folder", values.folder, "")
      .boolean("open", values.open, "")
      .integer("count", values.count, 1, 10, "")
      .port("rtmp_port", values.port, "")
      .duration("wait_ms", values.wait, 1s, 60s, "")
      .duration("grace_s", values.grace, 1s, 60s, "")
      .text_list("hosts", values.hosts, "");
  const Result<void> finished = reader->finish();
  if (!finished) return pass(finished);
  return values;
}

std::string complaint(std::string_view text, const std::vector<std::string>& environment = {}) {
  return read(text, environment).error().message;
}

}  // namespace

TEST_CASE("config: what is not in the file keeps its default") {
  const Values values = read("").value();
  CHECK(values.port == 1935);
  CHECK(values.name == "default");
}

TEST_CASE("config: each kind of field is read") {
  const Values values = read(R"(
[ingest]
name = "a"
folder = "/data"
open = true
count = 10
rtmp_port = 0
wait_ms = 1000
grace_s = 60
hosts = ["a", "b"]
[control]
anything = 1
)")
                            .value();
  CHECK(values.name == "a");
  CHECK(values.folder == "/data");
  CHECK(values.open);
  CHECK(values.count == 10);
  CHECK(values.port == 0);
  CHECK(values.wait == 1s);
  CHECK(values.grace == 60s);
  CHECK(values.hosts == std::vector<std::string>{"a", "b"});
}

TEST_CASE("config: complaints name file, line and field") {
  CHECK(complaint("\n\n[ingest]\nrtmp_port = 70000\n") == "ribalta.toml:4: ingest.rtmp_port: 70000 is over 65535");
  CHECK(complaint("[ingest]\ncount = 0") == "ribalta.toml:2: ingest.count: 0 is under 1");
  CHECK(complaint("[ingest]\ncount = 11") == "ribalta.toml:2: ingest.count: 11 is over 10");
  CHECK(complaint("[ingest]\ncount = 1.5") == "ribalta.toml:2: ingest.count: not a whole number");
  CHECK(complaint("[ingest]\nname = 1") == "ribalta.toml:2: ingest.name: not a text in quotes");
  CHECK(complaint("[ingest]\nopen = 1") == "ribalta.toml:2: ingest.open: not true or false");
  CHECK(complaint("[ingest]\nhosts = [1]") == "ribalta.toml:2: ingest.hosts: not a list of texts");
  CHECK(complaint("[ingest]\nwait_ms = 999") == "ribalta.toml:2: ingest.wait_ms: 999 is under 1000");
  CHECK(complaint("[ingest]\ngrace_s = 61") == "ribalta.toml:2: ingest.grace_s: 61 is over 60");
  CHECK(complaint("[ingest]\nrtmpport = 1") == "ribalta.toml:2: ingest.rtmpport: unknown");
  CHECK(complaint("ingest = 1") == "ribalta.toml:1: ingest is not a section");
}

TEST_CASE("config: all complaints come at once, one a line") {
  CHECK(complaint("[ingest]\ncount = 0\nnmae = \"x\"") ==
        "ribalta.toml:2: ingest.count: 0 is under 1\nribalta.toml:3: ingest.nmae: unknown");
}

TEST_CASE("config: what is no TOML is refused with its line and column") {
  CHECK(complaint("[ingest]\ncount = \n").starts_with("ribalta.toml:2:"));
}

TEST_CASE("config: the environment wins over the file, and is checked alike") {
  const std::vector<std::string> environment{"RIBALTA_INGEST_RTMP_PORT=2000", "RIBALTA_INGEST_HOSTS=a,b",
                                             "RIBALTA_INGEST_OPEN=1", "PATH=/bin"};
  const Values values = read("[ingest]\nrtmp_port = 1\n", environment).value();
  CHECK(values.port == 2000);
  CHECK(values.open);
  CHECK(values.hosts == std::vector<std::string>{"a", "b"});
  CHECK(complaint("", {"RIBALTA_INGEST_RTMP_PORT=70000"}) == "RIBALTA_INGEST_RTMP_PORT: 70000 is over 65535");
  CHECK(complaint("", {"RIBALTA_INGEST_RTMP_PORT="}) == "RIBALTA_INGEST_RTMP_PORT: not a whole number");
  CHECK(complaint("", {"RIBALTA_INGEST_RTMP_PROT=1"}) == "RIBALTA_INGEST_RTMP_PROT: unknown");
  CHECK(read("", {"RIBALTA_TEST_MEDIA=/x"}).has_value());
}

TEST_CASE("config: a file that is not there is not_found, one that is there is read") {
  const testing::TemporaryFolder folder;
  CHECK(ConfigReader::open(folder.path() / "none.toml").error().code == Code::not_found);
  std::ofstream{folder.path() / "ribalta.toml"} << "[node]\ndata = \"/x\"\n";
  Result<ConfigReader> reader = ConfigReader::open(folder.path() / "ribalta.toml");
  CHECK(read_node_config(*reader, "ingest").data == "/x");
}

TEST_CASE("node config: folders default to places under the data folder") {
  Result<ConfigReader> reader = ConfigReader::parse("[node]\ndata = \"/d\"\n[store]\nfolder = \"/far/store\"", "f");
  const NodeConfig config = read_node_config(*reader, "ingest");
  CHECK(config.run == "/d/run");
  CHECK(config.store == "/far/store");
  CHECK(config.node_secret_file == "/d/secrets/node");
  CHECK(config.redis == "unix:/d/run/redis.sock");
  CHECK(config.log.role == "ingest");
}

TEST_CASE("node config: no data folder, a path too long for a socket, and unknown log levels are refused") {
  const auto refused = [](const std::string& text) {
    Result<ConfigReader> reader = ConfigReader::parse(text, "f");
    read_node_config(*reader, "ingest");
    return reader->finish().error().message;
  };
  CHECK(refused("").starts_with("f: node.data: missing"));
  CHECK(refused("[node]\ndata = \"/" + std::string(100, 'x') + "\"").find("107 bytes") != std::string::npos);
  CHECK(refused("[node]\ndata = \"/d\"\n[log]\nlevel = \"loud\"").starts_with("f:4: log.level: "));
  CHECK(refused("[node]\ndata = \"/d\"\n[log]\nformat = \"xml\"").starts_with("f:4: log.format: "));
  CHECK(refused("[node]\ndata = \"/d\"\n[redis]\naddress = \"nowhere\"").starts_with("f:4: redis.address: "));
}

TEST_CASE("config: the file wins over RIBALTA_DEFAULT_…, which is checked alike") {
  const std::vector<std::string> environment{"RIBALTA_DEFAULT_INGEST_RTMP_PORT=2000", "RIBALTA_DEFAULT_INGEST_COUNT=7"};
  const Values values = read("[ingest]\nrtmp_port = 1\n", environment).value();
  CHECK(values.port == 1);
  CHECK(values.count == 7);
  CHECK(read("", {"RIBALTA_DEFAULT_INGEST_COUNT=7", "RIBALTA_INGEST_COUNT=8"}).value().count == 8);
  CHECK(complaint("", {"RIBALTA_DEFAULT_INGEST_COUNT=11"}) == "RIBALTA_DEFAULT_INGEST_COUNT: 11 is over 10");
  CHECK(complaint("", {"RIBALTA_DEFAULT_INGEST_COUNTS=1"}) == "RIBALTA_DEFAULT_INGEST_COUNTS: unknown");
}

TEST_CASE("config: a section that no role has, and a key outside of sections, are complaints with their line") {
  CHECK(complaint("[ingets]\nport = 1\n") == "ribalta.toml:1: ingets: there is no such section");
  CHECK(complaint("count = 1\n") == "ribalta.toml:1: count: stands in no section");
  CHECK(read("[control]\nwhatever = 1\n").has_value());  // another role's to check
}

TEST_CASE("config: what a role complains of says where the value comes from") {
  const auto said = [](const std::string& text, const std::vector<std::string>& environment) {
    Result<ConfigReader> reader = ConfigReader::parse(text, "ribalta.toml", environment);
    std::string locale;
    reader->section("control").text("locale", locale, "");
    reader->complain("control", "locale", "no");
    return reader->finish().error().message;
  };
  CHECK(said("[control]\n\nlocale = 'fr'\n", {}) == "ribalta.toml:3: control.locale: no");
  CHECK(said("", {"RIBALTA_CONTROL_LOCALE=fr"}) == "RIBALTA_CONTROL_LOCALE: no");
  CHECK(said("", {"RIBALTA_DEFAULT_CONTROL_LOCALE=fr"}) == "RIBALTA_DEFAULT_CONTROL_LOCALE: no");
  CHECK(said("", {}) == "ribalta.toml: control.locale: no");
}

TEST_CASE("config: the value that holds is told as text") {
  Result<ConfigReader> reader =
      ConfigReader::parse("[ingest]\nname = 'a'\nopen = true\n", "f", {"RIBALTA_INGEST_GRACE_S=7"});
  std::string name;
  bool open = false;
  std::chrono::milliseconds grace = 30s;
  std::int64_t count = 5;
  reader->section("ingest")
      .text("name", name, "")
      .boolean("open", open, "")
      .duration("grace_s", grace, 1s, 60s, "")
      .integer("count", count, 1, 10, "");
  CHECK(reader->value("ingest", "name") == "a");
  CHECK(reader->value("ingest", "open") == "true");
  CHECK(reader->value("ingest", "grace_s") == "7");
  CHECK(reader->value("ingest", "count") == "5");
  CHECK_FALSE(reader->value("ingest", "other").has_value());
}

TEST_CASE("config: a folder can be written, or made below one that can") {
  const testing::TemporaryFolder folder;
  CHECK(check_folder(folder.path()).has_value());
  CHECK(check_folder(folder.path() / "not/yet/there").has_value());
  std::ofstream{folder.path() / "file"} << "x";
  CHECK_FALSE(check_folder(folder.path() / "file").has_value());
  CHECK_FALSE(check_folder(folder.path() / "file/below").has_value());
  CHECK_FALSE(check_folder("/proc/self/below").has_value());
}
