// The origin: receives tracks, holds live windows, answers HLS and DASH.
#include <memory>
#include <optional>

#include "core/daemon.h"
#include "packager/config.h"
#include "packager/live/hub.h"
#include "packager/live/routes.h"
#include "packager/vod/vod_service.h"

int main(int argc, char** argv) {
  using namespace ribalta;
  using namespace ribalta::packager;
  PackagerConfig config;
  std::optional<Hub> hub;
  std::optional<VodService> videos;
  const Role role{
      .name = "packager",
      .read_config = [&config](ConfigReader& reader) { read_packager_config(reader, config); },
      .start = [&config, &hub, &videos](Node& node, http::Router& router) -> Result<void> {
        hub.emplace(node, config.live);
        if (auto restored = hub->restore(); !restored) return restored;
        add_bus_routes(router, node, *hub);
        add_playback_routes(router, *hub);
        videos.emplace(*node.store, VodOptions{.node_secret = node.node_secret}, node.metrics);
        add_vod_routes(router, *videos);
        hub->start();
        return {};
      },
      .health = [&hub] { return hub ? hub->health() : std::string{}; },
      .drain = [&hub](std::chrono::milliseconds deadline) -> Task<void> {
        if (hub) co_await hub->drain(deadline);
      },
  };
  return daemon_main(role, argc, argv);
}
