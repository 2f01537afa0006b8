// ribalta-ingest: the door for media. RTMP(S) publishers and resumable uploads come in; tracks go to the packager,
// files to the object store, and the control plane hears of both.
#include <malloc.h>
#include <sys/resource.h>

#include <boost/asio/post.hpp>
#include <memory>

#include "core/daemon.h"
#include "core/log.h"
#include "ingest/config.h"
#include "ingest/door/door.h"
#include "ingest/tus/tus_service.h"

namespace {

using namespace ribalta;
using namespace ribalta::ingest;

/// Everything that lives as long as the daemon.
struct Ingest {
  IngestConfig config;
  std::unique_ptr<Rooms> rooms;
  std::unique_ptr<KeyMemory> memory;
  Registry registry;
  Refusals refusals;
  std::unique_ptr<Door> door;
  std::unique_ptr<tus::TusService> uploads;
};

Result<http::Address> address_of(const std::string& configured, const Node& node, std::string_view socket) {
  if (!configured.empty()) return http::Address::parse(configured);
  return http::Address::parse("unix:" + (node.config.run / socket).string());
}

/// Writes the remembered keys about once a second where they changed.
Task<void> keep_memory(KeyMemory& memory) {
  while (true) {
    co_await sleep_for(std::chrono::seconds{1});
    const Result<void> saved = co_await run_blocking<Lane::background>([&memory] { return memory.save(); });
    if (!saved) log_warning("remembered keys are not on disk", {{"reason", saved.error()}});
  }
}

/// Says how often what stands in the log already came again.
Task<void> tell_refusals(Refusals& refusals) {
  while (true) {
    co_await sleep_for(kRefusalPeriod);
    for (const Refusals::Repeated& repeated : refusals.end_period()) {
      log_info("connections ended as told before", {{"client", repeated.client.empty() ? "several" : repeated.client},
                                                    {"reason", repeated.reason.empty() ? "several" : repeated.reason},
                                                    {"count", repeated.count}});
    }
  }
}

/// Some time after connections have ended, what they left free among what is in use goes back to the system: glibc
/// keeps it otherwise, and an evening's peak would stay for good. Twice, since publishers write for up to kFinishMax
/// more.
Task<void> give_memory_back(const Door& door, Counter& trims) {
  std::uint64_t seen = 0;
  bool again = false;
  while (true) {
    co_await sleep_for(kFinishMax);
    const std::uint64_t ended = door.connections_ended();
    const bool more = ended != std::exchange(seen, ended);
    if (more || again) {
      co_await run_blocking<Lane::background>([] { malloc_trim(0); });
      trims.add();
    }
    again = more;
  }
}

/// What beside connections needs a descriptor: tracks to the packager, uploads, calls, files.
constexpr std::int64_t kDescriptorsBeside = 512;

void check_descriptors(const IngestConfig& config) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const auto wanted = static_cast<rlim_t>(config.connections_max + kDescriptorsBeside);
  if (limit.rlim_cur < wanted) {
    log_warning("fewer descriptors are allowed than ingest.connections_max needs (ulimit -Hn)",
                {{"allowed", limit.rlim_cur}, {"needed", wanted}});
  }
}

DoorContext door_context(Ingest& ingest, Metrics& metrics) {
  const PublisherContext publishers{
      *ingest.rooms, *ingest.memory,
      metrics.counter("ribalta_ingest_frames_total", "Video frames and audio packets that were taken"),
      metrics.counter("ribalta_ingest_media_bytes_total", "Their bytes"),
      metrics.counter("ribalta_ingest_frames_dropped_total", "Frames that could not be read")};
  return {publishers,
          ingest.registry,
          ingest.refusals,
          metrics.counter("ribalta_ingest_publishes_total", "Publishes that were accepted"),
          metrics.counter("ribalta_ingest_connections_refused_total",
                          "RTMP connections that ended with an error or a limit"),
          metrics.gauge("ribalta_ingest_publishing", "Streams that are being published"),
          metrics.gauge("ribalta_ingest_connections", "RTMP connections that are open")};
}

Result<void> start(Ingest& ingest, Node& node, http::Router& router) {
  const Result<http::Address> control = address_of(ingest.config.control, node, "control.sock");
  if (!control) return control.error().in("ingest.control");
  const Result<http::Address> packager = address_of(ingest.config.packager, node, "packager.sock");
  if (!packager) return packager.error().in("ingest.packager");
  ingest.rooms = std::make_unique<Rooms>(*control, *packager, node.node_secret, node.id);

  const std::filesystem::path folder = node.config.data / "ingest";
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return fail(Code::io, "cannot make " + folder.string() + ":", error.message());
  ingest.memory = std::make_unique<KeyMemory>(folder / "keys.json", node.node_secret);
  const Result<void> loaded = ingest.memory->load();
  if (!loaded) log_warning("remembered keys cannot be read: beginning without", {{"reason", loaded.error()}});
  for (const RememberedKey& lost : ingest.memory->lost()) {
    spawn_lasting(node.loops->loop(0), "report lost publisher",
                  [&ingest, lost] { return report_lost(*ingest.rooms, *ingest.memory, lost); });
  }
  spawn_essential(node.loops->loop(0), "keep remembered keys", [&ingest] { return keep_memory(*ingest.memory); });

  const tus::TusService::Settings uploads{folder / "uploads", ingest.config.upload_lifetime};
  ingest.uploads = std::make_unique<tus::TusService>(*ingest.rooms, *node.store, uploads, node.metrics);
  ingest.uploads->add_routes(router);
  const Result<void> resumed = ingest.uploads->start(node.loops->loop(0));
  if (!resumed) return resumed.error().in("uploads");

  Result<std::unique_ptr<Door>> door = Door::open(*node.loops, ingest.config, door_context(ingest, node.metrics));
  if (!door) return pass(door);
  ingest.door = std::move(*door);
  check_descriptors(ingest.config);
  spawn_essential(node.loops->loop(0), "tell refusals", [&ingest] { return tell_refusals(ingest.refusals); });
  Counter& trims =
      node.metrics.counter("ribalta_ingest_memory_trims_total", "Times that free memory went back to the system");
  spawn_lasting(node.loops->loop(0), "give memory back",
                [&ingest, &trims] { return give_memory_back(*ingest.door, trims); });
  log_info("ready for publishers",
           {{"rtmp_port", ingest.door->rtmp_port()}, {"rtmps_port", ingest.door->rtmps_port()}});
  return {};
}

Task<void> drain(Ingest& ingest, std::chrono::milliseconds deadline) {
  co_await ingest.door->drain(deadline);
  const Result<void> saved = co_await run_blocking<Lane::background>([&ingest] { return ingest.memory->save(); });
  if (!saved) log_warning("remembered keys are not on disk", {{"reason", saved.error()}});
}

}  // namespace

int main(int argc, char** argv) {
  const auto ingest = std::make_unique<Ingest>();
  Role role;
  role.name = "ingest";
  role.read_config = [&ingest](ConfigReader& reader) { describe(reader, ingest->config); };
  role.check_config = [&ingest](const NodeConfig&, ConfigReader& reader) { check(ingest->config, reader); };
  role.start = [&ingest](Node& node, http::Router& router) { return start(*ingest, node, router); };
  role.health = [] { return std::string{}; };
  role.drain = [&ingest](std::chrono::milliseconds deadline) { return drain(*ingest, deadline); };
  return daemon_main(role, argc, argv);
}
