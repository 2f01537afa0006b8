// ribalta-transcode: the worker; `probe` and `file`; and, as its own child, the media work in jail.
#include <memory>
#include <string_view>

#include "core/daemon.h"
#include "transcode/config.h"
#include "transcode/local.h"
#include "transcode/probe.h"
#include "transcode/sandbox/child_main.h"
#include "transcode/sandbox/child_process.h"
#include "transcode/worker/worker.h"

namespace {

constexpr const char* kMoreHelp =
    "Without a daemon:\n"
    "  ribalta-transcode probe               what this machine can encode\n"
    "  ribalta-transcode file FILE FOLDER    transcodes one file as an upload would be; file --help says its options\n";

}  // namespace

int main(int argc, char** argv) {
  using namespace ribalta;
  using namespace ribalta::transcode;
  const std::string_view first = argc > 1 ? argv[1] : "";
  if (first == kChildFlag) return child_main(transcode_file);
  if (first == "probe") return probe_main(argc - 2, argv + 2);
  if (first == "file") return local_main(argc - 2, argv + 2);

  TranscodeConfig config;
  std::unique_ptr<Worker> worker;
  const Role role{
      .name = "transcode",
      .read_config = [&config](ConfigReader& reader) { read_transcode_config(reader, config); },
      .check_config = [&config](const NodeConfig& node,
                                ConfigReader& reader) { check_transcode_config(config, node, reader); },
      .start = [&config, &worker](Node& node, http::Router&) -> Result<void> {
        worker = std::make_unique<Worker>(node, config);
        return worker->start();
      },
      .health = [&worker] { return worker ? worker->health() : std::string{}; },
      .drain = [&worker](std::chrono::milliseconds deadline) -> Task<void> {
        if (worker) co_await worker->drain(deadline);
      },
      .more_help = kMoreHelp,
  };
  return daemon_main(role, argc, argv);
}
